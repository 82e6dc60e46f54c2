from __future__ import annotations

import numpy as np
import pytest

import eprop as ep
from eprop.errors import InputError, ParameterError
from eprop.tasks import EvidenceAccumulation
from eprop.tasks.datasets import GeneratedSamples

pytestmark = pytest.mark.tiny
TASK = EvidenceAccumulation()


def samples(n: int) -> list:
    return [TASK.draw_sample(np.random.default_rng(i)) for i in range(n)]


def test_a_trial_has_the_phases_of_the_article() -> None:
    assert (TASK.n_steps, TASK.window.sum()) == (2250, 150)
    drawn = samples(60)
    mean = np.mean([sample.inputs for sample in drawn], axis=0).reshape(2250, 4, 10).mean(axis=2)
    cue = np.arange(2250) % 150 < 100
    cue[1050:] = False
    both = mean[:, 0] + mean[:, 1]
    assert both[cue].mean() == pytest.approx(0.04, rel=0.05)
    assert not both[~cue].any()
    assert mean[-150:, 2].mean() == pytest.approx(0.04, rel=0.1)
    assert not mean[:-150, 2].any()
    assert mean[:, 3].mean() == pytest.approx(0.01, rel=0.05)


def test_the_answer_is_the_side_with_more_cues() -> None:
    for sample in samples(60):
        shown = sample.inputs[:1050].reshape(7, 150, 4, 10).sum(axis=(1, 3))
        assert np.all((shown[:, 0] > 0) != (shown[:, 1] > 0))
        assert sample.target == int((shown[:, 1] > 0).sum() > 3)
    assert 15 < sum(sample.target for sample in samples(60)) < 45


def test_epochs_bring_new_trials_and_the_test_is_the_same_for_all_seeds() -> None:
    choice = TASK.data(samples=4, test_samples=3, validation=2)
    assert choice.fresh_epochs

    def first(dataset) -> bytes:
        return TASK.draw_sample(dataset.generators()[0]).inputs.tobytes()

    one, again, later = choice.load(TASK), choice.load(TASK), choice.load(TASK, epoch=1)
    other = choice.load(TASK.replace(seed=2))
    assert [len(one.train), len(one.validation), len(one.test)] == [4, 2, 3]
    assert first(one.train) == first(again.train)
    fresh = choice.load_fresh(TASK, 7)
    assert len(fresh) == 7
    assert len({first(part) for part in (one.train, later.train, other.train, one.validation, one.test, fresh)}) == 6
    with pytest.raises(ParameterError, match="fresh samples must be >= 1, got 0"):
        choice.load_fresh(TASK, 0)
    assert first(one.test) == first(other.test)
    assert choice.fingerprint(TASK, one.train) == choice.fingerprint(TASK, again.train)
    assert choice.fingerprint(TASK, one.train) != choice.fingerprint(TASK.replace(cues=5), one.train)
    assert len(one.train.subset(np.array([True, False, True, False]))) == 2


def test_rates_of_e_prop_plus() -> None:
    plus = EvidenceAccumulation(rule="eprop+")
    assert (plus.optimizer, plus.c_reg) == ("gradient_descent", 1.0)
    # The eligibility of a synapse onto a neuron is filtered twice, and not normalised: its gradients are larger by far.
    assert plus.eta_out > 100 * plus.eta


def test_half_of_the_neurons_adapt() -> None:
    models = {p.name: (p.model, p.size) for p in TASK.build_network().populations}
    assert models["lif"][1] == models["alif"][1] == 50
    assert models["alif"][0].beta == pytest.approx(0.01742, rel=1e-3)
    assert models["alif"][0].tau_adapt == 2000.0


def test_connections_may_be_sparse() -> None:
    sparse = ep.Simulator(EvidenceAccumulation(lif=100, alif=0, connectivity=0.1).build_network(), threads=1)
    sources, _, weights = sparse.connections("lif->lif")
    assert 0.08 < sources.size / 100**2 < 0.12
    assert weights.std() == pytest.approx(1.0 / np.sqrt(0.1 * 100), rel=0.1)
    assert 0.07 < sparse.connections("in->lif")[0].size / (40 * 100) < 0.13
    assert sparse.connections("lif->out")[0].size == 2 * 100


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"connectivity": 0.0}, "connectivity must be > 0"),
        ({"cues": 4}, "cues must be odd"),
        ({"lif": 0, "alif": 0}, "must not both be 0"),
        ({"bias": 0.7}, "bias must be <= 0.5"),
    ],
)
def test_wrong_parameters_are_refused(values: dict, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        EvidenceAccumulation(**values)


def test_recordings_are_not_its_trials() -> None:
    task = EvidenceAccumulation(alif=0)
    with pytest.raises(InputError, match="makes its samples from a seed"):
        task.make_samples(task.build_network(), [1, 2])
    with pytest.raises(ParameterError, match="leave out --data"):
        task.data().load_test(task, ["somewhere"])


def test_a_window_that_is_never_open_is_refused() -> None:
    class Never(EvidenceAccumulation):
        @property
        def window(self) -> np.ndarray:
            return np.zeros(self.n_steps)

    task = Never()
    with pytest.raises(InputError, match=r"Never.window is zero in every step: nothing would be learned, or judged"):
        task.make_samples(task.build_network(), GeneratedSamples((1,), np.arange(1)))
