"""Test errors of `ep.recurrent` and `ep.fit` with their defaults on several data sets: does a rule learn without tuning?

    python benchmarks/defaults.py --fsdd ARCHIVE --nmnist FOLDER [--rules eprop eprop+ adam] [--sets vowels-10] [--seeds 8]
                                  [--neurons 100] [--times-eta 1] [--label TEXT]

``eprop`` is `EProp()`, ``eprop+`` is `EPropPlus()`, ``unregulated`` the same without rate regularisation, and ``adam`` has an
optimiser step of Adam per spike. The series (motions to power) come from aeon, if it is installed. A line for each data set and
rule has mean, standard deviation and maximum over the seeds, and the error of each.
"""

from __future__ import annotations

import argparse
import functools
import pathlib
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from harness import write

import eprop as ep
from eprop.data import BinnedDataset, from_arrays, load_recordings
from eprop.data.audio import MelSpikes, read_sounds
from eprop.data.splits import Loader
from eprop.encoders import PopulationCode

RULES: dict[str, ep.EProp | ep.EPropPlus] = {
    "eprop": ep.EProp(),
    "eprop+": ep.EPropPlus(),
    "unregulated": ep.EPropPlus(c_reg=0.0),
    "adam": ep.EPropPlus(optimizer=ep.Adam(eta=3e-4)),
}


@dataclass(frozen=True)
class Learnable:
    """A data set, and how long to train on it; ``options`` are those of `ep.recurrent`."""

    train: BinnedDataset
    test: BinnedDataset
    outputs: int
    epochs: int
    dt: float = 1.0
    window: np.ndarray | None = None
    options: dict[str, Any] = field(default_factory=dict)


def series(name: str, steps: int, epochs: int) -> Learnable:
    """A data set of aeon by a population code, each observation for some steps of 1 ms."""
    datasets: Any = __import__("aeon.datasets", fromlist=["load_classification"])
    parts = {split: datasets.load_classification(name, split=split) for split in ("train", "test")}
    names = np.unique(parts["train"][1])
    values = {split: [np.asarray(x, float).T for x in parts[split][0]] for split in parts}
    code = PopulationCode(fields=8, rate=100.0).fit(np.concatenate(values["train"]))
    length = steps * max(len(x) for part in values.values() for x in part)
    binned = {}
    for split, first in (("train", 0), ("test", 10_000)):
        events = np.zeros((len(values[split]), length, code.channels((values[split][0].shape[1],))), bool)
        for k, x in enumerate(values[split]):  # steps after the end of a series count: the readouts keep the answer
            events[k, : steps * len(x)] = code.encode_series(x[None], steps, seed=first + k)[0]
        binned[split] = from_arrays(events, np.searchsorted(names, parts[split][1]))
    return Learnable(binned["train"], binned["test"], len(names), epochs)


def spoken(archive: pathlib.Path, dt: float) -> Learnable:
    """Spoken digits of 500 ms; at 1 ms 1,000 of them."""
    sounds = read_sounds(archive)
    data = MelSpikes().binned(sounds, sounds.labels, seed=1, n_steps=round(500.0 / dt), dt=dt)
    learned = np.flatnonzero(sounds.takes >= 5)
    if dt == 1.0:
        learned = np.random.default_rng(0).permutation(learned)[:1000]
    return Learnable(data.subset(learned), data.subset(np.flatnonzero(sounds.takes < 5)), 10, 2, dt)


def digits(folder: pathlib.Path, dt: float) -> Learnable:
    """Recordings of N-MNIST."""
    splits = load_recordings(data=folder, loader=Loader(dt=dt, n_steps=round(300.0 / dt)))
    return Learnable(splits.train, splits.test, 10, 2, dt)


def pattern() -> Learnable:
    """A curve of 1 s, 300 times; the error is the squared error divided by the variance."""
    events = np.random.default_rng(1).random((1, 1000, 50)) < 0.02
    t = np.linspace(0.0, 2.0 * np.pi, 1000)
    curve = sum(np.sin(k * t + phase) for k, phase in ((1, 0.3), (2, 1.9), (3, 4.0), (5, 5.1)))
    data = from_arrays(events, targets=curve[None, :, None] / 2.0)
    return Learnable(data, data, 1, 300)


def evidence() -> Learnable:
    """Evidence accumulation with three cues; errors come in the last steps only."""
    task = ep.tasks.evidence_accumulation(cues=3, delay=600.0)
    rng, adapting = np.random.default_rng(1), task.network.population("alif").model
    drawn = [task.train.draw(rng) for _ in range(1600)]
    data = from_arrays(np.stack([sample.inputs for sample in drawn]), np.array([sample.target for sample in drawn]))
    neuron = ep.ALIF(beta=adapting.beta, tau_adapt=adapting.tau_adapt)
    return Learnable(
        data.subset(np.arange(1280)),
        data.subset(np.arange(1280, 1600)),
        2,
        5,
        window=task.window,
        options={"neuron": neuron},
    )


def sets(given: argparse.Namespace) -> dict[str, Callable[[], Learnable]]:
    """What can be loaded, by name."""
    found: dict[str, Callable[[], Learnable]] = {
        "motions": functools.partial(series, "BasicMotions", 3, 10),
        "vowels-10": functools.partial(series, "JapaneseVowels", 10, 5),
        "vowels-5": functools.partial(series, "JapaneseVowels", 5, 5),
        "gunpoint": functools.partial(series, "GunPoint", 3, 20),
        "power": functools.partial(series, "ItalyPowerDemand", 10, 20),
        "pattern": pattern,
        "evidence": evidence,
    }
    for dt in (1.0, 5.0) if given.fsdd else ():
        found[f"spoken-{dt:g}ms"] = functools.partial(spoken, given.fsdd, dt)
    for dt in (0.5, 1.0, 2.0) if given.nmnist else ():
        found[f"nmnist-{dt:g}ms"] = functools.partial(digits, given.nmnist, dt)
    return found


def measure(data: Learnable, rule: ep.EProp | ep.EPropPlus, neurons: int, seed: int) -> dict[str, Any]:
    """Train once: test error, rate, warnings, seconds."""
    net = ep.recurrent(data.train.n_channels, neurons, data.outputs, rule=rule, dt=data.dt, seed=seed, **data.options)
    sim, began = ep.Simulator(net, threads=1, precision="single"), time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        history = ep.fit(sim, data.train, epochs=data.epochs, batch_size=8, window=data.window, progress=False)
    return {
        "seed": seed,
        "error": 100.0 * history.evaluate(data.test).error,
        "rate": float(history["rate_rec"][-1]),
        "warnings": sorted({type(each.message).__name__ for each in caught}),
        "seconds": time.perf_counter() - began,
    }


def main() -> None:
    """Print a line for each data set and rule."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fsdd", type=pathlib.Path)
    parser.add_argument("--nmnist", type=pathlib.Path)
    parser.add_argument("--rules", nargs="+", choices=list(RULES), default=["eprop", "eprop+"])
    parser.add_argument("--sets", nargs="+")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--neurons", type=int, default=100)
    parser.add_argument("--times-eta", type=float, default=1.0, help="factor on the learning rates")
    parser.add_argument("--label", default="", help="end of the result's name")
    given = parser.parse_args()
    found, results = sets(given), []
    for name in given.sets or found:
        data = found[name]()
        for label in given.rules:
            rule = RULES[label]
            rule = rule.replace(optimizer=rule.optimizer.replace(eta=given.times_eta * rule.optimizer.eta))
            runs = [measure(data, rule, given.neurons, seed) for seed in range(1, given.seeds + 1)]
            errors = np.array([run["error"] for run in runs])
            results.append({"set": name, "rule": label, "mean": errors.mean(), "sd": errors.std(), "runs": runs})
            told = sorted({warning for run in runs for warning in run["warnings"]})
            print(
                f"{name:11s} {label:11s} {errors.mean():5.1f} ± {errors.std():4.1f}, most {errors.max():5.1f} %, "
                f"{np.mean([run['rate'] for run in runs]):4.0f} Hz, {np.mean([run['seconds'] for run in runs]):4.0f} s  "
                f"{' '.join(f'{error:.1f}' for error in errors)}  {' '.join(told)}",
                flush=True,
            )
    write("defaults", results, given.label)


if __name__ == "__main__":
    main()
