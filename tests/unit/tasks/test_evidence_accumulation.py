"""Evidence accumulation: its samples, its streams of random numbers, and its network."""

from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from eprop.tasks import evidence_accumulation
from eprop.training import Stage
from eprop.training.forms import fingerprint

pytestmark = pytest.mark.tiny
EXPERIMENT = evidence_accumulation()
DRAWN = [EXPERIMENT.train.draw(np.random.default_rng(i)) for i in range(60)]


def test_a_sample_has_the_phases_of_the_article() -> None:
    assert (np.size(EXPERIMENT.window), np.sum(EXPERIMENT.window)) == (2250, 150)
    mean = np.mean([sample.inputs for sample in DRAWN], axis=0).reshape(2250, 4, 10).mean(axis=2)
    cue = np.arange(2250) % 150 < 100
    cue[1050:] = False
    both = mean[:, 0] + mean[:, 1]
    assert both[cue].mean() == pytest.approx(0.04, rel=0.05)
    assert not both[~cue].any()
    assert mean[-150:, 2].mean() == pytest.approx(0.04, rel=0.1)
    assert not mean[:-150, 2].any()
    assert mean[:, 3].mean() == pytest.approx(0.01, rel=0.05)


def test_the_answer_is_the_side_with_more_cues() -> None:
    for sample in DRAWN:
        shown = sample.inputs[:1050].reshape(7, 150, 4, 10).sum(axis=(1, 3))
        assert np.all((shown[:, 0] > 0) != (shown[:, 1] > 0))
        assert sample.target == int((shown[:, 1] > 0).sum() > 3)
    assert 15 < sum(sample.target for sample in DRAWN) < 45


def test_epochs_bring_new_samples_and_the_test_is_the_same_for_all_seeds() -> None:
    sizes = {"samples": 4, "test_samples": 3, "validation": 2}
    experiment, other = (evidence_accumulation(seed=seed, **sizes) for seed in (1, 2))
    one, again, changed = experiment.splits(Stage()), experiment.splits(Stage()), other.splits(Stage())
    later, fresh = experiment.training_samples(Stage(epoch=1)), experiment.fresh(7)
    assert [len(part) for part in (one.train, one.validation, one.test, fresh)] == [4, 2, 3, 7]
    assert fingerprint(one.train) == fingerprint(again.train)
    assert fingerprint(one.test) == fingerprint(changed.test)
    firsts = [
        part.subset([0]).drawn()[0].inputs.tobytes()
        for part in (one.train, later, changed.train, one.validation, one.test, fresh)
    ]
    assert len(set(firsts)) == 6
    assert fingerprint(one.train) != fingerprint(evidence_accumulation(cues=5, **sizes).splits(Stage()).train)


def test_half_of_the_neurons_adapt() -> None:
    net = EXPERIMENT.network
    assert (net.population("lif").size, net.population("alif").size) == (50, 50)
    assert net.population("alif").model.beta == pytest.approx(0.01742, rel=1e-3)
    assert net.population("alif").model.tau_adapt == 2000.0


def test_connections_may_be_sparse() -> None:
    net = evidence_accumulation(lif=100, alif=0, connectivity=0.1).network
    sparse = ep.Simulator(net, threads=1)
    sources, _, weights = sparse.connections("lif->lif")
    assert 0.08 < sources.size / 100**2 < 0.12
    assert weights.std() == pytest.approx(1.0 / np.sqrt(0.1 * 100), rel=0.1)
    assert 0.07 < sparse.connections("in->lif")[0].size / (40 * 100) < 0.13
    assert sparse.connections("lif->out")[0].size == 2 * 100
