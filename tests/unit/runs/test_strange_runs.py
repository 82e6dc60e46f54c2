"""A run that names a Python file executes nothing: the user names the code."""

from __future__ import annotations

import importlib.util
import pathlib
import sys

import pytest
from typer.testing import Result

import command_line
import eprop as ep
from eprop.errors import ParameterError
from eprop.runs import RunFolder, arguments_of_run, draw, evaluate_run, like, load, resume_run
from eprop.tasks import task_named
from eprop.tasks.registry import new_task

SMALL = {"neurons": 3, "epochs": 1}


def forget() -> None:
    """As in another process."""
    for name in [name for name in sys.modules if name.startswith("eprop_task_")]:
        del sys.modules[name]


@pytest.fixture
def strange(tmp_path: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """A run whose task is a file that leaves a mark when it is executed."""
    run, ran = tmp_path / "run", tmp_path / "ran"
    payload, text = new_task("payload", tmp_path / "payload.py")
    text = text.replace("samples=320, test_samples=200", "samples=4, test_samples=2")
    payload.write_text(f"{text}\n\nimport pathlib\n\npathlib.Path({str(ran)!r}).touch()\n")
    experiment = task_named(payload)(**SMALL)
    ep.fit(experiment, folder=run, progress=False, threads=1, formats=())
    ran.unlink()
    forget()
    return run, ran


CALLS = {
    "evaluate": evaluate_run,
    "plot": draw,
    "load": load,
    "like": like,
    "resume": resume_run,
    "resume as another": lambda run: resume_run(run, "pattern-generation"),
    "load as another": lambda run: load(run, "nmnist"),
    "like as another": lambda run: like(run, ep.tasks.nmnist),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_file_that_only_a_run_names_is_not_executed(call: str, strange: tuple[pathlib.Path, pathlib.Path]) -> None:
    run, ran = strange
    payload = run.parent / "payload.py"
    words = (
        "payload.py', not of"
        if "another" in call
        else f"{payload}, a Python file, and eprop executes only files that you name"
    )
    with pytest.raises(ParameterError, match=words):
        CALLS[call](run)
    assert arguments_of_run(run)[0] == str(payload)
    assert not ran.exists()


def test_a_file_that_the_user_names_is_executed(strange: tuple[pathlib.Path, pathlib.Path]) -> None:
    run, ran = strange
    payload = str(run.parent / "payload.py")
    for call in (load, evaluate_run, draw, like, resume_run):
        call(run, task=payload)
        assert ran.exists()
        ran.unlink()
        forget()


def test_bytecode_beside_a_file_is_not_executed(strange: tuple[pathlib.Path, pathlib.Path]) -> None:
    """Python would execute it instead of the file, which the user has read."""
    run, ran = strange
    payload, evil = run.parent / "payload.py", run.parent / "evil"
    code = compile(f"import pathlib\npathlib.Path({str(evil)!r}).touch()\n", str(payload), "exec")
    status = payload.stat()
    cached = pathlib.Path(importlib.util.cache_from_source(str(payload)))
    cached.parent.mkdir(exist_ok=True)
    from importlib._bootstrap_external import _code_to_timestamp_pyc

    cached.write_bytes(_code_to_timestamp_pyc(code, int(status.st_mtime), status.st_size))
    evaluate_run(run, task=str(payload))
    assert ran.exists()
    assert not evil.exists()


def test_a_run_is_replaced_without_executing_its_file(strange: tuple[pathlib.Path, pathlib.Path]) -> None:
    run, ran = strange
    (run / "checkpoint.npz").unlink()
    RunFolder.create(run, "x", force=True)
    assert not ran.exists()
    assert not (run / "config.toml").exists()


def command(words: str, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Result:
    """What a command prints, in a process that has loaded nothing yet."""
    forget()
    monkeypatch.chdir(folder)
    return command_line.run(*words.split())


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("evaluate run", "as in: eprop evaluate RUN --task {payload}"),
        ("plot run", "as in: eprop evaluate RUN --task {payload}"),
        ("train --resume run", "give the task, as in eprop train {payload} --resume run"),
        ("train --like run --bogus 1", "give the task, as in eprop train {payload} --like run"),
        ("train pattern-generation --resume run", "is a run of the task '{payload}', not of 'pattern-generation'"),
        ("train nmnist --like run", "is a run of the task '{payload}', not of 'nmnist'"),
    ],
)
def test_commands_say_how_to_name_it(
    words: str, advice: str, strange: tuple[pathlib.Path, pathlib.Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, ran = strange
    done = command(words, run.parent, monkeypatch)
    assert done.exit_code == 2
    assert advice.format(payload=run.parent / "payload.py") in done.stderr
    assert not ran.exists()


@pytest.mark.parametrize(
    "words",
    [
        "evaluate run --task payload.py --quiet",
        "plot run --task payload.py --quiet",
        "train payload.py --resume run --quiet --no-figures",
        "train payload.py --like run --quiet --no-figures --epochs 1",
    ],
)
def test_commands_that_name_it_execute_it(
    words: str, strange: tuple[pathlib.Path, pathlib.Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, ran = strange
    done = command(words, run.parent, monkeypatch)
    assert (done.exit_code, done.stderr) == (0, "")
    assert ran.exists()
