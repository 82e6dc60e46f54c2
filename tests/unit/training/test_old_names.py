"""Runs of earlier versions, which call validation otherwise, are read, evaluated and resumed."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import pytest

from eprop.errors import ParameterError
from eprop.training import (
    RunConfig,
    RunFolder,
    Watcher,
    load_checkpoint,
    restore,
    resume_run,
    save_checkpoint,
    start_run,
)
from eprop.training.config import parse_settings, read_config
from eprop.training.old_names import RENAMED, old_name


def aged(text: str) -> str:
    """A text with the names of earlier versions."""
    for new in sorted(RENAMED.values(), key=len, reverse=True):
        for quote, end in (('"', '"'), ("\n", " ="), ("\n# ", ":")):
            text = text.replace(f"{quote}{new}{end}", f"{quote}{old_name(new)}{end}")
    return text


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, RunFolder]:
    """A run, and the same as an earlier version would have written it."""
    short = {"cues": 3, "cue": 10.0, "gap": 5.0, "delay": 10.0, "recall": 10.0, "lif": 5, "alif": 3}
    data: dict[str, Any] = {"samples": 6, "test_samples": 8, "validation": 4}
    training = {"epochs": 2, "validations": 3}
    config = RunConfig.make("evidence-accumulation", None, task=short, data=data, training=training, run={"threads": 1})
    new, old = (tmp_path_factory.mktemp("runs") / name for name in ("new", "old"))
    for path in (new, old):
        start_run(config, path, watcher=Watcher())
    folder = RunFolder(old)
    for path in (folder.config, folder.metrics, folder.summary):
        text = path.read_text()
        assert aged(text) != text
        path.write_text(aged(text))
    kept = load_checkpoint(folder.checkpoint)
    position = {old_name(name) or name: value for name, value in kept.position.items()}
    assert "hold_error" in position
    save_checkpoint(folder.checkpoint, dataclasses.replace(kept, config=aged(kept.config), position=position))
    return RunFolder(new), folder


def test_files_are_read_by_the_names_of_today(runs: tuple[RunFolder, RunFolder]) -> None:
    new, old = runs
    assert '"hold_error"' in old.metrics.read_text()
    assert [set(line) for line in old.read_metrics()] == [set(line) for line in new.read_metrics()]
    assert old.read_summary().keys() == new.read_summary().keys()
    assert old.read_summary()["validation_samples"] == 4
    assert RunConfig.make(*read_config(old.config)) == RunConfig.make(*read_config(new.config))


def test_the_run_is_restored_and_resumed(runs: tuple[RunFolder, RunFolder]) -> None:
    new, old = runs
    config, checkpoint, _ = restore(old.path, threads=1)
    assert (config.data.validation, config.training.validations) == (4, 3)  # type: ignore[union-attr]
    assert "hold_error" in checkpoint.position
    outcome = resume_run(old.path, watcher=Watcher())
    assert outcome.summary["validation_error"] == new.read_summary()["validation_error"]


def test_a_wrong_value_under_an_old_name_is_found_in_its_line(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[task]\nname = "nmnist"\n[data]\nhold = -1\n')
    with pytest.raises(ParameterError, match="line 4: validation must be >= 0"):
        RunConfig.make(*read_config(path))


def test_an_option_is_told_its_new_name() -> None:
    with pytest.raises(ParameterError, match="'hold' has been renamed; write 'validation'"):
        parse_settings("nmnist", ["data.hold=4"])
