"""A model of the cost of a step: per phase, its work times a measured constant; see docs/project/threads_and_ranks.md.

This file is no script.

Threads divide neurons and events: each thread works on its own targets. They do not divide axon branches, because any spike
may have targets in any partition. Ranks exchange spikes once per slice. The model measures three more quantities on two
workers: the fraction of each phase that runs on one thread (`CostModel.serial`), the slow-down of the divided work, and the
cost of a parallel region and of a slice between ranks.
"""

from __future__ import annotations

import functools
import math
import pathlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from harness import has_ranks
from scaling import INDEX, measure_in_subprocess, run_scaling
from scaling_network import ScalingConfig
from scipy.optimize import nnls

from eprop.training.system_info import describe_installation

#: The terms that make up the time of each phase.
TERMS: dict[str, tuple[str, ...]] = {
    "propagators": ("neuron_steps", "signals", "steps"),
    "deliver": ("events", "missed", "finalised", "branches", "steps"),
    "advance": ("neuron_steps", "input_draws", "steps"),
    "readout": ("readout_steps", "steps"),
    "exchange": ("spikes", "steps"),
    "samples": ("events", "missed", "branches", "neuron_steps", "input_draws", "synapse_samples"),
    "update": ("synapse_samples",),
    "check": ("checked",),
}
#: Phases between the parallel regions of a step, or around its samples; the model measures their serial fraction.
BETWEEN = ("exchange", "readout", "samples", "update", "check")
#: A number of threads at which divided work takes no time.
MANY_THREADS = 1 << 40
#: Networks of different shapes whose phases give the constants; one is many times larger than the caches.
SHAPES: tuple[dict[str, Any], ...] = (
    {"neurons": 4000, "indegree": 1000, "rate": 10.0, "inputs": 100, "readouts": 2},
    {"neurons": 8000, "indegree": 200, "rate": 20.0, "inputs": 1000, "readouts": 10},
    {"neurons": 20000, "indegree": 20, "rate": 20.0, "inputs": 100, "readouts": 2},
    {"neurons": 8000, "indegree": 400, "rate": 2.0, "inputs": 100, "readouts": 2},
    {"neurons": 1000, "indegree": 100, "rate": 5.0, "inputs": 1000, "readouts": 10},
    {"neurons": 3000, "indegree": 700, "rate": 4.0, "inputs": 1000, "readouts": 10},
    {"neurons": 30000, "indegree": 1000, "rate": 5.0, "inputs": 1000, "readouts": 10},
)
#: Bytes of a weight or trace, in single precision.
VALUE_BYTES = 4
# Linux reports the sizes of caches here, as numbers with a unit; other systems get an assumed size.
CACHES, UNITS, ASSUMED_CACHE = "/sys/devices/system/cpu/cpu0/cache", {"K": 10, "M": 20}, 1 << 25
#: The networks that measure the cost of a slice on two ranks: a small one and a larger one.
SHAPES_OF_RANKS = (SHAPES[4], SHAPES[5])


#: Networks, and the seconds of each of their phases.
Runs = Sequence[tuple[ScalingConfig, Mapping[str, float]]]


def work_of(config: ScalingConfig, threads: int = 1, ranks: int = 1) -> dict[str, float]:
    """Work of one of ``threads`` threads on each of ``ranks`` ranks in the whole run.

    Returns
    -------
    dict
        ``events``: synapses that spikes reach; ``missed``: events that miss the cache, of which each core of this machine has
        an equal share; ``finalised``: events whose last spike was longer ago than the cutoff, which visit the synapse twice;
        ``branches``: axon branches that are delivered; ``spikes``: planned and logged; ``input_draws`` of Poisson sources;
        ``signals``: errors gathered per neuron; ``checked``: synapses checked for divergence after a call.
    """
    steps, workers = config.timed_steps, threads * ranks
    n, into, out = config.neurons, min(100, config.inputs), min(1000, config.neurons)
    emitted = n * config.rate * 1e-3 * steps
    arriving = 0.005 * config.inputs * steps
    # A rank has axon branches only of sources that reach one of its neurons.
    reached = _reached(config.indegree, ranks) * emitted
    reached_in = _reached(n * into / config.inputs, ranks) * arriving
    synapses = n * (config.indegree + into) + config.readouts * out
    arrived = config.indegree * emitted / workers
    twice = config.mode == "eprop+" and 1000.0 / config.rate > config.cutoff
    events = (config.indegree * emitted + 0.005 * into * n * steps) / workers + config.readouts * out / n * emitted
    held = _cache_of_a_core() * workers / (bytes_per_synapse(config.mode, VALUE_BYTES) * synapses)
    return {
        "steps": float(steps),
        "neuron_steps": n * steps / workers,
        "signals": config.readouts * n * steps / workers,
        "events": events,
        "missed": events * max(0.0, 1.0 - held),
        "finalised": arrived if twice else 0.0,
        "branches": reached + reached_in + emitted * min(1.0, config.readouts * out / n),
        "spikes": (2.0 * reached + reached_in) / threads,
        "input_draws": config.inputs * steps / threads,
        "readout_steps": config.readouts * steps / threads,
        "synapse_samples": synapses / workers * steps / config.sample_steps,
        "checked": synapses / workers * (steps / config.sample_steps if config.mode == "eprop" else 1.0),
        "sent": emitted / ranks,
    }


def bytes_per_synapse(mode: str, value: int) -> float:
    """Bytes of synapse arrays that the events of a mode touch: index, weight, and a trace or gradient if it learns by e-prop."""
    return INDEX + value * (2 if mode in ("eprop", "eprop+") else 1)


def cache_bytes() -> int:
    """Size of the largest cache of the first processor, shared by its cores."""
    found = [path.read_text().strip() for path in pathlib.Path(CACHES).glob("index*/size")]
    sizes = [int(size[:-1]) << UNITS[size[-1]] for size in found if size[:-1].isdigit() and size[-1] in UNITS]
    return max(sizes, default=ASSUMED_CACHE)


@functools.cache
def _cache_of_a_core() -> float:
    """Bytes."""
    return cache_bytes() / describe_installation()["threads"]


def _reached(targets: float, ranks: int) -> float:
    """Fraction of the sources that reach a given rank, if each source has this many random targets."""
    return 1.0 - (1.0 - 1.0 / ranks) ** targets if ranks > 1 else 1.0


@dataclass
class CostModel:
    """Constants of one mode, in seconds.

    Attributes
    ----------
    constants : dict of dict
        Seconds for one unit of each term, by phase.
    serial : dict
        Fraction, 0 to 1, of each phase in `BETWEEN` that runs on one thread.
    wait : float
        Seconds that the parallel regions of a step cost two threads; we assume that each doubling of the threads adds as much.
    crowding : float
        Slow-down of the divided work: threads share the memory, and wait for the slowest thread.
    slice : float
        Extra seconds of a slice if there are several ranks on one machine, message included.
    latency, byte : float
        Seconds of one message between machines, and of one byte in it.
    """

    mode: str
    constants: dict[str, dict[str, float]]
    serial: dict[str, float] = field(default_factory=dict)
    wait: float = 0.0
    crowding: float = 0.0
    slice: float = 0.0
    latency: float = 0.0
    byte: float = 0.0

    @classmethod
    def fitted(cls, mode: str, runs: Runs) -> CostModel:
        """Fit the constants to the phases of runs on one thread, by non-negative least squares of relative errors."""
        constants: dict[str, dict[str, float]] = {}
        for phase in sorted({name for _, phases in runs for name in phases} & set(TERMS)):
            terms = TERMS[phase]
            seconds = np.array([phases[phase] for _, phases in runs])
            if not (seconds > 0).any():
                continue
            scale = np.maximum(seconds, 1e-3 * seconds.max())
            table = np.array([[work_of(config)[term] for term in terms] for config, _ in runs])
            found, _ = nnls(table / scale[:, None], seconds / scale)
            constants[phase] = dict(zip(terms, (float(c) for c in found), strict=True))
        return cls(mode, constants)

    def fit_threads(self, runs: Runs, threads: int) -> None:
        """Fit `serial`, `crowding` and `wait` to runs on ``threads`` threads, by least squares of relative errors."""
        between = [phase for phase in BETWEEN if phase in self.constants]
        self.serial = {phase: self._serial_share(phase, runs, threads) for phase in between}
        table, rest, scale = [], [], []
        for config, phases in runs:
            divided = sum(s for name, s in self._phases(config, threads, 1).items() if name not in BETWEEN)
            seconds = sum(s for name, s in phases.items() if name not in BETWEEN)
            if seconds > 0.0:
                table.append([divided, self._regions(config, threads)])
                rest.append(seconds - divided)
                scale.append(seconds)
        self.crowding = self.wait = 0.0
        if table:
            found, _ = nnls(np.array(table) / np.array(scale)[:, None], np.array(rest) / scale)
            self.crowding, self.wait = (float(value) for value in found)

    def _serial_share(self, phase: str, runs: Runs, threads: int) -> float:
        """Serial fraction of a phase, from ``seconds = share * one + (1 - share) * divided``."""
        one = np.array([self._phases(config, 1, 1)[phase] for config, _ in runs])
        divided = np.array([self._phases(config, threads, 1)[phase] for config, _ in runs])
        seconds = np.array([phases.get(phase, 0.0) for _, phases in runs])
        scale = np.maximum(one, 1e-12)
        more, less = (seconds - divided) / scale, (one - divided) / scale
        square = float(less @ less)
        # A phase without divided work is serial.
        return float(np.clip(more @ less / square, 0.0, 1.0)) if square > 0.0 else 1.0

    @staticmethod
    def _regions(config: ScalingConfig, threads: int) -> float:
        """Steps times the doublings of the threads."""
        return config.timed_steps * math.log2(threads)

    def fit_ranks(self, runs: Sequence[tuple[ScalingConfig, float]], ranks: int) -> None:
        """Fit `slice` to the run times of networks on ``ranks`` ranks of this machine, one thread each."""
        scale = np.array([seconds for _, seconds in runs])
        rest = scale - [self.seconds(config, ranks=ranks) for config, _ in runs]
        steps = np.array([config.timed_steps for config, _ in runs])
        self.slice = float(nnls((steps / scale)[:, None], rest / scale)[0][0])

    def phases(self, config: ScalingConfig, threads: int = 1, ranks: int = 1) -> dict[str, float]:
        """Predicted seconds of each phase."""
        work, out = work_of(config, threads, ranks), self._phases(config, threads, ranks)
        if threads > 1:
            one = self._phases(config, 1, ranks)
            for name in out:
                share = self.serial.get(name, 0.0)
                longer = 1.0 if name in BETWEEN else 1.0 + self.crowding
                out[name] = longer * (1.0 - share) * out[name] + share * one[name]
            out["wait"] = self.wait * self._regions(config, threads)
        if ranks > 1:
            # One allgather per step of 1 ms: four bytes per spike, log2(ranks) rounds.
            rounds, others = math.ceil(math.log2(ranks)), work["sent"] * (ranks - 1)
            out["messages"] = (self.slice + self.latency * rounds) * work["steps"] + 4.0 * self.byte * others
        return out

    def _phases(self, config: ScalingConfig, threads: int, ranks: int) -> dict[str, float]:
        """Seconds of one thread's work if all work is divided."""
        work = work_of(config, threads, ranks)
        return {
            phase: sum(constant * work[term] for term, constant in terms.items())
            for phase, terms in self.constants.items()
        }

    def serial_fraction(self, config: ScalingConfig, ranks: int = 1) -> float:
        """Amdahl's serial fraction: the part of the time of one thread that more threads do not shorten.

        The fraction counts the serial work, and the part of the divided phases that does not shrink with the number of threads,
        such as finding axon branches.
        """
        one, many = self._phases(config, 1, ranks), self._phases(config, MANY_THREADS, ranks)
        left = [many[p] + self.serial.get(p, 0.0) * (seconds - many[p]) for p, seconds in one.items()]
        return sum(left) / sum(one.values())

    def seconds(self, config: ScalingConfig, threads: int = 1, ranks: int = 1) -> float:
        """Predicted run time."""
        return sum(self.phases(config, threads, ranks).values())


def calibrate(mode: str, *, steps: int = 300, repeats: int = 3, **fixed: Any) -> CostModel:
    """Measure the networks in `SHAPES` several times each, and fit the constants to the medians.

    The runs use one thread, phase by phase; then, if possible, two threads, and some networks two ranks.
    """
    model = CostModel.fitted(mode, _measured(mode, 1, steps, repeats, fixed))
    if describe_installation()["threads"] > 1:
        model.fit_threads(_measured(mode, 2, steps, repeats, fixed), 2)
    if has_ranks():
        configs = [ScalingConfig(mode=mode, steps=steps, **shape, **fixed) for shape in SHAPES_OF_RANKS]
        found = [np.median([measure_in_subprocess(c, ranks=2)["run_seconds"] for _ in range(repeats)]) for c in configs]
        model.fit_ranks(list(zip(configs, found, strict=True)), 2)
    return model


def _measured(mode: str, threads: int, steps: int, repeats: int, fixed: Mapping[str, Any]) -> Runs:
    """Phases of each network, from the run with the median time."""
    runs = []
    for shape in SHAPES:
        config = ScalingConfig(mode=mode, steps=steps, timers=True, threads=threads, **shape, **fixed)
        found = sorted((run_scaling(config) for _ in range(repeats)), key=lambda result: result.run_seconds)
        median = found[repeats // 2]
        phases = {name: seconds for name, seconds in median.phases.items() if name != "build"}
        runs.append((config, {**phases, "check": median.run_seconds - sum(phases.values())}))
    return runs
