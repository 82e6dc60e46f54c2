"""Time per event with other neurons, kappas, delays and own models, as ratios within one run.

    python benchmarks/event_cost_of_models.py                 # by e-prop+
    python benchmarks/event_cost_of_models.py --rule eprop --label eprop
    python benchmarks/event_cost_of_models.py --cases LIF "LIF, reward" "ALIF" "ALIF, reward" --label reward

1,000 inputs spike at 10 Hz, by the clock as in `scaling.py` or at random. Each of 1,000 neurons has 1,000
synapses from them, and stays silent. All cases take turns. A ratio is the time of a case by that of LIF with one kappa
and a delay of one step, or by that of the case that ``against`` names. The goals stand with the cases: 2.5 for two
kappas, ALIF and reward, 1.0 for LIF with delays of up to 7 steps, 1.2 for own models. The result is
``event-cost-of-models.json``, with the label at the end of the name if there is one.
"""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass
from typing import Any, ClassVar

import harness
import numpy as np

import eprop as ep
from eprop.models import Eligibility, Neuron, inline

RATE = 10.0


@inline
def step_own_lif(state, params, j, x):
    """Advance a leaky integrator with a triangular surrogate gradient."""
    v = params[0, j] * state[0, j] + x
    psi = 0.3 * max(0.0, 1.0 - abs(v - 1.0))
    spike = v >= 1.0
    state[0, j] = v - 1.0 if spike else v
    return spike, psi


@dataclass(frozen=True)
class OwnLIF(Neuron):
    """LIF as a user would write it: one filter of the spikes."""

    state_rows: ClassVar[tuple[str, ...]] = ("v",)
    parameter_rows: ClassVar[tuple[str, ...]] = ("alpha",)
    update: ClassVar[Any] = staticmethod(step_own_lif)

    def derived(self, dt: float) -> dict[str, float]:
        """Return the decay of the voltage."""
        return {"alpha": float(np.exp(-dt / 20.0))}

    def eligibility(self, dt: float) -> Eligibility:
        """Return the eligibility of filtered spikes."""
        return Eligibility.leaky(self.derived(dt)["alpha"])


@inline
def step_own_alif(state, params, j, x):
    """Advance the same neuron with a threshold that rises with each spike."""
    v = params[0, j] * state[0, j] + x
    a = params[1, j] * state[1, j]
    psi = 0.3 * max(0.0, 1.0 - abs(v - 1.0 - 0.05 * a))
    spike = v >= 1.0 + 0.05 * a
    state[0, j] = v - 1.0 if spike else v
    state[1, j] = a + 1.0 if spike else a
    return spike, psi


@dataclass(frozen=True)
class OwnALIF(Neuron):
    """ALIF as a user would write it: one filter, and one component of the synapse."""

    state_rows: ClassVar[tuple[str, ...]] = ("v", "a")
    parameter_rows: ClassVar[tuple[str, ...]] = ("alpha", "rho")
    update: ClassVar[Any] = staticmethod(step_own_alif)

    def derived(self, dt: float) -> dict[str, float]:
        """Return the decays of voltage and threshold."""
        return {"alpha": float(np.exp(-dt / 20.0)), "rho": float(np.exp(-dt / 100.0))}

    def largest_psi(self, dt: float) -> float:
        """Return the peak of the triangle."""
        return 0.3

    def eligibility(self, dt: float) -> Eligibility:
        """Return the eligibility of (voltage, threshold): a spike of the neuron changes its threshold only."""
        alpha, rho = self.derived(dt).values()
        return Eligibility(((alpha, 0.0), (0.0, rho)), (1.0, 0.0), (1.0, -0.05), (0.0, rho))


@dataclass(frozen=True)
class Case:
    """A case's differences from LIF with one kappa and a delay of one step, and the case it is compared with.

    With five times the ``sources``, each source has a fifth of the synapses. If five delays are drawn, each delay of a
    source has a fifth as well.
    """

    neuron: Any
    kappa_reg: float = 0.97
    delay: Any = 1.0
    sources: int = 1
    against: str = "LIF"
    goal: float | None = None
    reward: ep.RewardTrace | None = None


LIF = ep.LIF(tau_m=20.0, v_th=1.0)
ALIF = ep.ALIF(tau_m=20.0, v_th=1.0, tau_adapt=100.0, beta=0.05)
CASES = {
    "LIF": Case(LIF),
    "LIF, two kappas": Case(LIF, kappa_reg=0.95, goal=2.5),
    "ALIF": Case(ALIF, goal=2.5),
    "ALIF, two kappas": Case(ALIF, kappa_reg=0.95, goal=2.5),
    "LIF, delay of 7 steps": Case(LIF, delay=7.0, goal=1.0),
    "LIF, delays of 1 to 5 steps": Case(LIF, delay=ep.Uniform(0.5, 5.5), goal=1.0),
    "LIF, delays of 1 to 20 steps": Case(LIF, delay=ep.Uniform(0.5, 20.5)),
    "LIF, delays of 1 to 50 steps": Case(LIF, delay=ep.Uniform(0.5, 50.5)),
    "LIF, delays of 1 to 200 steps": Case(LIF, delay=ep.Uniform(0.5, 200.5)),
    "ALIF, delays of 1 to 5 steps": Case(ALIF, delay=ep.Uniform(0.5, 5.5), against="ALIF"),
    "LIF, rows a fifth as long": Case(LIF, sources=5),
    "LIF, delays of 1 to 5 steps, against such rows": Case(
        LIF, delay=ep.Uniform(0.5, 5.5), against="LIF, rows a fifth as long"
    ),
    "ALIF, rows a fifth as long": Case(ALIF, sources=5, against="ALIF"),
    "ALIF, delays of 1 to 5 steps, against such rows": Case(
        ALIF, delay=ep.Uniform(0.5, 5.5), against="ALIF, rows a fifth as long"
    ),
    "LIF, reward": Case(LIF, goal=2.5, reward=ep.RewardTrace(tau=1000.0)),
    "LIF, two kappas, reward": Case(
        LIF, kappa_reg=0.95, against="LIF, two kappas", goal=2.5, reward=ep.RewardTrace(tau=1000.0)
    ),
    "ALIF, reward": Case(ALIF, against="ALIF", goal=2.5, reward=ep.RewardTrace(tau=1000.0)),
    "own LIF": Case(OwnLIF(), goal=1.2),
    "own ALIF": Case(OwnALIF(), against="ALIF", goal=1.2),
}


def network(case: Case, neurons: int, indegree: int, by: str = "eprop+") -> ep.Network:
    """Return inputs with plastic synapses onto neurons, and readouts that send learning signals."""
    net, given = ep.Network(dt=1.0, seed=1), {"optimizer": ep.GradientDescent(eta=1e-6), "c_reg": 0.1, "f_target": 10.0}
    rule = (
        ep.EProp(**given)
        if by == "eprop"
        else ep.EPropPlus(**given, kappa=0.97, kappa_reg=case.kappa_reg, cutoff=100.0, reward=case.reward)
    )
    inputs = net.add(ep.EventSource(), case.sources * neurons, "in")
    recurrent = net.add(case.neuron, neurons, "rec")
    readouts = net.add(ep.Readout(tau_m=100.0), 2, "out")
    weight = ep.Normal(0.0, 0.01 / np.sqrt(indegree))
    net.connect(
        inputs, recurrent, ep.FixedIndegree(indegree, multapses=True), weight=weight, rule=rule, delay=case.delay
    )
    net.connect(recurrent, readouts, ep.AllToAll(), weight=ep.Normal(0.0, 0.1))
    net.feedback(readouts, recurrent, ep.RandomFeedback(ep.Normal(0.0, 1.0)))
    return net


def spikes(neurons: int, steps: int, regular: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the first position of each step in the active channels, and these channels, by the clock or at random."""
    draw = np.random.default_rng(1)
    if regular:
        interval = round(1000.0 / RATE)
        phase = draw.integers(0, interval, neurons)
        active = (np.arange(steps)[:, None] - phase) % interval == 0
    else:
        active = draw.random((steps, neurons)) < RATE / 1000.0
    starts = np.concatenate([[0], np.cumsum(active.sum(axis=1))])
    return starts[None], np.nonzero(active)[1].astype(np.int32)


def ns_per_event(sim: ep.Simulator, given: tuple[np.ndarray, np.ndarray], steps: int) -> float:
    """Return the processor time per event of one run on one thread, which other programs change little."""
    waits = any(getattr(p.rule, "reward", None) for p in sim.network.projections)
    reward = np.random.default_rng(2).normal(size=steps) if waits else None
    samples = sim.samples(1, steps, inputs={"in": given}, targets={"out": np.ones((1, 1, 2))}, reward=reward)
    events, began = sim.events, time.process_time()
    sim.train(samples)
    return 1e9 * (time.process_time() - began) / (sim.events - events)


def main() -> None:
    """Measure all cases in turns with both kinds of input; print and record means, spreads and ratios."""
    parser = harness.parser(__doc__, repeats=5, label=True, precision=True)
    parser.add_argument("--builds", type=int, default=3, help="new networks of each case, at other addresses")
    parser.add_argument("--steps", type=int, default=400, help="steps of a run")
    parser.add_argument("--neurons", type=int, default=1000, help="neurons, and inputs")
    parser.add_argument("--indegree", type=int, default=1000, help="synapses of each neuron")
    parser.add_argument("--rule", choices=("eprop+", "eprop"), default="eprop+", help="rule; e-prop learns once a run")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), help="cases; the default is all")
    arguments = parser.parse_args()
    result = {}
    # With e-prop a second kappa does not concern the synapse.
    cases = {
        name: c
        for name, c in CASES.items()
        if name in arguments.cases
        and (arguments.rule == "eprop+" or (c.kappa_reg == Case.kappa_reg and c.reward is None))
    }
    for regular in (True, False):
        given = {
            n: spikes(n * arguments.neurons, arguments.steps, regular) for n in {c.sources for c in cases.values()}
        }
        found: dict[str, list[float]] = {name: [] for name in cases}
        for _ in range(arguments.builds):
            sims = {
                name: ep.Simulator(
                    network(case, arguments.neurons, arguments.indegree, arguments.rule),
                    threads=1,
                    precision=arguments.precision,
                )
                for name, case in cases.items()
            }
            runs = {
                name: functools.partial(ns_per_event, sim, given[cases[name].sources], arguments.steps)
                for name, sim in sims.items()
            }
            harness.in_turns(runs, 1)  # the first one warms up
            for name, values in harness.in_turns(runs, arguments.repeats).items():
                found[name] += values
        rows = {}
        for name, case in cases.items():
            ratios = [a / b for a, b in zip(found[name], found[case.against], strict=True)]
            rows[name] = {
                "ns_per_synaptic_event": harness.spread(found[name]),
                "against": case.against,
                "ratio": harness.spread(ratios),
                "goal": case.goal,
            }
            print(
                f"{'regular' if regular else 'random':8} {name:48} {np.mean(found[name]):6.2f} ns "
                f"{np.mean(ratios):5.2f} x {case.against}",
                flush=True,
            )
        result["regular" if regular else "random"] = rows
    print(harness.write("event-cost-of-models", result, arguments.label))


if __name__ == "__main__":
    main()
