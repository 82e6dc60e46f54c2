"""Poisson background, noise and currents: their statistics, the same bits for any division, equality with the reference."""

from __future__ import annotations

import numpy as np
import pytest
import scipy

import eprop as ep
from compare import assert_close, assert_same
from eprop.checks import driven
from eprop.errors import InputError, NetworkError, ParameterError
from networks import small_network
from refusals import NAN, refusals

pytestmark = pytest.mark.tiny

# Its current forgets everything in a step, so that the recorded current is what arrives in the step.
METER = ep.CurrentLIF(tau_syn=1e-4, v_th=1e9)


def arriving(drive: ep.network.Drive, n=64, steps=400, dt=0.1, seed=1, **options) -> np.ndarray:
    """What a drive adds to the input of each neuron in each step."""
    net = ep.Network(dt=dt, seed=seed)
    net.stimulate(net.add(METER, n, "n"), drive)
    return ep.Simulator(net, threads=1, **options).run(steps * dt, record=[("n", "current")])["n", "current"]


def fits_poisson(counts: np.ndarray, mean: float) -> bool:
    """Chi-squared; the seeds are fixed, and one of a thousand true tests fails."""
    top = int(scipy.stats.poisson.ppf(1.0 - 10.0 / counts.size, mean))
    expected = np.append(scipy.stats.poisson.pmf(np.arange(top), mean), scipy.stats.poisson.sf(top - 1, mean))
    found = np.bincount(np.minimum(counts, top).ravel().astype(int), minlength=top + 1)
    return bool(scipy.stats.chisquare(found, expected * counts.size).pvalue > 1e-3)


@pytest.mark.parametrize("mean", [0.02, 1.6, 10.0])
def test_counts_are_poisson_in_every_neuron_and_step(mean):
    counts = arriving(ep.PoissonDrive(rate=mean * 1e4, weight=2.0), n=97) / 2.0
    np.testing.assert_array_equal(counts, np.rint(counts))
    assert fits_poisson(counts, mean)
    # Independent between neurons and between steps: sums are Poisson as well.
    assert fits_poisson(counts[:, ::7].sum(axis=1), mean * len(range(0, 97, 7)))
    assert fits_poisson(counts[:40].sum(axis=0), 40 * mean)


def test_rates_may_differ_and_change_with_time():
    rates = np.linspace(0.0, 2e4, 40)
    drive = ep.PoissonDrive(rate=rates.tolist(), weight=1.0, modulation=lambda t: np.where(t < 200.0, 1.0, 0.25))
    counts = arriving(drive, n=40, steps=4000)
    assert counts[:, 0].sum() == 0.0
    for neuron in (3, 20, 39):
        assert fits_poisson(counts[:2000, neuron], rates[neuron] * 1e-4)
        assert fits_poisson(counts[2000:, neuron], rates[neuron] * 0.25e-4)


def test_shared_rates_draw_as_rates_of_each():
    one = arriving(ep.PoissonDrive(rate=8000.0, weight=1.0))
    each = arriving(ep.PoissonDrive(rate=[8000.0] * 63 + [8001.0], weight=1.0))
    np.testing.assert_array_equal(one[:, :63], each[:, :63])


def test_a_current_moves_the_voltage_as_the_parameter_does():
    for neuron in (ep.LIF, ep.ALIF, ep.DeltaLIF, ep.CurrentLIF, ep.CurrentALIF):
        runs = []
        for inside in (True, False):
            net = ep.Network(dt=0.5)
            cells = net.add(
                neuron(tau_m=ep.Uniform(5.0, 20.0), v_th=1.0, c_m=10.0, t_ref=2.0, i_e=0.9 if inside else 0.2), 7
            )
            if not inside:
                net.stimulate(cells, ep.Current(0.7))
            runs.append(ep.Simulator(net, threads=1).run(200.0, record=[(cells, "v")], spikes=[cells]))
        assert runs[0].spikes[cells.name][0].size > 5, neuron
        assert_same(runs[1].spikes, runs[0].spikes)
        assert_close(runs[1].traces, runs[0].traces)


def test_noise_has_its_moments_and_pulses_their_limits():
    drive = ep.GaussianNoise(sd=2.0, mean=0.5, modulation=ep.Pulse(10.0, 30.0))
    net = ep.Network(dt=0.1, seed=3)
    cells = net.add(ep.LIF(tau_m=1e-4, v_th=1e9, c_m=1e-4), 100, "n")  # the voltage is the current
    net.stimulate(cells, drive)
    v = ep.Simulator(net, threads=1).run(40.0, record=[("n", "v")])["n", "v"]
    assert np.all(v[:100] == 0.0)
    assert np.all(v[300:] == 0.0)
    assert scipy.stats.kstest(v[100:300].ravel(), scipy.stats.norm(0.5, 2.0).cdf).pvalue > 1e-3
    steps = ep.network.Steps([0.0, 10.0, 20.0], [1.0, -2.0, 0.5])
    np.testing.assert_array_equal(steps(np.array([-1.0, 0.0, 9.9, 10.0, 25.0])), [0.0, 1.0, 1.0, -2.0, 0.5])


def learning(rule: ep.Rule, changes: bool) -> ep.Network:
    """A network with all drives, which learns."""
    net = small_network(
        (6, 9, 2), {"in->rec": ep.Normal(0.4, 0.3), "rec->rec": ep.Normal(0.0, 0.2), "rec->out": ep.Normal(0.0, 0.3)},
        neuron=ep.LIF(tau_m=ep.Uniform(8.0, 20.0), v_th=0.9), rule=rule, feedback=ep.Symmetric(), seed=5,
    )  # fmt: skip
    net.stimulate("rec", ep.PoissonDrive(rate=ep.Uniform(50.0, 400.0), weight=0.2))
    net.stimulate("rec", ep.GaussianNoise(sd=0.02, modulation=ep.Pulse(5.0, 40.0) if changes else None))
    net.stimulate("rec", ep.Current([0.01 * k for k in range(9)], modulation=np.cos if changes else None))
    return net


def test_lanes_follow_a_rate_that_changes():
    """Samples of e-prop, in lanes that are used again, equal those of a network that does not learn."""
    found = []
    for rule in (ep.EProp(), None):
        net = ep.Network(seed=3)
        rec, out = net.add(ep.LIF(v_th=0.9), 9, "rec"), net.add(ep.Readout(), 2, "out")
        net.connect(rec, out, weight=ep.Normal(0.0, 0.3), rule=rule)
        net.stimulate(rec, ep.PoissonDrive(rate=400.0, weight=0.3, modulation=ep.Pulse(5.0, 40.0)))
        sim = ep.Simulator(net, threads=1)
        found.append([sim.evaluate(sim.samples(3, steps)).y for steps in (60, 30, 60)])
    assert_same(*found)
    assert found[0][0].any()


@pytest.mark.parametrize("rates", ["same", "different"])
def test_what_the_checks_draw_is_what_the_engine_draws(rates):
    """Of 50,000 draws, a few are decided by their lower 16 bits, and some are larger than most."""
    net, rate = ep.Network(dt=0.1, seed=9), 1.3e4 if rates == "same" else np.linspace(0.0, 1.3e4, 1000).tolist()
    net.stimulate(net.add(METER, 1000, "n"), ep.PoissonDrive(rate=rate, weight=3.0, modulation=ep.Pulse(0.0, 3.0)))
    found = ep.Simulator(net, threads=1).run(5.0, record=[("n", "current")])["n", "current"]
    np.testing.assert_array_equal(found, driven(net, 50)[0]["n"])


def stimulated(drive, size=3, model=None, run=10.0):
    net = ep.Network(dt=1.0)
    net.stimulate(net.add(model or ep.LIF(), size, "n"), drive)
    return ep.Simulator(net, threads=1).run(run)


@refusals(
    (lambda: ep.PoissonDrive(rate=-1.0), ParameterError, "PoissonDrive.rate must be >= 0 Hz, got -1"),
    (lambda: ep.GaussianNoise(sd=-1.0), ParameterError, "GaussianNoise.sd must be >= 0"),
    (lambda: ep.Current(NAN), ParameterError, "amplitude must be a finite number"),
    (lambda: ep.PoissonDrive(modulation=3.0), ParameterError, "modulation must be a function of time"),
    (lambda: ep.Pulse(3.0, 3.0), ParameterError, "Pulse.stop must be after start"),
    (lambda: ep.network.Steps([1.0, 1.0], [1.0, 2.0]), ParameterError, "Steps needs ascending times"),
    (lambda: stimulated(ep.PoissonDrive(rate=2e4)), NetworkError, "20 Poisson spikes in a step of 1 ms are more than 10"),
    (lambda: stimulated(ep.PoissonDrive(8e3, modulation=lambda t: t)), NetworkError, "72 Poisson spikes in a step"),
    (lambda: stimulated(ep.PoissonDrive([1.0, 9e3, 2.0], modulation=lambda t: t)), NetworkError, "81 Poisson spikes"),
    (lambda: ep.Simulator(learning(ep.EPropPlus(), True)).stepper(), InputError, "stepper: the drive 'drive1' changes"),
    (lambda: ep.Simulator(learning(ep.EProp(), True)).lanes(2), InputError, "lanes: the drive 'drive1' changes"),
    (lambda: stimulated(ep.PoissonDrive(rate=[1.0, 2.0])), NetworkError, "rate has 2 values for 3 nodes"),
    (lambda: stimulated(ep.PoissonDrive(rate=ep.Normal(0, 9.0))), NetworkError, "rate must be >= 0"),
    (lambda: stimulated(ep.PoissonDrive(modulation=lambda t: t - 5)), ParameterError, "must not be negative, got -5"),
    (lambda: stimulated(ep.Current(modulation=lambda t: t[:2])), ParameterError, "must return 10 finite numbers"),
    (lambda: stimulated(ep.Current(), model=ep.DeltaLIF(ref_input=True)), NetworkError, "takes no current"),
    (lambda: stimulated(ep.Current(), model=ep.Readout()), NetworkError, "acts on neurons, but 'n' is a Readout"),
    (lambda: stimulated(ep.Current), NetworkError, r"call it: Current\(\)"),
    (lambda: ep.Network().stimulate("n", ep.Current()), NetworkError, "no population 'n'"),
)  # fmt: skip
def test_refused(refusal):
    refusal.check()


def test_a_poisson_source_that_is_too_fast_names_the_drive():
    net = ep.Network(dt=1.0)
    net.connect(net.add(ep.PoissonSource(rate=1200.0), 3), net.add(ep.LIF(), 3))
    with pytest.raises(NetworkError, match="PoissonDrive"):
        ep.Simulator(net)
