"""`check_neuron` finds what is wrong with a user-defined neuron model, or says that it cannot."""

from __future__ import annotations

import pytest

import eprop as ep
from eprop.checks import check_neuron
from eprop.models import Eligibility, inline
from own_model import network

pytestmark = pytest.mark.tiny


@inline
def leaky(state, params, j, x):
    """Decays, and is reset by a spike."""
    v = 0.9 * state[0, j] + x
    spike = v > params[0, j]
    state[0, j] = v - 1.0 if spike else v
    return spike, 0.3 * max(0.0, 1.0 - abs(v - 1.0))


def test_check_neuron_leaves_out_a_rule_that_does_not_take_it():
    pytest.importorskip("numba", reason="needs the extra own-neuron")
    third = ((0.9, 0.0, 0.0), (0.0, 0.9, 0.0), (0.0, 0.0, 0.9)), (1 / 3, 1 / 3, 1 / 3), (1.0, 1.0, 1.0)
    neuron = network(leaky, eligibility=lambda self, dt: Eligibility(*third, (0.0, 0.0, 0.0))).populations[0].model
    with pytest.warns(UserWarning, match=r"e-prop\+ was left out: Own: EPropPlus supports at most 2 components"):
        found = check_neuron(neuron, steps=60)
    assert list(found) == ["response to a pulse", "e-prop", "backpropagation", "own spike"]
    assert max(found.values()) < 1e-9


def test_check_neuron_of_one_that_spikes_by_itself():
    neuron = ep.CurrentLIF(tau_m=10.0, tau_syn=0.5, c_m=250.0, v_th=15.0, i_e=700.0, t_ref=2.0)
    by_itself = pytest.warns(UserWarning, match=r"CurrentLIF spiked without input in step 7 .* only the steps before")
    with by_itself, pytest.warns(UserWarning, match="no pulse from rest"):
        found = check_neuron(neuron, steps=60)
    assert set(found) == {"response to a pulse", "e-prop", "e-prop+", "backpropagation"}
    assert max(found.values()) < 1e-9


def test_check_neuron_of_one_that_spikes_at_once():
    at_once = pytest.warns(UserWarning, match=r"LIF spiked without input in step 0 .* no step before could be compared")
    with at_once, pytest.warns(UserWarning, match="no pulse from rest"):
        found = check_neuron(ep.LIF(i_e=2.0, tau_m=2.0), steps=60)
    assert "response to a pulse" not in found


def test_check_neuron_finds_a_wrong_current_before_the_first_spike():
    class Wrong(ep.CurrentLIF):
        def eligibility(self, dt):
            return ep.CurrentLIF(tau_syn=1.5 * self.tau_syn).eligibility(dt)

    with pytest.warns(UserWarning, match="spiked"), pytest.raises(ep.errors.NetworkError, match="response to a pulse"):
        check_neuron(Wrong(i_e=0.5, v_th=5.0), steps=60)


def test_check_neuron_measures_a_spike_of_a_neuron_whose_input_takes_a_step():
    class Wrong(ep.CurrentALIF):
        def eligibility(self, dt):
            e = super().eligibility(dt)
            return Eligibility(e.decay, e.arrival, e.output, (0.0, 0.0, 0.5))

    with pytest.raises(ep.errors.NetworkError, match="own spike"):
        check_neuron(Wrong(beta=0.3, tau_adapt=30.0), steps=60)


def test_check_neuron_of_one_that_spikes_rarely():
    assert max(check_neuron(ep.LIF(t_ref=30.0), steps=100).values()) < 1e-9


@inline
def adapts(state, params, j, x):
    v = 0.9 * state[0, j] + x
    a = 0.95 * state[1, j] + state[2, j]
    u = v - 1.0 - 0.3 * a
    spike = u >= 0.0
    state[0, j] = v - 1.0 if spike else v
    state[1, j] = a
    state[2, j] = 1.0 if spike else 0.0
    return spike, 0.3 * max(0.0, 1.0 - abs(u))


def leaking(psi):
    """A neuron whose surrogate gradient is a function of its voltage before and after the reset."""
    psi = inline(psi)

    @inline
    def update(state, params, j, x):
        before = 0.9 * state[0, j] + x
        spike = before >= 1.0
        state[0, j] = before - 1.0 if spike else before
        return spike, 0.3 * max(0.0, 1.0 - psi(before, state[0, j]))

    return network(update, eligibility=lambda self, dt: Eligibility.leaky(0.9)).populations[0].model


ADAPTING = ((0.9, 0.0), (0.0, 0.95)), (1.0, 0.0), (1.0, -0.3)


def adapting(spike, decay_of_a=0.95):
    decay = ((0.9, 0.0), (0.0, decay_of_a))
    eligibility = Eligibility(decay, *ADAPTING[1:], (0.0, spike))
    return network(adapts, state_rows=("v", "a", "z"), eligibility=lambda self, dt: eligibility).populations[0].model


def test_check_neuron_measures_what_a_spike_does_to_its_neuron():
    found = check_neuron(adapting(1.0), steps=60)
    assert list(found) == ["response to a pulse", "e-prop", "e-prop+", "backpropagation", "own spike"]
    assert max(found.values()) < 1e-9


@pytest.mark.parametrize(("spike", "decay_of_a"), [(0.0, 0.95), (-1.0, 0.95), (1.01, 0.95), (1.0, 0.94)])
def test_check_neuron_finds_a_wrong_effect_of_a_spike(spike, decay_of_a):
    with pytest.raises(ep.errors.NetworkError, match=r"Own, own spike: Eligibility\.spike, or decay and output of"):
        check_neuron(adapting(spike, decay_of_a), steps=60)


def test_check_neuron_finds_a_surrogate_gradient_that_is_taken_after_the_reset():
    with pytest.raises(ep.errors.NetworkError, match=r"Own: psi jumps at the threshold, by 0.3 per mV: update\(\)"):
        check_neuron(leaking(lambda before, after: abs(after - 1.0)), steps=60)


def test_check_neuron_says_how_the_surrogate_gradient_lies_to_the_threshold():
    shown = str(check_neuron(ep.LIF(), steps=60))
    assert "surrogate gradient: 0.3 per mV at the threshold, its largest value" in shown
    assert "half of that 0.5 mV below and 0.5 mV above" in shown
    off = check_neuron(leaking(lambda before, after: abs(before - 0.75) / 0.5), steps=60).surrogacy
    assert off.at_threshold == pytest.approx(0.15)
    assert off.largest == pytest.approx(0.3, rel=0.02)
    assert off.peak == pytest.approx(-0.25, abs=0.011)
    assert "mV below it" in str(off)


def test_check_neuron_says_when_it_takes_the_effect_of_a_spike_on_trust():
    with pytest.warns(UserWarning, match=r"Eligibility.spike is taken on trust: the neuron is refractory for 64 steps"):
        found = check_neuron(ep.LIF(t_ref=80.0), steps=300)
    assert "own spike" not in found
