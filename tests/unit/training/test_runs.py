from __future__ import annotations

import json
import os
import pathlib
import resource

import pytest

from eprop import load
from eprop.errors import CheckpointError, MemoryLimitError, OutputError
from eprop.files import reading
from eprop.plot import draw_run
from eprop.training import Checkpoint, RunConfig, RunFolder, resume_trials, save_checkpoint
from eprop.training.lock import LOCK, locked, refuse_locked

pytestmark = pytest.mark.tiny

CONFIG = '[task]\nname = "pattern-generation"\n'


def test_runs_are_numbered(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = [str(RunFolder.create(None, "nmnist-eprop-1").path) for _ in range(2)]
    assert names == ["runs/nmnist-eprop-1-001", "runs/nmnist-eprop-1-002"]


def test_a_run_is_not_overwritten(tmp_path: pathlib.Path) -> None:
    run = RunFolder.create(tmp_path / "a", "x")
    run.write_config(CONFIG)
    run.add_metrics({"samples": 1})
    with pytest.raises(
        OutputError, match="a: is not empty; choose another folder, or replace the run in it with --force"
    ):
        RunFolder.create(tmp_path / "a", "x")
    assert run.config.read_text() == CONFIG


def test_force_removes_a_run_and_nothing_else(tmp_path: pathlib.Path) -> None:
    run = RunFolder.create(tmp_path / "a", "x")
    run.write_config(CONFIG)
    for path in (run.metrics, run.summary, run.checkpoint):
        path.write_text("old")
    run.figures.mkdir()
    for name in ("weights.png", "paper_fig1.png"):
        (run.figures / name).write_text("old")
    (run.path / "notes.txt").write_text("mine")
    RunFolder.create(tmp_path / "a", "x", force=True)
    assert sorted(p.name for p in run.path.rglob("*")) == ["figures", "notes.txt", "paper_fig1.png"]


@pytest.mark.parametrize("name", ["config.toml", "summary.json", "checkpoint.h5", "figures/weights.png"])
def test_force_replaces_nothing_that_is_no_run(name: str, tmp_path: pathlib.Path) -> None:
    mine = tmp_path / "a" / name
    mine.parent.mkdir(parents=True)
    mine.write_text('my = "settings"')
    with pytest.raises(OutputError, match=f"a: holds no run, but other files of the same names: {name}; choose"):
        RunFolder.create(tmp_path / "a", "x", force=True)
    with pytest.raises(OutputError, match="a: holds no run, but"):  # no advice that would be refused
        RunFolder.create(tmp_path / "a", "x")
    assert mine.read_text() == 'my = "settings"'


def test_what_was_left_half_written_is_taken_away(tmp_path: pathlib.Path) -> None:
    run = RunFolder.create(tmp_path / "a", "x")
    for name in (".checkpoint.h5.x1y2", ".metrics.jsonl.z", ".mine"):
        (run.path / name).write_text("half")
    run.tidy()
    assert [path.name for path in run.path.iterdir()] == [".mine"]


def test_force_replaces_a_run_whose_task_is_gone(tmp_path: pathlib.Path) -> None:
    run = RunFolder.create(tmp_path / "a", "x")
    run.write_config('[task]\nname = "gone.py"\n')
    save_checkpoint(run.checkpoint, Checkpoint("", {}, {}))
    RunFolder.create(tmp_path / "a", "x", force=True)
    assert list(run.path.iterdir()) == []


def test_force_lets_a_folder_be_used_that_holds_other_files(tmp_path: pathlib.Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    RunFolder.create(tmp_path, "x", force=True)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_file_is_no_folder(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a").write_text("file")
    for path in (tmp_path / "a", tmp_path / "a" / "b"):
        with pytest.raises(OutputError, match="is a file"):
            RunFolder.create(path, "x", force=True)


def test_only_runs_are_opened(tmp_path: pathlib.Path) -> None:
    with pytest.raises(CheckpointError, match="none: no such folder"):
        RunFolder.open(tmp_path / "none")
    for seed in (2, 10, 3, 4):
        (tmp_path / "trials" / f"seed-{seed}").mkdir(parents=True)
        (tmp_path / "trials" / f"seed-{seed}" / "checkpoint.h5").touch()
    trials = RunFolder(tmp_path / "trials")
    listed = r"trials: holds several trials, seed-2, seed-3, seed-4, \.\.\."
    wanted = r"; give the folder of one, such as .*trials/seed-2$"
    old = r", but no trials.json \(earlier versions wrote none\): each is a run by itself"
    for read in (RunFolder.open, draw_run, resume_trials):
        with pytest.raises(CheckpointError, match=listed + old + wanted):
            read(trials.path)
    trials.write_trials([2, 3, 4, 10])
    with pytest.raises(CheckpointError, match=listed + wanted):
        RunFolder.open(trials.path)
    with pytest.raises(CheckpointError, match=r"holds no checkpoint.h5"):
        RunFolder.open(tmp_path)


def test_metrics_are_appended_and_rewound(tmp_path: pathlib.Path) -> None:
    run = RunFolder(tmp_path)
    assert run.read_metrics() == []
    for samples in (10, 20, 30):
        run.add_metrics({"samples": samples, "error": None})
    with run.metrics.open("a") as file:
        file.write('{"samples": 40, "err')  # the power went out
    assert [line["samples"] for line in run.read_metrics()] == [10, 20, 30]
    run.rewind_metrics(20)
    assert run.metrics.read_text() == '{"samples": 10, "error": null}\n{"samples": 20, "error": null}\n'


def test_damaged_metrics_and_summaries_are_named(tmp_path: pathlib.Path) -> None:
    run = RunFolder(tmp_path)
    run.metrics.write_text("{\n{}\n")
    with pytest.raises(CheckpointError, match=r"metrics.jsonl: line 1 is damaged"):
        run.read_metrics()
    assert run.read_summary() == {}
    run.write_summary({"test_error": 0.5})
    assert json.loads(run.summary.read_text()) == run.read_summary() == {"test_error": 0.5}
    for damaged in (b"{", b"[1]", b"\xff"):
        run.summary.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"summary.json: is damaged"):
            run.read_summary()


@pytest.mark.parametrize("damaged", [b"5", b"[]", b"\xff\xfe", b"null"])
def test_lines_that_are_no_metrics_are_named(tmp_path: pathlib.Path, damaged: bytes) -> None:
    run = RunFolder(tmp_path)
    run.metrics.write_bytes(b'{"samples": 10}\n' + damaged + b'\n{"samples": 30}\n')
    with pytest.raises(CheckpointError, match=r"metrics.jsonl: line 2 is damaged"):
        run.read_metrics()


@pytest.mark.parametrize("damaged", ["{}", '{"samples": "20"}', '{"samples": null}'])
def test_metrics_without_samples_cannot_be_rewound(tmp_path: pathlib.Path, damaged: str) -> None:
    run = RunFolder(tmp_path)
    run.metrics.write_text(f'{{"samples": 10}}\n{damaged}\n')
    before = run.metrics.read_bytes()
    with pytest.raises(
        CheckpointError, match=r"metrics.jsonl: line 2 is damaged \(it has no number of samples\); delete it"
    ):
        run.rewind_metrics(20)
    assert run.metrics.read_bytes() == before


@pytest.mark.parametrize("name", ["summary.json", "checkpoint.h5", "figures", "figures/weights.png", ".lock"])
def test_nothing_outside_of_a_run_is_replaced(name: str, tmp_path: pathlib.Path) -> None:
    """A link in a folder of somebody else leads to a file of this user."""
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    mine = tmp_path / "mine"
    if name == "figures":
        mine.mkdir()
    else:
        mine.write_text("mine")
        (run.path / name).parent.mkdir(exist_ok=True)
    (run.path / name).symlink_to(mine)
    with pytest.raises(OutputError, match=rf"{name}: is a link to .*mine, outside of .*run, and what lies there"):
        run.refuse_links()
    with pytest.raises(OutputError, match="is a link to"):
        RunFolder.create(run.path, "x", force=True)
    (run.path / name).unlink()
    (run.path / "there").write_text("")
    (run.path / "summary.json").symlink_to(run.path / "there")
    run.refuse_links()


def test_a_lock_that_is_a_pipe(tmp_path: pathlib.Path) -> None:
    os.mkfifo(tmp_path / ".lock")
    refuse_locked(tmp_path)
    with pytest.raises(OutputError, match=r".lock: is a pipe or a device"), locked(tmp_path):
        pass


@pytest.mark.parametrize("name", ["seed-1", "seed-1/figures", "seed-1/.lock", "seed-1/metrics.jsonl"])
def test_nothing_outside_of_trials_is_replaced(name: str, tmp_path: pathlib.Path) -> None:
    """What a trial's folder led to was removed, or trained in."""
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "weights.png").write_text("mine")
    run = RunFolder.create(tmp_path / "run", "x")
    run.write_config(RunConfig.make("nmnist").to_toml())
    run.write_trials([1])
    (run.path / name).parent.mkdir(exist_ok=True)
    (run.path / name).symlink_to(mine)
    for call in (lambda: RunFolder.create(run.path, "x", force=True), lambda: resume_trials(run.path)):
        with pytest.raises(OutputError, match=rf"{name}: is a link to .*mine, outside of"):
            call()
    assert [path.name for path in mine.iterdir()] == ["weights.png"]


def test_a_lock_that_leads_elsewhere_is_not_written(tmp_path: pathlib.Path) -> None:
    """A process that trains writes its number there."""
    mine, run = tmp_path / "mine", tmp_path / "run"
    mine.write_text("mine")
    run.mkdir()
    for link in (lambda: (run / LOCK).symlink_to(mine), lambda: (run / LOCK).hardlink_to(mine)):
        link()
        with pytest.raises(OutputError, match=r"\.lock"), locked(run):
            pass
        assert mine.read_text() == "mine"
        (run / LOCK).unlink()


@pytest.mark.parametrize("name", ["a" * 5000, "a\0b"])
def test_folders_that_cannot_be(name: str) -> None:
    for call in (RunFolder, load, resume_trials, draw_run, lambda path: RunFolder.create(path, "x")):
        with pytest.raises(CheckpointError, match="cannot be the folder of a run"):
            call(name)


def test_metrics_that_would_make_a_table_without_end(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunFolder.create(tmp_path / "run", "x")
    run.metrics.write_text("".join(f'{{"k{k}": 1}}\n' for k in range(200)))
    with pytest.raises(CheckpointError, match=r"line 101 is damaged \(more than 100 names"):
        run.read_metrics()
    monkeypatch.setattr(reading, "available_memory", lambda: 10_000)
    with pytest.raises(MemoryLimitError, match=r"metrics.jsonl: needs"):
        run.read_metrics()


def test_a_folder_under_a_name_of_what_is_half_written(tmp_path: pathlib.Path) -> None:
    run = RunFolder.create(tmp_path / "run", "x")
    (run.path / ".checkpoint.h5.x").mkdir()
    with pytest.raises(OutputError, match=r"\.checkpoint\.h5\.x: cannot be written"):
        run.tidy()


def test_a_lock_on_a_full_disk(tmp_path: pathlib.Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3, limits[1]))
    try:
        with (
            pytest.raises(OutputError, match=r"\.lock: cannot be written: .* \(\d+ bytes are needed\)"),
            locked(tmp_path),
        ):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
