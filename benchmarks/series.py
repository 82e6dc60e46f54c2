"""Test error on small data sets of series: a network that learns from encoded numbers, beside simpler and stronger methods.

    python benchmarks/series.py --data aeon/datasets/data --methods eprop ridge numbers
    python benchmarks/series.py --data aeon/datasets/data --methods bptt --sets ArrowHead ItalyPowerDemand --label bptt

The data are the files ``NAME_TRAIN.ts`` and ``NAME_TEST.ts`` that the package ``aeon`` brings; ``rocket`` needs the package.

    eprop, eprop+   the recipe of docs/howto/encoders.md, 100 neurons, longer time constants (``--without network``: the defaults)
    bptt            backpropagation through time (`bptt.py`) on the same spikes and updates; the recurrent weights of the same
                    network begin at a fifth, else gradients overflow
    ridge           ridge regression on one draw of the same spikes, without the clock, counted per observation
    numbers         ridge regression on the numbers
    rocket          ROCKET on the numbers, 10,000 kernels

``--without`` takes parts of the recipe away, as a newcomer may begin. The result is ``series.json``, or ``series-LABEL.json``.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import time
from typing import Any

import harness
import numpy as np
from bptt import Bptt

import eprop as ep
from eprop.data import SeriesDataset, from_series
from eprop.encoders import PopulationCode

SETS = ("ArrowHead", "GunPoint", "ItalyPowerDemand", "BasicMotions", "JapaneseVowels")
METHODS = ("eprop", "eprop+", "bptt", "ridge", "numbers", "rocket")
#: Parts of the recipe.
PARTS = ("epochs", "regular", "clock", "window", "network", "rates")
NEURONS, BATCH, UPDATES, ETA = 100, 16, 300, 5e-3


def main() -> None:
    """Train and test all methods, and record the errors."""
    parser = harness.parser(__doc__, seeds=[1, 2, 3], label=True)
    parser.add_argument("--data", type=pathlib.Path, required=True, help="folder with a folder for each data set")
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--methods", nargs="+", default=["eprop", "ridge", "numbers"], choices=METHODS)
    parser.add_argument("--without", nargs="+", default=[], choices=PARTS, help="parts of the recipe to leave out")
    parser.add_argument("--updates", type=int, default=UPDATES)
    given = parser.parse_args()
    rows = []
    for name in given.sets:
        data = [read(given.data / name / f"{name}_{part}.ts") for part in ("TRAIN", "TEST")]
        for method in given.methods:
            began = time.process_time()
            found = [measured(given, method, data, seed) for seed in given.seeds]
            row = {"set": name, "method": method, "seconds": (time.process_time() - began) / len(found)}
            row |= {key: harness.spread([each[key] for each in found]) for key in found[0]}
            print(json.dumps(row), flush=True)
            rows.append(row)
    print(harness.write("series", {"without": given.without, "updates": given.updates, "rows": rows}, given.label))


def read(path: pathlib.Path) -> tuple[list[np.ndarray], np.ndarray]:
    """Series (observations, entries) and labels of a file of the format ``ts``."""
    lines = [line.strip() for line in path.read_text().splitlines() if line.strip() and line[0] != "#"]
    rows = [line.split(":") for line in lines[[line.lower() for line in lines].index("@data") + 1 :]]
    series = [np.array([channel.split(",") for channel in row[:-1]], float).T for row in rows]
    return series, np.unique([row[-1] for row in rows], return_inverse=True)[1]


def measured(given: argparse.Namespace, method: str, data: Any, seed: int) -> dict[str, float]:
    """Test error in percent, and the rate of the neurons in Hz, of one method and seed."""
    (x, y), (x_test, y_test) = data
    longest = max(map(len, [*x, *x_test]))
    if method in ("numbers", "rocket"):
        tables = [np.stack([np.pad(row, ((longest - len(row), 0), (0, 0))) for row in part]) for part in (x, x_test)]
        return {"error": 100.0 * np.mean(fitted(method, tables, y, seed) != y_test)}
    code = PopulationCode(rate=200.0, regular="regular" not in given.without)
    clock = method != "ridge" and "clock" not in given.without  # to counts of each observation it only adds noise
    train = from_series(x, y, code=code, observations=longest, clock=clock, seed=seed)
    test = train.encode(x_test, y_test)
    if method == "ridge":
        tables = [counts(train.drawn(0), train.steps), counts(test.drawn(), train.steps)]
        return {"error": 100.0 * np.mean(fitted(method, tables, y, seed) != y_test)}
    sim = ep.Simulator(network(given, method, train, seed), threads=1, precision="single")
    window = None if "window" in given.without else np.arange(train.n_steps) >= train.n_steps // 2
    epochs = max(1, round(given.updates * BATCH / len(train)))
    if method == "bptt":
        return {"error": backpropagated(sim, train, test, window, epochs, seed)}
    learned = train.drawn(0) if "epochs" in given.without else train
    history = ep.fit(sim, learned, epochs=epochs, batch_size=BATCH, window=window, progress=False, reports=10)
    return {"error": 100.0 * history.evaluate(test).error, "rate": history["rate_rec"][-1]}


def network(given: argparse.Namespace, method: str, train: SeriesDataset, seed: int) -> ep.Network:
    """The network of the recipe, or with the defaults of `eprop.recurrent`."""
    reg = 0.0 if "rates" in given.without else 1e-3  # mV per Hz
    rule: ep.Rule = ep.EProp(optimizer=ep.Adam(eta=ETA), c_reg=1000.0 * reg * train.n_steps)
    if method == "eprop+":
        kept = 1.0 - np.exp(-1.0 / 100.0)
        rule = ep.EPropPlus(c_reg=1000.0 * reg / kept, kappa_reg=float(np.exp(-1.0 / 500.0)))
    size = train.n_channels, NEURONS, int(train.labels.max()) + 1
    if "network" in given.without:
        return ep.recurrent(*size, rule=rule, seed=seed)
    readout = ep.Readout(tau_m=100.0, loss=ep.CrossEntropy())
    w_rec = 0.2 if method == "bptt" else 1.0
    return ep.recurrent(*size, neuron=ep.LIF(tau_m=50.0), readout=readout, w_in=0.5, w_rec=w_rec, rule=rule, seed=seed)


def backpropagated(
    sim: ep.Simulator, train: SeriesDataset, test: SeriesDataset, window: Any, epochs: int, seed: int
) -> float:
    """Test error of the same network that BPTT has trained, on spikes drawn anew in each epoch."""
    net, order = Bptt(sim, ETA / 5.0, clip=1.0), np.random.default_rng(seed)
    for epoch in range(epochs):
        drawn, shuffled = dense(train.drawn(epoch)), order.permutation(len(train))
        for first in range(0, len(train), BATCH):
            chosen = shuffled[first : first + BATCH]
            done = (epoch + first / len(train)) / epochs
            net.train(drawn[chosen], train.labels[chosen], window, 1.0 - 0.99 * done)
    drawn = dense(test.drawn())
    found = [net.predict(drawn[k : k + 128], window) for k in range(0, len(drawn), 128)]
    return float(100.0 * np.mean(np.concatenate(found) != test.labels))


def dense(data: Any) -> np.ndarray:
    """Zeros and ones (samples, steps, channels)."""
    return np.stack([data.dense(k) for k in range(len(data))]).astype(np.float32)


def counts(data: Any, steps: int) -> np.ndarray:
    """Spikes of each observation and channel, a row for each sample."""
    return dense(data).reshape(len(data), -1, steps, data.n_channels).sum(axis=2).reshape(len(data), -1)


def fitted(method: str, tables: list[np.ndarray], y: np.ndarray, seed: int) -> np.ndarray:
    """Predictions of the test by a classifier."""
    if method == "rocket":
        from aeon.classification.convolution_based import RocketClassifier

        rocket = RocketClassifier(random_state=seed, n_jobs=1).fit(tables[0].transpose(0, 2, 1), y)
        return np.asarray(rocket.predict(tables[1].transpose(0, 2, 1)))
    from sklearn.linear_model import RidgeClassifierCV

    rows = [table.reshape(len(table), -1) for table in tables]
    return np.asarray(RidgeClassifierCV(np.logspace(-3.0, 5.0, 17)).fit(rows[0], y).predict(rows[1]))


if __name__ == "__main__":
    main()
