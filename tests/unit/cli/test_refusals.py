"""What the command line refuses: exit code 2, one line that says why, and no file."""

from __future__ import annotations

import pathlib
import re
from typing import Any

import pytest

from command_line import run

NMNIST = [
    (["--rule", "e-prop"], "got 'e-prop'; did you mean 'eprop'?"),
    (["--seed", "-1"], "seed must be a whole number in 0..2^63-1"),
    (["--epochs", "0"], "epochs must be >= 1"),
    (["--threads", "100000"], "only"),
    (["--mnist", "."], "train-images"),
    (["--mnist", "none"], "none"),
    (["--data", "none"], "none: no such folder"),
    (["--data", "."], "no recording found"),
    (["--test-data", "none"], "none: no such folder or archive"),
    (["--eta", "-1"], "eta must be >= 0"),
    (["--format", "gif"], "gif"),
    (["--resume", "none"], "none: no such folder"),
    (["--resume", "."], "holds no checkpoint"),
    (["--resume", ".", "--out", "x"], "--resume takes all settings from the run: leave out --out"),
    (["--like", "none"], "none: no such folder"),
    (["--resume", "x", "--jobs", "2"], "give --seeds as well"),
]
#: Lines of the shell, without ``eprop train``.
TASKS = [
    ("pattern-generation --path none.csv", "none.csv: cannot be read"),
    ("pattern-generation --seeds 0", "the number of seeds must be a whole number >= 1, got 0"),
    ("pattern-generation --seeds 2 --resume x", "leave out --seeds"),
    ("pattern-generation --schedule fast", "schedule must be"),
    ("pattern-generation --patience 2", "patience needs validation samples"),
    ("own.py", "own.py: the file of the task does not exist"),
    ("cartpole --passes 2", "passes = 2 needs a clip"),
    ("gymnasium --env NoSuch-v0", "no environment 'NoSuch-v0'"),
]
#: What the parser refuses, as patterns.
PARSER = [
    (["train", "--resume", "none"], "cannot read the task of the run: none: no such folder"),
    (["train", "--threads", "1", "--like=none"], "cannot read the task of the run: none: no such folder"),
    (["train", "--resume"], "give the folder of the run, as in --resume runs/"),
    (["train", "--seed", "1"], "No such option: --seed"),
    (["train", "nmnist", "--resume"], "requires an argument"),
    (["train", "evidence-accumulation", "--epoch", "5"], "--epochs"),
    (["train", "cartpole", "--epochs", "3"], "No such option: --epochs"),
    (["train", "nmnist", "--epochs", "nan"], "'--epochs'.*'nan'.*; see .*train nmnist --help"),
    (["train", "nmnist", "--threads", "1.5"], "'--threads'.*'1.5'"),
    (["train", "own.py", "--threads", "1.5"], "'--threads'.*'1.5'"),
    (["train", "nmnist", "--nix"], "No such option: --nix"),
    (["train", "nmnits"], "No such command 'nmnits'.*; see .*train --help"),
    (["trian"], "No such command 'trian'"),
    (["evaluate"], "Missing argument 'RUN'; see .*evaluate --help"),
]
EMPTY_PATHS = [
    ["train", "nmnist", "--out", "", "--force"], ["train", "nmnist", "--test-data", ""], ["train", "nmnist", "--like", ""],
    ["train", "own.py", "--out="], ["evaluate", ""], ["plot", "run", "--out", ""], ["new-task", "x", "--out", ""],
]  # fmt: skip
ROWS = [
    *((["train", "nmnist", *words], re.escape(message)) for words, message in NMNIST),
    *((["train", *words.split()], re.escape(message)) for words, message in TASKS),
    *PARSER,
    *((words, "a path must not be empty; write . for the current folder") for words in EMPTY_PATHS),
]


@pytest.mark.parametrize(("words", "message"), ROWS)
def test_a_refusal_is_one_line_and_leaves_no_file(words: list[Any], message: str, tmp_path: pathlib.Path) -> None:
    if {"gymnasium", "cartpole"} & set(words):
        pytest.importorskip("gymnasium", reason="needs the extra rl")
    done = run(*words)
    assert done.exit_code == 2
    line = done.stderr.splitlines()[-1]
    assert line.startswith("eprop: error: ")
    assert re.search(message, line)
    assert "Traceback" not in done.output
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.tiny
@pytest.mark.parametrize(
    "words",
    ["train nmnist --like=~/x", "train nmnist --resume=~/x", "train --resume=~/x", "train nmnist --test-data ~/x",
     "evaluate ~/x", "plot ~/x"],
)  # fmt: skip
def test_a_tilde_is_the_home_folder(words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    done = run(*words.split())
    assert done.exit_code == 2
    assert f"{tmp_path}/home/x" in done.stderr
