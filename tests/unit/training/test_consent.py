"""A task's file that data name is run only if this user has trained with it, or says so."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pathlib
import shutil
import sys
import warnings

import pytest
from typer.testing import Result

import command_line
from eprop import load
from eprop.errors import ParameterError
from eprop.files.trust import is_trusted, state_root, trust_task
from eprop.plot import draw_run, write_report
from eprop.tasks import task_named
from eprop.tasks.registry import new_task
from eprop.training import RunConfig, RunFolder, evaluate_run, read_config, resume_run, resume_trials, start_run
from eprop.training.loaded_run import ChangedTaskWarning

SMALL = {"task": {"neurons": 3, "group": 2, "n_steps": 4}, "data": {"samples": 4, "test_samples": 2}}


def forget() -> None:
    """As in another process."""
    for name in [name for name in sys.modules if name.startswith("eprop_task_")]:
        del sys.modules[name]


@pytest.fixture
def strange(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> tuple[pathlib.Path, pathlib.Path]:
    """A run that somebody else has trained, with a task's file inside that leaves a mark when it is run."""
    monkeypatch.setenv("EPROP_STATE_DIR", str(tmp_path / "theirs"))
    run, ran = tmp_path / "run", tmp_path / "ran"
    run.mkdir()
    payload, text = new_task("payload", tmp_path / "payload.py")
    payload.write_text(f"{text}\n\nimport pathlib\n\npathlib.Path({str(ran)!r}).touch()\n")
    start_run(RunConfig.make(str(payload), **SMALL, training={"epochs": 1}, run={"threads": 1}), run)
    ran.unlink()
    forget()
    monkeypatch.setenv("EPROP_STATE_DIR", str(tmp_path / "mine"))
    return run, ran


def command(*words: str, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Result:
    """What a command prints, in a process that has loaded nothing yet."""
    forget()
    monkeypatch.chdir(folder)
    return command_line.run(*words)


CALLS = {
    "evaluate": evaluate_run,
    "plot": draw_run,
    "report": write_report,
    "load": load,
    "resume": resume_run,
    "resume as another": lambda run: resume_run(run, task="pattern-generation"),
    "read": lambda run: read_config(run / "config.toml"),
    "read as another": lambda run: read_config(run / "config.toml", "nmnist"),
    "trials": lambda run: resume_trials(run),
    "trials of another": lambda run: resume_trials(run, task="nmnist"),
    "plot trials": draw_run,
}


@pytest.mark.parametrize("call", CALLS)
def test_a_file_that_data_name_is_not_run(call: str, strange: tuple[pathlib.Path, pathlib.Path]) -> None:
    run, ran = strange
    if "trials" in call:
        RunFolder(run).write_trials([1])
    payload = run.parent / "payload.py"
    digest = hashlib.sha256(payload.read_bytes()).hexdigest()
    words = "payload.py" if "another" in call else rf"names the task {payload}, .* SHA-256 {digest}; .* give --trust"
    with pytest.raises(ParameterError, match=words):
        CALLS[call](run)
    assert not ran.exists()


def test_consent_is_given_once_or_by_training(strange: tuple[pathlib.Path, pathlib.Path]) -> None:
    run, ran = strange
    evaluate_run(run, trust=True)
    assert ran.exists()
    forget()
    with pytest.raises(ParameterError, match="give --trust"):  # it was given for that time
        evaluate_run(run)
    resume_run(run, task=str(run.parent / "payload.py"))  # the user's own word
    forget()
    for call in (evaluate_run, draw_run, resume_run):
        call(run)
        forget()


def test_a_file_of_ones_own_may_be_edited(strange: tuple[pathlib.Path, pathlib.Path]) -> None:
    run, ran = strange
    resume_run(run, trust=True)
    forget()
    ran.unlink()
    payload = run.parent / "payload.py"
    with payload.open("a") as file:
        file.write("# one more line\n")
    with pytest.warns(ChangedTaskWarning, match=f"{payload}: has changed since {run} was trained"):
        evaluate_run(run)
    assert ran.exists()


@pytest.mark.parametrize("what", ["file for everybody", "folder for everybody", "another place"])
def test_an_edited_file_that_others_may_have_changed_is_not_run(
    strange: tuple[pathlib.Path, pathlib.Path], what: str
) -> None:
    run, ran = strange
    resume_run(run, trust=True)
    forget()
    ran.unlink()
    payload = run.parent / "payload.py"
    with payload.open("a") as file:
        file.write("# one more line\n")
    if what == "another place":
        state = state_root() / "trusted_tasks.txt"
        state.write_bytes(state.read_bytes().replace(b"payload.py", b"other.py"))
    else:
        (payload if "file" in what else payload.parent).chmod(0o777)
    with pytest.raises(ParameterError, match="because you have not trained a run with it"):
        evaluate_run(run)
    assert not ran.exists()


def test_a_configuration_that_was_exchanged_runs_nothing(strange: tuple[pathlib.Path, pathlib.Path]) -> None:
    """The checkpoint names a task of the package, the configuration beside it a file."""
    run, ran = strange
    theirs = (run / "config.toml").read_text()
    mine = run.parent / "mine"
    small = {"task": {"neurons": 3, "duration": 20.0, "lead": 5.0}, "training": {"epochs": 1}, "run": {"threads": 1}}
    start_run(RunConfig.make("pattern-generation", **small), mine)
    (mine / "config.toml").write_text(theirs)
    with pytest.raises(Exception, match="edited since the run began"):
        resume_run(mine)
    evaluate_run(mine)
    assert not ran.exists()


def test_bytecode_beside_a_file_is_not_run(strange: tuple[pathlib.Path, pathlib.Path]) -> None:
    """Python would take it for that of the file, whose digest is known."""
    run, ran = strange
    payload = run.parent / "payload.py"
    resume_run(run, trust=True)
    forget()
    ran.unlink()
    evil = run.parent / "evil"
    code = compile(f"import pathlib\npathlib.Path({str(evil)!r}).touch()\n", str(payload), "exec")
    status = payload.stat()
    cached = pathlib.Path(importlib.util.cache_from_source(str(payload)))
    cached.parent.mkdir(exist_ok=True)
    from importlib._bootstrap_external import _code_to_timestamp_pyc

    cached.write_bytes(_code_to_timestamp_pyc(code, int(status.st_mtime), status.st_size))
    evaluate_run(run)
    assert ran.exists()
    assert not evil.exists()


def test_a_run_is_replaced_without_running_its_file(strange: tuple[pathlib.Path, pathlib.Path]) -> None:
    run, ran = strange
    (run / "checkpoint.npz").unlink()
    RunFolder.create(run, "x", force=True)
    assert not ran.exists()
    assert not (run / "config.toml").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["evaluate", "run"],
        ["plot", "run"],
        ["report", "run"],
        ["train", "--resume", "run"],
        ["train", "--resume", "run", "--bogus", "1"],
        ["train", "pattern-generation", "--resume", "run"],
        ["train", "nmnist", "--config", "run/config.toml"],
    ],
)
def test_no_command_runs_it(
    words: list[str], strange: tuple[pathlib.Path, pathlib.Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, ran = strange
    done = command(*words, folder=run.parent, monkeypatch=monkeypatch)
    assert done.exit_code == 2
    assert "payload.py" in done.stderr
    assert not ran.exists()


def test_commands_with_trust_run_it(
    strange: tuple[pathlib.Path, pathlib.Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, ran = strange
    for words in (
        ["evaluate", "run", "--trust", "--quiet"],
        ["train", "--resume", "run", "--trust", "--quiet", "--no-figures"],
        ["plot", "run", "--quiet"],  # the one before was a training
    ):
        done = command(*words, folder=run.parent, monkeypatch=monkeypatch)
        assert (done.exit_code, done.stderr) == (0, "")
        assert ran.exists()


def test_what_this_user_has_made_is_known(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EPROP_STATE_DIR", str(tmp_path / "state"))
    assert not is_trusted("ab")
    trust_task("my\ntask.py", "ab")
    trust_task("my_task.py", "ab")
    assert is_trusted("ab")
    assert not is_trusted("a")
    assert not is_trusted("")
    assert (state_root() / "trusted_tasks.txt").read_text().split("\n") == ["", "ab my task.py", ""]
    monkeypatch.setenv("EPROP_STATE_DIR", str(tmp_path / "another user"))
    assert not is_trusted("ab")


def test_the_folder_follows_the_environment(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EPROP_STATE_DIR", str(tmp_path / "file" / "state"))  # it cannot be made: nothing is known
    trust_task("my_task.py", "ab")
    assert not is_trusted("ab")
    monkeypatch.delenv("EPROP_STATE_DIR")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state_root() == tmp_path / "eprop"


def test_a_user_who_names_a_file_agrees(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EPROP_STATE_DIR", str(tmp_path / "mine"))
    file, text = new_task("mine", tmp_path / "mine.py")
    file.write_text(text)
    config = RunConfig.make(str(file), **SMALL, training={"epochs": 1}, run={"threads": 1})
    start_run(config, tmp_path / "run")
    assert is_trusted(task_named(str(file)).digest)
    forget()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluate_run(tmp_path / "run")
    shutil.rmtree(os.environ["EPROP_STATE_DIR"])
    evaluate_run(tmp_path / "run")  # it is loaded already, by this user's word


def test_a_line_that_was_cut_short_hides_no_other(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EPROP_STATE_DIR", str(tmp_path))
    (tmp_path / "trusted_tasks.txt").write_text("0" * 64)
    trust_task("b.py", "1" * 64)
    assert is_trusted("0" * 64)
    assert is_trusted("1" * 64)
