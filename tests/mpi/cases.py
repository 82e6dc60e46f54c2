"""Networks that several ranks have to simulate as one does: populations that ranks cut through, every kind of delay."""

from __future__ import annotations

from typing import Any

import numpy as np

import eprop as ep

N_IN, STEPS = 7, 40


def network(rule: Any, readout_rule: Any = None, *, models: Any = None, feedback: Any = None, delays: Any = None,
            loss: Any = None, weights: Any = None, seed: int = 3,
            sign: Any = None, rewiring: Any = None) -> ep.Network:  # fmt: skip
    """Inputs of both kinds, two populations of neurons, two of readouts; connections by every rule.

    With ``sign``, all synapses that learn keep their signs, and half of all neurons are excitatory.
    """
    net = ep.Network(dt=1.0, seed=seed)
    first, second = models or (ep.LIF(tau_m=12.0, v_th=0.6), ep.ALIF(tau_m=15.0, v_th=0.6, beta=0.3, tau_adapt=60.0))
    d = delays or ep.Uniform(2.0, 5.0)
    x, noise = net.add(ep.EventSource(), N_IN, "in"), net.add(ep.PoissonSource(rate=60.0), 3, "noise")
    half = None if sign is None else 0.5
    a, b = net.add(first, 7, "a", excitatory=half), net.add(second, 6, "b", excitatory=half)
    out = net.add(ep.Readout(tau_m=18.0, loss=loss or ep.SquaredError()), 3, "out")
    other = net.add(ep.Readout(tau_m=25.0), 1, "other")
    strong, weak = weights or ep.Normal(0.5, 0.3), weights or ep.Normal(0.1, 0.4)
    # With two receptors, the noise inhibits and all that learns excites.
    has_two = first.inhibitory_row is not None
    learns, static = ({"receptor": name if has_two else None} for name in ("excitatory", "inhibitory"))
    kept = None if sign is None else "fixed"  # inputs have no signs
    net.connect(x, a, ep.AllToAll(), weight=strong, rule=rule, delay=2.0, sign=kept, **learns)
    net.connect(x, b, ep.Bernoulli(0.6), weight=strong, rule=rule, delay=3.0, sign=kept, rewiring=rewiring, **learns)
    net.connect(noise, a, ep.FixedOutdegree(4), weight=strong, delay=2.0, **static)
    net.connect(a, b, ep.FixedIndegree(3), weight=weak, rule=rule, delay=d, sign=sign, rewiring=rewiring, **learns)
    net.connect(b, a, ep.FixedOutdegree(3), weight=weak, rule=rule, delay=d, sign=sign, **learns)
    net.connect(a, a, ep.Bernoulli(0.5), weight=weak, rule=rule, delay=d, sign=sign, **learns)
    fixed = readout_rule or ep.Static()
    net.connect(a, out, ep.AllToAll(), weight=ep.Normal(0.0, 0.4), rule=fixed, delay=2.0, sign=sign)
    net.connect(b, out, ep.AllToAll(), weight=ep.Normal(0.0, 0.4), rule=fixed, delay=d, sign=sign)
    net.connect(b, other, ep.Bernoulli(0.7), weight=ep.Normal(0.0, 0.4), delay=4.0)
    kind = feedback or ep.RandomFeedback(ep.Normal(0.0, 1.0))
    net.feedback(out, a, kind)
    net.feedback(out, b, ep.RandomFeedback(ep.Normal(0.0, 1.0)), delay=ep.Uniform(1.0, 4.0))
    net.feedback(other, b, ep.RandomFeedback(ep.Normal(0.0, 1.0), connectivity=ep.FixedOutdegree(3)))
    return net


def inputs(steps: int = STEPS, n: int = 1, seed: int = 0) -> dict[str, np.ndarray]:
    """Random events; (steps, size) for one sample, else (n, steps, size)."""
    drawn = (np.random.default_rng(seed).random((n, steps, N_IN)) < 0.12).astype(float)
    return {"in": drawn[0] if n == 1 else drawn}


def targets(steps: int = STEPS, n: int = 1, seed: int = 1) -> dict[str, np.ndarray]:
    """Random targets; those of ``out`` are shares, for its readouts may be classes."""
    rng = np.random.default_rng(seed)
    drawn = {"out": rng.dirichlet(np.ones(3), (n, steps)), "other": rng.normal(0.0, 0.5, (n, steps, 1))}
    return {name: value[0] if n == 1 else value for name, value in drawn.items()}


def external(steps: int = STEPS, n: int = 1, seed: int = 2) -> dict[str, Any]:
    """Signals, a modulator and windows of any sign."""
    rng = np.random.default_rng(seed)
    signals = {name: rng.normal(0.0, 0.3, (n, steps, size)) for name, size in (("b", 6), ("a", 7))}
    window = {"out": rng.normal(0.0, 1.0, (n, steps))}
    out = {"signals": signals, "window": window, "modulator": rng.normal(0.5, 1.0, (n, steps))}
    if n > 1:
        return out
    return {"modulator": out["modulator"][0]} | {
        key: {name: value[0] for name, value in out[key].items()} for key in ("signals", "window")
    }


def reward(steps: int = STEPS, n: int = 1) -> dict[str, np.ndarray]:
    """Reward of each step."""
    drawn = np.random.default_rng(2).normal(size=(n, steps))
    return {"reward": drawn[0] if n == 1 else drawn}


PLUS = {"kappa": 0.9, "c_reg": 0.01, "f_target": 20.0, "cutoff": 12.0}
DELTA = (ep.DeltaLIF(tau_m=12.0, v_th=0.6), ep.DeltaALIF(tau_m=15.0, v_th=0.6, beta=0.3, tau_adapt=60.0))
CURRENT = (
    ep.CurrentLIF(tau_m=12.0, tau_syn=3.0, c_m=2.0, v_th=0.6, t_ref=2.0),
    ep.CurrentALIF(tau_m=ep.Uniform(9.0, 15.0), tau_syn=4.0, c_m=3.0, v_th=0.6, beta=0.3, tau_adapt=60.0, v_reset=None),
)
RECEPTORS = tuple(model.replace(tau_syn_in=6.0) for model in CURRENT)
PER_NEURON = (ep.LIF(tau_m=ep.Uniform(9.0, 15.0), v_th=0.6), ep.ALIF(tau_m=15.0, v_th=0.6, beta=ep.Uniform(0.2, 0.4)))


REWARD_TRACE = ep.RewardTrace(tau=20.0, cutoff=25.0)


def plus(optimizer: Any = None, **others: Any) -> ep.EPropPlus:
    """A rule that learns at every spike."""
    return ep.EPropPlus(
        optimizer=optimizer or ep.GradientDescent(eta=0.001, w_min=-2.0, w_max=2.0), **{**PLUS, **others}
    )


def sample(optimizer: Any = None) -> ep.EProp:
    """A rule that learns from samples."""
    return ep.EProp(optimizer=optimizer or ep.Adam(eta=0.01), kappa=0.95, c_reg=0.05, f_target=20.0)


LIKE = (ep.LIF(tau_m=12.0, v_th=0.6), ep.LIF(tau_m=15.0, v_th=0.6, t_ref=2.0))

#: Networks that run on and learn, or not, as they run.
STREAMS: dict[str, Any] = {
    "plus": lambda: network(plus(), plus()),
    "plus_symmetric": lambda: network(plus(), plus(), feedback=ep.Symmetric()),
    "plus_adaptive_adam": lambda: network(
        plus(ep.Adam(eta=0.003)), plus(ep.Adam(eta=0.003)), feedback=ep.Adaptive(ep.Normal(0.0, 1.0)), delays=2.0
    ),
    "plus_two_kappas_delta": lambda: network(plus(kappa_reg=0.9), plus(), models=DELTA),
    "plus_per_neuron": lambda: network(plus(), plus(), models=PER_NEURON),
    "plus_current": lambda: network(plus(), plus(), models=CURRENT),
    "plus_receptors": lambda: network(plus(), plus(), models=RECEPTORS),
    "stdp_current": lambda: network(ep.STDP(rate=0.02, w_max=2.0), weights=ep.Uniform(0.2, 1.0), models=CURRENT),
    "stdp": lambda: network(ep.STDP(rate=0.02, w_max=2.0), weights=ep.Uniform(0.2, 1.0)),
    "static": lambda: network(ep.Static(), delays=3.0),
    "plus_reward": lambda: network(
        plus(reward=REWARD_TRACE), plus(ep.Adam(eta=0.003), reward=REWARD_TRACE), models=PER_NEURON
    ),
    "plus_lif": lambda: network(plus(), plus(), models=LIKE),
    "plus_external": lambda: network(plus(), plus(), feedback=ep.Symmetric()),
    "plus_signs": lambda: network(plus(ep.GradientDescent(eta=0.05)), plus(), feedback=ep.Symmetric(), sign="source"),
    "plus_rewiring": lambda: network(plus(), plus(), rewiring=ep.Rewiring(every=7, fraction=0.5)),
    "plus_few_bits": lambda: network(plus(), plus(), feedback=ep.Symmetric()).with_precision(ep.FixedPoint(5)),
    "stdp_few_bits": lambda: network(ep.STDP(rate=0.02, w_max=2.0), weights=ep.Uniform(0.2, 1.0)).with_precision(
        ep.FixedPoint(6)
    ),
}
#: Networks that learn from samples.
SAMPLES: dict[str, Any] = {
    "eprop": lambda: network(sample(), sample()),
    "eprop_symmetric": lambda: network(sample(), sample(), feedback=ep.Symmetric(), loss=ep.CrossEntropy()),
    "eprop_delta": lambda: network(sample(ep.GradientDescent(eta=0.1)), sample(), models=DELTA, delays=2.0),
    "eprop_lif": lambda: network(sample(), sample(), models=LIKE),
    "eprop_per_neuron": lambda: network(sample(ep.Momentum(eta=0.05)), sample(), models=PER_NEURON),
    "eprop_current": lambda: network(sample(), sample(), models=CURRENT),
    "eprop_external": lambda: network(sample(), sample(), loss=ep.CrossEntropy()),
    "eprop_rewiring": lambda: network(sample(), sample(), rewiring=ep.Rewiring(every=1)),
    "eprop_signs": lambda: network(sample(ep.Adam(eta=0.1)), sample(), sign="fixed"),
    "eprop_few_bits": lambda: network(sample(), sample(), sign="source").with_precision(ep.FixedPoint(5)),
}
#: External signals of the cases that have some.
EXTERNAL = {"plus_external": external, "eprop_external": external, "plus_reward": reward}
