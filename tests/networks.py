"""Random small networks, described for the engine and for the time-driven reference at once."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import eprop as ep
from eprop import reference
from eprop.parallel.threads import available_threads

two_threads = pytest.mark.skipif(available_threads() < 2, reason="one thread is available, see EPROP_NUM_THREADS")

SURROGATES = {
    "piecewise_linear": ep.PiecewiseLinear,
    "exponential": ep.Exponential,
    "fast_sigmoid": ep.FastSigmoid,
    "arctan": ep.Arctan,
}
PROJECTIONS = {"input": "in->rec", "recurrent": "rec->rec", "readout": "rec->out"}


@dataclass(repr=False)
class Case:
    """A network, its stimulus, and everything the reference wants to know of it."""

    network: ep.Network
    inputs: np.ndarray
    targets: np.ndarray
    window: np.ndarray
    weights: dict[str, np.ndarray]
    masks: dict[str, np.ndarray]
    feedback: Any
    neuron: reference.LIF
    readout: reference.Readout
    rule: ep.EProp | ep.EPropPlus
    reward: np.ndarray | None = None

    def __repr__(self) -> str:
        return f"{self.network}\n  {len(self.inputs)} steps, {int(self.inputs.sum())} input spikes"


NEURONS = {
    "LIF": (ep.LIF, reference.LIF),
    "ALIF": (ep.ALIF, reference.LIF),
    "DeltaLIF": (ep.DeltaLIF, reference.DeltaLIF),
    "DeltaALIF": (ep.DeltaALIF, reference.DeltaLIF),
}
# Those that the engine learns with; of the others, tests look at the dynamics only.
LEARNING: tuple[str, ...] = ("LIF", "ALIF", "DeltaLIF", "DeltaALIF")
# What the reference calls otherwise.
NAMES = {"tau_adapt": "tau_a", "adaptation": "a_0", "v_init": "v_0"}


def neuron_pair(
    surrogate="piecewise_linear", original=False, kind="LIF", **parameters: Any
) -> tuple[ep.Neuron, reference.LIF]:
    """The same neuron for the engine and for the reference; ``beta`` must be given for those that adapt."""
    ours, theirs = NEURONS[kind]
    if not issubclass(ours, ep.DeltaLIF):
        parameters = {"delayed_reset": original, "scale_input": original} | parameters
    renamed = {NAMES.get(name, name): value for name, value in parameters.items()}
    return (
        ours(**parameters, surrogate=SURROGATES[surrogate](height=0.4, width=0.7)),
        theirs(**renamed, surrogate=surrogate, height=0.4, width=0.7),
    )


def readout_pair(softmax=False, **parameters: Any) -> tuple[ep.Readout, reference.Readout]:
    """The same readout for the engine and for the reference."""
    loss = ep.CrossEntropy() if softmax else ep.SquaredError()
    return (
        ep.Readout(**parameters, loss=loss),
        reference.Readout(**parameters, loss="cross_entropy" if softmax else "squared_error"),
    )


def case(seed: int, rule: Any, *, steps: int = 300, sizes=(6, 8, 3), surrogate="piecewise_linear", t_ref=0.0,
         symmetric=False, softmax=False, original=False, dt=1.0, tau_m=12.0, tau_out=18.0, rate=0.06, e_l=0.0,
         i_e=0.0, density=0.6, autapses=False, closed=20, pair=None, readout_of=None,
         feedback_scale=1.0) -> Case:  # fmt: skip
    """A random network of ``sizes`` (inputs, neurons, readouts) and a random stimulus.

    ``pair`` is a neuron for the engine and the same for the reference, instead of the one that the other arguments
    describe; its threshold should be near 0.8 mV. ``readout_of`` is the same for readouts. The learning window is closed at
    the start and for ``closed`` steps in the middle, and half open near the end.
    """
    rng = np.random.default_rng(seed)
    n_in, n, k = sizes
    masks = {
        "input": rng.random((n, n_in)) < density,
        "recurrent": (rng.random((n, n)) < density) & (autapses | ~np.eye(n, dtype=bool)),
        "readout": rng.random((k, n)) < max(density, 0.5),
    }
    lif = {"tau_m": tau_m, "v_th": 0.8 + e_l, "t_ref": t_ref, "e_l": e_l, "i_e": i_e}
    neuron, neuron_of_reference = pair or neuron_pair(surrogate, original, **lif)
    readout, readout_of_reference = readout_of or readout_pair(
        softmax, tau_m=tau_out, e_l=0.3 * e_l, scale_input=original
    )
    gain = 1.0 / neuron.input_scale(dt) if getattr(neuron, "scale_input", False) else 1.0
    weights = {
        "input": rng.normal(0.35, 0.4, (n, n_in)) * gain,
        "recurrent": rng.normal(0.0, 0.3, (n, n)) * gain,
        "readout": rng.normal(0.0, 0.5, (k, n)),
    }
    if bounds := getattr(rule, "optimizer", None):
        weights = {name: np.clip(w, bounds.w_min, bounds.w_max) for name, w in weights.items()}
    b = rng.normal(0.0, 1.0, (n, k)) * feedback_scale
    net = ep.Network(dt=dt, seed=seed)
    x = net.add(ep.EventSource(), n_in, "in")
    rec = net.add(neuron, n, "rec")
    out = net.add(readout, k, "out")
    for (pre, post), name in zip(((x, rec), (rec, rec), (rec, out)), PROJECTIONS, strict=True):
        targets, sources = np.nonzero(masks[name])
        drawn = weights[name][targets, sources]
        net.connect(pre, post, ep.Explicit(sources=sources, targets=targets), weight=drawn, rule=rule)
    net.feedback(out, rec, ep.Symmetric() if symmetric else ep.RandomFeedback(b))
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
    if (
        getattr(rule, "reward", None) is not None
    ):  # seldom, as rewards are, or in every step, as temporal-difference errors
        # As large as what waits is long-lived: weights change as much as without.
        size = 1.0 - rule.reward.decay(dt)
        reward = size * rng.normal(0.5, 2.0, steps) * (rng.random(steps) < rng.choice([0.1, 1.0]))
    return Case(
        net, inputs, targets, window, weights, masks, "symmetric" if symmetric else b,
        neuron_of_reference, readout_of_reference, rule, reward,
    )  # fmt: skip


def optimizer_of(rule: Any, batch_size: int = 1) -> Any:
    """The reference's optimiser for a rule."""
    o = rule.optimizer
    bounds = {"eta": o.eta, "w_min": o.w_min, "w_max": o.w_max, "batch_size": batch_size, "decay": o.decay}
    if isinstance(o, ep.Adam):
        return reference.Adam(**bounds, beta_1=o.beta_1, beta_2=o.beta_2, epsilon=o.epsilon)
    if isinstance(o, ep.Momentum):
        return reference.Momentum(**bounds, beta=o.beta, nesterov=o.nesterov)
    if isinstance(o, ep.RMSprop):
        return reference.RMSprop(**bounds, beta=o.beta, epsilon=o.epsilon)
    return reference.GradientDescent(**bounds)


def run_reference_plus(c: Case) -> reference.Run:
    """e-prop+ of the reference, with the weights of every step."""
    r, dt = c.rule, c.network.dt
    cutoff = round(r.cutoff / dt)
    waits = reference.RewardTrace(r.reward.decay(dt), r.reward.cutoff_steps(dt, cutoff)) if r.reward else None
    rule = reference.PlusRule(
        optimizer_of(r),
        r.kappa,
        r.kappa_regularisation,
        r.c_reg,
        r.f_target,
        cutoff,
        each_step=r.each_step,
        reward=waits,
    )
    return reference.simulate(
        c.inputs, c.targets, c.weights, c.feedback, c.neuron, c.readout, rule,
        window=c.window, reward=c.reward, masks=c.masks, dt=dt, record_weights=True,
    )  # fmt: skip


def weights_of(sim: ep.Simulator) -> dict[str, np.ndarray]:
    """The engine's weights as dense matrices."""
    return {name: sim.weights(projection).toarray() for name, projection in PROJECTIONS.items()}


def run_engine_plus(
    c: Case, threads: int = 1, precision: str = "double", pieces: tuple[int, ...] = (), partitions: int | None = None
):
    """e-prop+ of the engine in one run or several; returns the simulator, voltages and the weights of every step."""
    sim = ep.Simulator(c.network, threads=threads, precision=precision, partitions=partitions)
    cuts = [0, *pieces, len(c.inputs)]
    record = [("rec", "v"), *((p, "weight") for p in PROJECTIONS.values())]
    parts = []
    for a, b in itertools.pairwise(cuts):
        stimulus = {"in": c.inputs[a:b]}, {"out": c.targets[a:b]}, c.window[a:b]
        reward = None if c.reward is None else c.reward[a:b]
        parts.append(sim.run((b - a) * c.network.dt, *stimulus, record=record, reward=reward))
    v = np.concatenate([p["rec", "v"] for p in parts])
    y = np.concatenate([p.y["out"] for p in parts])
    history = {
        name: np.concatenate([p[projection, "weight"] for p in parts]) for name, projection in PROJECTIONS.items()
    }
    return sim, v, y, history


def arrival_mask(c: Case, spikes: np.ndarray, name: str) -> np.ndarray:
    """Steps x connections (in the engine's order): true where a spike arrives; the weight has just been used."""
    emitted = c.inputs if name == "input" else spikes
    arrived = np.vstack([np.zeros((1, emitted.shape[1])), emitted[:-1]]) > 0
    _, sources = np.nonzero(c.masks[name])
    return arrived[:, sources]


def stimuli(c: Case, n: int, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Inputs and targets of ``n`` samples, the case's own first."""
    rng = np.random.default_rng(seed)
    made = [(c.inputs, c.targets)]
    for _ in range(n - 1):
        order = rng.permutation(len(c.inputs))
        made.append((c.inputs[order], c.targets[rng.permutation(len(order))]))
    return made


def run_reference_samples(c: Case, samples: list[tuple[np.ndarray, np.ndarray]], batch_size: int = 1):
    """e-prop of the reference; returns samples, and the weights before each of them and at the end.

    The reference's stages start one step after each other, the engine's together: a sample is one step longer here.
    """
    r = c.rule
    optimizer = optimizer_of(r, batch_size)
    rule = reference.SampleRule(optimizer, r.kappa, r.c_reg, r.f_target, r.average_gradient)
    shifted = [(np.vstack([np.zeros((1, x.shape[1])), x[:-2]]), y[1:]) for x, y in samples]
    return reference.train(
        shifted, c.weights, c.feedback, c.neuron, c.readout, rule,
        window=c.window[1:], masks=c.masks, dt=c.network.dt,
    )  # fmt: skip


def run_engine_samples(
    c: Case,
    samples: list[tuple[np.ndarray, np.ndarray]],
    batch_size: int = 1,
    threads: int = 1,
    precision: str = "double",
    partitions: int | None = None,
):
    """e-prop of the engine; returns the simulator, the results and the weights, each before and after all batches."""
    sim = ep.Simulator(c.network, threads=threads, precision=precision, partitions=partitions)
    weights, results = [weights_of(sim)], []
    for first in range(0, len(samples), batch_size):
        results.append(sim.train(samples_of(c, sim, samples[first : first + batch_size])))
        weights.append(weights_of(sim))
    return sim, results, weights


def samples_of(c: Case, sim: ep.Simulator, samples: list[tuple[np.ndarray, np.ndarray]]) -> ep.Samples:
    """Samples as the engine takes them."""
    inputs, targets = (np.stack(part) for part in zip(*samples, strict=True))
    given = {"inputs": {"in": inputs}, "targets": {"out": targets}, "window": c.window, "reward": c.reward}
    return sim.samples(len(samples), len(c.inputs), **given)


def disagreement(found: np.ndarray, wanted: np.ndarray) -> float:
    """Largest deviation, relative to the largest value."""
    return float(np.abs(found - wanted).max(initial=0.0) / max(np.abs(wanted).max(initial=0.0), 1e-300))
