"""Sound: the wave and what an ear makes of it."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from eprop.data.audio import Cochlea, MelSpikes
from eprop.plot.style import BLACK, BLUE, GREEN, ORANGE, RED, WIDE, look, new_figure

_COLOURS = (BLACK, RED, BLUE, GREEN, ORANGE)
_TICKS = (100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0)


def cochleagram(
    encoder: Cochlea | MelSpikes, sound: ArrayLike, rate: float, *, seed: int = 1, index: int = 0, title: str = ""
) -> Figure:
    """Draw a recording and its spikes by place: one colour for each type of fibres (or of mel channels).

    Parameters
    ----------
    encoder : Cochlea or MelSpikes
    sound, rate, seed, index
        As for `Cochlea.events`.
    title : str

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        If the sound cannot be encoded.
    """
    events = encoder.events(sound, rate, seed=seed, index=index)
    samples = np.asarray(sound, np.float64)
    names = [f"{db:+g} dB" for db in encoder.types] if isinstance(encoder, Cochlea) else ["level", "rise"]
    with look():
        figure = new_figure(WIDE, 3.6)
        wave, spikes = figure.subplots(2, 1, sharex=True, height_ratios=(1, 4))
        wave.plot(np.arange(samples.size) * (1000.0 / rate), samples, lw=0.4, color=BLACK)
        wave.set(ylabel="sound", yticks=[], title=title)
        for k, name in enumerate(names):
            chosen = events.y == k
            spikes.plot(
                events.t[chosen] / 1000.0, events.x[chosen], ".", ms=2.0, mew=0.0, color=_COLOURS[k % len(_COLOURS)],
                label=name, rasterized=True,
            )  # fmt: skip
        frequencies = encoder.frequencies
        ticks = [f for f in _TICKS if frequencies[0] <= f <= frequencies[-1]]
        spikes.set_yticks(np.interp(ticks, frequencies, np.arange(frequencies.size)), [f"{f:g}" for f in ticks])
        spikes.set(xlabel="time (ms)", ylabel="frequency (Hz)", ylim=(-1, frequencies.size))
        spikes.set_xlim(0.0, samples.size * (1000.0 / rate))
        spikes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=len(names), markerscale=4.0)
    return figure
