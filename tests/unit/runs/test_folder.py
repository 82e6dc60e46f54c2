from __future__ import annotations

import json
import pathlib

import pytest

from eprop.errors import CheckpointError, OutputError
from eprop.runs import Checkpoint, RunFolder, RunRecord, draw, load, resume_run, save_checkpoint
from eprop.runs.record import HEADING
from small_tasks import small, trained

pytestmark = pytest.mark.tiny

CONFIG = f'{HEADING} 1.0\n\ntask = "gone.py"\n'


@pytest.fixture
def run(tmp_path: pathlib.Path) -> RunFolder:
    """A folder with all files of a run, whose task is gone."""
    run = RunFolder.create(tmp_path / "a", "x")
    run.config.write_text(CONFIG)
    run.add_metrics({"samples": 1})
    run.write_summary({"test_error": 0.5})
    save_checkpoint(run.checkpoint, Checkpoint(RunRecord("gone.py"), {}, {}))
    run.figures.mkdir()
    (run.figures / "weights.png").write_text("old")
    return run


def test_runs_are_numbered(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert RunFolder.last("x-1") is None
    names = [str(RunFolder.create(None, "x-1").path) for _ in range(2)]
    assert names == ["runs/x-1-001", "runs/x-1-002"]
    last = RunFolder.last("x-1")
    assert last is not None
    assert last.path.name == "x-1-002"


def test_force_replaces_a_run_and_nothing_else(run: RunFolder) -> None:
    (run.figures / "values.csv").write_text("mine")
    (run.path / "notes.txt").write_text("mine")
    before = run.config.read_text()
    with pytest.raises(
        OutputError, match=r"a: is not empty; choose another folder, or replace .* force=True \(--force\)"
    ):
        RunFolder.create(run.path, "x")
    assert run.config.read_text() == before
    RunFolder.create(run.path, "x", force=True)
    assert sorted(p.name for p in run.path.rglob("*")) == ["figures", "notes.txt", "values.csv"]


@pytest.mark.parametrize("name", ["config.toml", "summary.json", "checkpoint.npz", "figures/weights.png"])
@pytest.mark.parametrize("force", [False, True])
def test_nothing_is_replaced_that_is_no_run(name: str, force: bool, tmp_path: pathlib.Path) -> None:
    mine = tmp_path / "a" / name
    mine.parent.mkdir(parents=True)
    mine.write_text('my = "settings"')
    with pytest.raises(OutputError, match=f"a: holds no run, but other files of the same names: {name}; choose"):
        RunFolder.create(tmp_path / "a", "x", force=force)
    assert mine.read_text() == 'my = "settings"'


@pytest.mark.parametrize(
    ("names", "free"),
    [
        ((), True),
        (("config.toml",), True),  # killed before the first checkpoint
        ((".config.toml.x1y2",), True),
        (("config.toml", ".checkpoint.npz.x1"), True),
        (("config.toml", "metrics.jsonl"), False),
        (("config.toml", "notes.txt"), False),
        (("notes.txt",), False),
    ],
)
def test_a_folder_in_which_nothing_was_learned_is_free(
    names: tuple[str, ...], free: bool, tmp_path: pathlib.Path
) -> None:
    for name in names:
        (tmp_path / name).write_text(CONFIG)
    if free:
        assert list(RunFolder.create(tmp_path, "x").path.iterdir()) == []
    else:
        with pytest.raises(OutputError, match="is not empty"):
            RunFolder.create(tmp_path, "x")
        RunFolder.create(tmp_path, "x", force=True)
        assert (tmp_path / "notes.txt").is_file() == ("notes.txt" in names)


def test_a_file_is_no_folder(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a").write_text("file")
    for path in (tmp_path / "a", tmp_path / "a" / "b"):
        with pytest.raises(OutputError, match="is a file"):
            RunFolder.create(path, "x", force=True)


def test_only_runs_are_opened(tmp_path: pathlib.Path) -> None:
    for seed in (2, 10, 3, 4):
        (tmp_path / "trials" / f"seed-{seed}").mkdir(parents=True)
        (tmp_path / "trials" / f"seed-{seed}" / "config.toml").write_text(CONFIG)
    trials = RunFolder(tmp_path / "trials")
    assert trials.seeds() == [2, 3, 4, 10]
    for path, words in (
        ("none", "none: no such folder"),
        (
            "trials",
            r"holds several trials, seed-2, seed-3, seed-4, \.\.\.; give the folder of one, such as .*trials/seed-2; ",
        ),
        ("", "holds no checkpoint.npz"),
    ):
        for read in (RunFolder.open, load, resume_run):
            with pytest.raises(CheckpointError, match=words):
                read(tmp_path / path)


@pytest.mark.parametrize("name", ["a" * 5000, "a\0b"])
def test_folders_that_cannot_be(name: str) -> None:
    for call in (RunFolder, load, resume_run, draw, lambda path: trained(small(), path)):
        with pytest.raises(CheckpointError, match="cannot be the folder of a run"):
            call(name)


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


@pytest.mark.parametrize("damaged", [b"{", b"5", b"[]", b"\xff\xfe", b"null"])
def test_damaged_files_are_named(run: RunFolder, damaged: bytes) -> None:
    assert json.loads(run.summary.read_text()) == run.read_summary() == {"test_error": 0.5}
    run.summary.write_bytes(damaged)
    with pytest.raises(CheckpointError, match=r"summary.json: is damaged.*resume_run \(--resume\) writes it again"):
        run.read_summary()
    run.metrics.write_bytes(b'{"samples": 10}\n' + damaged + b'\n{"samples": 30}\n')
    with pytest.raises(CheckpointError, match=r"metrics.jsonl: line 2 is damaged"):
        run.read_metrics()


@pytest.mark.parametrize("damaged", ["{}", '{"samples": "20"}', '{"samples": null}'])
def test_metrics_without_samples_cannot_be_rewound(run: RunFolder, damaged: str) -> None:
    run.metrics.write_text(f'{{"samples": 10}}\n{damaged}\n')
    before = run.metrics.read_bytes()
    with pytest.raises(CheckpointError, match=r"metrics.jsonl: is damaged"):
        run.rewind_metrics(20)
    assert run.metrics.read_bytes() == before


def test_what_cannot_be_removed_or_written(run: RunFolder) -> None:
    (run.path / ".checkpoint.npz.x").mkdir()
    with pytest.raises(OutputError, match=r"\.checkpoint\.npz\.x: cannot be written"):
        run.tidy()
