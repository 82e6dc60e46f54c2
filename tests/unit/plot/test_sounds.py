"""The cochleagram."""

from __future__ import annotations

import numpy as np

from eprop.data.audio import Cochlea, MelSpikes
from eprop.plot import cochleagram


def test_a_cochleagram_shows_every_spike_at_its_place():
    sound = 0.1 * np.sin(2.0 * np.pi * 500.0 * np.arange(1600) / 8000)
    for encoder, names in ((Cochlea(places=20), ["+10 dB", "-15 dB"]), (MelSpikes(bands=10), ["level", "rise"])):
        figure = cochleagram(encoder, sound, 8000, seed=2, title="a tone")
        wave, spikes = figure.axes
        events = encoder.events(sound, 8000, seed=2)
        assert wave.get_title() == "a tone"
        assert [line.get_label() for line in spikes.lines] == names
        drawn = np.concatenate([line.get_xydata() for line in spikes.lines])
        order = np.argsort(events.y, kind="stable")
        np.testing.assert_allclose(drawn, np.stack([events.t / 1000.0, events.x], axis=1)[order])
        assert [label.get_text() for label in spikes.get_yticklabels()][-3:] == ["500", "1000", "2000"]
