"""Several seeds side by side."""

from __future__ import annotations

import json
import pathlib

import numpy as np
import pytest

from eprop.errors import OutputError, ParameterError
from eprop.training import RunConfig, run_trials, start_run
from eprop.training.trials import summarise

SMALL = {"duration": 50.0, "neurons": 5, "inputs": 5}


def config(**task) -> RunConfig:
    return RunConfig.make("pattern-generation", task={**SMALL, **task}, training={"epochs": 4})


@pytest.mark.parametrize("jobs", [1, 2])
def test_trials_are_the_runs_of_their_seeds(jobs: int, tmp_path: pathlib.Path) -> None:
    folder, summary = run_trials(config(seed=3), 2, tmp_path / "trials", jobs=jobs)
    assert json.loads(folder.summary.read_text()) == summary
    assert [trial["seed"] for trial in summary["trials"]] == [3, 4]
    scores = [trial["test_error"] for trial in summary["trials"]]
    assert summary["mean"] == pytest.approx(np.mean(scores))
    assert summary["sd"] == pytest.approx(np.std(scores, ddof=1))
    alone = start_run(config(seed=4), tmp_path / "alone")
    assert alone.summary["test_error"] == scores[1]
    assert (tmp_path / "trials" / "seed-4" / "checkpoint.h5").exists()


def test_one_trial_has_no_spread(tmp_path: pathlib.Path) -> None:
    run = start_run(config(), tmp_path / "run")
    assert run.summary["test_error_sigma"] is None
    assert summarise(config(), [run.summary])["sd"] is None


def test_wrong_numbers_and_folders_are_refused(tmp_path: pathlib.Path) -> None:
    for given in ({"count": 0}, {"count": 1, "jobs": 0}):
        with pytest.raises(ParameterError, match=r"must be >= 1, got 0"):
            run_trials(config(), **given)
    (tmp_path / "mine").write_text("")
    with pytest.raises(OutputError, match="is not empty"):
        run_trials(config(), 1, tmp_path)
