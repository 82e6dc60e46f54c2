"""Where a training was, as a checkpoint of somebody else may tell it."""

from __future__ import annotations

import math
import pathlib
from typing import Any

import numpy as np
import pytest

import eprop as ep
from eprop.errors import CheckpointError, DataError
from eprop.training import (
    PolicyTrainer,
    PolicyTraining,
    RunConfig,
    Stopped,
    Watcher,
    load_checkpoint,
    resume_run,
    save_checkpoint,
    start_run,
)  # fmt: skip
from eprop.training.checkpoint import Checkpoint
from eprop.training.position import Told
from worlds import CorridorTask


def small() -> RunConfig:
    """A run of milliseconds."""
    return RunConfig.make(
        "evidence-accumulation", None,
        task={"cues": 1, "cue": 5.0, "gap": 1.0, "delay": 2.0, "recall": 3.0, "group": 2, "lif": 3, "alif": 2, "rule": "eprop"},
        data={"samples": 6, "test_samples": 2, "validation": 2},
        training={"epochs": 2, "batch_size": 2, "reports": 6},
        run={"threads": 1, "figures": []},
    )  # fmt: skip


class StopAt(Watcher):
    """Ctrl-C once a part is done."""

    def progress(self, progress: Any) -> None:
        if progress.done >= 4:
            raise Stopped


def policy_trainer() -> PolicyTrainer:
    task = CorridorTask()
    training = PolicyTraining(steps=24, environments=2, rollout=4, reports=3)
    return PolicyTrainer(task, ep.Simulator(task.build_network(), threads=1), training)


@pytest.mark.parametrize("value", [None, "3", 1.5, -1, True, 10**17, [3], math.nan])
def test_whole_numbers(value: Any) -> None:
    with pytest.raises(DataError, match=r"^part\.done (must be a whole number from 0 on|is missing)"):
        Told({"done": value}, "part").whole("done")


@pytest.mark.parametrize("value", ["3", math.nan, math.inf, True, [3.0], 10**400])
def test_real_numbers_and_lists_of_them(value: Any) -> None:
    told = Told({"one": value, "all": [1.0, value]})
    for read in (told.real, told.known):
        with pytest.raises(DataError, match=r"^one must be a finite number"):
            read("one")
    with pytest.raises(DataError, match=r"^all must be a list of at most 5 finite numbers"):
        told.reals("all", 5)
    with pytest.raises(DataError, match=r"^all must be a list"):
        Told({"all": [1.0, 2.0]}).reals("all", 1)


def test_what_may_be_missing() -> None:
    told = Told({"flag": 1, "array": np.zeros(3)})
    assert math.isnan(told.known("error"))
    assert not told.flag("stopped_early")
    assert told.whole("learned", 4) == 4
    with pytest.raises(DataError, match=r"^flag must be true or false, got 1"):
        told.flag("flag")
    with pytest.raises(DataError, match=r"^array must be an array of shape \(2,\), got 'type float64, shape \(3,\)"):
        told.array("array", "f", (2,))
    with pytest.raises(DataError, match=r"^the interval must hold numbers by name, got 5"):
        Told(5, "the interval")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"done": 1.5}, "done must be a whole number"),
        ({"done": 10**6}, "has only 12 now"),
        ({"interval": 3}, "interval must hold numbers by name"),
        ({"interval": {}}, "interval.samples is missing"),
        ({"best_error": "low"}, "best_error must be a finite number"),
        ({"stopped_early": "yes"}, "stopped_early must be true or false"),
    ],
)
def test_a_run_names_the_file(changes: dict[str, Any], words: str, tmp_path: pathlib.Path) -> None:
    with pytest.raises(Stopped):
        start_run(small(), tmp_path / "run", watcher=StopAt())
    path = tmp_path / "run" / "checkpoint.h5"
    kept = load_checkpoint(path)
    save_checkpoint(path, Checkpoint(kept.config, {**kept.position, **changes}, kept.state, kept.example, kept.version))
    with pytest.raises(CheckpointError, match=rf"checkpoint.h5: .*{words}"):
        resume_run(tmp_path / "run", watcher=Watcher())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"updates": "1"}, "updates must be a whole number"),
        ({"recent": [1.0, "x"]}, "recent must be a list"),
        ({"interval": {"total": None}}, "interval.total is missing"),
        ({"encoder/memory": np.zeros((2, 1))}, "the encoder remembers numbers of shape"),
        ({"streams/counters": np.full(10, 2**60)}, "counters must be 5 for each stream"),
    ],
)
def test_a_policy_is_told_as_well(changes: dict[str, Any], words: str) -> None:
    trainer = policy_trainer()
    trainer._learn_some()
    with pytest.raises(ValueError, match=words):
        trainer.set_position({**trainer.position(), **changes})
