"""Time per event of every optimiser: per spike and at each step, in both precisions, against the interval, beside NEST.

    python benchmarks/optimizers.py
    python benchmarks/optimizers.py --intervals 100 --cases recurrent --repeats 1

The network ``recurrent`` is that of `scaling.py` with 500 synapses for each of 1,000 neurons; two ranks divide
it in ``two ranks``, whose times are those of the clock. The others have 1,000 inputs with 500 synapses onto each of 1,000
targets: ``ALIF`` (a component of its own for each synapse), ``reward`` (LIF with a reward trace) and ``readouts``. NEST
runs the first network, with its optimisers gradient descent and Adam. eprop and NEST take turns, on one thread; times are
those of the processor, and the shortest of the repeats counts. The ratio of a row of the first network is that to NEST in
double precision with the same interval: for momentum to gradient descent, for RMSprop to Adam. The result is
``optimizers.json``.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import time
from collections.abc import Callable
from typing import Any, Literal

import event_cost_of_models
import harness
import nest_scaling
import numpy as np
import scaling_network
from scaling import measure_in_subprocess
from scaling_network import ScalingConfig

import eprop as ep
from eprop.rules.optimizers import BY_NAME

Precision = Literal["double", "single"]
PRECISIONS: tuple[Precision, Precision] = ("double", "single")
NEURONS, INDEGREE = 1000, 500
IN_NEST = {"gradient_descent": "gradient_descent", "adam": "adam", "momentum": "gradient_descent", "rmsprop": "adam"}
NEURON = {"ALIF": event_cost_of_models.ALIF, "reward": event_cost_of_models.LIF}
CASES = ("recurrent", "two ranks", "ALIF", "reward", "readouts")
# Events of a measurement: a replay takes some hundred times as long.
EVENTS = {False: 3e6, True: 3e5}


def config_of(optimizer: str, each_step: bool, precision: Precision, interval: float, events: float) -> ScalingConfig:
    """Return the configuration of the network ``recurrent``: at least two intervals."""
    steps = max(round(2 * interval), round(events * interval / (NEURONS * INDEGREE)))
    return ScalingConfig(
        neurons=NEURONS, indegree=INDEGREE, rate=1000.0 / interval, steps=steps, optimizer=optimizer, each_step=each_step,
        precision=precision,
    )  # fmt: skip


def recurrent(config: ScalingConfig) -> Callable[[], float]:
    """Return a function that measures the time of an event, after a run in which all neurons spike."""
    sim = scaling_network.simulator_of(config)
    scaling_network.run_steps(sim, config, config.warm_up)

    def measured() -> float:
        events, began = sim.events, time.process_time()
        scaling_network.run_timed(sim, config)
        return 1e9 * (time.process_time() - began) / (sim.events - events)

    return measured


def on_two_ranks(config: ScalingConfig) -> float:
    """Return the time of an event of the network ``recurrent`` on two ranks, by the clock."""
    return float(measure_in_subprocess(config, ranks=2)["ns_per_synaptic_event"])


def from_inputs(case: str, config: ScalingConfig) -> Callable[[], float]:
    """Return such a function for inputs that spike by the clock."""
    waits = ep.RewardTrace(tau=1000.0) if case == "reward" else None
    optimizer = BY_NAME[config.optimizer](eta=1e-6)
    rule = ep.EPropPlus(
        optimizer=optimizer, kappa=0.97, c_reg=0.1, cutoff=100.0, each_step=config.each_step, reward=waits
    )
    net = ep.Network(dt=1.0, seed=1)
    inputs = net.add(ep.EventSource(), NEURONS, "in")
    readouts = net.add(ep.Readout(tau_m=100.0), NEURONS if case == "readouts" else 2, "out")
    plastic: dict[str, Any] = {
        "connectivity": ep.FixedIndegree(INDEGREE, multapses=True),
        "weight": ep.Normal(0.0, 0.01 / np.sqrt(INDEGREE)),
        "rule": rule,
    }
    if case == "readouts":
        net.connect(inputs, readouts, **plastic)
    else:
        neurons = net.add(NEURON[case], NEURONS, "rec")
        net.connect(inputs, neurons, **plastic)
        net.connect(neurons, readouts, ep.AllToAll(), weight=ep.Normal(0.0, 0.1))
        net.feedback(readouts, neurons, ep.RandomFeedback(ep.Normal(0.0, 1.0)))
    sim = ep.Simulator(net, threads=1, precision=config.precision)
    steps = max(config.steps, 101)
    given = event_cost_of_models.spikes(NEURONS, steps, regular=True)
    target = np.ones((1, 1, readouts.size))
    reward = None if waits is None else np.random.default_rng(2).normal(size=steps)
    samples = sim.samples(1, steps, inputs={"in": given}, targets={"out": target}, reward=reward)
    sim.train(samples)

    def measured() -> float:
        events, began = sim.events, time.process_time()
        sim.train(samples)
        return 1e9 * (time.process_time() - began) / (sim.events - events)

    return measured


def in_nest(optimizer: str, each_step: bool, interval: float, events: float) -> float:
    """Return the time of an event in NEST, measured in a process of its own."""
    return float(harness.in_process("--nest", optimizer, int(each_step), interval, events))


def measure_nest(words: list[str]) -> None:
    """Print the time of an event of the network ``recurrent`` in NEST."""
    optimizer, each_step, interval, events = words[0], bool(int(words[1])), float(words[2]), float(words[3])
    config = config_of(optimizer, each_step, "double", interval, events)
    given = {**config.to_dict(), "warm_up": config.warm_up, "sample": config.sample_steps}
    print(json.dumps(nest_scaling.main(given, clock=time.process_time)["ns_per_synaptic_event"]))


def best_of(runs: dict[Any, Callable[[], float]], repeats: int) -> dict[Any, dict[str, Any]]:
    """Return the shortest time of each, and all of them."""
    return {key: {"ns": min(found), "values": found} for key, found in harness.in_turns(runs, repeats).items()}


def options() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = harness.parser(__doc__, repeats=5, label=True)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), help="networks; the default is all")
    parser.add_argument("--intervals", nargs="+", type=float, default=[10.0, 100.0, 1000.0], help="ms")
    parser.add_argument("--nest-events", type=float, default=1e5, help="approximate events of a measurement of NEST")
    parser.add_argument("--nest", nargs=4, help=argparse.SUPPRESS)
    return parser.parse_args()


def runs_of(case: str, each_step: bool, interval: float, nest_events: float) -> dict[Any, Callable[[], float]]:
    """Return the functions that measure the optimisers, by optimiser and precision; NEST counts as a precision."""
    runs: dict[Any, Callable[[], float]] = {}
    for optimizer in BY_NAME:
        for precision in PRECISIONS:
            config = config_of(optimizer, each_step, precision, interval, EVENTS[each_step])
            if case == "two ranks":
                runs[optimizer, precision] = functools.partial(on_two_ranks, config)
            else:
                runs[optimizer, precision] = recurrent(config) if case == "recurrent" else from_inputs(case, config)
    for optimizer in sorted(set(IN_NEST.values())) if case == "recurrent" else ():
        runs[optimizer, "NEST"] = functools.partial(in_nest, optimizer, each_step, interval, nest_events)
    return runs


def printed(row: dict[str, Any]) -> str:
    """Return a row as text."""
    when, ratio = "step" if row["each_step"] else "spike", row["ratio"] or float("nan")
    return (
        f"{row['case']:10} {row['optimizer']:17} {when:6} {row['interval']:6g} ms {row['precision']:7} {row['ns']:9.2f} ns "
        f"{ratio:7.1f} x NEST"
    )


def main() -> None:
    """Measure all rows; print and record them."""
    arguments = options()
    if arguments.nest:
        measure_nest(arguments.nest)
        return
    rows: list[dict[str, Any]] = []
    theirs: dict[tuple[str, bool, float], float] = {}
    for each_step, case in itertools.product((False, True), arguments.cases):
        for interval in arguments.intervals if case == "recurrent" else [100.0]:
            found = best_of(runs_of(case, each_step, interval, arguments.nest_events), arguments.repeats)
            theirs |= {(o, each_step, interval): values["ns"] for (o, p), values in found.items() if p == "NEST"}
            for (optimizer, precision), values in found.items():
                nest = theirs.get((IN_NEST[optimizer], each_step, interval)) if case == "recurrent" else None
                rows.append({
                    "case": case, "optimizer": optimizer, "each_step": each_step, "interval": interval,
                    "precision": precision, **values, "nest_ns": nest, "ratio": nest and nest / values["ns"],
                })  # fmt: skip
                print(printed(rows[-1]), flush=True)
    print(harness.write("optimizers", rows, arguments.label))


if __name__ == "__main__":
    main()
