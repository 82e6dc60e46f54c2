"""The memory that a simulator expects to need, and its peak, for ten networks.

    python benchmarks/memory_estimate.py                # all of them, each in a process of its own
    python benchmarks/memory_estimate.py --case static  # one of them

The estimate is what a simulator compares with the available memory before it builds a network, and before it runs samples or
lanes. The peak is that of the resident memory while the network is built, runs and learns, minus the memory before; Linux
reports it. The result is ``memory-estimate.json``.
"""

from __future__ import annotations

import gc
import json
import pathlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import harness
import numpy as np

import eprop as ep
from eprop.engine.build.check import estimate
from eprop.models import PoissonSource

Use = Callable[[ep.Simulator, int], int]


@dataclass(frozen=True)
class Case:
    """A network, and how it is used.

    Attributes
    ----------
    rule : Rule
        Of all synapses onto neurons.
    neurons, indegree, inputs, readouts : int
        Recurrent neurons, their connections from inputs and from each other, Poisson sources of 10 Hz, readouts.
    use : callable
        Runs the network for a number of steps.
    model : Neuron
    delay : float or Distribution
        Of recurrent connections, ms.
    precision : str
    threads : int
    bits : int, optional
        Of weights.
    steps : int
        Of a run, a sample or a rollout.
    """

    rule: Any
    neurons: int
    indegree: int
    use: Use
    inputs: int = 1000
    readouts: int = 2
    model: Any = ep.LIF()
    delay: Any = 1.0
    precision: str = "single"
    threads: int = 1
    bits: int | None = None
    steps: int = 300

    def network(self) -> ep.Network:
        """Describe the network."""
        net = ep.Network(dt=1.0, seed=1)
        inputs = net.add(PoissonSource(rate=10.0), self.inputs, "in")
        neurons = net.add(self.model, self.neurons, "rec")
        readouts = net.add(ep.Readout(), self.readouts, "out")
        into = ep.FixedIndegree(min(100, self.inputs), multapses=True)
        among = ep.FixedIndegree(self.indegree, multapses=True)
        plastic = None if isinstance(self.rule, ep.STDP) else self.rule
        net.connect(inputs, neurons, into, weight=ep.Normal(0.0, 0.2), rule=plastic)
        net.connect(neurons, neurons, among, weight=ep.Uniform(0.0, 0.001), delay=self.delay, rule=self.rule)
        net.connect(neurons, readouts, weight=0.001)
        net.feedback(readouts, neurons, ep.RandomFeedback())
        return net if self.bits is None else net.with_precision(ep.FixedPoint(self.bits))

    def tiny(self) -> Case:
        """The same with few neurons and steps, to load what every process loads."""
        return replace(self, neurons=20, indegree=5, inputs=200, steps=200)


def given(sim: ep.Simulator, n: int) -> dict[str, np.ndarray]:
    """Targets of the readouts in all steps of ``n`` samples."""
    return {"out": np.ones((n, 1, sim.network.population("out").size))}


def run(sim: ep.Simulator, steps: int) -> int:
    """Run on, and learn at spikes."""
    rewarded = any(getattr(p.rule, "reward", None) for p in sim.network.projections)
    sim.run(float(steps), targets={"out": given(sim, 1)["out"][0]}, reward=np.full(steps, 0.01) if rewarded else None)
    return 0


def train(sim: ep.Simulator, steps: int) -> int:
    """Learn from two mini-batches of four samples; returns the bytes that were expected of lanes."""
    for _ in range(2):
        sim.train(sim.samples(4, steps, targets=given(sim, 4)))
    lanes = sim._episodes._core
    return sim._episodes.bytes_of_lanes(lanes.lanes, steps, False, True, sim.threads)


def rollouts(sim: ep.Simulator, steps: int) -> int:
    """Learn from rollouts of eight lanes that continue, twice from each; returns the bytes that were expected of lanes."""
    lanes = sim.lanes(8, steps)
    for _ in range(2):
        lanes.learn(lanes.backward(lanes.run(steps) - 1.0))
        lanes.learn(lanes.backward(lanes.replay() - 1.0))
    return sim._episodes.bytes_of_lanes(lanes.n, steps, True, True, sim.threads)


ADAM, DESCENT, SOME = ep.Adam(eta=1e-7), ep.GradientDescent(eta=1e-7), ep.Uniform(1.0, 10.0)
STDP = ep.STDP(w_max=0.001)
CASES = {
    "static": Case(ep.Static(), 8000, 2000, run),
    "STDP, weights of 8 bits, 2 threads": Case(STDP, 10_000, 1500, run, threads=2, bits=8),
    "STDP, double, random delays": Case(STDP, 6000, 1000, run, precision="double", delay=SOME),
    "static, sparse, random delays, 2 threads": Case(
        ep.Static(), 100_000, 20, run, inputs=50_000, delay=SOME, threads=2
    ),
    "e-prop+": Case(ep.EPropPlus(optimizer=DESCENT), 8000, 1000, run),
    "e-prop+, Adam, ALIF, double": Case(
        ep.EPropPlus(optimizer=ADAM), 3000, 500, run, model=ep.ALIF(), precision="double"
    ),
    "e-prop+, reward, sparse, long cutoff": Case(
        ep.EPropPlus(optimizer=DESCENT, cutoff=300.0, reward=ep.RewardTrace(100.0)), 20_000, 20, run, steps=800
    ),
    "e-prop, 2 threads": Case(ep.EProp(optimizer=DESCENT), 5000, 200, train, steps=2000, threads=2),
    "e-prop, Adam, double, random delays": Case(
        ep.EProp(optimizer=ADAM), 4000, 500, train, delay=SOME, precision="double"
    ),
    "e-prop, rollouts, ALIF, constants that learn, 2 threads": Case(
        ep.EProp(optimizer=ADAM),
        3000,
        50,
        rollouts,
        model=ep.ALIF(tau_adapt=ep.Learned(200.0, low=20.0, high=2000.0)),
        threads=2,
    ),
}


def main() -> None:
    """Measure all cases, print and record."""
    parser = harness.parser(__doc__)
    parser.add_argument("--case", choices=CASES, help="measure one network")
    if name := parser.parse_args().case:
        print(json.dumps(measure(CASES[name])))
        return
    rows = [{"network": name} | harness.in_process("--case", name) for name in CASES]
    harness.print_table(
        "memory of simulators, MB", ("network", "estimate", "peak", "estimate / peak"),
        [(r["network"], f"{r['estimate'] / 1e6:,.0f}", f"{r['peak'] / 1e6:,.0f}", f"{r['ratio']:.3f}") for r in rows],
    )  # fmt: skip
    print(harness.write("memory-estimate", rows))


def measure(case: Case) -> dict[str, float]:
    """Build and use a network; bytes that were expected, and those by which the process grew."""
    build(case.tiny())
    gc.collect()
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
    before = memory("VmRSS")
    sim, lanes = build(case)
    peak, expected = memory("VmHWM") - before, estimate(sim._arrays.built, sim.threads).total + lanes
    return {"synapses": sim.n_synapses(), "estimate": expected, "peak": peak, "ratio": expected / peak}


def build(case: Case) -> tuple[ep.Simulator, int]:
    """Make the simulator of a case and use it; returns the bytes that were expected of its lanes, too."""
    sim = ep.Simulator(case.network(), precision=case.precision, threads=case.threads)
    return sim, case.use(sim, case.steps)


def memory(name: str) -> int:
    """A number of bytes that Linux reports of this process."""
    lines = pathlib.Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024


if __name__ == "__main__":
    main()
