"""A model of what a step costs: per phase, the work that it does times a measured constant; see docs/design/scaling.md.

Every thread works on its own targets: neurons and events are shared out, rows are not, for any spike may have targets
anywhere. Plans and logs of spikes are made once per process. Between processes spikes are exchanged once per slice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import nnls

from eprop._jit import available_threads
from eprop.bench.scaling import ScalingConfig, run_scaling

#: What the time of each phase is made of.
TERMS: dict[str, tuple[str, ...]] = {
    "maps": ("neuron_steps", "signals", "steps"),
    "deliver": ("events", "rows", "steps"),
    "advance": ("neuron_steps", "steps"),
    "readout": ("readout_steps", "steps"),
    "exchange": ("spikes", "input_draws", "steps"),
    "samples": ("events", "neuron_steps", "input_draws", "synapse_samples"),
    "update": ("synapse_samples",),
}
#: Phases that one thread of a process does for all.
SERIAL = ("exchange", "readout")
#: Networks whose phases give the constants: larger than the caches, of different shapes.
SHAPES: tuple[dict[str, Any], ...] = (
    {"neurons": 4000, "indegree": 1000, "rate": 10.0, "inputs": 100, "readouts": 2},
    {"neurons": 8000, "indegree": 200, "rate": 20.0, "inputs": 1000, "readouts": 10},
    {"neurons": 8000, "indegree": 400, "rate": 2.0, "inputs": 100, "readouts": 2},
    {"neurons": 1000, "indegree": 100, "rate": 5.0, "inputs": 1000, "readouts": 10},
)


def work_of(config: ScalingConfig, threads: int = 1, ranks: int = 1) -> dict[str, float]:
    """What one thread does in the whole run, of ``threads`` in each of ``ranks`` processes.

    ``events`` synapses reached, ``rows`` runs of synapses of one spike, ``spikes`` sorted and logged by the process,
    ``input_draws`` of Poisson sources, ``signals`` errors gathered per neuron.
    """
    steps, workers = config.timed_steps, threads * ranks
    n, into, out = config.neurons, min(100, config.inputs), min(1000, config.neurons)
    emitted = n * config.rate * 1e-3 * steps
    arriving = 0.005 * config.inputs * steps
    # Each rank has the rows of those sources alone that reach one of its neurons.
    reached = _reached(config.indegree, ranks) * emitted
    reached_in = _reached(n * into / config.inputs, ranks) * arriving
    synapses = n * (config.indegree + into) + config.readouts * out
    events = (config.indegree * emitted + 0.005 * into * n * steps) / workers + config.readouts * out / n * emitted
    return {
        "steps": float(steps),
        "neuron_steps": n * steps / workers,
        "signals": config.readouts * n * steps / workers,
        "events": events,
        "rows": reached + reached_in + emitted * min(1.0, config.readouts * out / n),
        "spikes": 2.0 * reached + reached_in,
        "input_draws": float(config.inputs * steps),
        "readout_steps": float(config.readouts * steps),
        "synapse_samples": synapses / workers * steps / config.sample_steps,
        "sent": emitted / ranks,
    }


def _reached(targets: float, ranks: int) -> float:
    """Share of the sources that reach a given rank, for sources with so many targets each, drawn at random."""
    return 1.0 - (1.0 - 1.0 / ranks) ** targets if ranks > 1 else 1.0


@dataclass
class CostModel:
    """Constants of one mode, in seconds.

    Attributes
    ----------
    constants : dict of dict
        Seconds for one unit of each term, by phase.
    wait : float
        What starting threads for one step, and waiting for the slowest, takes.
    latency, byte : float
        Seconds of one message between processes, and of one byte in it.
    """

    mode: str
    constants: dict[str, dict[str, float]]
    wait: float = 2e-6
    latency: float = 2e-6
    byte: float = 1e-10

    @classmethod
    def fitted(
        cls, mode: str, runs: Sequence[tuple[ScalingConfig, Mapping[str, float]]], **network: float
    ) -> CostModel:
        """Constants from the phases of some runs on one thread, by least squares of relative errors, none below zero."""
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
        return cls(mode, constants, **network)

    def phases(self, config: ScalingConfig, threads: int = 1, ranks: int = 1) -> dict[str, float]:
        """Predicted seconds of each phase."""
        work = work_of(config, threads, ranks)
        out = {
            phase: sum(constant * work[term] for term, constant in terms.items())
            for phase, terms in self.constants.items()
        }
        if threads > 1:
            out["wait"] = self.wait * work["steps"]
        if ranks > 1:
            # One allgather per step of 1 ms: spikes as four bytes each, in as many rounds as ranks can be halved.
            rounds, others = math.ceil(math.log2(ranks)), work["sent"] * (ranks - 1)
            out["messages"] = self.latency * rounds * work["steps"] + 4.0 * self.byte * others
        return out

    def seconds(self, config: ScalingConfig, threads: int = 1, ranks: int = 1) -> float:
        """Predicted run time."""
        return sum(self.phases(config, threads, ranks).values())


def calibrate(mode: str, *, steps: int = 300, repeats: int = 3, **fixed: Any) -> CostModel:
    """Measure the phases of the networks in `SHAPES` on one thread, each some times, and fit the constants to their least.

    What a second thread costs is measured with the smallest of them on two.
    """
    runs = []
    for shape in SHAPES:
        config = ScalingConfig(mode=mode, steps=steps, timers=True, **shape, **fixed)
        found = [run_scaling(config).phases for _ in range(repeats)]
        runs.append((config, {name: min(phases[name] for phases in found) for name in found[0]}))
    model = CostModel.fitted(mode, runs)
    if available_threads() > 1:
        config = ScalingConfig(mode=mode, steps=steps, timers=True, threads=2, **SHAPES[-1], **fixed)
        waits = [run_scaling(config).phases.get("wait", 0.0) for _ in range(repeats)]
        model.wait = min(waits) / config.timed_steps
    return model
