"""Published networks: their numbers, their activity, and refusals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy

import eprop as ep
from eprop.networks import POPULATIONS, REFERENCE_RATES, Microcircuit, balanced_network, microcircuit
from eprop.networks.microcircuit import CONNECTION_PROBABILITIES, FULL_SIZES, PSP, current_of


def test_the_full_microcircuit_has_the_published_numbers() -> None:
    full = Microcircuit()
    assert full.sizes.sum() == 77_169
    assert full.synapses.sum() == pytest.approx(298_880_968, abs=64)  # rounding of 64 numbers
    assert full.background_weight == pytest.approx(87.81, abs=0.01)
    assert full.weights[0, 2] == 2 * full.weights[0, 0]
    assert full.weights[0, 1] == -4 * full.weights[0, 0]
    assert full.currents == pytest.approx(0.0, abs=1e-9)
    drawn = np.exp(full.synapses * np.log1p(-1.0 / np.outer(FULL_SIZES, FULL_SIZES).astype(float)))
    assert 1.0 - drawn == pytest.approx(CONNECTION_PROBABILITIES, abs=1e-6)


def test_a_spike_of_the_mean_weight_has_the_published_height() -> None:
    net = ep.Network(dt=0.01)
    source = net.add(ep.EventSource(), 1, "in")
    cell = net.add(ep.CurrentLIF(tau_m=10.0, tau_syn=0.5, c_m=250.0, v_th=15.0), 1, "cell")
    net.connect(source, cell, weight=current_of(PSP), delay=0.01)
    spikes = np.zeros((1000, 1), bool)
    spikes[0] = True
    voltage = ep.Simulator(net).run(10.0, {"in": spikes}, record=[("cell", "v")])["cell", "v"]
    assert np.max(voltage) == pytest.approx(PSP, rel=1e-4)


@pytest.mark.parametrize("drive", ["poisson", "dc"])
@pytest.mark.parametrize("k_scale", [0.04, 0.5])
def test_scaling_keeps_mean_and_variance_of_the_input(k_scale: float, drive: Any) -> None:
    full, small = Microcircuit(), Microcircuit(0.1, k_scale, drive)
    rates = np.array(list(REFERENCE_RATES.values()))

    def moments(m: Microcircuit, indegrees: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean = (m.weights * indegrees) @ rates + m.background_weight * m.background_rates
        variance = (m.weights**2 * indegrees) @ rates + m.background_weight**2 * m.background_rates
        return mean + m.currents / (1e-3 * 0.5), variance

    theirs, ours = moments(full, full.full_indegrees), moments(small, small.synapses / small.sizes[:, None])
    assert ours[0] == pytest.approx(theirs[0], rel=2e-3)  # numbers of synapses are rounded
    if drive == "poisson":
        assert ours[1] == pytest.approx(theirs[1], rel=2e-3)


@pytest.mark.parametrize("k_scale", [0.04, 1.0])
def test_poisson_spikes_replace_mean_and_variance_of_the_synapses(k_scale: float) -> None:
    numbers = Microcircuit(0.1, k_scale)
    net = microcircuit(0.02, k_scale, recurrent=False)
    assert not net.projections
    rates = np.array(list(REFERENCE_RATES.values()))
    for row, cell in enumerate(net.populations):
        drives: list[Any] = [s.drive for s in net.stimulations if s.population is cell and "input from" in s.name]
        assert len(drives) == 2
        for power in (1, 2):
            wanted = numbers.full_indegrees[row] * k_scale * numbers.weights[row] ** power @ rates
            assert sum(each.rate * each.weight**power for each in drives) == pytest.approx(wanted, rel=1e-12)
    with pytest.raises(ep.errors.ParameterError, match="recurrent=False leaves no synapses for the rule"):
        microcircuit(0.02, recurrent=False, rule=ep.STDP())


def test_the_built_microcircuit_has_its_numbers() -> None:
    numbers = Microcircuit(0.03, 0.1)
    sim = ep.Simulator(microcircuit(0.03, 0.1, seed=3), threads=1)
    assert sim.n_synapses() == numbers.synapses.sum()
    assert [p.size for p in sim.network.populations] == numbers.sizes.tolist()
    for pair, sign, onto in (("L23E->L4I", 1, (3, 0)), ("L4E->L23E", 1, (0, 2)), ("L5I->L5E", -1, (4, 5))):
        weights = sim.connections(pair)[2]
        mean, n = numbers.weights[onto], weights.size
        assert n == numbers.synapses[onto]
        assert (sign * weights >= 0.0).all()
        assert weights.mean() == pytest.approx(mean, abs=5 * 0.1 * abs(mean) / math.sqrt(n))
        assert weights.std() == pytest.approx(0.1 * abs(mean), rel=5 / math.sqrt(n))
        delays = sim.delays(pair)
        assert np.all(delays > 0.09)
        # Normal(m, m / 2) above zero has the mean 1.028 m.
        assert delays.mean() == pytest.approx(1.028 * numbers.delays[onto], rel=5 * 0.5 / math.sqrt(n) + 0.01)


def test_a_rule_learns_from_e_to_e_only() -> None:
    net = microcircuit(0.01, rule=ep.STDP(rate=0.001, w_max=10_000.0))
    plastic = {(p.pre.name[-1], p.post.name[-1]) for p in net.projections if p.rule.plastic}
    assert plastic == {("E", "E")}
    assert sum(not p.rule.plastic for p in net.projections) > 30


def test_first_voltages_are_drawn() -> None:
    sim = ep.Simulator(microcircuit(0.05), threads=1)
    first = sim.run(0.1, record=[("L23E", "v")])["L23E", "v"][0]
    assert first.std() == pytest.approx(5.36, rel=0.1)
    assert first.mean() == pytest.approx(-68.28, abs=0.7)


@pytest.mark.slow
@pytest.mark.parametrize("drive", ["poisson", "dc"])
def test_rates_of_a_tenth_are_close_to_the_reference(drive: Any) -> None:
    sim = ep.Simulator(microcircuit(0.1, drive=drive, seed=2), threads=1, precision="single")
    sim.run(300.0)
    sizes = {p.name: p.size for p in sim.network.populations}
    found = ep.analysis.summary(sim.run(1000.0, spikes=POPULATIONS).spikes, sizes, start=300.0, stop=1300.0)
    for name, rate in REFERENCE_RATES.items():
        assert found[name]["rate"] == pytest.approx(rate, rel=0.5), name
        assert 0.4 < found[name]["cv"] < 1.2


@pytest.mark.parametrize("value", [0.0, -1.0, 1.01, math.nan, "1", True, None])
def test_a_share_outside_its_range_is_refused(value: Any) -> None:
    with pytest.raises(ep.errors.ParameterError, match=r"scale must be in \(0, 1\], a share of the neurons"):
        microcircuit(value)
    if value is not None:
        with pytest.raises(ep.errors.ParameterError, match=r"k_scale must be in \(0, 1\], a share of the in-degrees"):
            microcircuit(0.1, value)


def test_refusals_of_the_microcircuit() -> None:
    with pytest.raises(ep.errors.ParameterError, match="leaves no neurons in L5I, which has 1,065"):
        microcircuit(1e-4)
    with pytest.raises(ep.errors.ParameterError, match='drive must be "poisson" or "dc", got \'ac\''):
        microcircuit(0.1, drive="ac")  # type: ignore[arg-type]
    with pytest.raises(ep.errors.NetworkError, match="needs a plasticity rule"):
        microcircuit(0.1, rule="stdp")  # type: ignore[arg-type]
    with pytest.raises(ep.errors.NetworkError, match="outside the bounds"):
        ep.Simulator(microcircuit(0.01, rule=ep.STDP(w_max=1.0)))


def mean_field_rate(eta: float, g: float, weight: float, excitatory: int, inhibitory: int) -> float:
    """Rate in Hz at which input and output of Brunel's neuron agree (his equations 4, 5 and 21)."""

    def output(rate: float) -> float:  # rates per ms
        arriving = excitatory * rate + eta / weight  # the background has 20 mV / (20 ms * weight)
        mean = 20.0 * weight * (arriving - g * inhibitory * rate)
        sd = math.sqrt(20.0 * weight**2 * (arriving + g * g * inhibitory * rate))
        ends = (10.0 - mean) / sd, (20.0 - mean) / sd
        integral = scipy.integrate.quad(lambda u: scipy.special.erfcx(-u), *ends)[0]  # exp(u^2)(1 + erf(u))
        return 1.0 / (2.0 + 20.0 * math.sqrt(math.pi) * integral)

    low, high = 0.0, 0.5
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if output(middle) > middle else (low, middle)
    return 1000.0 * low


@pytest.mark.parametrize(("eta", "g"), [(2.0, 5.0), (4.0, 6.0)])
def test_the_balanced_network_has_the_rate_of_the_mean_field(eta: float, g: float) -> None:
    sim = ep.Simulator(balanced_network(4000, eta=eta, g=g, weight=0.2), threads=1, precision="single")
    assert sim.n_synapses("e->i") == 800 * 320
    sim.run(200.0)
    spikes = sim.run(500.0, spikes=["e", "i"]).spikes
    found = ep.analysis.firing_rates(spikes["e"], 3200, start=200.0, stop=700.0).mean()
    assert found == pytest.approx(mean_field_rate(eta, g, 0.2, 320, 80), rel=0.12)


def test_the_published_balanced_network() -> None:
    assert mean_field_rate(2.0, 5.0, 0.1, 1000, 250) == pytest.approx(38.0, abs=0.5)  # Brunel 2000, figure 8 C
    net = balanced_network()
    assert [p.size for p in net.populations] == [10_000, 2500]
    assert [getattr(p.connectivity, "degree", None) for p in net.projections] == [1000, 250, 1000, 250]
    assert {s.drive.rate for s in net.stimulations if isinstance(s.drive, ep.PoissonDrive)} == {20_000.0}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"neurons": 0}, "neurons must be a whole number >= 1"),
        ({"neurons": 2.5}, "neurons must be a whole number >= 1"),
        ({"neurons": 20}, "leave in-degrees of 2 and 0; take at least 50"),
        ({"eta": 0.0}, "eta must be a number > 0"),
        ({"g": -1.0}, "g must be a number > 0"),
        ({"weight": math.inf}, "weight must be a number > 0"),
    ],
)
def test_refusals_of_the_balanced_network(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ep.errors.ParameterError, match=message):
        balanced_network(**changes)
