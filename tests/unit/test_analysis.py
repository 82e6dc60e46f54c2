"""Statistics of spikes: against definitions, against Poisson processes, against Elephant."""

from __future__ import annotations

import numpy as np
import pytest

from eprop import analysis
from eprop.errors import InputError
from refusals import NAN, refusals


def poisson(rate=20.0, n=40, seconds=60.0, seed=1):
    """Spikes of independent Poisson processes, in order of time."""
    rng = np.random.default_rng(seed)
    count = rng.poisson(rate * n * seconds)
    times = np.sort(rng.uniform(0.0, 1e3 * seconds, count))
    return times, rng.integers(0, n, count)


def test_a_regular_train():
    times, nodes = np.arange(10.0, 1010.0, 10.0), np.ones(100, int)
    assert analysis.firing_rates((times, nodes), 3, stop=1000.0).tolist() == [0.0, 100.0, 0.0]
    assert analysis.cv((times, nodes), 3)[1] == pytest.approx(0.0, abs=1e-12)
    assert np.isnan(analysis.cv((times, nodes), 3)[[0, 2]]).all()
    counts = analysis.spike_counts((times, nodes), 3, 20.0)
    assert counts.shape == (3, 50)
    assert (counts[1] == 2).all()
    # A spike at the end of a step belongs to the bin that ends there.
    times, nodes = np.array([0.1, 0.2, 0.30000000000000004, 0.4, 0.5]), np.zeros(5, int)
    assert analysis.spike_counts((times, nodes), 1, 0.1, stop=0.5).tolist() == [[1, 1, 1, 1, 1]]
    assert analysis.spike_counts((times, nodes), 1, 0.2, start=0.1, stop=0.5).tolist() == [[2, 2]]
    assert analysis.firing_rates((times, nodes), 1, start=0.2, stop=0.4)[0] == pytest.approx(2 / 0.2e-3)


def test_poisson_processes():
    spikes = poisson()
    assert analysis.firing_rates(spikes, 40).mean() == pytest.approx(20.0, rel=0.03)
    assert analysis.cv(spikes, 40).mean() == pytest.approx(1.0, abs=0.03)
    pairs = analysis.correlations(spikes, 40, 50.0)
    np.testing.assert_allclose(np.diag(pairs), 1.0)
    assert abs(pairs[~np.eye(40, dtype=bool)].mean()) < 0.01


def test_a_cv_of_few_intervals_warns_and_is_too_small():
    spikes, words = poisson(), "needs 10 intervals .* here are on average: {} {}.*Record longer"
    with pytest.warns(UserWarning, match=words.format("the spikes", "[3-5]")) as told:
        assert np.nanmean(analysis.cv(spikes, 40, stop=200.0)) < 0.95
    assert told[0].filename == __file__
    few = {"e": spikes, "i": poisson(200.0, 10), "silent": (np.empty(0), np.empty(0, int))}
    with pytest.warns(UserWarning, match=words.format("e", r"[3-5]\.\d\.")) as told:
        analysis.summary(few, {"e": 40, "i": 10, "silent": 5}, stop=200.0)
    assert len(told) == 1


def test_summary_is_by_population():
    spikes = {"e": poisson(10.0), "i": poisson(30.0, 10), "silent": (np.empty(0), np.empty(0, int))}
    found = analysis.summary(spikes, {"e": 40, "i": 10, "silent": 5}, stop=60_000.0)
    assert found["e"]["rate"] == pytest.approx(10.0, rel=0.05)
    assert found["i"]["cv"] == pytest.approx(1.0, abs=0.05)
    assert found["silent"]["rate"] == 0.0
    assert np.isnan(found["silent"]["cv"])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Elephant's, about quantities
def test_statistics_equal_those_of_elephant():
    pytest.importorskip("elephant", reason="Elephant is not installed")
    import elephant.conversion
    import elephant.spike_train_correlation
    import elephant.statistics
    import neo
    import quantities as pq

    times, nodes = poisson(rate=15.0, n=8, seconds=20.0, seed=3)
    trains = [neo.SpikeTrain(times[nodes == k] * pq.ms, t_start=0 * pq.ms, t_stop=20_000 * pq.ms) for k in range(8)]
    of = elephant.statistics
    irregular = [float(of.cv(of.isi(t))) for t in trains]
    np.testing.assert_allclose(analysis.cv((times, nodes), 8), irregular, rtol=1e-9)
    rates = [of.mean_firing_rate(t).rescale("Hz").magnitude for t in trains]
    np.testing.assert_allclose(analysis.firing_rates((times, nodes), 8, stop=20_000.0), rates, rtol=1e-12)
    binned = elephant.conversion.BinnedSpikeTrain(trains, bin_size=50 * pq.ms)
    np.testing.assert_array_equal(analysis.spike_counts((times, nodes), 8, 50.0, stop=20_000.0), binned.to_array())
    pearson = elephant.spike_train_correlation.correlation_coefficient(binned)
    np.testing.assert_allclose(analysis.correlations((times, nodes), 8, 50.0, stop=20_000.0), pearson, rtol=1e-9)


ONE = (np.array([1.0, 2.0]), np.array([0, 1]))


@refusals(
    (lambda: analysis.firing_rates(([1.0], [0, 1]), 2), InputError, "of equal length"),
    (lambda: analysis.firing_rates(ONE, 1), InputError, r"whole numbers in 0\.\.0"),
    (lambda: analysis.firing_rates((ONE[0], [0.0, 1.0]), 2), InputError, "whole numbers"),
    (lambda: analysis.firing_rates(ONE, 0), InputError, "n must be a whole number >= 1"),
    (lambda: analysis.cv(ONE, 2, start=5.0, stop=5.0), InputError, "stop must be after start"),
    (lambda: analysis.cv(ONE, 2, stop=NAN), InputError, "stop must be after start"),
    (lambda: analysis.spike_counts(ONE, 2, 0.0), InputError, "width must be > 0"),
    (lambda: analysis.spike_counts(ONE, 2, 3.0), InputError, "at most the 2 ms"),
    (lambda: analysis.summary({"a": ONE}, {"b": 2}), InputError, "no size of a"),
)
def test_refused(refusal):
    refusal.check()
