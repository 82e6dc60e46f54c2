"""Time of a whole run with a user's own neuron against the built-in model with the same equations.

    python benchmarks/own_model.py

The networks are recurrent: 1,000 neurons with 1,000 synapses each. Inputs of 10 Hz drive them, and they learn by both
rules, on one thread. The own LIF and ALIF neurons are written in Python with the equations of the built-in ones, so
that all spikes are the same. Goals: at most 1.2 times the time of the built-in model; the compiler delays the first
network of a process by at most 1 s. The result is ``own-neuron.json``.
"""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass
from typing import Any, ClassVar

import harness
import numpy as np

import eprop as ep
from eprop.models import inline
from eprop.models.membrane import R_STEPS, V_MIN, V_TH, integrate, surrogate_gradient

GOAL, GOAL_FIRST = 1.2, 1.0
RATE = 0.01
# Rows of the state and of the parameters of ALIF.
V, R, Z, ADAPTATION, THRESHOLD = range(5)
RHO, BETA = (ep.ALIF.parameter_rows.index(name) for name in ("rho", "beta"))


@inline
def subtract_at_threshold(state, params, j, x, rise):
    """Advance one neuron whose threshold is ``rise`` mV higher now; a spike lowers ``v`` by the resting threshold."""
    # Load everything before selecting, and give a refractory neuron an infinite threshold instead of a branch: otherwise
    # the loop over neurons does not vectorise.
    v_th = params[V_TH, j]
    left = max(state[R, j] - 1.0, 0.0)
    v = max(integrate(params, j, state[V, j], x), params[V_MIN, j])
    above = v - (v_th + rise)
    psi = surrogate_gradient(params, j, above)
    psi = psi if left == 0.0 else 0.0
    barrier = 0.0 if left == 0.0 else np.inf
    spike = above >= barrier
    z = 1.0 if spike else 0.0
    state[V, j] = v - (v_th if spike else 0.0)
    state[R, j] = left + z * params[R_STEPS, j]
    state[Z, j] = z
    return spike, psi


@inline
def step_lif(state, params, j, x):
    """Advance LIF by one step."""
    return subtract_at_threshold(state, params, j, x, 0.0)


@inline
def step_alif(state, params, j, x):
    """Advance ALIF by one step: the threshold rises with each spike."""
    a = params[RHO, j] * state[ADAPTATION, j] + state[Z, j]
    rise = params[BETA, j] * a
    state[ADAPTATION, j] = a
    state[THRESHOLD, j] = params[V_TH, j] + rise
    return subtract_at_threshold(state, params, j, x, rise)


@dataclass(frozen=True)
class OwnLIF(ep.LIF):
    """LIF as a user would write it."""

    update: ClassVar[Any] = staticmethod(step_lif)

    def largest_psi(self, dt: float) -> float:
        """Return the peak of the piecewise linear surrogate; e-prop+ then keeps synapses as for the built-in model."""
        return self.surrogate.height


@dataclass(frozen=True)
class OwnALIF(ep.ALIF):
    """ALIF as a user would write it."""

    update: ClassVar[Any] = staticmethod(step_alif)

    def largest_psi(self, dt: float) -> float:
        """Return the peak of the piecewise linear surrogate; e-prop+ then keeps synapses as for the built-in model."""
        return self.surrogate.height


PAIRS = {"LIF": (ep.LIF, OwnLIF), "ALIF": (ep.ALIF, OwnALIF)}
RULES = {"e-prop": ep.EProp, "e-prop+": ep.EPropPlus}


def network(neuron: Any, rule: Any, neurons: int, indegree: int) -> ep.Network:
    """Return inputs, recurrent neurons that learn, and two readouts with feedback."""
    net = ep.Network(dt=1.0, seed=1)
    learns = rule(optimizer=ep.GradientDescent(eta=1e-6), kappa=0.97, c_reg=0.1, f_target=10.0)
    x = net.add(ep.EventSource(), 100, "in")
    recurrent = net.add(neuron(tau_m=20.0, v_th=1.0), neurons, "rec")
    readouts = net.add(ep.Readout(tau_m=50.0), 2, "out")
    net.connect(x, recurrent, ep.FixedIndegree(20, multapses=True), weight=ep.Normal(0.0, 1.0))
    degree = ep.FixedIndegree(indegree, multapses=True)
    net.connect(recurrent, recurrent, degree, weight=ep.Normal(0.0, 0.1 / np.sqrt(indegree)), rule=learns)
    net.connect(recurrent, readouts, ep.AllToAll(), weight=ep.Normal(0.0, 0.01))
    net.feedback(readouts, recurrent, ep.RandomFeedback(ep.Normal(0.0, 1.0)))
    return net


def us_per_step(sim: ep.Simulator, inputs: np.ndarray) -> tuple[float, int]:
    """Return the microseconds of a step, and the synaptic events of the run."""
    samples = sim.samples(1, len(inputs), inputs={"in": inputs[None]}, targets={"out": np.ones((1, 1, 2))})
    events, began = sim.events, time.perf_counter()
    sim.train(samples)
    return 1e6 * (time.perf_counter() - began) / len(inputs), sim.events - events


def main() -> None:
    """Measure own and built-in neurons in turns, with both rules; print and record."""
    parser = harness.parser(__doc__, repeats=7)
    parser.add_argument("--steps", type=int, default=1000, help="steps of a run")
    parser.add_argument("--neurons", type=int, default=1000, help="recurrent neurons")
    parser.add_argument("--indegree", type=int, default=1000, help="recurrent synapses of each neuron")
    arguments = parser.parse_args()
    inputs = (np.random.default_rng(1).random((arguments.steps, 100)) < RATE).astype(float)
    result: dict[str, Any] = {}
    for rule_name, rule in RULES.items():
        for name, pair in PAIRS.items():
            began, sims, waited = time.perf_counter(), [], []
            for neuron in pair:
                began = time.perf_counter()
                net = network(neuron, rule, arguments.neurons, arguments.indegree)
                sims.append(ep.Simulator(net, threads=1, precision="single"))
                waited.append(time.perf_counter() - began)
            runs = {k: functools.partial(us_per_step, sim, inputs) for k, sim in enumerate(sims)}
            harness.in_turns(runs, 1)  # the first one warms up
            found = harness.in_turns(runs, arguments.repeats)
            (built_in, events), (own, own_events) = (zip(*found[k], strict=True) for k in runs)
            assert events == own_events, f"own and built-in neurons differ in their events: {events}, {own_events}"
            ratio = [a / b for a, b in zip(own, built_in, strict=True)]
            result[f"{rule_name}, {name}"] = {
                "us_per_step_built_in": harness.spread(list(built_in)), "us_per_step_own": harness.spread(list(own)),
                "ratio": harness.spread(ratio), "median_ratio": float(np.median(ratio)), "goal": GOAL,
                "synaptic_events": events[-1], "build_seconds": {"built_in": waited[0], "own": waited[1]},
                "goal_first_build_seconds": GOAL_FIRST,
            }  # fmt: skip
            print(f"{rule_name:8} {name:5} own {np.median(own):7.1f} us a step, built-in {np.median(built_in):7.1f} us, "
                  f"{np.median(ratio):.2f} times (goal {GOAL}); built in {waited[1]:.2f} s", flush=True)  # fmt: skip
    print(harness.write("own-neuron", result))


if __name__ == "__main__":
    main()
