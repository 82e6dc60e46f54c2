"""Two processes that train in one folder would garble it."""

from __future__ import annotations

import os
import pathlib
from typing import Any

import pytest

from eprop.errors import OutputError
from eprop.training import RunConfig, RunFolder, Stopped, Watcher, resume_run, start_run
from eprop.training.lock import LOCK, locked

pytestmark = pytest.mark.tiny


def config() -> RunConfig:
    return RunConfig.make(
        "pattern-generation", task={"duration": 50.0, "neurons": 5, "inputs": 5}, training={"epochs": 4}
    )


def test_a_run_that_is_being_trained_is_left_alone(tmp_path: pathlib.Path) -> None:
    refused = []

    class Other(Watcher):
        def metrics(self, line: dict[str, Any]) -> None:
            before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
            for call in (lambda: resume_run(tmp_path), lambda: start_run(config(), tmp_path, force=True)):
                with pytest.raises(OutputError) as error:
                    call()
                refused.append(str(error.value))
            assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
            if line["samples"] == 2:
                raise Stopped

    with pytest.raises(Stopped):
        start_run(config(), tmp_path, watcher=Other())
    assert len(refused) == 4
    for text in refused:
        assert text.startswith(f"{tmp_path}: is in use by process {os.getpid()} on ")
    assert not (tmp_path / LOCK).exists()
    resume_run(tmp_path)


def test_a_lock_that_a_killed_process_has_left_holds_nobody_up(tmp_path: pathlib.Path) -> None:
    (tmp_path / LOCK).write_text("12345 on another\n")
    start_run(config(), tmp_path)
    assert RunFolder(tmp_path).read_summary()["seed"] == 1
    assert not (tmp_path / LOCK).exists()


def test_a_folder_is_locked_once(tmp_path: pathlib.Path) -> None:
    for _ in range(2):
        with locked(tmp_path), locked(tmp_path, wanted=False):
            assert (tmp_path / LOCK).read_text().startswith(f"{os.getpid()} on ")
            with (
                pytest.raises(OutputError, match="wait for its end, stop it, or choose another folder"),
                locked(tmp_path),
            ):
                pass
        assert not (tmp_path / LOCK).exists()


def test_without_locks_all_goes_on(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eprop.training.lock.fcntl", None)
    with locked(tmp_path), locked(tmp_path):
        pass


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: pathlib.Path) -> None:
    """A process that trains writes its number into the lock."""
    mine, run = tmp_path / "mine", tmp_path / "run"
    mine.write_text("mine")
    run.mkdir()
    (run / LOCK).symlink_to(mine)
    with pytest.raises(OutputError, match=r"\.lock: cannot be written"), locked(run):
        pass
    assert mine.read_text() == "mine"
