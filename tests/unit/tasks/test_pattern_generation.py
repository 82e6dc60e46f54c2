from __future__ import annotations

import pathlib

import numpy as np
import pytest

import eprop as ep
from eprop.engine import make_samples
from eprop.errors import DataError, ParameterError
from eprop.tasks import PatternGeneration
from eprop.tasks.pattern_generation import handwriting

pytestmark = pytest.mark.tiny


def test_the_pattern_begins_at_zero_and_reaches_one() -> None:
    for target, outputs in (("sines", 1), ("lemniscate", 2), ("handwriting", 2)):
        pattern = PatternGeneration(target=target).pattern()
        assert pattern.shape == (1000, outputs)
        assert np.all(pattern[0] == 0.0)
        assert np.abs(pattern).max() == 1.0


def test_sines_have_their_periods() -> None:
    spectrum = np.abs(np.fft.rfft(PatternGeneration().pattern()[:, 0]))
    assert {1, 2, 3, 5} == set(np.argsort(spectrum[1:])[-4:] + 1)


def test_the_mean_square_of_rmsprop_is_a_parameter() -> None:
    task = PatternGeneration(rule="eprop+", optimizer="rmsprop", beta_square=0.999, eta=1e-4)
    assert task.make_rule(task.eta).optimizer == ep.RMSprop(eta=1e-4, beta=0.999)


def test_settings_suit_the_rule() -> None:
    batched, plus = PatternGeneration(), PatternGeneration(rule="eprop+")
    assert (batched.optimizer, batched.w_in, batched.w_rec, batched.lead) == ("adam", 1.0, 1.0, 0.0)
    assert (plus.optimizer, plus.w_in, plus.w_rec, plus.lead) == ("gradient_descent", 2.0, 0.5, 200.0)
    assert PatternGeneration(rule="eprop+", w_in=0.7).w_in == 0.7
    assert batched.default_training(None) == {"epochs": 3000, "batch_size": 1}
    assert plus.default_training(None) == {"epochs": 6000, "batch_size": 1, "schedule": "cosine"}


def test_the_trial_is_frozen_and_the_seed_changes_it() -> None:
    first, second = (PatternGeneration(seed=3).draw_sample(np.random.default_rng(i)) for i in (0, 1))
    assert np.array_equal(first.inputs, second.inputs)
    assert first.inputs.mean() == pytest.approx(0.05, rel=0.05)
    assert not np.array_equal(PatternGeneration(seed=4).draw_sample(np.random.default_rng(0)).inputs, first.inputs)


def test_a_lead_is_noise_of_its_own_outside_of_the_window() -> None:
    task = PatternGeneration(lead=30.0)
    sample, plain = (t.draw_sample(np.random.default_rng(0)) for t in (task, PatternGeneration()))
    assert len(sample.inputs) == len(task.window) == 1030
    assert np.array_equal(sample.inputs[30:], plain.inputs)
    lead = sample.inputs[:30]
    assert lead.any()
    assert not any(np.array_equal(lead, part) for part in (plain.inputs[:30], plain.inputs[-30:]))
    assert task.window.tolist() == [0.0] * 30 + [1.0] * 1000
    assert not sample.target[:30].any()


def test_the_normalised_error_is_that_of_the_window() -> None:
    task = PatternGeneration(target="lemniscate", duration=100.0, lead=20.0, neurons=3)
    dataset = task.data(samples=1).load(task).train
    samples = task.make_samples(task.build_network(), dataset)
    pattern = task.pattern()
    wrong = np.full((1, 20, 2), 7.0)  # outside of the window nothing counts
    y = np.concatenate([wrong, pattern[None]], axis=1)
    assert task.score(samples, y) == 0.0
    y[:, 20:] = pattern.mean(axis=0)
    assert task.score(samples, y) == pytest.approx(1.0)
    y[:, 20:] = pattern + 0.1
    assert task.score(samples, y) == pytest.approx(0.01 / pattern.var(axis=0).sum() * 2)
    with pytest.raises(ParameterError, match=r"PatternGeneration\.score needs samples with targets"):
        task.score(make_samples(task.build_network(), 1, 120), y)


def test_writing_is_one_smooth_stroke() -> None:
    path = handwriting(500, seed=1)
    steps = np.hypot(*np.diff(path, axis=0).T)
    assert steps.max() < 1.02 * steps.min()


def test_a_file_is_a_target(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "path.csv").write_text("x,y,z\n1,0,0\n2,1,-4\n")
    monkeypatch.chdir(tmp_path)
    task = PatternGeneration(target="path.csv", duration=5.0)
    np.testing.assert_allclose(task.pattern(), np.linspace(0, 1, 5)[:, None] * [0.25, 0.25, -1.0])
    assert task.absolute().target == str(tmp_path / "path.csv")
    # As spreadsheets write it, with a mark at its beginning, and without names.
    (tmp_path / "path.csv").write_text("\ufeff1,0,0\n2,1,-4\n", encoding="utf-8")
    np.testing.assert_allclose(task.pattern(), np.linspace(0, 1, 5)[:, None] * [0.25, 0.25, -1.0])
    assert task.variant == "path-eprop"
    assert [p.size for p in task.build_network().populations if p.name == "out"] == [3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "path.csv: cannot be read"),
        ("", "must hold two rows of numbers"),
        ("1,2\n", "must hold two rows of numbers"),
        ("1,2\n3\n", "line 2: must be rows of finite numbers, all of one length, separated by commas; got '3'"),
        ("1\n\n2\nx\n", "line 4: must be rows of finite numbers"),
        ("1\nnan\n", "line 2: must be rows of finite numbers.*got 'nan'"),
        ("O.5,0\n1,1\n2,2\n", "line 1: must be rows of finite numbers.*got 'O.5,0'"),
        ("0;1\n1;1\n", "line 1: .*separated by commas; got '0;1'; this file has semicolons"),
        ("0\n1e308\n", "line 2: holds a number beyond 1e\\+100, too large to be a target"),
        ("0 1\n1 1\n", "line 1: .*separated by commas; got '0 1'"),
        ("1\n1\n", "the curve never leaves its first point"),
    ],
)
def test_a_bad_file_is_refused(text: str | None, message: str, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "path.csv"
    if text is not None:
        file.write_text(text)
    with pytest.raises(DataError, match=message):
        PatternGeneration(target=str(file)).pattern()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"target": "lemniskate"}, "did you mean 'lemniscate'"),
        ({"duration": 1.0}, "must be two steps at least"),
        ({"rule": "e-prop"}, "PatternGeneration.rule must be"),
        ({"optimizer": "sgd"}, "PatternGeneration.optimizer must be"),
    ],
)
def test_wrong_parameters_are_refused(values: dict, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        PatternGeneration(**values)
