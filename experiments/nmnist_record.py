"""The fewest errors on N-MNIST within two minutes of training: 0.90 +- 0.08 % over three seeds, on 700 real recordings.

    python experiments/nmnist_record.py --mnist MNIST --test-data N-MNIST/Train --test-data N-MNIST/Test --threads 2
    python experiments/nmnist_record.py --quick

E-prop trains 600 LIF neurons on simulated recordings of MNIST, with elastic distortions that differ in each epoch. A neuron sees
a square of 12 x 12 pixels, and the edge filters of a square: neurons with fixed weights, one per place and direction. From the
second epoch on, the training skips 85 % of the samples whose last loss was below the mean. A recording is tested by five views,
shifted by a pixel to each side. Without --mnist the digits are those of a package, and tenfold more errors remain.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import replace
from typing import Any

import numpy as np
import trials

import eprop as ep
from eprop import random
from eprop.data import BinnedDataset, EventCamera, Loader, Splits, deskew, load_recordings, shift
from eprop.engine import Samples, make_samples
from eprop.training import Training

#: Pixels along each side of the camera, and of the square that a neuron sees. Neurons per row of squares, divided by the rows:
#: long rows give long runs of neighbouring targets, which the engine processes as one contiguous range.
SIDE, SEEN, ASPECT = 34, 12, 6.0
#: Edge filters: directions, side and distance, wavelength and width of the Gabor function, pixels. The root mean square of the
#: weights is 0.1 mV: a filter spikes one to three times in a sample. Places along each side, and along the square of a neuron.
DIRECTIONS, SIZE, STRIDE, WAVELENGTH, WIDTH, GAIN = 8, 7, 2, 6.0, 2.0, 0.1
PLACES, HEARD = (SIDE - SIZE) // STRIDE + 1, 5
#: Steps of 2 ms, the first that counts, and recordings of a call that evaluates.
DT, STEPS, START, SLICE = 2.0, 150, 25, 512
TRAINING = Training(batch_size=32, schedule="cosine")
SKIPPED = 0.85
SHIFTS = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
CAMERA = EventCamera(warp=0.07, elastic=0.8, elastic_spacing=5, jitter=math.hypot(EventCamera.jitter, 0.6))


def network_of(neurons: int, seed: int) -> ep.Network:
    """Build the untrained network."""
    net, rule = ep.Network(dt=DT, seed=seed), ep.EProp(optimizer=ep.Adam(eta=5.6e-3), c_reg=3.0, f_target=10.0)
    x = net.add(ep.EventSource(), 2 * SIDE**2, name="in")
    surrogate = ep.PiecewiseLinear(height=0.3, width=1.0)
    rec = net.add(ep.LIF(tau_m=10.0, v_th=1.0, t_ref=0.0, surrogate=surrogate), neurons, name="rec")
    out = net.add(ep.Readout(tau_m=100.0, loss=ep.CrossEntropy()), 10, name="out")
    pixels = in_squares(corners(neurons, SIDE, SEEN), SIDE, SEEN)
    net.connect(
        x, rec, from_each(np.concatenate([pixels, pixels + SIDE**2], axis=1)), weight=ep.Normal(0.0, 0.08), rule=rule
    )
    degree = round(0.01 * neurons)
    recurrent = ep.Normal(0.0, 0.5 / math.sqrt(max(degree, 1)))
    net.connect(rec, rec, ep.FixedIndegree(degree), weight=recurrent, rule=rule)
    net.connect(rec, out, ep.AllToAll(), weight=ep.Normal(0.0, 0.5 / math.sqrt(neurons)), rule=rule)
    filters = net.add(ep.LIF(tau_m=20.0, v_th=1.0), PLACES**2 * DIRECTIONS, name="filters")
    sources, targets, weights = gabors()
    net.connect(x, filters, ep.Explicit(sources=sources, targets=targets), weight=weights, rule=ep.Static())
    places = in_squares(corners(neurons, PLACES, HEARD), PLACES, HEARD)
    heard = (DIRECTIONS * places[:, :, None] + np.arange(DIRECTIONS)).reshape(neurons, -1)
    net.connect(filters, rec, from_each(heard), weight=ep.Normal(0.0, 0.1), rule=rule)
    net.feedback(out, rec, ep.Symmetric())
    return net


def corners(n: int, side: int, size: int) -> np.ndarray:
    """Upper left corners (y, x) of the squares of ``n`` neurons, spread evenly: row after row, and from left to right in each."""
    rows = max(1, min(n, round(math.sqrt(n / ASPECT))))
    row = np.arange(n) * rows // n
    first = np.searchsorted(row, np.arange(rows))
    length = np.diff(np.append(first, n))[row]
    y, x = (spread(at, count, side - size) for at, count in ((row, rows), (np.arange(n) - first[row], length)))
    return np.stack([y, x], axis=1)


def spread(at: np.ndarray, count: Any, most: int) -> np.ndarray:
    """Position of place ``at`` of ``count`` places between 0 and ``most``; the middle for a single place."""
    share = np.where(np.asarray(count) == 1, 0.5, at / np.maximum(np.asarray(count) - 1, 1))
    return np.rint(share * most).astype(np.int64)


def in_squares(at: np.ndarray, side: int, size: int) -> np.ndarray:
    """Indices of the places in squares with corners ``at`` (n, 2), row by row, shape ``(n, size * size)``."""
    y, x = np.moveaxis(at[:, :, None] + np.arange(size), 1, 0)
    return (side * y[:, :, None] + x[:, None, :]).reshape(len(at), -1)


def from_each(sources: np.ndarray) -> ep.Explicit:
    """Connections to each neuron from its row of ``sources``."""
    return ep.Explicit(sources=sources.ravel(), targets=np.repeat(np.arange(len(sources)), sources.shape[1]))


def gabors() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sources (channels), targets (filters) and weights (mV): an odd Gabor function, with the sign of the polarity.

    Channel ``polarity * 34**2 + y * 34 + x``, filter ``place * 8 + direction``; direction ``k`` is the angle of ``k / 8`` turns.
    """
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    angle = 2.0 * np.pi * np.arange(DIRECTIONS)[:, None, None] / DIRECTIONS
    along = x * np.cos(angle) + y * np.sin(angle)
    weight = np.sin(2.0 * np.pi * along / WAVELENGTH) * np.exp(-(x**2 + y**2) / (2.0 * WIDTH**2))
    weight *= GAIN / np.sqrt((weight**2).mean(axis=(1, 2), keepdims=True))
    pixels = in_squares(STRIDE * np.stack(np.divmod(np.arange(PLACES**2), PLACES), axis=1), SIDE, SIZE)
    channels = np.arange(2)[:, None, None, None] * SIDE**2 + pixels[None, :, None, :]
    filters = np.arange(PLACES**2 * DIRECTIONS).reshape(1, PLACES**2, DIRECTIONS, 1)
    signed = np.array([1.0, -1.0])[:, None, None, None] * weight.reshape(1, 1, DIRECTIONS, -1)
    sources, targets, weights = (part.ravel() for part in np.broadcast_arrays(channels, filters, signed))
    return sources, targets, weights


def recordings(given: argparse.Namespace, epoch: int) -> Splits:
    """Training and test data, deskewed; each epoch has other recordings of the training digits."""
    loader = Loader(n_steps=STEPS, dt=DT, epoch=epoch, training_camera=CAMERA, threads=given.threads)
    span = tuple(map(int, given.range.split(":"))) if given.mnist else None
    found = load_recordings(
        mnist=given.mnist, test=given.test_data, span=span, validation=given.validation, loader=loader
    )
    train, test = found.train, found.test
    if test is None:  # digits of a package
        train, test = train.split((-1, math.ceil(len(train) / 10)), seed=0, names=("training", "test"))
    if given.quick:
        train, test = train.subset(np.arange(96)), test.subset(np.arange(50))
    return replace(found, train=deskew(train), test=deskew(test))


def samples_of(net: ep.Network, data: BinnedDataset) -> Samples:
    """Samples whose first steps do not count."""
    window = (np.arange(STEPS) >= START).astype(float)
    return make_samples(net, len(data), STEPS, {"in": (data.ptr, data.channels)}, labels=data.labels, window=window)


def train(given: argparse.Namespace, sim: ep.Simulator, seed: int) -> float:
    """Learn all epochs; returns the seconds of the training, without those of the camera."""
    seconds, losses = 0.0, np.zeros(0)
    for epoch in range(given.epochs):
        data = recordings(given, epoch).train
        n = len(data)
        skip = np.zeros(n, bool)
        if epoch:
            draw = np.random.default_rng([seed, 1, epoch]).random(n)
            skip = (losses < min(losses.mean(), losses.max())) & (draw < SKIPPED)
        losses = losses if epoch else np.full(n, np.nan)
        order = random.permutation(seed, random.SHUFFLE, epoch, n)
        places = np.flatnonzero(~skip[order])
        began = time.perf_counter()
        for first in range(0, places.size, TRAINING.batch_size):
            which = order[places[first : first + TRAINING.batch_size]]
            done = epoch * n + (places[first - 1] + 1 if first else 0)
            sim.scale_learning_rates(TRAINING.eta_factor(done / (given.epochs * n)))
            losses[which] = sim.train(samples_of(sim.network, data.subset(which))).loss
        seconds += time.perf_counter() - began
    return seconds


def test_error(sim: ep.Simulator, data: BinnedDataset) -> float:
    """Fraction of wrong classes; the softmax of the readouts is added up over the steps that count, and over five views."""
    wrong = 0
    for first in range(0, len(data), SLICE):
        part, evidence = data.subset(np.arange(first, min(first + SLICE, len(data)))), 0.0
        for right, down in SHIFTS:
            y = sim.evaluate(samples_of(sim.network, shift(part, right, down))).y[:, START:]
            shown = np.exp(y - y.max(axis=2, keepdims=True))
            evidence += (shown / shown.sum(axis=2, keepdims=True)).sum(axis=1)
        wrong += int((np.argmax(evidence, axis=1) != part.labels).sum())
    return wrong / len(data)


def main() -> None:
    parser = trials.parser(__doc__, trials=3)
    parser.add_argument("--mnist", help="folder of MNIST")
    parser.add_argument("--range", default="1000:60000", help="training digits of MNIST")
    parser.add_argument("--test-data", action="append", help="folder of real recordings; repeatable")
    parser.add_argument("--validation", type=int, default=1000, help="digits that are neither learned nor tested")
    parser.add_argument("--epochs", type=int, default=4, help="passes over the training digits")
    parser.add_argument("--neurons", type=int, default=600, help="neurons that learn")
    parser.add_argument("--threads", type=int, default=1, help="threads of the training")
    given = parser.parse_args()
    if given.quick:
        given.epochs, given.neurons = min(given.epochs, 2), min(given.neurons, 30)
    errors, seconds = [], []
    for seed in trials.seeds_of(given):
        sim = ep.Simulator(network_of(given.neurons, seed), threads=given.threads, precision="single")
        seconds.append(train(given, sim, seed))
        errors.append(test_error(sim, recordings(given, 0).test))
    summary = {"trials": len(errors), **trials.Score.of(errors, [None] * len(errors)).summary("test error")}
    summary["seconds of a training"] = float(np.mean(seconds))
    trials.tell(given, trials.folder_of(given, "nmnist-record"), summary, errors=errors, seconds=seconds)


if __name__ == "__main__":
    main()
