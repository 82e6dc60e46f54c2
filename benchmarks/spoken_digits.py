"""Test error on spoken digits (FSDD): the official split, and each speaker left out, by e-prop, e-prop+ and BPTT.

    python benchmarks/spoken_digits.py --data fsdd.zip
    python benchmarks/spoken_digits.py --data fsdd.zip --rules eprop+ --neurons alif --seeds 1 --label eprop-plus
    python benchmarks/spoken_digits.py --data fsdd.zip --rules bptt --neurons alif --seeds 1 --splits official theo --label bptt
    python benchmarks/spoken_digits.py --data fsdd.zip --choose --seeds 1 --label choice

The official test has the recordings with numbers below 5; in the other splits all recordings of one speaker are the test. The
neurons are LIF, ALIF, and ALIF whose time constants are drawn (``drawn``) or learn (``learned``). BPTT (`bptt.py`) trains a
dense copy of the same network on the same spikes in the same order, with Adam and the learning rate of e-prop.

With ``--choose`` the settings for each left-out speaker are chosen from `CANDIDATES` on the other four only: each network learns
from three speakers, and is judged on the fourth. The result names the best candidate of each speaker, and its error on the
speaker that was left out.

Goals are 1.0 % on the official test within 60 s on two cores, and 15 % on left-out speakers. The result is
``spoken-digits.json``, or ``spoken-digits-LABEL.json``.
"""

from __future__ import annotations

import argparse
import itertools
import json
import pathlib
import tempfile
import time
from typing import Any

import harness
import numpy as np
from bptt import Bptt

import eprop as ep
from eprop.runs import load
from eprop.training import Stage, scoring_of
from eprop.training.settings import SCHEDULES

SPEAKERS = ("george", "jackson", "nicolas", "theo", "yweweler")
NEURONS: dict[str, list[str]] = {
    "lif": ["neuron=lif"],
    "alif": ["neuron=alif"],
    "drawn": ["neuron=alif", "spread=0.5"],
    "learned": ["neuron=alif", "learn_taus=true"],
}
#: Settings to choose from.
CANDIDATES: dict[str, list[str]] = {
    "default": [],
    "drawn constants": ["spread=0.5"],
    "longer delays, more variety": ["input_delay=120", "shift=2.5", "stretch=0.25"],
}


def main() -> None:
    """Train and test all networks, and record the errors."""
    arguments = parse()
    runs = choose(arguments) if arguments.choose else compare(arguments)
    print(harness.write("spoken-digits", {"settings": arguments.set, "runs": runs}, arguments.label))


def parse() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = harness.parser(__doc__, seeds=[1, 2, 3], threads=1, label=True)
    parser.add_argument("--data", required=True, help="folder or archive of the Free Spoken Digit Dataset")
    parser.add_argument("--rules", nargs="+", default=["eprop"], choices=("eprop", "eprop+", "bptt"))
    parser.add_argument("--neurons", nargs="+", default=list(NEURONS), choices=tuple(NEURONS))
    parser.add_argument("--splits", nargs="+", default=["official", *SPEAKERS], choices=("official", *SPEAKERS))
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="setting of the task; repeatable"
    )
    parser.add_argument("--choose", action="store_true", help="choose the settings for each left-out speaker")
    return parser.parse_args()


def compare(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """All rules, neurons and splits; one entry each."""
    entries = []
    for rule, neuron, split in itertools.product(arguments.rules, arguments.neurons, arguments.splits):
        settings = [*NEURONS[neuron], *arguments.set]
        leave = [] if split == "official" else [split]
        one = backpropagated if rule == "bptt" else trained
        found = [one(arguments, rule, settings, leave, seed) for seed in arguments.seeds]
        entry: dict[str, Any] = {"rule": rule, "neuron": neuron, "split": split}
        for key in ("test_error", "train_seconds"):
            entry[key] = harness.spread([each[key] for each in found])
        entries.append(entry)
        shown = {key: entry[key]["values"] for key in ("test_error", "train_seconds")}
        print(json.dumps({"rule": rule, "neuron": neuron, "split": split, **shown}), flush=True)
    return entries


def trained(
    arguments: argparse.Namespace, rule: str, settings: list[str], leave: list[str], seed: int
) -> dict[str, Any]:
    """Error and seconds of a network that ``eprop train`` has trained."""
    given = {"data": arguments.data, "rule": rule, "seed": seed, "leave": leave, **harness.settings_of(settings)}
    summary = harness.trained("spoken-digits", given, arguments.threads)
    return {key: summary[key] for key in ("test_error", "train_seconds")}


def backpropagated(
    arguments: argparse.Namespace, rule: str, settings: list[str], leave: list[str], seed: int
) -> dict[str, Any]:
    """Error and seconds of the same network that BPTT has trained."""
    task = ep.tasks.spoken_digits(data=arguments.data, seed=seed, leave=leave, **harness.settings_of(settings))
    rule_of_inputs: Any = task.network.projection("in->rec").rule
    net = Bptt(ep.Simulator(task.network, threads=1), rule_of_inputs.optimizer.eta)
    order, epochs, batch = np.random.default_rng(seed), task.epochs, task.batch_size
    seconds = 0.0
    for epoch in range(epochs):
        train = task.training_samples(Stage(epoch))
        shuffled = order.permutation(len(train))
        began = time.perf_counter()
        for first in range(0, shuffled.size, batch):
            chosen = shuffled[first : first + batch]
            done = (epoch + first / shuffled.size) / epochs
            net.train(
                dense(train, chosen), train.labels[chosen], task.window, SCHEDULES["linear"](done, task.eta_final)
            )
        seconds += time.perf_counter() - began
    test = task.test_samples(Stage())
    read = net.predict(dense(test, np.arange(len(test))), task.window)
    return {"test_error": float(np.mean(read != test.labels)), "train_seconds": seconds}


def dense(data: Any, chosen: np.ndarray) -> np.ndarray:
    """Recordings as zeros and ones (n, steps, channels)."""
    return np.stack([data.dense(int(k)) for k in chosen]).astype(np.float32)


def choose(arguments: argparse.Namespace) -> dict[str, Any]:
    """For each speaker, the candidate with the smallest mean error on the other four, and its error on the speaker."""
    errors: dict[str, dict[str, float]] = {name: {} for name in CANDIDATES}
    for name, pair in itertools.product(CANDIDATES, itertools.combinations(SPEAKERS, 2)):
        # One network that has heard three speakers is judged on both others.
        errors[name] |= judged(arguments, [*NEURONS["alif"], *CANDIDATES[name]], pair)
        print(json.dumps({"candidate": name, "left out": pair, "errors": errors[name]}), flush=True)
    entries: dict[str, Any] = {}
    for speaker in SPEAKERS:
        others = {
            name: float(np.mean([found[f"{other} without {speaker}"] for other in SPEAKERS if other != speaker]))
            for name, found in errors.items()
        }
        best = min(others, key=lambda name: others[name])
        settings = [*NEURONS["alif"], *CANDIDATES[best]]
        tests = [trained(arguments, "eprop", settings, [speaker], seed)["test_error"] for seed in arguments.seeds]
        entries[speaker] = {"validation": others, "chosen": best, "test_error": harness.spread(tests)}
        print(json.dumps({speaker: entries[speaker]}), flush=True)
    return entries


def judged(arguments: argparse.Namespace, settings: list[str], pair: tuple[str, str]) -> dict[str, float]:
    """Errors on two speakers of a network that has heard neither; a key names the tested one, then the other one."""
    seed, found = arguments.seeds[0], {}
    with tempfile.TemporaryDirectory() as folder:
        given = {"data": arguments.data, "seed": seed, "leave": pair, **harness.settings_of(settings)}
        harness.trained("spoken-digits", given, arguments.threads, pathlib.Path(folder, "run"))
        run = load(f"{folder}/run")
        words: Any = run.experiment.train
        for tested, other in (pair, pair[::-1]):
            data = words.replace(leave=(tested,))(Stage()).test
            scoring = scoring_of(run.experiment, data)
            samples = scoring.samples(data)
            y = run.simulator.evaluate(samples).y
            found[f"{tested} without {other}"] = float(np.mean(scoring.score(samples, y)))
    return found


if __name__ == "__main__":
    main()
