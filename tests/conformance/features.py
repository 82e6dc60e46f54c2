"""The features of a network, and a small network with any choice of them. A new feature is one line here.

A *setting* chooses one value of each factor; the first value of a factor is the plain one. `UNSUPPORTED` says which pairs of
values a network cannot have, and which words the refusal has.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import eprop as ep
from eprop.models import inline
from eprop.reference import Stimulus
from own_neurons import AdaptingCurrent, Resonator, SynapticLIF, UnlearnedLIF

STEPS, N_IN, SIZES = 60, 6, (9, 5)
Setting = dict[str, str]
LIF = ep.LIF(tau_m=12.0, v_th=0.5)
CURRENT = {"tau_m": 12.0, "c_m": 3.0, "v_th": 0.5}

RULES: dict[str, Callable[..., ep.Rule]] = {
    "static": ep.Static,
    "STDP": lambda **given: ep.STDP(**{"rate": 0.02, "w_max": 2.0} | given),
    "e-prop": lambda **given: ep.EProp(**{"c_reg": 0.1} | given),
    "e-prop+": lambda **given: ep.EPropPlus(**{"cutoff": 15.0, "rate_reg": 1e-4} | given),
}


@inline
def bell(u: float, height: float, width: float) -> float:
    """A smooth surrogate gradient."""
    return height / (1.0 + (u / width) ** 4)


@dataclass(frozen=True)
class Bell(ep.models.Surrogate):
    """A surrogate gradient in Python."""

    gradient = staticmethod(bell)


NEURONS: dict[str, ep.Neuron] = {
    "LIF": LIF,
    "LIF with a refractory time": LIF.replace(t_ref=2.0),
    "LIF, each its own": LIF.replace(
        tau_m=ep.Uniform(8.0, 25.0), v_th=ep.Normal(0.5, 0.03), t_ref=ep.Uniform(0.0, 3.0)
    ),
    "LIF, own surrogate": LIF.replace(surrogate=Bell(height=0.4, width=0.7)),
    "ALIF": ep.ALIF(tau_m=12.0, v_th=0.5, beta=0.2, tau_adapt=60.0),
    "ALIF, each its own": ep.ALIF(
        tau_m=ep.Uniform(8.0, 25.0), v_th=0.5, beta=ep.Uniform(0.0, 0.5), tau_adapt=ep.Uniform(20.0, 90.0)
    ),
    # A spike of the neuron may take all that its synapses remember of earlier ones.
    "ALIF, forgetful": ep.ALIF(
        tau_m=12.0, v_th=0.5, beta=1.0, tau_adapt=10.0, surrogate=ep.PiecewiseLinear(height=1.2)
    ),
    "DeltaLIF": ep.DeltaLIF(tau_m=12.0, v_th=0.5, v_reset=-0.1),
    "DeltaALIF": ep.DeltaALIF(tau_m=12.0, v_th=0.5, beta=0.2, tau_adapt=60.0),
    "CurrentLIF": ep.CurrentLIF(**CURRENT, tau_syn=4.0),
    "CurrentALIF": ep.CurrentALIF(**CURRENT, tau_syn=4.0, beta=0.2, tau_adapt=60.0),
    "two receptors": ep.CurrentLIF(**CURRENT, tau_syn=4.0, tau_syn_in=6.0),
    "own neuron": SynapticLIF(tau_m=15.0, tau_s=4.0, v_th=0.8, height=0.4, width=0.7),
    "own neuron that adapts": AdaptingCurrent(),
    "own neuron that rings": Resonator(),
    "own neuron without an eligibility": UnlearnedLIF(tau_m=15.0, tau_s=4.0, v_th=0.8, height=0.4, width=0.7),
}
UNLEARNED = "own neuron without an eligibility"
LEARNING = {name: neuron for name, neuron in NEURONS.items() if name != UNLEARNED}


@dataclass(frozen=True)
class OwnMomentum(ep.rules.Optimizer):
    """Momentum, in Python."""

    moments = (True, False)

    def step(self, weights: np.ndarray, gradients: np.ndarray, moments: Any, n: int) -> np.ndarray:
        moments[0][:] = 0.8 * moments[0] + gradients
        return weights - self.eta * moments[0]


#: By name: a kind of optimiser and whether its steps go on without spikes.
OPTIMIZERS: dict[str, tuple[ep.rules.Optimizer, bool]] = {
    "gradient descent": (ep.GradientDescent(1e-3, w_min=-3.0, w_max=3.0), False),
    "weight decay": (ep.GradientDescent(1e-3, decay=1e-2), False),
    "Momentum": (ep.Momentum(5e-4, beta=0.8, nesterov=True), False),
    "Adam": (ep.Adam(3e-3, epsilon=1e-2), False),
    "RMSprop": (ep.RMSprop(1e-3, epsilon=1e-2), False),
    "own optimiser": (OwnMomentum(5e-4), False),
    "gradient descent at each step": (ep.GradientDescent(2e-2, w_min=-1.4, w_max=1.4), True),
    "Momentum at each step": (ep.Momentum(5e-4, beta=0.8), True),
    "Adam at each step": (ep.Adam(1e-3, epsilon=1e-2), True),
}


@dataclass(frozen=True)
class OwnLoss(ep.models.Loss):
    """The squared error, in Python."""

    def compare(self, y: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return y - target, 0.5 * ((y - target) ** 2).sum(axis=-1)


FACTORS: dict[str, dict[str, Any]] = {
    "rule": RULES,
    "neuron": NEURONS,
    "optimiser": OPTIMIZERS,
    "regularisation": {
        "of the rate": {},
        "with a filter of its own": {"kappa_reg": 0.6, "c_reg": 0.02},
        "of the norm of gradients": {"clip_norm": 0.02},
    },
    # Blocks of two steps, of which eight make a span.
    "cutoff": {"within some blocks": {}, "beyond spans": {"cutoff": 45.0, "kappa": 0.1}},
    "delay": {"one step": 1.0, "several steps": 3.0, "drawn": ep.Uniform(1.0, 5.0)},
    "feedback": {"random": ep.RandomFeedback(), "symmetric": ep.Symmetric(), "adaptive": ep.Adaptive()},
    "readout": {
        "alike": {"tau_m": 18.0},
        "each its own": {"tau_m": ep.Uniform(8.0, 30.0), "i_e": ep.Normal(0.0, 0.005), "v_init": ep.Uniform(-0.3, 0.3)},
        "no readouts": None,
    },
    "loss": {"squared error": ep.SquaredError(), "cross-entropy": ep.CrossEntropy(), "own loss": OwnLoss()},
    "bits": {"all": None, "few": ep.FixedPoint(7), "sixteen bits": ep.FixedPoint(16)},
    "sign": {"any": None, "fixed": "fixed", "of the source": "source"},
    "rewiring": {"none": None, "by gradient": 0.4, "at random": 0.4},
    "drive": {
        "none": None,
        "Poisson": ep.PoissonDrive(rate=200.0, weight=0.1),
        "noise": ep.GaussianNoise(sd=0.02),
        "current": ep.Current(0.01),
        "Poisson sources": ep.PoissonSource(rate=60.0),
        "currents of each step": None,
        "that change with time": (
            ep.PoissonDrive(rate=200.0, weight=0.1, modulation=ep.network.Steps([0.0, 9.0, 30.0], [1.0, 0.2, 1.5])),
            ep.Current(0.03, modulation=ep.network.Pulse(20.0, 35.0)),
        ),
    },
    "dropout": {"none": 0.0, "of events": 0.2, "of spikes": 0.2},
    "signal": {
        "errors": None,
        "given": None,
        "in a window of any sign": None,
        "reward": ep.RewardTrace(tau=20.0, cutoff=25.0),
        "reward and a modulator": ep.RewardTrace(tau=20.0, cutoff=25.0),
    },
    "constants": {"given": None, "learned": ep.Learned(0.5, low=0.2, high=2.0, eta=0.02)},
    "precision": {"double": None, "single": None},
}
PLAIN: Setting = {factor: next(iter(values)) for factor, values in FACTORS.items()}


def has_readouts(setting: Setting) -> bool:
    return setting["readout"] != "no readouts"


def rule_of(setting: Setting) -> ep.Rule:
    """The rule of all synapses that learn."""
    optimizer, each_step = OPTIMIZERS[setting["optimiser"]]
    given: dict[str, Any] = FACTORS["regularisation"][setting["regularisation"]] | FACTORS["cutoff"][setting["cutoff"]]
    if setting["rule"].startswith("e-prop") or setting["optimiser"] != PLAIN["optimiser"]:
        given["optimizer"] = optimizer
    if each_step:
        given["each_step"] = True
    if (reward := FACTORS["signal"][setting["signal"]]) is not None:
        given["reward"] = reward.replace(cutoff=max(reward.cutoff, given.get("cutoff", 0.0)))
    if setting["rule"] == "e-prop" and setting["readout"] != PLAIN["readout"]:
        given["kappa"] = 0.9  # there is no time constant of the readouts to take it from
    return RULES[setting["rule"]](**given)


def neuron_of(setting: Setting) -> ep.Neuron:
    """The neurons, with constants that learn if they should."""
    neuron = NEURONS[setting["neuron"]]
    return neuron.replace(v_th=FACTORS["constants"]["learned"]) if setting["constants"] == "learned" else neuron


def network_of(setting: Setting, seed: int = 3) -> ep.Network:
    """Inputs, two populations that ranks cut through, readouts; everything learns that can."""
    chosen = {factor: FACTORS[factor][value] for factor, value in setting.items()}
    rule, neuron, sign = rule_of(setting), neuron_of(setting), chosen["sign"]
    net = ep.Network(seed=seed)
    signs = {} if sign is None else {"excitatory": 0.5}
    of_events, of_spikes = (chosen["dropout"] * (setting["dropout"] == what) for what in ("of events", "of spikes"))
    net.add(ep.EventSource(dropout=of_events), N_IN, "in")
    for name, size in zip("ab", SIZES, strict=True):
        net.add(neuron, size, name, dropout=of_spikes, **signs)
    if has_readouts(setting):
        net.add(ep.Readout(**chosen["readout"], loss=chosen["loss"]), 3, "out")
    rewiring = None if setting["rewiring"] == "none" else _rewiring(setting)
    stdp, has_two = isinstance(rule, ep.STDP), setting["neuron"] == "two receptors"
    positive = {"weight": ep.Uniform(0.2, 1.0)}
    both = {"rule": rule, "delay": chosen["delay"], "receptor": "excitatory" if has_two else None}
    some, repeated = ep.Bernoulli(0.5), ep.FixedIndegree(4, multapses=True)
    for pre, post, pairs, weight in (
        ("in", "a", ep.Bernoulli(0.8), ep.Normal(0.4, 0.4)), ("in", "b", repeated, ep.Normal(0.4, 0.4)),
        ("a", "a", some, ep.Normal(0.0, 0.3)), ("a", "b", some, ep.Normal(0.1, 0.3)), ("b", "a", some, ep.Normal(0.0, 0.3)),
    ):  # fmt: skip
        kept = "fixed" if pre == "in" and sign else sign  # inputs have no signs
        options = {"weight": weight, "sign": kept, "rewiring": rewiring} | both | (positive if stdp else {})
        net.connect(pre, post, pairs, **options)
    for pre in "ab":
        of_readout = {"weight": ep.Normal(0.0, 0.5), "sign": sign, "delay": chosen["delay"]}
        if has_readouts(setting):
            net.connect(pre, "out", **of_readout, rule=None if stdp else rule)
        if has_readouts(setting) or setting["feedback"] != PLAIN["feedback"]:
            net.feedback("out", pre, chosen["feedback"], delay=chosen["delay"])
        if isinstance(chosen["drive"], ep.PoissonSource):
            receptor = "inhibitory" if has_two else None
            noise, learns = net.add(chosen["drive"], 3, f"noise of {pre}"), None if has_two else rule
            net.connect(noise, pre, weight=ep.Uniform(0.1, 0.4), rule=learns, receptor=receptor)
        else:
            for drive in chosen["drive"] if isinstance(chosen["drive"], tuple) else (chosen["drive"],):
                if drive is not None:
                    net.stimulate(pre, drive)
    return net if chosen["bits"] is None else net.with_precision(chosen["bits"])


def _rewiring(setting: Setting) -> ep.Rewiring:
    grow = "gradient" if setting["rewiring"] == "by gradient" else "random"
    return ep.Rewiring(every=1 if setting["rule"] == "e-prop" else 15, fraction=0.4, grow=grow)


def stimuli_of(setting: Setting, n: int = 1, seed: int = 0) -> list[Stimulus]:
    """Input events and currents, and targets, signals of one's own or reward."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(n):
        given: dict[str, Any] = {"spikes": {"in": rng.random((STEPS, N_IN)) < 0.15}, "window": np.ones(STEPS)}
        targets = {"out": rng.dirichlet(np.ones(3), STEPS)}
        given["targets"] = targets if has_readouts(setting) or setting["loss"] != PLAIN["loss"] else {}
        if setting["signal"] == "in a window of any sign":
            given["window"] = rng.normal(0.0, 1.0, STEPS)
        if setting["signal"] == "given":
            given["signals"] = {
                name: rng.normal(0.0, 0.3, (STEPS, size)) for name, size in zip("ab", SIZES, strict=True)
            }
            given["modulator"] = rng.normal(0.5, 1.0, STEPS)
        if setting["drive"] == "currents of each step":
            given["spikes"]["a"] = rng.normal(0.01, 0.05, (STEPS, SIZES[0]))
        if setting["signal"] == "reward and a modulator":
            given["modulator"] = rng.normal(0.5, 1.0, STEPS)
        if FACTORS["signal"][setting["signal"]] is not None:
            given["reward"] = rng.normal(0.3, 1.0, STEPS) * (rng.random(STEPS) < 0.3)
        found.append(Stimulus(STEPS, **given))
    return found


def _all_but_plain(factor: str) -> tuple[str, ...]:
    return tuple(FACTORS[factor])[1:]


EACH_STEP = tuple(name for name, (_, each_step) in OPTIMIZERS.items() if each_step)
OWN = tuple(name for name in NEURONS if name.startswith("own"))
REWARDS = tuple(name for name, reward in FACTORS["signal"].items() if reward is not None)
#: Values that a network cannot have together, and words of the refusal.
UNSUPPORTED: tuple[tuple[dict[str, tuple[str, ...]], str], ...] = (
    ({"rule": ("e-prop+",), "optimiser": ("own optimiser",)}, "EPropPlus changes weights at every spike"),
    ({"rule": ("static", "STDP"), "optimiser": _all_but_plain("optimiser")}, "has no parameter"),
    ({"rule": ("static", "STDP", "e-prop"), "regularisation": ("with a filter of its own",)}, "has no parameter"),
    ({"rule": ("static", "STDP", "e-prop+"), "regularisation": ("of the norm of gradients",)}, "has no parameter"),
    ({"rule": ("static", "STDP", "e-prop+"), "loss": ("own loss",)}, "which only EProp allows"),
    ({"rule": ("static", "STDP", "e-prop"), "signal": REWARDS}, "has no parameter reward"),
    ({"rule": ("static", "STDP", "e-prop"), "cutoff": ("beyond spans",)}, "has no parameter"),
    (
        {"rule": ("e-prop", "e-prop+"), "neuron": (UNLEARNED,)},
        r"define \w+.eligibility\(dt\)",
    ),
    ({"rule": ("e-prop",), "optimiser": EACH_STEP}, "has no parameter each_step"),
    ({"rule": ("static",), "rewiring": _all_but_plain("rewiring")}, "Rewiring needs synapses that learn"),
    ({"rule": ("STDP",), "rewiring": ("by gradient",)}, 'grow="random"'),
    ({"rule": ("STDP",), "sign": ("of the source",)}, "whose weights are negative"),
    ({"rule": ("static", "STDP", "e-prop+"), "constants": ("learned",)}, "only EProp can"),
    (
        {"neuron": tuple(name for name in OWN if name in LEARNING), "constants": ("learned",)},
        "cannot be learned|has no parameter v_th",
    ),
    (
        {"neuron": OWN, "drive": ("noise", "current", "currents of each step", "that change with time")},
        "takes no current",
    ),
    ({"readout": ("no readouts",), "feedback": _all_but_plain("feedback")}, "no population.* 'out'"),
    ({"readout": ("no readouts",), "loss": _all_but_plain("loss")}, "'out'"),
    ({"optimiser": EACH_STEP, "bits": _all_but_plain("bits")}, "few bits"),
    ({"optimiser": EACH_STEP, "rewiring": _all_but_plain("rewiring")}, "each_step"),
)


def unsupported(setting: Setting) -> str | None:
    """Words of the refusal of a setting, or None."""
    for values, words in UNSUPPORTED:
        if all(setting.get(factor) in some for factor, some in values.items()):
            return words
    return None


def alone() -> Iterator[Setting]:
    """Each feature with each rule, and nothing else."""
    for rule, (factor, values) in itertools.product(RULES, FACTORS.items()):
        if factor != "rule":
            yield from (
                PLAIN | {"rule": rule, factor: value}
                for value in values
                if factor == "neuron" or value != PLAIN[factor]
            )


def in_pairs() -> Iterator[Setting]:
    """Few settings that have every pair of values which a network can have: each takes what has the most new pairs."""
    values = [(factor, value) for factor, some in FACTORS.items() for value in some]
    left = dict.fromkeys(pair for pair in itertools.combinations(values, 2) if pair[0][0] != pair[1][0])
    while left:
        first = next(iter(left))
        del left[first]
        chosen = dict(first)
        for factor, some in FACTORS.items():
            if factor not in chosen:
                fits = [value for value in some if unsupported(chosen | {factor: value}) is None]
                new = [sum(pair in left for pair in _pairs_of(chosen | {factor: value})) for value in fits]
                chosen[factor] = fits[int(np.argmax(new))] if fits else ""
        if unsupported(chosen) is None and all(chosen.values()):
            yield {factor: chosen[factor] for factor in FACTORS}
            for pair in _pairs_of(chosen):
                left.pop(pair, None)


def _pairs_of(setting: Setting) -> Iterator[Any]:
    return itertools.combinations(((factor, setting[factor]) for factor in FACTORS if factor in setting), 2)


def support_table() -> str:
    """Which features go with which rule, and which do not go together, in Markdown."""
    lines = [f"| feature | {' | '.join(RULES)} |", f"|---|{'---|' * len(RULES)}"]
    for factor, values in list(FACTORS.items())[1:]:
        rows: dict[str, list[str]] = {}
        for value in values:
            if factor == "neuron" or value != PLAIN[factor]:
                can = ("yes" if unsupported({"rule": rule, factor: value}) is None else "-" for rule in RULES)
                rows.setdefault(" | ".join(can), []).append(value)
        lines += [f"| {factor}: {'; '.join(some)} | {can} |" for can, some in rows.items()]
    lines += ["", "Not together, with any rule:", ""]
    for values, _ in UNSUPPORTED:
        if "rule" not in values:
            lines.append("- " + "; ".join(f"{factor}: {' or '.join(some)}" for factor, some in values.items()))
    return "\n".join(lines) + "\n"
