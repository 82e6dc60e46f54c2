"""Random small networks, run by the engine and by the time-driven reference."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import eprop as ep
from compare import assert_close
from eprop.checks import stimuli_of, time_driven
from eprop.core import lib
from eprop.parallel.launch import available_threads
from eprop.reference import Activity, Stimulus, TimeDriven

two_threads = pytest.mark.skipif(available_threads() < 2, reason="one thread is available, see EPROP_NUM_THREADS")

SURROGATES = {
    "piecewise_linear": ep.PiecewiseLinear,
    "exponential": ep.Exponential,
    "fast_sigmoid": ep.FastSigmoid,
    "arctan": ep.Arctan,
}
# Tests of what the kinds of e-prop+ differ in: memory, and what block-start states need.
all_kinds = pytest.mark.skipif(len(lib.kinds(single=True)) < 5, reason="the core was built with EPROP_KINDS=generic")
PROJECTIONS = {"input": "in->rec", "recurrent": "rec->rec", "readout": "rec->out"}


@dataclass(repr=False)
class Case:
    """A network, its stimulus, and its weights as matrices."""

    network: ep.Network
    inputs: np.ndarray
    targets: np.ndarray
    window: np.ndarray
    weights: dict[str, np.ndarray]
    masks: dict[str, np.ndarray]
    feedback: Any
    rule: ep.EProp | ep.EPropPlus
    reward: np.ndarray | None = None

    def __repr__(self) -> str:
        return f"{self.network}\n  {len(self.inputs)} steps, {int(self.inputs.sum())} input spikes"

    @property
    def stimulus(self) -> Stimulus:
        """For the reference."""
        return self.stimulus_of(self.inputs, self.targets)

    def stimulus_of(self, inputs: np.ndarray, targets: np.ndarray) -> Stimulus:
        """Other inputs and targets, in the same window."""
        return Stimulus(len(inputs), {"in": inputs}, {"out": targets}, self.window, reward=self.reward)


NEURONS = {
    "LIF": ep.LIF, "ALIF": ep.ALIF, "DeltaLIF": ep.DeltaLIF, "DeltaALIF": ep.DeltaALIF, "CurrentLIF": ep.CurrentLIF,
    "CurrentALIF": ep.CurrentALIF,
}  # fmt: skip


def neuron_of(surrogate="piecewise_linear", original=False, kind="LIF", **parameters: Any) -> Any:
    """A neuron with a surrogate gradient by name; ``original`` has the switches of NEST's model of the original rule."""
    model = NEURONS[kind]
    if issubclass(model, ep.LIF):
        parameters = {"delayed_reset": original, "scale_input": original} | parameters
    return model(**parameters, surrogate=SURROGATES[surrogate](height=0.4, width=0.7))


def case(seed: int, rule: Any, *, steps: int = 300, sizes=(6, 8, 3), surrogate="piecewise_linear", t_ref=0.0,
         symmetric=False, softmax=False, original=False, dt=1.0, tau_m=12.0, tau_out=18.0, rate=0.06, e_l=0.0,
         i_e=0.0, density=0.6, autapses=False, closed=20, neuron=None, readout=None,
         feedback_scale=1.0, receptor="excitatory") -> Case:  # fmt: skip
    """A random network of ``sizes`` (inputs, neurons, readouts) and a random stimulus.

    ``neuron`` and ``readout`` replace those that the other arguments describe; the threshold should be near 0.8 mV. The
    learning window is closed at the start and for ``closed`` steps in the middle, and half open near the end. ``receptor`` is
    that of all synapses onto neurons with two.
    """
    rng = np.random.default_rng(seed)
    n_in, n, k = sizes
    masks = {
        "input": rng.random((n, n_in)) < density,
        "recurrent": (rng.random((n, n)) < density) & (autapses | ~np.eye(n, dtype=bool)),
        "readout": rng.random((k, n)) < max(density, 0.5),
    }
    lif = {"tau_m": tau_m, "v_th": 0.8 + e_l, "t_ref": t_ref, "e_l": e_l, "i_e": i_e}
    neuron = neuron or neuron_of(surrogate, original, **lif)
    loss = ep.CrossEntropy() if softmax else ep.SquaredError()
    readout = readout or ep.Readout(tau_m=tau_out, e_l=0.3 * e_l, scale_input=original, loss=loss)
    gain = 1.0 / neuron.input_scale(dt) if getattr(neuron, "scale_input", False) else 1.0
    weights = {
        "input": rng.normal(0.35, 0.4, (n, n_in)) * gain,
        "recurrent": rng.normal(0.0, 0.3, (n, n)) * gain,
        "readout": rng.normal(0.0, 0.5, (k, n)),
    }
    if bounds := getattr(rule, "optimizer", None):
        weights = {name: np.clip(w, bounds.w_min, bounds.w_max) for name, w in weights.items()}
    b = rng.normal(0.0, 1.0, (n, k)) * feedback_scale
    net = dense_network(
        neuron,
        readout,
        weights,
        "symmetric" if symmetric else b,
        rule,
        masks=masks,
        dt=dt,
        seed=seed,
        receptor=receptor,
    )
    inputs = (rng.random((steps, n_in)) < rate * rng.uniform(0.1, 1.5, n_in)).astype(float)
    if softmax:
        targets = np.eye(k)[rng.integers(k, size=steps // 50 + 1)].repeat(50, axis=0)[:steps]
    else:
        targets = rng.normal(0.0, 0.3, (steps, k)).cumsum(axis=0) * 0.2
    window = np.ones(steps)
    window[: steps // 5] = 0.0
    window[steps // 2 : steps // 2 + closed] = 0.0
    window[-4:-1] = 0.5
    reward = None
    if getattr(rule, "reward", None) is not None:
        # Seldom, as rewards are, or in every step, as temporal-difference errors; as large as what waits is long-lived:
        # weights change as much as without.
        size = 1.0 - rule.reward.decay(dt)
        reward = size * rng.normal(0.5, 2.0, steps) * (rng.random(steps) < rng.choice([0.1, 1.0]))
    return Case(net, inputs, targets, window, weights, masks, "symmetric" if symmetric else b, rule, reward)


def small_network(
    sizes: tuple[int, int, int], connections: dict[str, Any] | None = None, *, source: Any = None, neuron: Any = None,
    readout: Any = None, rule: ep.Rule | None = None, feedback: Any = None, dt: float = 1.0, seed: int = 0,
    receptor: str = "excitatory", dropout: float = 0.0,
) -> ep.Network:  # fmt: skip
    """Sources ``in``, neurons ``rec`` and readouts ``out`` of ``sizes`` (those of size 0 left out), and their connections.

    ``connections`` holds for each projection, such as ``"in->rec"``, a weight or a dictionary of arguments of `connect`;
    ``rule`` is that of all projections without one of their own, ``receptor`` that of projections onto neurons with two.
    ``feedback``, if there is any, leads from ``out`` to ``rec``; ``dropout`` is that of the neurons.
    """
    net = ep.Network(dt=dt, seed=seed)
    models = source or ep.EventSource(), neuron or ep.LIF(), readout or ep.Readout()
    for model, size, name in zip(models, sizes, ("in", "rec", "out"), strict=True):
        if size:
            net.add(model, size, name, dropout=dropout if name == "rec" else 0.0)
    for name, given in (connections or {}).items():
        options = given if isinstance(given, dict) else {"weight": given}
        pre, post = name.split("->")
        has_two = getattr(net.population(post).model, "inhibitory_row", None) is not None
        net.connect(pre, post, **{"rule": rule, "receptor": receptor if has_two else None} | options)
    if feedback is not None:
        net.feedback("out", "rec", feedback)
    return net


def dense_network(
    neuron: Any, readout: ep.Readout, weights: Any, feedback: Any, rule: Any, *, masks: Any = None, dt=1.0, seed=1,
    receptor: str = "excitatory",
) -> ep.Network:  # fmt: skip
    """Inputs, neurons and readouts connected by matrices of weights; no neuron to itself, unless ``masks`` says so.

    ``feedback`` is a matrix (neurons, readouts) or ``"symmetric"``; ``rule`` is that of all projections, or a dictionary.
    """
    (k, n), n_in = weights["readout"].shape, weights["input"].shape[1]
    exist = {name: np.ones(w.shape, bool) for name, w in weights.items()} | {"recurrent": ~np.eye(n, dtype=bool)}
    exist |= masks or {}
    connections = {}
    for name, projection in PROJECTIONS.items():
        targets, sources = np.nonzero(exist[name])
        connections[projection] = {
            "connectivity": ep.Explicit(sources=sources, targets=targets),
            "weight": weights[name][targets, sources],
            "rule": rule[name] if isinstance(rule, dict) else rule,
        }
    kind = ep.Symmetric() if isinstance(feedback, str) else ep.RandomFeedback(feedback)
    options = {"neuron": neuron, "readout": readout, "feedback": kind, "dt": dt, "seed": seed, "receptor": receptor}
    return small_network((n_in, n, k), connections, **options)


def part_of(given: Stimulus, a: int, b: int) -> Stimulus:
    """The steps ``a:b`` of a stimulus."""

    def cut(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: cut(part) for name, part in value.items()}
        return value if value is None or len(np.shape(value)) == 0 else value[a:b]

    return Stimulus(b - a, **{name: cut(value) for name, value in vars(given).items() if name != "steps"})


def run_engine(sim: ep.Simulator, given: Stimulus, record: Any, cuts: tuple[int, ...] = ()) -> dict[Any, np.ndarray]:
    """A run with the stimulus of the reference, or several one after the other: what is recorded, outputs and losses."""
    parts = []
    for a, b in itertools.pairwise([0, *cuts, given.steps]):
        one = part_of(given, a, b)
        rest = {name: value for name in ("signals", "modulator", "reward") if (value := getattr(one, name)) is not None}
        events = {
            name: x for name, x in one.spikes.items() if isinstance(sim.network.population(name).model, ep.EventSource)
        }
        run = sim.run(one.steps * sim.network.dt, events, one.targets, one.window, record=record, **rest)
        parts.append(run.traces | {(name, "y"): y for name, y in run.y.items()} | {"loss": run.loss})
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def check_run(
    stepped: TimeDriven, wanted: Activity, given: Stimulus, tolerance: float = 1e-10, cuts: tuple[int, ...] = (), **options: Any
) -> tuple[ep.Simulator, dict[Any, np.ndarray]]:  # fmt: skip
    """The engine equals a run of the reference, with its weights: voltages, outputs, losses, each weight when a spike arrives."""
    net = stepped.network
    sim = ep.Simulator(net, **{"threads": 1} | options)
    neurons, readouts = ([p.name for p in net.populations if p.model.role == role] for role in ("neuron", "readout"))
    record = [*((name, "v") for name in neurons), *((p.name, "weight") for p in net.projections)]
    found = run_engine(sim, given, record, cuts)
    assert_close(np.hstack([found[name, "v"] for name in neurons]), wanted.v, tolerance, "v")
    assert_close(
        np.hstack([np.zeros((given.steps, 0)), *(found[name, "y"] for name in readouts)]), wanted.y, tolerance, "y"
    )
    assert_close(found["loss"], wanted.loss, tolerance, "loss")
    arrived = np.stack([stepped.synapses.arriving(wanted.spikes, t) for t in range(given.steps)])
    for p in net.projections:
        part = stepped.synapses.parts[p.name]
        used, of_reference = arrived[:, part], wanted.weights[:, part]
        assert_close(found[p.name, "weight"][used], of_reference[used], tolerance, f"weights of {p.name} in use")
    return sim, found


def check_training(
    net: ep.Network, samples: ep.engine.Samples, batch_size: int, tolerance: float = 1e-10
) -> list[Activity]:
    """The engine equals the reference in mini-batches of e-prop: outputs, losses and the weights after each."""
    sim, stepped, runs = ep.Simulator(net, threads=1), time_driven(net), []
    for first in range(0, len(samples), batch_size):
        batch = samples[first : first + batch_size]
        found, wanted = sim.train(batch), stepped.train(stimuli_of(net, batch))
        assert_close(found.y, np.stack([run.y for run in wanted]), tolerance, "y")
        assert_close(found.loss, np.array([run.loss.sum() for run in wanted]), tolerance, "loss")
        for p in net.projections:
            assert_close(sim.connections(p.name)[2], stepped.weights_of(p.name), tolerance, p.name)
        runs += wanted
    return runs


def matrices_of(stepped: TimeDriven) -> dict[str, np.ndarray]:
    """Present weights of the reference as dense matrices."""
    out, s, layout = {}, stepped.synapses, stepped.forward.layout
    for name, projection in PROJECTIONS.items():
        p, part = stepped.network.projection(projection), stepped.synapses.parts[projection]
        out[name] = np.zeros((p.post.size, p.pre.size))
        rows, columns = (
            s.target[part] - layout.targets[p.post.name].start,
            s.source[part] - layout.sources[p.pre.name].start,
        )
        out[name][rows, columns] = stepped.weight[part]
    return out


def weights_of(sim: ep.Simulator) -> dict[str, np.ndarray]:
    """The engine's weights as dense matrices."""
    return {name: sim.weights(projection).toarray() for name, projection in PROJECTIONS.items()}


def run_engine_plus(c: Case, precision: str = "double"):
    """e-prop+ of the engine; returns the simulator, voltages, outputs and the weights of every step."""
    sim = ep.Simulator(c.network, threads=1, precision=precision)
    found = run_engine(sim, c.stimulus, [("rec", "v"), *((p, "weight") for p in PROJECTIONS.values())])
    history = {name: found[projection, "weight"] for name, projection in PROJECTIONS.items()}
    return sim, found["rec", "v"], found["out", "y"], history


def stimuli(c: Case, n: int, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Inputs and targets of ``n`` samples, the case's own first."""
    rng = np.random.default_rng(seed)
    made = [(c.inputs, c.targets)]
    for _ in range(n - 1):
        order = rng.permutation(len(c.inputs))
        made.append((c.inputs[order], c.targets[rng.permutation(len(order))]))
    return made


def run_engine_samples(
    c: Case, samples: list[tuple[np.ndarray, np.ndarray]], batch_size: int, precision: str = "double"
):
    """e-prop of the engine; returns the simulator, the results and the weights, each before and after all batches."""
    sim = ep.Simulator(c.network, threads=1, precision=precision)
    weights, results = [weights_of(sim)], []
    for first in range(0, len(samples), batch_size):
        results.append(sim.train(samples_of(c, sim, samples[first : first + batch_size])))
        weights.append(weights_of(sim))
    return sim, results, weights


def samples_of(c: Case, sim: ep.Simulator, samples: list[tuple[np.ndarray, np.ndarray]]) -> ep.engine.Samples:
    """Samples as the engine takes them."""
    inputs, targets = (np.stack(part) for part in zip(*samples, strict=True))
    given = {"inputs": {"in": inputs}, "targets": {"out": targets}, "window": c.window, "reward": c.reward}
    return sim.samples(len(samples), len(c.inputs), **given)


def disagreement(found: np.ndarray, wanted: np.ndarray) -> float:
    """Largest deviation, relative to the largest value."""
    return float(np.abs(found - wanted).max(initial=0.0) / max(np.abs(wanted).max(initial=0.0), 1e-300))
