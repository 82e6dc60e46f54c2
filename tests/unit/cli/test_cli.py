"""The command line: what it accepts, what it refuses, what it prints. Runs are tiny and in this process."""

from __future__ import annotations

import io
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tomllib
import zipfile

import pytest

import digits
import eprop
from command_line import run
from eprop import core
from eprop.cli.report import Reporter
from eprop.tasks import TASKS
from eprop.training import Progress
from eprop.training.number_text import percent

SMALL = ["--neurons", "5", "--batch-size", "8", "--validation", "4", "--threads", "1", "--epochs", "1"]


# The package under test, for processes that start in another folder.
ENVIRONMENT = os.environ | {"PYTHONPATH": str(pathlib.Path(eprop.__file__).parents[1])}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return digits.write_folder(tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="module")
def trained(data: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    done = run("train", "nmnist", "--data", data, "--out", out, *SMALL)
    assert done.exit_code == 0, done.output
    return out


# --------------------------------------------------------------------------------------------------------------- help


COMMANDS = ("new-task", "evaluate", "plot", "info")
#: Groups of the options of each task.
GROUPS = ("Network and learning", "Data", "Run", "Output")


@pytest.mark.tiny
@pytest.mark.parametrize("words", ["", "train", *COMMANDS])
def test_help_has_an_example_of_the_command_and_train_is_the_first(words: str) -> None:
    done = run(*words.split(), "--help")
    assert done.exit_code == 0
    if words in COMMANDS:
        assert "Example" in done.stdout
        assert f"eprop {words}" in done.stdout
    elif not words:
        assert re.findall(r"^│ ([a-z][a-z-]*)  ", done.stdout, re.MULTILINE) == ["train", *COMMANDS]


@pytest.mark.tiny
@pytest.mark.parametrize("task", TASKS)
def test_the_options_of_a_task_are_few_in_four_groups_and_explained(task: str) -> None:
    done = run("train", task, "--help", COLUMNS="300")
    assert done.exit_code == 0, done.output
    assert re.findall(r"^╭─ ([A-Z][\w ]*) ─", done.stdout, re.MULTILINE) == ["Options", *GROUPS]
    options = re.findall(r"^│ +(--[\w-]+) .*?(?:[A-Z|a-z.:+]+)? {2,}(\S.*?) *│$", done.stdout, re.MULTILINE)
    assert 20 <= len(options) <= 40
    assert len({name for name, _ in options}) == len(options)
    assert "bool" not in done.stdout.partition("Network and learning")[2]
    assert "--rewiring-every" not in done.stdout  # rare settings are arguments of the function only
    assert f"help(eprop.tasks.{task.replace('-', '_')})" in done.stdout


@pytest.mark.tiny
def test_help_shows_the_true_defaults() -> None:
    text = re.sub(r"[\s│]+", " ", run("train", "nmnist", "--help").stdout)
    made = eprop.tasks.nmnist()
    assert made.origin is not None
    assert f"Recurrent neurons. [default: {made.origin.arguments['neurons']}]" in text
    assert f"Passes over the training data. [default: {made.epochs}]" in text
    assert f"[default: {made.origin.arguments['rule']}]" in text


WITHOUT_EXTRAS = """
import sys
EXTRAS = (
    "ale_py elephant gymnasium joblib mlxtend mpi4py neo nest nir numba pandas pooch quantities sklearn tonic xarray"
).split()
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in EXTRAS:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hidden())
from typer.testing import CliRunner
from eprop.cli import app
from eprop.tasks import TASKS
for words in ("", "train", "evaluate", "plot", "new-task", "info", *(f"train {task}" for task in TASKS)):
    done = CliRunner().invoke(app, [*words.split(), "--help"])
    assert done.exit_code == 0, (words, done.output)
    untold = "Some defaults are not shown" in done.stdout and "gymnasium" in done.stdout
    assert untold == (words in ("train cartpole", "train gymnasium", "train pong")), (words, done.output)
bare = CliRunner().invoke(app, ["train"])
assert bare.exit_code == 0 and "Commands" in bare.output
"""


@pytest.mark.tiny
def test_help_of_every_command_and_task_needs_no_extra() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_EXTRAS], capture_output=True, text=True, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr


HELP = """
import sys
sys.argv = ["eprop", "--help"]
import eprop
from eprop.cli import main
try:
    main()
except SystemExit:
    pass
heavy = {"numba", "numpy", "scipy", "h5py", "matplotlib"} & set(sys.modules)
assert not heavy, heavy
"""
NAMES = """
import sys
import eprop
assert "eprop.engine" not in sys.modules
for name in eprop.__all__:
    getattr(eprop, name)
assert {*eprop.__all__, "training"} <= set(dir(eprop))
assert not {"Any", "TYPE_CHECKING", "annotations", "importlib", "_HOMES"} & set(dir(eprop))
assert eprop.training.Trainer
slow = {"scipy.signal", "scipy.stats", "matplotlib"} & set(sys.modules)
assert not slow, slow
"""


@pytest.mark.tiny
@pytest.mark.parametrize("code", [HELP, NAMES], ids=["help loads little", "public names are found"])
def test_help_loads_little_and_public_names_are_found(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=ENVIRONMENT)


@pytest.mark.tiny
def test_info_clears_the_cache_of_data(tmp_path: pathlib.Path) -> None:
    entry, other = tmp_path / "data" / ("0a" * 16), tmp_path / "downloads" / "file"
    for file in (entry / "dataset.json", other):
        file.parent.mkdir(parents=True)
        file.write_text("{}")
    for words, deleted in (([], False), (["--clear-cache"], True)):
        done = run("info", "--json", *words, EPROP_CACHE_DIR=str(tmp_path))
        assert json.loads(done.stdout)["cache_bytes"] == (0 if deleted else 2)
        assert ("eprop: deleted 1 data set, " in done.stderr) == deleted
        assert entry.exists() != deleted
    assert other.exists()


@pytest.mark.tiny
def test_version_and_info_describe_the_installation() -> None:
    assert run("--version").stdout.startswith("eprop 0.")
    assert "core levels" in run("info").stdout
    facts = json.loads(run("info", "--json").stdout)
    names = "eprop commit python core core_flags packages threads data_cache memory_bytes"
    assert set(names.split()) <= facts.keys()
    assert facts["core"] == f"{core.lib.level}, {core.lib.compiler}"


# ------------------------------------------------------------------------------------------------------------ training


def test_a_run_from_end_to_end(trained: pathlib.Path) -> None:
    names = {path.relative_to(trained).as_posix() for path in trained.rglob("*") if path.is_file()}
    figures = {f"figures/{name}.png" for name in ("activity", "confusion", "learning_curve", "network", "weights")}
    assert names == {"checkpoint.npz", "config.toml", "metrics.jsonl", "summary.json"} | figures
    config = tomllib.loads((trained / "config.toml").read_text())
    assert config["arguments"]["neurons"] == 5
    assert config["training"]["batch_size"] == 8


def test_the_output_of_a_training_is_a_table_or_json_or_one_line(data: pathlib.Path, trained: pathlib.Path) -> None:
    words = ["train", "nmnist", "--data", data, *SMALL, "--no-figures"]
    table = run(*words, "--rule", "eprop+", "--eta", 1e-7, "--eta-out", 1e-6)
    for word in ("test error", "validation error", "samples/s", "ns per synaptic event", "runs/nmnist-eprop+-1-001"):
        assert word in table.stdout
    assert "eprop: learning" in table.stderr
    quiet = run(*words, "--quiet")
    assert re.fullmatch(r"test error [\d.]+ ± [\d.]+ %; runs/nmnist-eprop-1-00\d\n", quiet.stdout)
    assert quiet.stderr == ""
    summary = json.loads(run("train", "--like", trained, "--json", "--no-figures", "--threads", "1").stdout)
    assert {"run", "test_error", "train_samples_per_second", "synaptic_events", "seed", "version"} <= summary.keys()
    assert summary["test_loss"] == json.loads((trained / "summary.json").read_text())["test_loss"]


def test_evaluate_gives_the_error_of_the_run(data: pathlib.Path, trained: pathlib.Path) -> None:
    error = json.loads((trained / "summary.json").read_text())["test_error"]
    result = json.loads(run("evaluate", trained, "--data", data / "Test", "--json").stdout)
    coarse = json.loads(run("evaluate", trained, "--data", data / "Test", "--bits", "3", "--json").stdout)
    assert coarse["bits"] == 3
    assert run("evaluate", trained, "--bits", "17").exit_code == 2
    assert result["error"] == error
    assert result["simulated"] is False
    assert result["samples"] == sum(map(sum, result["confusion"])) == 12
    assert result["per_class_error"][2] is None  # no sample of that class
    refused = run("evaluate", trained, "--fresh", "5")
    assert refused.exit_code == 2
    assert "fresh samples need samples that are made from a seed" in refused.stderr
    both = run("evaluate", trained, "--fresh", "5", "--data", data / "Test")
    assert "not both" in both.stderr
    table = run("evaluate", trained).stdout
    assert f"{percent(error)[:-2]} ±" in table
    assert "predicted class" in table


def test_plot_needs_the_folder_only(trained: pathlib.Path, tmp_path: pathlib.Path) -> None:
    done = run("plot", trained, "--out", tmp_path / "new" / "figures")
    assert done.exit_code == 0, done.output
    assert [pathlib.Path(line).name for line in done.stdout.split()] == [
        "activity.png", "confusion.png", "learning_curve.png", "network.png", "weights.png",
    ]  # fmt: skip


@pytest.mark.filterwarnings("default::eprop.runs.UnfinishedRunWarning")
def test_ctrl_c_and_resume(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    out = tmp_path / "run"
    words = ["train", "nmnist", "--data", str(data), *SMALL, "--epochs", "200000", "--out", str(out), "--no-figures"]
    # Tests that run in the background were told to ignore the signal.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from eprop.cli import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", code, *words], stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as process:
        assert process.stderr is not None
        assert next((line for line in process.stderr if "learning" in line), "")
        process.send_signal(signal.SIGINT)
        text = process.stderr.read()
    assert process.returncode == 130, text
    assert re.search(
        r"eprop: stopped after [\d,]+ of 4,000,000 samples; continue with: eprop train nmnist --resume", text
    )
    assert "Traceback" not in text
    assert not [path for path in out.iterdir() if path.name.startswith(".")]
    judged = run("evaluate", out, "--quiet")
    assert judged.exit_code == 0
    assert re.fullmatch(rf"test error [\d.]+ ± [\d.]+ %; {out}\n", judged.stdout)
    assert re.fullmatch(
        r"eprop: warning: .*run: was stopped after [\d,]+ of 4,000,000 samples; this evaluation is of its last checkpoint\n",
        judged.stderr,
    )
    done = run("train", "nmnist", "--resume", out, "--epochs", "3")
    assert done.exit_code == 2
    assert "run: is a run with other settings (epochs = 3, not 200000); to begin another run" in done.stderr


# ------------------------------------------------------------------------------------------------------- what is wrong


@pytest.mark.parametrize("command", ["evaluate", "plot", "resume"])
def test_a_damaged_checkpoint_is_refused(trained: pathlib.Path, tmp_path: pathlib.Path, command: str) -> None:
    damaged = tmp_path / "run"
    damaged.mkdir()
    content = bytearray((trained / "checkpoint.npz").read_bytes())
    with zipfile.ZipFile(trained / "checkpoint.npz") as parts:
        largest = max(parts.infolist(), key=lambda part: part.compress_size)
    content[largest.header_offset + largest.compress_size // 2] ^= 1  # among its values, which a checksum guards
    (damaged / "checkpoint.npz").write_bytes(content)
    done = run("train", "nmnist", "--resume", damaged) if command == "resume" else run(command, damaged)
    assert done.exit_code == 2
    assert "checkpoint.npz: is damaged" in done.stderr


def test_a_full_disk_ends_a_run_and_leaves_nothing(
    data: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    def full(path: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    given = ("train", "nmnist", "--data", data, *SMALL, "--no-figures", "--out")
    assert run(*given, tmp_path / "first").exit_code == 0  # keeps the data set
    monkeypatch.setattr(os, "fsync", full)
    done = run(*given, tmp_path / "run")
    assert done.exit_code == 2
    assert "cannot be written: the disk is full; free some space, or write elsewhere" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["first"]


# -------------------------------------------------------------------------------------------------------------- report


def shown(done: int, seconds: float, **values: float) -> Progress:
    """Progress in the first of two epochs."""
    return Progress(done, 100, "samples", "epoch 1/2", seconds, values={"loss": 5.0, **values})


@pytest.mark.tiny
def test_progress_is_a_bar_on_a_terminal() -> None:
    from rich.console import Console

    text = io.StringIO()
    with Reporter(console=Console(file=text, width=120, force_terminal=True)) as reporter:
        reporter.phase("reading data")
        reporter.reading("digits", 5, 10)
        reporter.phase("learning")
        reporter.progress(shown(50, 1.0, error=0.5))
        reporter._display._bars.refresh()
        reporter.phase("testing")
        reporter.evaluating(5, 10)
    assert "50 of 100 samples, 0:01 left, error 50.0 %, 50 samples/s" in text.getvalue()
    before = len(text.getvalue())
    with reporter:  # again, for what comes behind the result
        reporter.phase("drawing figures")
        reporter._display._bars.refresh()
    assert "drawing figures" in text.getvalue()[before:]
    assert "testing" not in text.getvalue()[before:]
