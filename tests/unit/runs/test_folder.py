from __future__ import annotations

import json
import pathlib

import pytest

from eprop.errors import CheckpointError, OutputError
from eprop.runs import Checkpoint, Record, RunFolder, draw, evaluate_run, like, load, resume_run, save_checkpoint

pytestmark = pytest.mark.tiny

CONFIG = '# A run of eprop 0.3.0\ntask = "pattern-generation"\n'


def test_runs_are_numbered(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = [str(RunFolder.create(None, "nmnist-eprop-1").path) for _ in range(2)]
    assert names == ["runs/nmnist-eprop-1-001", "runs/nmnist-eprop-1-002"]


def test_a_run_is_not_overwritten(tmp_path: pathlib.Path) -> None:
    run = RunFolder.create(tmp_path / "a", "x")
    run.config.write_text(CONFIG)
    run.add_metrics({"samples": 1})
    with pytest.raises(
        OutputError, match="a: is not empty; choose another folder, or replace the run in it with --force"
    ):
        RunFolder.create(tmp_path / "a", "x")
    assert run.config.read_text() == CONFIG


def test_force_removes_a_run_and_nothing_else(tmp_path: pathlib.Path) -> None:
    run = RunFolder.create(tmp_path / "a", "x")
    run.config.write_text(CONFIG)
    for path in (run.metrics, run.summary, run.checkpoint):
        path.write_text("old")
    run.figures.mkdir()
    for name in ("weights.png", "values.csv"):
        (run.figures / name).write_text("old")
    (run.path / "notes.txt").write_text("mine")
    RunFolder.create(tmp_path / "a", "x", force=True)
    assert sorted(p.name for p in run.path.rglob("*")) == ["figures", "notes.txt", "values.csv"]


@pytest.mark.parametrize("name", ["config.toml", "summary.json", "checkpoint.npz", "figures/weights.png"])
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
    for name in (".checkpoint.npz.x1y2", ".metrics.jsonl.z", ".mine"):
        (run.path / name).write_text("half")
    run.tidy()
    assert [path.name for path in run.path.iterdir()] == [".mine"]


def test_force_replaces_a_run_whose_task_is_gone(tmp_path: pathlib.Path) -> None:
    run = RunFolder.create(tmp_path / "a", "x")
    run.config.write_text(CONFIG.replace("pattern-generation", "gone.py"))
    save_checkpoint(run.checkpoint, Checkpoint(Record(), {}, {}))
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
        (tmp_path / "trials" / f"seed-{seed}" / "config.toml").write_text(CONFIG)
    trials = RunFolder(tmp_path / "trials")
    words = r"trials: holds several trials, seed-2, seed-3, seed-4, \.\.\.; give the folder of one, such as .*trials/seed-2; "
    for read in (RunFolder.open, load, resume_run, evaluate_run, like):
        with pytest.raises(CheckpointError, match=words):
            read(trials.path)
    assert trials.seeds() == [2, 3, 4, 10]
    with pytest.raises(CheckpointError, match=r"holds no checkpoint.npz"):
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


def test_damaged_summaries_are_named(tmp_path: pathlib.Path) -> None:
    run = RunFolder(tmp_path)
    assert run.read_summary() == {}
    run.write_summary({"test_error": 0.5})
    assert json.loads(run.summary.read_text()) == run.read_summary() == {"test_error": 0.5}
    for damaged in (b"{", b"[1]", b"\xff"):
        run.summary.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"summary.json: is damaged"):
            run.read_summary()


@pytest.mark.parametrize("damaged", [b"{", b"5", b"[]", b"\xff\xfe", b"null"])
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
    with pytest.raises(CheckpointError, match=r"metrics.jsonl: is damaged"):
        run.rewind_metrics(20)
    assert run.metrics.read_bytes() == before


@pytest.mark.parametrize("name", ["a" * 5000, "a\0b"])
def test_folders_that_cannot_be(name: str) -> None:
    for call in (RunFolder, load, resume_run, draw, lambda path: RunFolder.create(path, "x")):
        with pytest.raises(CheckpointError, match="cannot be the folder of a run"):
            call(name)


def test_a_folder_under_a_name_of_what_is_half_written(tmp_path: pathlib.Path) -> None:
    run = RunFolder.create(tmp_path / "run", "x")
    (run.path / ".checkpoint.npz.x").mkdir()
    with pytest.raises(OutputError, match=r"\.checkpoint\.npz\.x: cannot be written"):
        run.tidy()
