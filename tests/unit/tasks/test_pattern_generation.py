"""Pattern generation: the curves, the frozen sample, and files as targets."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import pytest

import eprop as ep
from eprop.errors import CheckpointError, DataError, InputError
from eprop.runs import resume_run
from eprop.tasks import pattern_generation
from eprop.tasks.curves import handwriting, pattern
from eprop.tasks.pattern_generation import SETTINGS
from eprop.training import Stage, normalised_error
from eprop.training.forms import samples_of

pytestmark = pytest.mark.tiny


def sample_of(experiment: ep.Experiment, number: int = 0) -> Any:
    return experiment.train.draw(np.random.default_rng(number))


@pytest.mark.parametrize(("target", "outputs"), [("sines", 1), ("lemniscate", 2), ("handwriting", 2)])
def test_the_pattern_begins_at_zero_and_reaches_one(target: str, outputs: int) -> None:
    found = pattern(target, None, 1000, 1)
    assert found.shape == (1000, outputs)
    assert np.all(found[0] == 0.0)
    assert np.abs(found).max() == 1.0


def test_sines_have_their_periods() -> None:
    spectrum = np.abs(np.fft.rfft(pattern("sines", None, 1000, 1)[:, 0]))
    assert {1, 2, 3, 5} == set(np.argsort(spectrum[1:])[-4:] + 1)


def test_writing_is_one_smooth_stroke() -> None:
    steps = np.hypot(*np.diff(handwriting(500, seed=1), axis=0).T)
    assert steps.max() < 1.02 * steps.min()


@pytest.mark.parametrize("rule", SETTINGS)
def test_settings_suit_the_rule_and_given_ones_replace_them(rule: Any) -> None:
    settings, found = SETTINGS[rule], pattern_generation(rule=rule)
    weights = {name: found.network.projection(name).weight.sd * 10.0 for name in ("in->rec", "rec->rec")}
    assert weights == pytest.approx({"in->rec": settings["w_in"], "rec->rec": settings["w_rec"]})
    assert (found.epochs, found.batch_size, np.size(found.window)) == (settings["epochs"], 1, 1000 + settings["lead"])
    assert found.name == f"pattern-generation-sines-{rule}"
    given = pattern_generation(rule=rule, optimizer="rmsprop", eta=1e-4, neuron="alif", beta=0.3)
    assert given.network.projection("in->rec").rule.optimizer == ep.RMSprop(eta=1e-4)
    assert given.network.population("rec").model.beta == 0.3


def test_the_sample_is_frozen_and_the_seed_changes_it() -> None:
    experiment = pattern_generation(seed=3)
    assert sample_of(experiment) is sample_of(experiment, 1)
    inputs = sample_of(experiment).inputs
    assert inputs.mean() == pytest.approx(0.05, rel=0.05)
    assert np.array_equal(inputs, sample_of(pattern_generation(seed=3)).inputs)
    assert not np.array_equal(inputs, sample_of(pattern_generation(seed=4)).inputs)


def test_a_lead_is_noise_of_its_own_outside_of_the_window() -> None:
    experiment = pattern_generation(lead=30.0)
    sample, plain = (sample_of(each) for each in (experiment, pattern_generation()))
    lead = sample.inputs[:30]
    assert np.array_equal(sample.inputs[30:], plain.inputs)
    assert lead.any()
    assert not any(np.array_equal(lead, part) for part in (plain.inputs[:30], plain.inputs[-30:]))
    assert np.asarray(experiment.window).tolist() == [0.0] * 30 + [1.0] * 1000
    assert not sample.target[:30].any()


def test_the_normalised_error_is_that_of_the_window() -> None:
    experiment = pattern_generation(target="lemniscate", duration=100.0, lead=20.0, neurons=3)
    samples = samples_of(experiment.network, experiment.splits(Stage()).test, experiment.window)
    curve = pattern("lemniscate", None, 100, 1)
    wrong = np.full((1, 20, 2), 7.0)  # outside of the window nothing counts
    y = np.concatenate([wrong, curve[None]], axis=1)
    assert normalised_error(samples, y) == 0.0
    y[:, 20:] = curve.mean(axis=0)
    assert normalised_error(samples, y) == pytest.approx(1.0)
    y[:, 20:] = curve + 0.1
    assert normalised_error(samples, y) == pytest.approx(0.01 / curve.var(axis=0).sum() * 2)
    with pytest.raises(InputError, match="needs samples with targets"):
        normalised_error(ep.engine.make_samples(experiment.network, 1, 120), y)


@pytest.mark.parametrize("text", ["x,y,z\n1,0,0\n2,1,-4\n", "\ufeff1,0,0\n2,1,-4\n"], ids=["names", "a mark"])
def test_a_file_is_a_target(text: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "path.csv").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    experiment = pattern_generation(path=pathlib.Path("path.csv"), duration=5.0)
    np.testing.assert_allclose(
        sample_of(experiment).target, np.linspace(0, 1, 5)[:, None] * [0.25, 0.25, -1.0], atol=1e-15
    )
    assert experiment.name == "pattern-generation-path-eprop"
    assert experiment.origin is not None
    assert experiment.origin.arguments["path"] == str(tmp_path / "path.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "path.csv: cannot be read"),
        ("", "must hold two rows of numbers"),
        ("1,2\n", "must hold two rows of numbers"),
        ("1,2\n3\n", "must be rows of numbers, all of one length, separated by commas: .*changed from 2 to 1 at row 2"),
        ("1\n\n2\nx\n", "must be rows of numbers.*: could not convert string 'x' .* at row 2"),
        ("1\nnan\n", "all numbers must be finite"),
        ("O.5,0\n1,1\n2,2\n", "must be rows of numbers.*: could not convert string 'O.5'"),
        ("0;1\n1;1\n", "separated by commas: could not convert string '1;1'"),
        ("0\n1e308\n", r"all numbers must be finite and below 1e\+100"),
        ("0 1\n1 1\n", "separated by commas: could not convert string '1 1'"),
        ("1\n1\n", "the curve never leaves its first point"),
    ],
)
def test_a_bad_file_is_refused(text: str | None, message: str, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "path.csv"
    if text is not None:
        file.write_text(text)
    with pytest.raises(DataError, match=message):
        pattern_generation(path=file)


def test_a_file_that_has_changed_is_noticed(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "path.csv"
    small: dict[str, Any] = {"path": file, "neurons": 3, "duration": 20.0, "c_reg": 1.0}
    file.write_text("0,0\n1,2\n2,0\n")
    ep.fit(pattern_generation(**small, epochs=1), folder=tmp_path / "run", threads=1)
    file.write_text("0,0\n1,3\n1,1\n")
    with pytest.raises(CheckpointError, match="was written while learning from other data"):
        resume_run(tmp_path / "run")
