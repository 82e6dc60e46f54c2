"""Series of numbers: their code, and spikes that are drawn anew in each epoch."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from compare import assert_same, differ
from eprop.data import SeriesDataset, Splits, from_series
from eprop.encoders import DeltaCode, LatencyCode, PoissonCode, PopulationCode
from eprop.errors import DataError
from eprop.training import Experiment, SampleLearner, Stopped, Trainer, Watcher
from refusals import refusals

pytestmark = pytest.mark.tiny

RNG = np.random.default_rng(0)
X, LABELS = RNG.normal(size=(12, 10, 2)), np.arange(12) % 3
DATA = from_series(X, LABELS, n_steps=4)


def spikes(data: SeriesDataset, epoch: int | None = None) -> np.ndarray:
    binned = data.drawn(epoch)
    return np.stack([binned.dense(k) for k in range(len(binned))])


def simulator(threads: int = 1, rule: ep.Rule | None = None) -> ep.Simulator:
    net = ep.recurrent(DATA.n_channels, 20, 3, rule=rule)
    return ep.Simulator(net, threads=threads)


def test_an_epoch_has_spikes_of_its_own_and_an_evaluation_always_the_same():
    assert np.array_equal(spikes(DATA, 1), spikes(from_series(X, LABELS, n_steps=4), 1))
    drawn = [spikes(DATA, 0), spikes(DATA, 1), spikes(DATA), spikes(from_series(X, LABELS, n_steps=4, seed=1), 0)]
    assert all(not np.array_equal(a, b) for i, a in enumerate(drawn) for b in drawn[:i])
    assert np.array_equal(spikes(DATA), drawn[2])
    assert drawn[0].shape == (12, 40, DATA.n_channels) == (12, DATA.n_steps, 36)


def test_the_spikes_are_those_of_the_code():
    data = from_series(X, LABELS, code=PopulationCode(fields=4, rate=300.0), n_steps=200, clock=False)
    assert data.code == PopulationCode(fields=4, rate=300.0).fit(X.reshape(-1, 2))
    found = data.code.decode_series(spikes(data), 200)
    assert np.corrcoef(found.ravel(), X.ravel())[0, 1] > 0.95


def test_any_code_and_other_series_with_the_same():
    for code in (LatencyCode(), DeltaCode(), PoissonCode()):
        assert spikes(from_series(np.abs(X), LABELS, code=code, n_steps=20), 3).any()
    other = DATA.encode(3.0 * X[:5], LABELS[:5], name="test")
    assert other.code == DATA.code
    assert (other.n_steps, other.n_channels, other.name, len(other)) == (40, 36, "test", 5)


def test_the_clock_tells_the_place():
    data = from_series(np.zeros((1, 10)), [0], n_steps=100)
    place = data.code.decode_series(spikes(data), 100)[0, :, 1]
    np.testing.assert_allclose(place, np.linspace(0, 1, 10), atol=0.1)


def test_shorter_series_begin_later():
    short = from_series([X[0], X[1, :4], *X[2:]], LABELS, n_steps=4, observations=12)
    found = spikes(short, 0)
    assert not found[0, :8].any()
    assert not found[1, :32].any()
    assert found[0, 8:].any(axis=1).mean() > 0.7
    assert short.encode([X[1, :4]], [1]).values.tobytes() == short.values[1:2].tobytes()


def test_parts():
    train, rest = DATA.split((9, 3), seed=2)
    assert sorted(np.bincount(rest.labels).tolist()) == [1, 1, 1]
    assert len(train) == 9
    assert DATA[:2].values.tobytes() == DATA.values[:2].tobytes()
    assert repr(DATA).startswith("<SeriesDataset 'series': 12 series, 10 observations of 4 steps of 1 ms, 36 channels")
    long = from_series(np.tile(X, (30, 1, 1)), np.tile(LABELS, 30), n_steps=1)
    assert len(long.drawn(0)) == 360


def test_curves_have_a_target_for_each_observation():
    data = from_series(X, targets=X[:, :, :1], n_steps=4)
    assert np.array_equal(data.drawn().targets, np.repeat(X[:, :, :1], 4, axis=1))
    assert from_series(X, targets=np.arange(12.0)).drawn().targets.shape == (12, 1, 1)


@pytest.mark.parametrize("rule", [None, ep.EPropPlus()], ids=["eprop", "eprop+"])
def test_fit_draws_anew_with_the_same_bits_for_any_threads(rule):
    runs = [simulator(threads, rule) for threads in (1, 2)]
    for sim in runs:
        history = ep.fit(sim, DATA, DATA, epochs=3, batch_size=5, progress=False)
    assert history.evaluate(DATA).error == history.evaluate(DATA.drawn()).error
    weights = runs[0].state()["synapses/weight"]
    assert_same(runs[1].state()["synapses/weight"], weights)
    given, same = simulator(rule=rule), simulator(rule=rule)
    made = Experiment(given.network, lambda stage: DATA.drawn(stage.epoch), epochs=3, batch_size=5)
    Trainer(SampleLearner(made, given), watcher=Watcher()).run()
    assert_same(given.state()["synapses/weight"], weights)
    ep.fit(same, DATA.drawn(0), epochs=3, batch_size=5, progress=False)
    assert differ(same.state()["synapses/weight"], weights)


def test_a_resumed_training_has_the_same_bits():
    def trainer(sim, callbacks=()):
        made = Experiment(sim.network, DATA, epochs=4, batch_size=5, reports=12)
        return Trainer(SampleLearner(made, sim), watcher=Watcher(), callbacks=callbacks)

    whole, cut, resumed = simulator(), simulator(), simulator()
    trainer(whole).run()

    def stop(training, line):
        if line["samples"] >= 29:  # in the third epoch
            raise Stopped

    begun = trainer(cut, [stop])
    with pytest.raises(Stopped):
        begun.run()
    rest = trainer(resumed)
    resumed.set_state(cut.state())
    rest.set_state({**begun.state(), "unreported": False})
    rest.run()
    assert_same(resumed.state()["synapses/weight"], whole.state()["synapses/weight"])


def test_a_function_may_return_series():
    train, rest = DATA.split((9, 3))
    sims = [simulator(), simulator()]
    for sim, given in zip(sims, [(lambda stage: Splits(train, rest, rest),), (train, rest)], strict=True):
        Trainer(SampleLearner(Experiment(sim.network, *given, epochs=2, batch_size=5), sim), watcher=Watcher()).run()
    assert_same(*(sim.state()["synapses/weight"] for sim in sims))


@refusals(
    (lambda: from_series([], []), DataError, "^the data set has no series$"),
    (lambda: from_series([X[0], X[1, :, :1]], [0, 1]), DataError, "^series 1 must be an array"),
    (lambda: from_series([[0.0, np.nan]], [0]), DataError, "^series 0 has a value that is not finite"),
    (lambda: from_series(X), DataError, "^give either labels or targets"),
    (lambda: from_series(X, [0]), DataError, "^labels must be one whole number for each of 12 series"),
    (lambda: from_series(X, targets=[0.0]), DataError, r"^targets must have the shape \(12,\)"),
    (lambda: DATA.encode(np.zeros((1, 11, 2)), [0]), DataError, r"observations=11\)$"),
    (lambda: DATA.encode(np.zeros((1, 5, 3)), [0]), DataError, "^the series have 3 entries, those of the code 2$"),
)
def test_wrong_series_are_refused(refusal):
    refusal.check()
