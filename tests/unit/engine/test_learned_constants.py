"""Constants that learn: against backpropagation through time, against the reference, in every division, and saved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import eprop as ep
from compare import assert_close, assert_same
from eprop.checks import stimuli_of, time_driven
from eprop.errors import InputError, NetworkError, ParameterError
from families import in_turn
from networks import small_network
from refusals import Refusal, refusals

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]

SIZES = (6, 7, 2)
TAU_M = ep.Learned(ep.Uniform(8.0, 20.0), low=2.0, high=100.0, eta=0.05)
V_TH = ep.Learned(ep.Uniform(0.5, 0.8), low=0.2, high=2.0, eta=0.02)
I_E = ep.Learned(ep.Uniform(-0.01, 0.03), low=-0.1, high=0.1, eta=0.01)
TAU_ADAPT = ep.Learned([30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0], low=10.0, high=500.0, eta=0.05)
BETA = ep.Learned(ep.Uniform(0.1, 0.4), low=0.0, high=1.0, eta=0.02)
TAU_SYN = ep.Learned(ep.Uniform(2.0, 8.0), low=1.0, high=30.0, eta=0.05)
MEMBRANE = {"tau_m": TAU_M, "v_th": V_TH, "i_e": I_E}
ADAPTING = {"tau_adapt": TAU_ADAPT, "beta": BETA}
NEURONS: dict[str, Callable[[], Any]] = {
    "LIF": lambda: ep.LIF(**MEMBRANE, e_l=0.1),
    "LIF, shared": lambda: ep.LIF(tau_m=ep.Learned(12.0, low=2.0, high=100.0, eta=0.05, shared=True), v_th=0.6),
    "LIF, late, refractory": lambda: ep.LIF(**MEMBRANE, delayed_reset=True, t_ref=2.0),
    "LIF, scaled": lambda: ep.LIF(tau_m=8.0, v_th=ep.Learned(0.15, low=0.1, high=1.0), i_e=I_E, scale_input=True),
    "ALIF": lambda: ep.ALIF(**MEMBRANE, **ADAPTING),
    "ALIF, descent": lambda: ep.ALIF(v_th=0.6, tau_adapt=ep.Learned(60.0, low=10.0, high=500.0, eta=0.5, descent=True)),
    "DeltaLIF": lambda: ep.DeltaLIF(**MEMBRANE, t_ref=2.0),
    "DeltaALIF": lambda: ep.DeltaALIF(**MEMBRANE, **ADAPTING, t_ref=2.0),
    "CurrentLIF": lambda: ep.CurrentLIF(**MEMBRANE, tau_syn=TAU_SYN),
    "CurrentLIF, equal, subtracting": lambda: ep.CurrentLIF(
        tau_m=ep.Learned(9.0, low=2.0, high=100.0, eta=0.05), tau_syn=ep.Learned(9.0, low=1.0, high=30.0), v_th=V_TH, v_reset=None
    ),
    "CurrentALIF, two receptors": lambda: ep.CurrentALIF(**MEMBRANE, **ADAPTING, tau_syn=4.0, tau_syn_in=7.0),
}  # fmt: skip
READOUT = ep.Readout(
    tau_m=ep.Learned(12.0, low=5.0, high=100.0, eta=0.02, shared=True),
    i_e=ep.Learned(0.01, low=-1.0, high=1.0),
    e_l=0.1,
)


def network(neuron: Any, readout: ep.Readout = READOUT, recurrent: bool = True, **rule: Any) -> ep.Network:
    """Few neurons that often spike."""
    learns = ep.EProp(**{"optimizer": ep.Adam(eta=0.02), "c_reg": 0.3, "f_target": 50.0} | rule)
    scale = 3.0 if isinstance(neuron, ep.CurrentLIF) else 1.0
    connections = {
        "in->rec": {"weight": ep.Normal(0.4 * scale, 0.3), "delay": 2.0},
        "rec->rec": {"weight": ep.Normal(0.0, 0.3 * scale * recurrent), "rule": learns if recurrent else ep.Static()},
        "rec->out": {"weight": ep.Normal(0.0, 0.5), "delay": 2.0},
    }
    if getattr(neuron, "tau_syn_in", None):
        connections["in->rec"]["weight"] = ep.Uniform(0.5, 2.0)
        connections["rec->rec"] |= {"weight": ep.Uniform(0.0, 0.3), "receptor": "excitatory"}
        connections["in->rec"]["receptor"] = "excitatory"
    return small_network(
        SIZES, connections, neuron=neuron, readout=readout, rule=learns, feedback=ep.Symmetric(), seed=4
    )


def samples_of(sim: ep.Simulator, n: int = 4, steps: int = 40, seed: int = 1, **more: Any) -> ep.engine.Samples:
    rng = np.random.default_rng(seed)
    events, targets = rng.random((n, steps, SIZES[0])) < 0.2, rng.normal(size=(n, steps, SIZES[2]))
    return sim.samples(n, steps, {"in": events}, {"out": targets}, **more)


def learned_of(sim: ep.Simulator) -> dict[str, np.ndarray]:
    names = {"rec": ("tau_m", "v_th", "i_e", "tau_adapt", "beta", "tau_syn"), "out": ("tau_m", "i_e")}
    return {f"{p}.{name}": values for p in names for name, values in sim.parameters(p).items() if name in names[p]}


def keys_of(net: ep.Network) -> list[str]:
    found = [(p.name, name, getattr(p.model, name)) for p in net.populations for name in vars(p.model)]
    return [f"{p}.{name}" for p, name, value in found if isinstance(value, ep.Learned)]


@in_turn("neuron average", NEURONS, ["sum", "mean"])
def test_mini_batches_equal_the_reference(neuron: str, average: str) -> None:
    net = network(NEURONS[neuron](), average_gradient=average == "mean")
    sim = ep.Simulator(net, threads=1)
    reference, before = time_driven(sim), learned_of(sim)
    for seed in range(3):
        samples = samples_of(sim, seed=seed)
        found = sim.lanes(samples).backward()
        stimuli = stimuli_of(net, samples)
        wanted = [reference.gradients(stimulus)[1] for stimulus in stimuli]
        for key in keys_of(net):
            mean = np.mean([part[key] for part in wanted], axis=0)
            assert mean.any(), key
            assert_close(found[key], mean, 1e-10)
        result = sim.train(samples)
        assert result.spikes.min() > 5
        reference.train(stimuli)
        for c in reference.constants:
            assert_close(sim.parameters(c.population.name)[c.name], np.array(c.now()), 1e-9)
        for p in net.projections:
            assert_close(sim.connections(p.name)[2], reference.weights_of(p.name), 1e-9)
    for key, values in learned_of(sim).items():
        assert (values != before[key]).all() == (key in keys_of(net)), key


# ------------------------------------------------------------------------------------------------------------ backpropagation
def tangents(sim: ep.Simulator, samples: ep.engine.Samples, name: str) -> np.ndarray:
    """dE/dp of a constant of each neuron without recurrence, by forward differentiation of every step of the network.

    The derivative of a spike is the surrogate gradient; spikes in a reset count as given. Sum over the samples.
    """
    c, out = sim.parameters("rec"), sim.parameters("out")
    w_in, w_out = sim.weights("in->rec").toarray(), sim.weights("rec->out").toarray()
    n, total = SIZES[1], np.zeros(SIZES[1])
    slope = {key: np.full(n, float(key == name)) for key in ("tau_m", "v_th", "i_e", "tau_adapt", "beta")}
    outputs = sim.evaluate(samples).y
    for y, stimulus in zip(outputs, stimuli_of(sim.network, samples), strict=True):
        x, target = np.asarray(stimulus.spikes["in"], float), np.asarray(stimulus.targets["out"])
        v, a, z, dv, da, dz = np.zeros((6, n))
        past, dy = [np.zeros(n)] * 2, np.zeros((n, SIZES[2]))
        alpha, rho = np.exp(-1.0 / c["tau_m"]), np.exp(-1.0 / c["tau_adapt"])
        d_alpha, d_rho = alpha / c["tau_m"] ** 2 * slope["tau_m"], rho / c["tau_adapt"] ** 2 * slope["tau_adapt"]
        for t in range(len(x)):
            current = c["tau_m"] * (1.0 - alpha)
            d_current = slope["tau_m"] * (1.0 - alpha) - c["tau_m"] * d_alpha
            dv = d_alpha * v + alpha * dv + d_current * c["i_e"] + current * slope["i_e"]
            v = alpha * v + (w_in @ x[t - 2] if t >= 2 else 0.0) + current * c["i_e"]
            da, a = d_rho * a + rho * da + dz, rho * a + z
            u = v - c["v_th"] - c["beta"] * a
            du = dv - slope["v_th"] - slope["beta"] * a - c["beta"] * da
            z, dz = (u >= 0.0).astype(float), 0.3 * np.maximum(0.0, 1.0 - np.abs(u)) * du
            v, dv = v - c["v_th"] * z, dv - slope["v_th"] * z
            past.append(dz)
            dy = np.exp(-1.0 / out["tau_m"]) * dy + past[t][:, None] * w_out.T
            total += dy @ (y[t] - target[t])
    return total


@pytest.mark.parametrize("name", ["tau_m", "v_th", "i_e", "tau_adapt", "beta"])
def test_gradients_without_recurrence_are_those_of_backpropagation(name: str) -> None:
    net = network(ep.ALIF(**MEMBRANE, **ADAPTING), ep.Readout(tau_m=12.0), recurrent=False, c_reg=0.0)
    sim = ep.Simulator(net, threads=1)
    samples = samples_of(sim)
    kappa, value = np.exp(-1.0 / 12.0), sim.parameters("rec")[name]
    wanted = tangents(sim, samples, name) * (value if name.startswith("tau") else 1.0) / len(samples)
    found = sim.lanes(samples).backward()[f"rec.{name}"] / (1.0 - kappa)
    assert np.abs(wanted).max() > 1e-3
    assert_close(found, wanted, 1e-10)


# -------------------------------------------------------------------------------------------------- divisions, state, rollouts


def test_constants_can_be_set() -> None:
    sim, trained = (ep.Simulator(network(NEURONS["ALIF"]()), threads=1) for _ in range(2))
    trained.train(samples_of(trained))
    for name in ("in->rec", "rec->rec", "rec->out"):
        sim.set_weights(name, trained.connections(name)[2])
    for p, names in (("rec", ("tau_m", "v_th", "i_e", "tau_adapt", "beta")), ("out", ("i_e",))):
        sim.set_constants(p, {name: trained.parameters(p)[name] for name in names})
    sim.set_constants("out", {"tau_m": float(trained.parameters("out")["tau_m"][0])})
    assert_close(learned_of(sim), learned_of(trained), 1e-14)
    assert_close(sim.evaluate(samples_of(sim)).y, trained.evaluate(samples_of(trained)).y, 1e-10)


# -------------------------------------------------------------------------------------------------------------- bounds, refusals
def test_values_stay_within_their_bounds() -> None:
    tau = ep.Learned(60.0, low=59.0, high=61.0, eta=0.5)
    sim = ep.Simulator(network(ep.ALIF(v_th=0.6, tau_adapt=tau)), threads=1)
    for seed in range(4):
        sim.train(samples_of(sim, seed=seed))
    found = sim.parameters("rec")["tau_adapt"]
    assert found.min() >= 59.0
    assert found.max() <= 61.0
    assert np.minimum(found - 59.0, 61.0 - found).max() < 1e-12


def test_scaled_learning_rates_scale_those_of_constants() -> None:
    sim = ep.Simulator(network(NEURONS["ALIF"]()), threads=1)
    before = learned_of(sim)
    sim.scale_learning_rates(0.0)
    sim.train(samples_of(sim))
    assert_same(learned_of(sim), before)


def simulate(neuron: Any = None, readout: Any = None, **rule: Any) -> ep.Simulator:
    return ep.Simulator(network(neuron or ep.LIF(), readout or ep.Readout(), **rule), threads=1)


def with_noise() -> ep.Simulator:
    net = network(ep.LIF(tau_m=TAU_M))
    net.stimulate("rec", ep.GaussianNoise(sd=0.1))
    return ep.Simulator(net)


def by_eprop_plus() -> ep.Simulator:
    weights = {"in->rec": 0.5, "rec->out": 0.1}
    return ep.Simulator(
        small_network(SIZES, weights, neuron=ep.LIF(tau_m=TAU_M), rule=ep.EPropPlus(), feedback=ep.Symmetric())
    )


class Own(ep.LIF):
    """A neuron whose equations differ from those of its base."""

    def effects(self, dt: float) -> dict[str, Any]:
        return {}


@refusals(
    (lambda: ep.Learned(1.0, low=2.0, high=2.0), ParameterError, "Learned.low must be below high, got 2 and 2"),
    (lambda: ep.Learned(9.0, low=1.0, high=2.0), ParameterError, r"Learned.start must lie in 1..2 \(low..high\), got 9..9"),
    (lambda: ep.Learned([1.0, 9.0], low=1.0, high=2.0), ParameterError, "Learned.start must lie in 1..2"),
    (lambda: ep.Learned([1.0, 2.0], low=1.0, high=2.0, shared=True), ParameterError, "all nodes share one value"),
    (lambda: ep.Learned(1.0, low=0.0, high=2.0, eta=-1.0), ParameterError, "Learned.eta must be >= 0, got -1"),
    (lambda: ep.Learned("x", low=0.0, high=2.0), ParameterError, "Learned.start must be a number"),
    (lambda: ep.LIF(tau_m=ep.Learned(1.0, low=0.0, high=2.0)), ParameterError, "LIF.tau_m: Learned.low must be > 0 ms, got 0"),
    (lambda: ep.LIF(t_ref=ep.Learned(1.0, low=0.0, high=2.0)), ParameterError, "LIF.t_ref cannot be learned. Constants"),
    (lambda: ep.Normal(ep.Learned(1.0, low=0.0, high=2.0)), ParameterError, "Normal.mean cannot be learned"),
    (lambda: simulate(ep.LIF(v_th=ep.Learned(1.0, low=-1.0, high=2.0))), NetworkError, "LIF.v_th must be above e_l"),
    (lambda: simulate(ep.LIF(tau_m=ep.Learned(ep.Uniform(1.0, 9.0), low=5.0, high=20.0))), NetworkError,
     r"rec.tau_m must lie in 5..20 \(low..high\)"),
    (lambda: simulate(ep.LIF(scale_input=True, tau_m=TAU_M)), NetworkError, "rec.tau_m cannot be learned: LIF.scale_input"),
    (lambda: simulate(ep.DeltaALIF(pause_adaptation=True, beta=BETA)), NetworkError, "rec.beta cannot .*pause_adaptation"),
    (lambda: simulate(ep.CurrentLIF(tau_syn=TAU_SYN, tau_syn_in=3.0)), NetworkError, "rec.tau_syn cannot .*receptor"),
    (lambda: simulate(Own(tau_m=TAU_M)), NetworkError, "rec.tau_m cannot be learned"),
    (lambda: simulate(readout=ep.Readout(tau_m=ep.Learned(9.0, low=5.0, high=20.0))), NetworkError, "set EProp.kappa"),
    (with_noise, NetworkError, "GaussianNoise depends on rec.tau_m, which learns"),
    (by_eprop_plus, NetworkError, "rec.tau_m learns by the rule .* only EProp can"),
    (lambda: simulate(ep.LIF(tau_m=TAU_M)).lanes(1).learn({}), InputError, "rec.tau_m"),
    (lambda: simulate(ep.LIF(tau_m=TAU_M)).set_constants("rec", {"v_th": 1.0}), InputError, "rec.v_th does not learn"),
    (lambda: simulate(ep.LIF(tau_m=TAU_M)).set_constants("rec", {"tau_m": 1.0}), InputError, r"must lie in 2..100"),
    (lambda: simulate(ep.LIF(tau_m=TAU_M)).set_constants("rec", {"tau_m": [9.0]}), InputError, r"or shape \(7,\)"),
    (lambda: simulate(ep.LIF(tau_m=TAU_M)).set_constants("rec", 3), InputError, "takes a dictionary"),
)  # fmt: skip
def test_what_cannot_learn_is_refused(refusal: Refusal) -> None:
    refusal.check()


def test_readouts_learn_a_time_constant_each_with_a_kappa_of_the_rule() -> None:
    readout = ep.Readout(tau_m=ep.Learned([9.0, 14.0], low=5.0, high=20.0, eta=0.05))
    sim = simulate(ep.LIF(v_th=0.6), readout, kappa=0.9)
    reference = time_driven(sim)
    samples = samples_of(sim)
    sim.train(samples)
    reference.train(stimuli_of(sim.network, samples))
    assert_close(sim.parameters("out")["tau_m"], np.array(reference.constants[0].now()), 1e-10)
