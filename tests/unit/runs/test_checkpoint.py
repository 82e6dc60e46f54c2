from __future__ import annotations

import os
import pathlib

import numpy as np
import pytest

from eprop.errors import CheckpointError, OutputError
from eprop.runs import Checkpoint, Record, load_checkpoint, save_checkpoint

pytestmark = pytest.mark.tiny


@pytest.fixture
def checkpoint() -> Checkpoint:
    rng = np.random.default_rng(0)
    state = {
        "synapses/weight": rng.normal(size=500).astype(np.float32),
        "synapses/trace": np.zeros(0),
        "spikes/sources": np.zeros((0, 7), np.int32),
        "neurons/z": np.array([True, False]),
        "single": np.array(3.5),
    }
    position = {"done": 7, "validation_error": float("inf"), "x": 0.1, "draws": [2**100], "lanes/v": np.arange(3.0)}
    return Checkpoint(
        Record("a-task", {"path": "ü", "n": None}, {"epochs": 3}), position, state, {"ptr": np.arange(4)}, "0.1.0"
    )


@pytest.fixture
def path(tmp_path: pathlib.Path, checkpoint: Checkpoint) -> pathlib.Path:
    save_checkpoint(tmp_path / "c.npz", checkpoint)
    return tmp_path / "c.npz"


def assert_same(found: Checkpoint, wanted: Checkpoint) -> None:
    assert (found.record, found.version) == (wanted.record, wanted.version)
    for part in ("state", "example", "position"):
        have, want = getattr(found, part), getattr(wanted, part)
        assert have.keys() == want.keys()
        for name, value in want.items():
            assert np.asarray(have[name]).dtype == np.asarray(value).dtype, (part, name)
            np.testing.assert_array_equal(have[name], value, err_msg=f"{part}/{name}", strict=True)


def test_a_checkpoint_is_loaded_as_it_was_saved(path: pathlib.Path, checkpoint: Checkpoint) -> None:
    assert_same(load_checkpoint(path), checkpoint)
    assert [p.name for p in path.parent.iterdir()] == ["c.npz"]


def test_numpy_reads_it_and_nothing_is_pickled(path: pathlib.Path) -> None:
    with np.load(path, allow_pickle=False) as archive:
        assert archive["state/synapses/weight"].shape == (500,)
        assert {archive[name].dtype.kind for name in archive.files} <= set("biufU")


def test_any_damage_is_noticed(path: pathlib.Path, checkpoint: Checkpoint) -> None:
    """A flipped bit changes what is read, or is refused; bits that the archive does not use change nothing."""
    sound, rng, refused = path.read_bytes(), np.random.default_rng(1), 0
    for position in rng.integers(0, len(sound), 300):
        damaged = bytearray(sound)
        damaged[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            found = load_checkpoint(path)
        except CheckpointError:
            refused += 1
        else:
            assert_same(found, checkpoint)
    assert refused > 200


@pytest.mark.parametrize("keep", [0, 1, 100, 2000, -1])
def test_a_file_cut_short_is_refused(path: pathlib.Path, keep: int) -> None:
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"c.npz: is damaged.* or repeat the run"):
        load_checkpoint(path)


def rewritten(path: pathlib.Path, **changes: np.ndarray) -> None:
    """The archive with some arrays changed or added, and the old digest."""
    with np.load(path) as archive:
        arrays = dict(archive.items())
    np.savez(path, **{**arrays, **{name.replace("__", "/"): value for name, value in changes.items()}})  # type: ignore[arg-type]


def test_a_changed_value_is_refused(path: pathlib.Path) -> None:
    rewritten(path, state__single=np.array(3.6))
    with pytest.raises(CheckpointError, match="is damaged, its digest is wrong"):
        load_checkpoint(path)


def test_other_files_are_refused(path: pathlib.Path) -> None:
    with pytest.raises(CheckpointError, match=r"none.npz: there is no checkpoint"):
        load_checkpoint(path.with_name("none.npz"))
    with np.load(path) as archive:
        text = archive["checkpoint.json"].tobytes().replace(b'"format": 4', b'"format": 3')
    rewritten(path, **{"checkpoint.json": np.frombuffer(text, np.uint8)})
    with pytest.raises(CheckpointError, match=r"has layout 3, this version of eprop reads layout 4; .* 0.1.0: use"):
        load_checkpoint(path)
    np.savez(path, x=np.arange(3))
    with pytest.raises(CheckpointError, match="is damaged or no checkpoint"):
        load_checkpoint(path)


def test_pipes_and_bombs_are_refused(tmp_path: pathlib.Path) -> None:
    os.mkfifo(tmp_path / "pipe.npz")
    np.savez_compressed(tmp_path / "bomb.npz", **{"state/x": np.zeros(10_000_000)})
    for name, words in (("pipe", "it is a named pipe"), ("bomb", "its arrays are larger than the file")):
        with pytest.raises(CheckpointError, match=rf"{name}.npz: .*{words}"):
            load_checkpoint(tmp_path / f"{name}.npz")


def test_a_full_disk_leaves_the_old_checkpoint(path: pathlib.Path, checkpoint: Checkpoint) -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(OutputError, match=r"c.npz: cannot be written: the file would exceed the size limit"):
            save_checkpoint(path, Checkpoint(Record(), {}, {"x": np.zeros(100_000)}))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert_same(load_checkpoint(path), checkpoint)
    assert [p.name for p in path.parent.iterdir()] == ["c.npz"]
