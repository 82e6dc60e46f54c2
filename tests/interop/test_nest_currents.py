"""`CurrentLIF` against live NEST's ``iaf_psc_exp``: voltages to 1e-10 mV, and each spike."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep

pytestmark = pytest.mark.nest

EXACT = 1e-10
STEPS, N_IN, N = 10_000, 20, 8


def by_nest(neuron: ep.CurrentLIF, spikes: np.ndarray, weights: np.ndarray, dt: float) -> tuple[np.ndarray, np.ndarray]:
    """Voltages and spikes, (steps, neurons). NEST's neurons take an empty step first, which leads to ``v_init``."""
    import nest

    nest.ResetKernel()
    nest.verbosity = nest.VerbosityLevel.ERROR
    nest.resolution = dt
    alpha = np.exp(-dt / neuron.tau_m)
    start = (neuron.v_init - neuron.e_l - neuron.i_e * neuron.tau_m / neuron.c_m * (1.0 - alpha)) / alpha
    parameters = {
        "tau_m": neuron.tau_m, "tau_syn_ex": neuron.tau_syn, "tau_syn_in": neuron.tau_syn, "C_m": neuron.c_m,
        "I_e": neuron.i_e, "E_L": neuron.e_l, "V_th": neuron.v_th, "V_reset": neuron.v_reset, "t_ref": neuron.t_ref,
        "V_m": neuron.e_l + start,
    }  # fmt: skip
    times = [{"spike_times": (np.flatnonzero(column) + 1) * dt} for column in spikes.T]
    generators, sources = nest.Create("spike_generator", N_IN, times), nest.Create("parrot_neuron", N_IN)
    neurons, meter = nest.Create("iaf_psc_exp", N, parameters), nest.Create("multimeter", {"interval": dt})
    meter.record_from, recorder = ["V_m"], nest.Create("spike_recorder")
    nest.Connect(generators, sources, "one_to_one", {"delay": dt})
    nest.Connect(sources, neurons, "all_to_all", {"weight": weights, "delay": dt})
    nest.Connect(meter, neurons)
    nest.Connect(neurons, recorder)
    nest.Simulate((len(spikes) + 3) * dt)
    v, z = np.zeros((2, len(spikes) + 3, N))
    for out, device, values in ((v, meter, meter.events["V_m"]), (z, recorder, 1.0)):
        at = np.rint(device.events["times"] / dt).astype(int) - 1
        out[at, device.events["senders"] - neurons[0].global_id] = values
    return v[1 : 1 + len(spikes)], z[1 : 1 + len(spikes)]


@pytest.mark.parametrize("t_ref", [1.0, 2.0])
@pytest.mark.parametrize("tau_syn", [0.5, 2.0, 10.0, 10.0 * (1.0 + 1e-9), 40.0])
@pytest.mark.parametrize("dt", [0.1, 1.0])
def test_voltages_and_spikes_of_ten_thousand_steps(dt, tau_syn, t_ref, deviations):
    rng = np.random.default_rng(1)
    neuron = ep.CurrentLIF(
        tau_m=10.0,
        tau_syn=tau_syn,
        c_m=250.0,
        i_e=350.0,
        e_l=-65.0,
        v_th=-50.0,
        v_reset=-67.0,
        t_ref=t_ref,
        v_init=-58.0,
    )
    inputs, weights = rng.random((STEPS, N_IN)) < 0.02 * dt, rng.normal(1.0, 3.0, (N, N_IN)) * 250.0 / tau_syn
    v, z = by_nest(neuron, inputs, weights, dt)
    net = ep.Network(dt=dt)
    net.connect(net.add(ep.EventSource(), N_IN, "in"), net.add(neuron, N, "rec"), weight=weights, delay=dt)
    ours = ep.Simulator(net, threads=1).run(STEPS * dt, {"in": inputs}, record=[("rec", "v"), ("rec", "z")])
    np.testing.assert_array_equal(ours["rec", "z"], z)
    voltage = np.abs(ours["rec", "v"] - v).max()
    deviations.note("`iaf_psc_exp`, static", 0, int(z.sum()), voltage=voltage)
    assert voltage < EXACT
    assert z.sum() > 50
