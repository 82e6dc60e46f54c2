"""Encoders of sound: tones and levels, a plain version of the cochlea, streams in chunks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy

from compare import assert_same
from eprop.data import from_iterable
from eprop.data.audio import Cochlea, MelSpikes
from eprop.data.audio.cochlea import RATE
from eprop.errors import DataError, ParameterError
from eprop.random import COCHLEA, philox
from refusals import refusals

#: One ear without anything that changes the level.
PLAIN = {"level": None, "middle_ear": None, "types": (0.0,)}


#: An hour of sound, and an encoder that needs little time for it.
LONG = MelSpikes(bands=2, high=400.0, hop=500.0, window=100.0)
HOUR = np.sin(np.arange(3_600_000, dtype=np.float32))


def tone(frequency, level, seconds, rate=8000):
    """A sine of a level (dB, r.m.s.) that rises within 10 ms."""
    t = np.arange(int(seconds * rate)) / rate
    amplitude = 10.0 ** (level / 20.0) * 1e-5 * math.sqrt(2.0)
    return amplitude * np.sin(2.0 * np.pi * frequency * t) * np.minimum(1, t / 0.01)


def noise(seed=0, n=1600):
    return 0.01 * np.random.default_rng(seed).standard_normal(n)


@pytest.mark.parametrize(("frequency", "strength"), [(150, 0.85), (250, 0.85), (390, 0.85), (900, 0.6), (3000, 0.0)])
def test_a_tone_excites_its_place_and_low_tones_lock_the_phase(frequency, strength):
    cochlea = Cochlea(places=140, **PLAIN)
    events = cochlea.events(tone(frequency, 60.0, 1.1), 8000, seed=1)
    t = events.t / 1e6
    late = t > 0.1
    counts = np.bincount(events.x[late], minlength=140)
    place = np.average(np.arange(140), weights=counts * (counts >= 0.95 * counts.max()))
    centre = np.interp(place, np.arange(140), cochlea.frequencies)
    assert abs(12.0 * np.log2(centre / frequency)) < 1.0  # semitones; places are half a semitone apart
    assert counts.max() / 1.0 > 80.0  # Hz
    assert np.sum(counts > counts.max() / 2) < 50
    best = int(np.argmin(abs(cochlea.frequencies - frequency)))
    locked = abs(np.exp(2j * np.pi * frequency * t[late & (events.x == best)]).mean())
    assert locked > strength
    assert strength > 0.0 or locked < 0.3


def test_two_types_of_fibres_cover_sixty_decibels():
    def rates(level, kind):
        cochlea = Cochlea(places=5, low=470.0, high=530.0, **{**PLAIN, "types": (kind,)})
        t = cochlea.events(tone(500, level, 0.6), 8000, seed=1).t / 1e6
        return np.sum(t < 0.025) / 0.125, np.sum(t > 0.1) / 2.5

    sensitive = [rates(level, 10.0)[1] for level in (20, 30, 40, 50)]
    insensitive = [rates(level, -15.0)[1] for level in (45, 55, 65, 75, 80)]
    for levels in (sensitive, insensitive):
        assert np.all(np.diff(levels) > 2.0)
    assert sensitive[0] < 10.0 < 140.0 < sensitive[-1]
    assert insensitive[0] < 40.0 < 140.0 < insensitive[-1]
    onset, later = rates(60, 10.0)
    assert onset > 2.0 * later  # adaptation


def plain(cochlea, sound, seed):
    """The cochlea for a sound of 16 kHz, equation by equation; returns sets of (step, channel)."""
    dt, spikes = 1.0 / RATE, set()
    centre = cochlea.frequencies
    bandwidth = 1.019 * 24.7 * (1.0 + 0.00437 * centre)
    for place in range(cochlea.places):
        pole = np.exp(2.0 * np.pi * dt * (1j * centre[place] - bandwidth[place]))
        filtered = sound.astype(complex)
        for _ in range(4):
            filtered = scipy.signal.lfilter([1.0 - abs(pole)], [1.0, -pole], filtered)
        velocity = 2.0 * np.maximum(filtered.real, 0.0)
        for kind, db in enumerate(cochlea.types):
            channel = kind * cochlea.places + place
            drive = 1e4 * 10.0 ** (db / 20.0) * velocity
            k = 2000.0 / 301.0
            c = 5.05 * k / (2500.0 * k + 5.05 * (2500.0 + 6580.0))
            q, w = c * (2500.0 + 6580.0) / k, c * 6580.0 / 66.3
            last, v, i, free_at = [0] * 16, 0.0, 0.0, 0
            for step, s in enumerate(drive):
                k = 2000.0 * dt * (s + 1.0) / (s + 301.0)
                eject, back = k * q, 66.3 * dt * w
                q, w = q + 5.05 * dt * (1.0 - q) - eject + back, w + 6580.0 * dt * c - back
                c += eject - (2500.0 + 6580.0) * dt * c
                p, n = min(50_000.0 * dt * c, 0.999), cochlea.fibres - sum(last[1:])
                words = philox(seed, COCHLEA, channel, step // 4)
                u = ((words[step % 4 // 2] >> (32 * (step % 2)) & 0xFFFFFFFF) + 0.5) / 2**32
                fired, below = 0, (1.0 - p) ** n
                while u > below:
                    fired += 1
                    below += math.comb(n, fired) * p**fired * (1.0 - p) ** (n - fired)
                last = [*last[1:], fired]
                i = i * math.exp(-dt / 0.5e-3) + fired
                v = v * math.exp(-dt / 1e-3)
                if step >= free_at:
                    v += i * cochlea.weight / cochlea.fibres * dt
                if v >= 1.0:
                    spikes.add((step, channel))
                    v, free_at = 0.0, step + 16
    return spikes


def test_the_core_gives_the_spikes_of_the_equations():
    cochlea = Cochlea(places=9, low=200.0, high=2000.0, level=None, middle_ear=None)
    sound = tone(500, 65.0, 0.05, RATE) + noise(1, 800)
    ear = cochlea.stream(RATE, seed=3)
    times, channels = ear.hear(sound)
    found = set(zip((times * RATE / 1000.0).round().astype(int).tolist(), channels.tolist(), strict=True))
    expected = plain(cochlea, sound, 3)
    assert len(expected) > 100
    assert {channel for _, channel in expected} >= {3, 4, 12}
    assert found == expected
    assert ear.time == 50.0


@pytest.mark.parametrize("rate", [8000, RATE, 22_050, 44_100])
def test_chunks_of_a_stream_give_the_same_spikes(rate):
    cochlea, sound = Cochlea(places=10), noise(2, 3000)
    whole = cochlea.stream(rate, gain=10.0).hear(sound)
    assert len(whole[0]) > 100
    for sizes in ([1] * 50 + [2950], [700, 0, 1, 2299], [1000] * 3):
        ear, parts = cochlea.stream(rate, gain=10.0), []
        for end, size in zip(np.cumsum(sizes), sizes, strict=True):
            parts.append(ear.hear(sound[end - size : end]))
        assert np.array_equal(np.concatenate([t for t, _ in parts]), whole[0])
        assert np.array_equal(np.concatenate([c for _, c in parts]), whole[1])


def test_a_recording_depends_on_seed_index_and_sound_only():
    sounds = [(noise(k, 800 + 40 * (k % 3)), 8000 if k % 4 else RATE) for k in range(70)]
    cochlea, labels = Cochlea(places=12, warp=0.1, loudness=6.0), np.arange(70) % 10
    one = cochlea.binned(sounds, labels, seed=5)
    one.validate()
    assert (one.n_channels, one.n_steps, one.simulated) == (24, 100, False)
    for threads in (2, 3):
        assert_same(one, cochlea.binned(sounds, labels, seed=5, threads=threads))
    part = cochlea.binned(sounds[60:], labels[60:], seed=5, indices=np.arange(60, 70))
    assert all(np.array_equal(one.dense(60 + k), part.dense(k)) for k in range(10))
    events = [cochlea.events(*sound, seed=5, index=k) for k, sound in enumerate(sounds[:8])]
    again = from_iterable(zip(events, labels, strict=False), sensor_size=cochlea.sensor_size, n_steps=100, dt=5.0)
    assert all(np.array_equal(one.dense(k), again.dense(k)) for k in range(8))
    assert not np.array_equal(one.channels, cochlea.binned(sounds, labels, seed=6).channels)
    short = cochlea.binned(sounds, labels, seed=5, n_steps=4)
    assert np.array_equal(short.dense(3), one.dense(3)[:4])


def test_neither_level_nor_sample_rate_of_a_recording_matters():
    cochlea, sound = Cochlea(places=20), tone(600, 50.0, 0.3) + 0.1 * noise(3, 2400)
    counts = [cochlea.binned([(factor * sound, 8000)], [0], seed=1).counts[0] for factor in (1.0, 0.01, 100.0)]
    assert counts[0] == counts[1] == counts[2] > 100
    assert len(cochlea.events(np.zeros(800), 8000, seed=1)) < 20
    rates = (8000, 16_000, 22_050, 44_100, 48_000, 96_000)
    sounds = [(tone(1000, 50.0, 1.0, rate), rate) for rate in rates]
    assert np.ptp([cochlea.gain(*sound) for sound in sounds]) < 0.05  # dB
    counts = cochlea.binned(sounds, np.zeros(6), seed=1, indices=[0] * 6, n_steps=200).counts
    assert np.ptp(counts) < 0.02 * counts.mean()


def test_warp_moves_the_places():
    sound = tone(1000, 60.0, 0.3)
    cochlea = Cochlea(places=70, **PLAIN)
    far = Cochlea(places=70, warp=0.2, **PLAIN)
    middle = np.mean(cochlea.events(sound, 8000, seed=1).x)
    moved = np.array([np.mean(far.events(sound, 8000, seed=1, index=k).x) for k in range(40)]) - middle
    places = np.diff(np.interp([1000.0, 1200.0], cochlea.frequencies, np.arange(70))).item()
    assert 0.6 * places < moved.max() < 1.1 * places
    assert -1.1 * places < moved.min() < -0.6 * places


REFUSED = [
    (lambda: Cochlea(low=500.0, high=400.0), ParameterError, "low must be below high"),
    (lambda: Cochlea(types=()), ParameterError, "1 to 8 numbers"),
    (lambda: Cochlea(types=("loud",)), ParameterError, "1 to 8 numbers"),
    (lambda: Cochlea(fibres=1000), ParameterError, "<= 60"),
    (lambda: Cochlea().events(np.zeros((800, 2)), 8000, seed=1), DataError, r"mono.*mix stereo"),
    (lambda: Cochlea().events([], 8000, seed=1), DataError, "no samples"),
    (lambda: Cochlea().events([0.0, np.nan], 8000, seed=1), DataError, "finite"),
    (lambda: Cochlea().events(["a"], 8000, seed=1), DataError, "numbers"),
    (lambda: Cochlea().events([0.0, -1e300], 8000, seed=1), DataError, r"sound 0: .*-1e\+300; is the recording damaged"),
    (lambda: MelSpikes().events([1e300] * 999, 8000, seed=1), DataError, r"got 1e\+300"),
    (lambda: Cochlea().events(np.zeros(9), 4000, seed=1), DataError, r"above 2000 Hz.*high=1900"),
    (lambda: Cochlea().events(np.zeros(9), 8000.5, seed=1), DataError, "whole number of samples"),
    (lambda: Cochlea().events(np.zeros(9), "8 kHz", seed=1), DataError, "whole number of samples"),
    (lambda: Cochlea().stream(10), DataError, "1000..768000"),
    (lambda: Cochlea().stream(8000).hear([np.inf]), DataError, "finite"),
    (lambda: Cochlea().binned([(np.zeros(9), 8000)], [1, 2], seed=1), DataError, "1 sounds need as many labels"),
    (lambda: Cochlea().events(np.zeros(9), 8000, seed=-1), ParameterError, "seed must lie"),
    (lambda: MelSpikes(low=500.0, high=400.0), ParameterError, "low must be below high"),
    (lambda: MelSpikes().events(np.zeros(9), 4000, seed=1), DataError, "above 2000 Hz"),
    (lambda: LONG.events(HOUR, 1000, seed=1, index=7), DataError, "sound 7: is longer than 35.8 min"),
    (lambda: LONG.binned([(HOUR, 1000)], [0], seed=1, n_steps=3600, dt=1000.0), DataError, "sound 0: is longer than 35.8 min"),
]  # fmt: skip


@refusals(*REFUSED)
def test_what_is_no_sound_is_refused(refusal):
    refusal.check()


@pytest.mark.parametrize("hop", [0.1, 0.15, 1.3, 5.0, 7.77])
def test_mel_spikes_are_in_time_for_any_hop(hop):
    click = np.zeros(16_000)
    click[15_200] = 1.0
    times = MelSpikes(hop=hop, window=10.0).events(click, 8000, seed=0).t
    assert times.size
    assert times.min() >= 1_900_000 - 1000 * hop
    assert times.max() <= 1_910_000 + 11_000 * hop  # one spike in each frame


def test_a_long_sound_is_heard_for_the_steps_that_are_wanted():
    data, part = (LONG.binned([(s, 1000)], [0], seed=1, n_steps=100, dt=1000.0) for s in (HOUR, HOUR[:100_000]))
    assert data.counts.sum() > 100
    assert np.array_equal(data.dense(0), part.dense(0))


def test_mel_spikes_follow_level_and_rise():
    encoder = MelSpikes()
    sound = np.concatenate([0.001 * noise(0, 1600), tone(1000, 60.0, 0.3)])
    level = encoder.levels((sound, 8000))
    assert level.shape == (100, 40)
    assert (level.min() >= 0.0, level.max()) == (True, 1.0)
    best = int(level[60:].mean(axis=0).argmax())
    assert encoder.frequencies[best] == pytest.approx(1000.0, rel=0.05)
    events = encoder.events(sound, 8000, seed=0)
    late = (events.x == best) & (events.t > 250_000)
    assert late[events.y == 0].sum() / 0.25 == pytest.approx(100.0, rel=0.1)  # Hz
    rise = events.t[(events.x == best) & (events.y == 1)]
    assert 6 <= np.sum((rise > 195_000) & (rise < 260_000)) <= 11
    assert np.sum(rise > 300_000) <= 2
    data = encoder.binned([(sound, 8000)] * 3, [0, 1, 2], seed=0)
    data.validate()
    assert data.n_channels == 80
    assert data.counts[0] == len(events)
