"""What the property tests draw: small random networks of `networks.case`."""

from __future__ import annotations

from typing import Any

import hypothesis
from hypothesis import strategies as st

import eprop as ep
from conformance.features import OPTIMIZERS
from eprop import rules
from networks import NEURONS, SURROGATES, Case, case, neuron_of

SEEDS = st.integers(0, 2**32 - 1)


def examples(share: float) -> hypothesis.settings:
    """A share of the profile's examples (25 unless the profile says otherwise), three at least."""
    return hypothesis.settings(max_examples=max(3, round(share * hypothesis.settings.default.max_examples)))


@st.composite
def neurons(draw, e_l: float, original: bool, rule: Any):
    """A neuron whose threshold is 0.8 mV above rest."""
    kind = draw(st.sampled_from(list(NEURONS)))
    parameters = {
        "tau_m": draw(st.sampled_from([3.0, 12.0, 50.0])),
        "v_th": 0.8 + e_l,
        "t_ref": draw(st.sampled_from([0.0, 1.0, 3.0])),
        "e_l": e_l,
        "i_e": draw(st.sampled_from([0.0, 0.01])),
    }
    if kind in ("ALIF", "DeltaALIF", "CurrentALIF"):
        parameters["beta"] = draw(st.sampled_from([0.05, 0.4]))
        parameters["tau_adapt"] = draw(st.sampled_from([8.0, 200.0]))
        parameters["adaptation"] = draw(st.sampled_from([0.0, 0.5]))
    if kind in ("DeltaLIF", "DeltaALIF"):
        parameters["v_reset"] = e_l + draw(st.sampled_from([-0.2, 0.3]))
        parameters["ref_input"] = draw(st.booleans())
    if kind in ("CurrentLIF", "CurrentALIF"):
        parameters["c_m"] = 3.0
        parameters["tau_syn"] = draw(st.sampled_from([1.0, 12.0]))
        parameters["v_reset"] = draw(st.sampled_from([None, e_l - 0.2]))
    # NEST and the original rule know one surrogate, the engine takes any with any.
    return neuron_of(draw(st.sampled_from(list(SURROGATES))), original, kind, **parameters)


@st.composite
def networks(draw, rule, symmetric=st.booleans(), original=st.just(False), dt=st.sampled_from([1.0, 0.5])) -> Case:
    """A network that learns by ``rule`` and its stimulus."""
    original = draw(original)
    # A row of few synapses onto many neurons goes another way through the kernels than a row of many.
    sparse = draw(st.integers(0, 3)) == 0
    sizes = (
        draw(st.integers(1, 7)),
        draw(st.integers(25, 50) if sparse else st.integers(1, 9)),
        draw(st.integers(1, 3)),
    )
    density = draw(st.sampled_from([0.03, 0.08] if sparse else [0.3, 0.7, 1.0]))
    e_l = draw(st.sampled_from([0.0, -0.7]))
    return case(
        draw(SEEDS),
        rule,
        steps=draw(st.integers(30, 150)),
        sizes=sizes,
        neuron=draw(neurons(e_l, original, rule)),
        symmetric=draw(symmetric),
        softmax=sizes[2] > 1 and draw(st.booleans()),
        original=original,
        dt=draw(dt),
        tau_out=draw(st.sampled_from([2.0, 18.0, 80.0])),
        rate=draw(st.sampled_from([0.05, 0.15, 0.4])),
        e_l=e_l,
        density=density,
        autapses=draw(st.booleans()),
    )


@st.composite
def optimizers(draw, kind: type[rules.Optimizer]) -> rules.Optimizer:
    """An optimiser of a kind, for e-prop+."""
    bounds = draw(st.sampled_from([{}, {"w_min": -0.7, "w_max": 0.8}]))
    if kind is ep.Momentum:
        beta, nesterov = draw(st.sampled_from([0.0, 0.5, 0.9])), draw(st.booleans())
        return kind(draw(st.sampled_from([1e-4, 5e-4])), beta=beta, nesterov=nesterov, **bounds)
    if kind is ep.GradientDescent:
        return kind(draw(st.sampled_from([1e-3, 5e-3])), **bounds)
    # A step may divide by sqrt(v) + epsilon: an error in the gradient enters the weight eta / epsilon times at most.
    like = next(o for o, _ in OPTIMIZERS.values() if type(o) is kind)
    return like.replace(eta=draw(st.sampled_from([0.1, 1.0])) * like.eta, **bounds)


@st.composite
def reward_traces(draw, cutoff: float) -> ep.RewardTrace:
    """A reward trace for a rule with this cutoff of the eligibility."""
    more = draw(st.sampled_from([0.0, 1.0, 5.0, 40.0, 300.0]))
    return ep.RewardTrace(tau=draw(st.sampled_from([1.0, 8.0, 60.0, 1000.0])), cutoff=cutoff + more)


@st.composite
def rate_regularisations(draw, kappas_reg: list[float]) -> dict[str, float]:
    """Rate regularisation of e-prop+ as in NEST, with a filter of its own if there are any to draw from, or as a signal."""
    if kappas_reg:
        return {"kappa_reg": draw(st.sampled_from(kappas_reg)), "c_reg": draw(st.sampled_from([0.0, 0.05]))}
    as_signal = {"rate_reg": 5e-5, "tau_reg": draw(st.sampled_from([5.0, 500.0]))}
    return draw(st.sampled_from([{"c_reg": 0.0}, {"c_reg": 0.05}, as_signal]))


@st.composite
def plus_rules(draw, two_kappas: bool, kind: type[rules.Optimizer], rewarded: bool = False) -> ep.EPropPlus:
    """e-prop+ with equal or different kappas and a kind of optimiser, with learning that waits for reward or not."""
    optimizer = draw(optimizers(kind))
    kappas = [0.0, 0.5, 0.9, 0.97, 0.999]
    kappa = draw(st.sampled_from(kappas))
    cutoff = draw(st.sampled_from([2.0, 3.0, 7.0, 20.0, 64.0, 100.0, 400.0]))
    return ep.EPropPlus(
        optimizer=optimizer,
        kappa=kappa,
        **draw(rate_regularisations([k for k in kappas if k != kappa] if two_kappas else [])),
        cutoff=cutoff,
        each_step=(rewarded or kind is ep.GradientDescent) and draw(st.integers(0, 3)) == 0,
        reward=draw(reward_traces(cutoff)) if rewarded else None,
    )


@st.composite
def sample_rules(draw) -> ep.EProp:
    """e-prop with any optimiser."""
    optimizer = draw(
        st.sampled_from(
            [
                *(o for o, _ in OPTIMIZERS.values() if type(o) in rules.optimizers.BUILT_IN),
                ep.GradientDescent(5e-2, w_min=-0.7, w_max=0.8),
                ep.Adam(1e-2, epsilon=1e-2, w_min=-0.7, w_max=0.8),
                ep.Momentum(1e-2, beta=0.5, nesterov=True, w_min=-0.7, w_max=0.8),
                ep.RMSprop(1e-2, beta=0.99, epsilon=1e-2, w_min=-0.7, w_max=0.8),
            ]
        )
    )
    return ep.EProp(
        optimizer=optimizer,
        kappa=draw(st.sampled_from([None, 0.0, 0.9])),
        **draw(st.sampled_from([{"c_reg": 0.5}, {"rate_reg": 1e-5}, {}])),
        average_gradient=draw(st.booleans()),
    )
