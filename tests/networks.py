"""Random small networks, described for the engine and for the time-driven reference at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import eprop as ep
from eprop import reference

SURROGATES = {
    "piecewise_linear": ep.PiecewiseLinear,
    "exponential": ep.Exponential,
    "fast_sigmoid": ep.FastSigmoid,
    "arctan": ep.Arctan,
}
PROJECTIONS = {"input": "in->rec", "recurrent": "rec->rec", "readout": "rec->out"}


@dataclass
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


def case(seed: int, rule: Any, *, steps: int = 300, sizes=(6, 8, 3), surrogate="piecewise_linear", t_ref=0.0,
         symmetric=False, softmax=False, original=False, dt=1.0, tau_m=12.0, tau_out=18.0, rate=0.06, e_l=0.0,
         i_e=0.0, density=0.6) -> Case:  # fmt: skip
    """A random network of ``sizes`` (inputs, neurons, readouts) and a random stimulus."""
    rng = np.random.default_rng(seed)
    n_in, n, k = sizes
    masks = {
        "input": rng.random((n, n_in)) < density,
        "recurrent": (rng.random((n, n)) < density) & ~np.eye(n, dtype=bool),
        "readout": rng.random((k, n)) < max(density, 0.5),
    }
    gain = 1.0 / (1.0 - np.exp(-dt / tau_m)) if original else 1.0
    weights = {
        "input": rng.normal(0.35, 0.4, (n, n_in)) * gain,
        "recurrent": rng.normal(0.0, 0.3, (n, n)) * gain,
        "readout": rng.normal(0.0, 0.5, (k, n)),
    }
    b = rng.normal(0.0, 1.0, (n, k))
    lif: dict[str, Any] = dict(tau_m=tau_m, v_th=0.8 + e_l, t_ref=t_ref, e_l=e_l, i_e=i_e)
    switches = dict(delayed_reset=original, scale_input=original)
    out: dict[str, Any] = dict(tau_m=tau_out, e_l=0.3 * e_l, scale_input=original)
    net = ep.Network(dt=dt, seed=seed)
    x = net.add(ep.EventSource(), n_in, "in")
    rec = net.add(ep.LIF(**lif, **switches, surrogate=SURROGATES[surrogate](height=0.4, width=0.7)), n, "rec")
    loss = ep.CrossEntropy() if softmax else ep.SquaredError()
    readout = net.add(ep.Readout(**out, loss=loss), k, "out")
    for (pre, post), name in zip(((x, rec), (rec, rec), (rec, readout)), PROJECTIONS, strict=True):
        targets, sources = np.nonzero(masks[name])
        net.connect(pre, post, ep.Explicit(sources=sources, targets=targets), weight=weights[name][targets, sources], rule=rule)
    net.feedback(readout, rec, ep.Symmetric() if symmetric else ep.RandomFeedback(b))
    inputs = (rng.random((steps, n_in)) < rate * rng.uniform(0.1, 1.5, n_in)).astype(float)
    if softmax:
        targets = np.eye(k)[rng.integers(k, size=steps // 50 + 1)].repeat(50, axis=0)[:steps]
    else:
        targets = rng.normal(0.0, 0.3, (steps, k)).cumsum(axis=0) * 0.2
    window = np.ones(steps)
    window[: steps // 5] = 0.0
    window[steps // 2 : steps // 2 + 20] = 0.0
    return Case(
        net, inputs, targets, window, weights, masks, "symmetric" if symmetric else b,
        reference.LIF(**lif, **switches, surrogate=surrogate, height=0.4, width=0.7),
        reference.Readout(**out, loss="cross_entropy" if softmax else "squared_error"), rule,
    )  # fmt: skip


def optimizer_of(rule: Any) -> Any:
    """The reference's optimiser for a rule."""
    o = rule.optimizer
    bounds = dict(eta=o.eta, w_min=o.w_min, w_max=o.w_max)
    if isinstance(o, ep.Adam):
        return reference.Adam(**bounds, beta_1=o.beta_1, beta_2=o.beta_2, epsilon=o.epsilon)
    return reference.GradientDescent(**bounds)


def run_reference_plus(c: Case) -> reference.Run:
    """e-prop+ of the reference, with the weights of every step."""
    r = c.rule
    rule = reference.PlusRule(
        optimizer_of(r), r.kappa, r.kappa_regularisation, r.c_reg, r.f_target, round(r.cutoff / c.network.dt)
    )
    return reference.simulate(
        c.inputs, c.targets, c.weights, c.feedback, c.neuron, c.readout, rule,
        window=c.window, masks=c.masks, dt=c.network.dt, record_weights=True,
    )  # fmt: skip


def weights_of(c: Case, sim: ep.Simulator) -> dict[str, np.ndarray]:
    """The engine's weights as dense matrices."""
    return {name: sim.weights(projection).toarray() for name, projection in PROJECTIONS.items()}


def run_engine_plus(c: Case, threads: int = 1, precision: str = "double", pieces: tuple[int, ...] = ()):
    """e-prop+ of the engine in one run or several; returns the simulator, voltages and the weights of every step."""
    sim = ep.Simulator(c.network, threads=threads, precision=precision)
    cuts = [0, *pieces, len(c.inputs)]
    record = [("rec", "v"), *((p, "weight") for p in PROJECTIONS.values())]
    parts = []
    for a, b in zip(cuts, cuts[1:], strict=False):
        parts.append(
            sim.run((b - a) * c.network.dt, {"in": c.inputs[a:b]}, {"out": c.targets[a:b]}, c.window[a:b], record=record)
        )
    v = np.concatenate([p["rec", "v"] for p in parts])
    y = np.concatenate([p.y["out"] for p in parts])
    history = {
        name: np.concatenate([p[projection, "weight"] for p in parts]) for name, projection in PROJECTIONS.items()
    }
    return sim, v, y, history


def arrival_mask(c: Case, spikes: np.ndarray, name: str) -> np.ndarray:
    """Steps x connections (in the engine's order): true where a spike arrives, so that the weight has just been used."""
    emitted = c.inputs if name == "input" else spikes
    arrived = np.vstack([np.zeros((1, emitted.shape[1])), emitted[:-1]]) > 0
    _, sources = np.nonzero(c.masks[name])
    return arrived[:, sources]


def shifted(c: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Stimulus of the reference for a sample.

    The reference's stages start one step after each other, the engine's together: a sample is one step longer here.
    """
    inputs = np.vstack([np.zeros((1, c.inputs.shape[1])), c.inputs[:-2]])
    return inputs, c.targets[1:], c.window[1:]


def run_reference_sample(c: Case, repeats: int):
    """e-prop of the reference: the same sample again and again; returns samples and weights."""
    inputs, targets, window = shifted(c)
    r = c.rule
    rule = reference.SampleRule(optimizer_of(r), r.kappa, r.c_reg, r.f_target, r.average_gradient)
    return reference.train(
        [(inputs, targets)] * repeats, c.weights, c.feedback, c.neuron, c.readout, rule,
        window=window, masks=c.masks, dt=c.network.dt,
    )  # fmt: skip


def samples_of(c: Case, sim: ep.Simulator, n: int = 1) -> ep.Samples:
    """The case's stimulus, ``n`` times, as samples of the engine."""
    return sim.samples(
        n, len(c.inputs), inputs={"in": np.stack([c.inputs] * n)}, targets={"out": np.stack([c.targets] * n)}, window=c.window
    )
