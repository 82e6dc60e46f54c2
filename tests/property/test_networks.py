"""Poisson sources draw anew, and time steps have any length."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from compare import assert_same
from eprop.checks import time_driven
from networks import case, check_run

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]

PLUS = ep.EPropPlus(optimizer=ep.GradientDescent(2e-3), c_reg=0.05, cutoff=20.0)
SAMPLE = ep.EProp(optimizer=ep.GradientDescent(2e-2), c_reg=0.5)


# ---------------------------------------------------------------------------------------------------- Poisson sources


def noisy(seed: int, rule: ep.EPropPlus | ep.EProp | ep.Static, rate: float = 60.0) -> ep.Network:
    net = ep.Network(seed=seed)
    noise = [net.add(ep.PoissonSource(rate), 8, "noise"), net.add(ep.PoissonSource(2 * rate), 8, "more")]
    rec = net.add(ep.LIF(tau_m=12.0, v_th=0.8), 10, "rec")
    out = net.add(ep.Readout(), 3, "out")
    for source in noise:
        net.connect(source, rec, ep.FixedIndegree(4), weight=ep.Normal(0.3, 0.2), rule=rule)
    net.connect(rec, rec, ep.FixedOutdegree(3), weight=ep.Normal(0.0, 0.2), rule=rule)
    net.connect(rec, out, weight=ep.Glorot(), rule=rule)
    net.feedback(out, rec, ep.RandomFeedback())
    return net


def spikes_of(sim: ep.Simulator, pieces: list[float]) -> dict[str, np.ndarray]:
    parts = [sim.run(piece, spikes=["noise", "more", "rec"]).spikes for piece in pieces]
    return {name: np.concatenate([part[name] for part in parts], axis=1) for name in parts[0]}


def trains_of(spikes: np.ndarray, n: int, steps: int) -> np.ndarray:
    """Spikes of ``n`` nodes in each step, (n, steps)."""
    out = np.zeros((n, steps))
    out[spikes[1].astype(int), np.rint(spikes[0]).astype(int) - 1] = 1.0
    return out


def test_noise_has_its_rate():
    sim = ep.Simulator(noisy(11, ep.Static()), threads=1)
    found = spikes_of(sim, [4000.0])
    for name, rate in (("noise", 0.06), ("more", 0.12)):
        n = 8 * 4000
        # Binomial: within five standard deviations, each node within five of its own.
        assert abs(found[name].shape[1] - n * rate) < 5.0 * np.sqrt(n * rate * (1.0 - rate))
        each = np.bincount(found[name][1].astype(int), minlength=8)
        assert np.all(np.abs(each - 4000 * rate) < 5.0 * np.sqrt(4000 * rate * (1.0 - rate)))
    # Nodes are independent: two of them coincide as often as chance has it.
    trains = trains_of(found["more"], 8, 4000)
    together = trains @ trains.T
    chance = 4000 * 0.12**2
    assert np.all(np.abs(together[np.triu_indices(8, 1)] - chance) < 6.0 * np.sqrt(chance))


def test_populations_have_noise_of_their_own():
    """And not the one a part of the other."""
    net = ep.Network(seed=3)
    for name in ("a", "b"):
        net.add(ep.PoissonSource(200.0), 4, name)
    net.add(ep.LIF(), 1)
    found = ep.Simulator(net, threads=1).run(500.0, spikes=["a", "b"]).spikes
    together = (trains_of(found["a"], 4, 500) * trains_of(found["b"], 4, 500)).sum(axis=1)
    assert np.all(np.abs(together - 500 * 0.04) < 5.0 * np.sqrt(500 * 0.04))


def test_noise_is_never_repeated_while_learning():
    """Whatever the sizes of batches, and lengths of samples and runs: what comes is what one long batch would have had."""
    ways = [[(6, 40)], [(4, 40), (2, 40)], [(1, 40), (5, 40)], [(2, 80), (4, 20)], [(8, 20), (2, 40)]]
    drawn = []
    for way in ways:
        sim, spikes = ep.Simulator(noisy(7, SAMPLE), threads=1), []
        sim.scale_learning_rates(0.0)
        for n, steps in way:
            # A run learns from one sample; of a batch the spikes are not kept.
            runs = [sim.run(float(steps), spikes=["noise"]) for _ in range(n)]
            spikes += [trains_of(run.spikes["noise"], 8, steps).T for run in runs]
        drawn.append(np.concatenate(spikes))
    assert_same(drawn[1:], drawn[:1] * 4)
    # And of batches: each sample spikes as it does where all are one batch.
    counts = []
    for batches in ([6], [4, 2], [1, 5]):
        sim = ep.Simulator(noisy(7, SAMPLE), threads=1)
        sim.scale_learning_rates(0.0)
        counts.append(np.concatenate([sim.train(sim.samples(n, 60)).spikes for n in batches]))
        assert np.unique(counts[-1]).size > 1
    assert_same(counts[1:], counts[:1] * 2)


# --------------------------------------------------------------------------------------------------------- time steps


@pytest.mark.parametrize("dt", [0.1, 0.25, 2.0])
def test_other_time_steps_equal_the_reference(dt):
    """Constants in ms become constants per step: compared with the reference, with the same ``dt``."""
    # The shorter the step, the more errors an interval adds up.
    c = case(6, PLUS.replace(cutoff=40.0, optimizer=ep.GradientDescent(1e-4 * dt)), steps=200, dt=dt, rate=0.2)
    stepped = time_driven(c.network)
    wanted = stepped.run(c.stimulus, record_weights=True)
    assert wanted.spikes[:, c.inputs.shape[1] :].sum() > 10
    check_run(stepped, wanted, c.stimulus)
