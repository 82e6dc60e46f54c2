from __future__ import annotations

import io
import pathlib

import h5py
import numpy as np
import pytest

from eprop.errors import CheckpointError, OutputError
from eprop.training import Checkpoint, load_checkpoint, save_checkpoint
from eprop.training import checkpoint as module

pytestmark = pytest.mark.tiny


@pytest.fixture
def checkpoint() -> Checkpoint:
    rng = np.random.default_rng(0)
    state = {
        "synapses/weight": rng.normal(size=500).astype(np.float32),
        "synapses/trace": np.zeros(0),
        "spike_log/sources": np.zeros((0, 7), np.int32),
        "counters": np.arange(3),
        "neurons/z": np.array([True, False]),
        "single": np.array(3.5),
    }
    return Checkpoint(
        "a = 'ü'\n", {"done": 7, "validation_error": None, "x": 0.1}, state, {"ptr": np.arange(4)}, "0.1.0", "ab12"
    )


def same(a: Checkpoint, b: Checkpoint) -> bool:
    equal = (a.config, a.position, a.version, a.source) == (b.config, b.position, b.version, b.source)
    for have, want in ((a.state, b.state), (a.example, b.example)):
        equal &= have.keys() == want.keys()
        equal &= all(have[k].dtype == want[k].dtype and np.array_equal(have[k], want[k]) for k in have)
        equal &= all(have[k].shape == want[k].shape for k in have)
    return equal


def test_what_is_saved_is_loaded(tmp_path: pathlib.Path, checkpoint: Checkpoint) -> None:
    save_checkpoint(tmp_path / "c.h5", checkpoint)
    assert same(load_checkpoint(tmp_path / "c.h5"), checkpoint)
    assert [p.name for p in tmp_path.iterdir()] == ["c.h5"]


def test_nothing_is_pickled(tmp_path: pathlib.Path, checkpoint: Checkpoint) -> None:
    save_checkpoint(tmp_path / "c.h5", checkpoint)
    kinds = set()
    with h5py.File(tmp_path / "c.h5") as file:
        file.visititems(lambda name, node: kinds.add(node.dtype.kind) if isinstance(node, h5py.Dataset) else None)
    assert kinds <= set("biuf")
    with pytest.raises(TypeError):
        save_checkpoint(tmp_path / "d.h5", Checkpoint("", {}, {"x": np.array([object()])}))
    assert not (tmp_path / "d.h5").exists()


def test_any_damage_is_noticed(tmp_path: pathlib.Path, checkpoint: Checkpoint) -> None:
    path = tmp_path / "c.h5"
    save_checkpoint(path, checkpoint)
    sound = path.read_bytes()
    header = len(sound[:512].rstrip(b"\0"))
    rng = np.random.default_rng(1)
    for position in [*range(header), *rng.integers(512, len(sound), 200)]:
        damaged = bytearray(sound)
        damaged[position] ^= 1 << int(rng.integers(7))
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError) as caught:
            load_checkpoint(path)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize("keep", [0, 1, 100, 511, 512, 2000, -1])
def test_a_file_cut_short_is_refused(tmp_path: pathlib.Path, checkpoint: Checkpoint, keep: int) -> None:
    path = tmp_path / "c.h5"
    save_checkpoint(path, checkpoint)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"c.h5: is damaged.* or repeat the run with its config.toml"):
        load_checkpoint(path)


def test_a_changed_value_is_refused(tmp_path: pathlib.Path, checkpoint: Checkpoint) -> None:
    path = tmp_path / "c.h5"
    save_checkpoint(path, checkpoint)
    with h5py.File(path, "a") as file:
        file["state/synapses/weight"][3] = 1.0
    with pytest.raises(CheckpointError, match="is damaged, its checksum is wrong"):
        load_checkpoint(path)


def test_other_files_are_refused(tmp_path: pathlib.Path, checkpoint: Checkpoint) -> None:
    with pytest.raises(CheckpointError, match=r"none.h5: there is no checkpoint"):
        load_checkpoint(tmp_path / "none.h5")
    path = tmp_path / "c.h5"
    with h5py.File(path, "w") as file:
        file["x"] = 1
    with pytest.raises(CheckpointError, match="is an HDF5 file, but no checkpoint of eprop"):
        load_checkpoint(path)
    save_checkpoint(path, checkpoint)
    path.write_bytes(path.read_bytes().replace(b"layout 3\n", b"layout 1\n"))
    with pytest.raises(
        CheckpointError, match=r"has layout 1, this version of eprop reads layout 3; .* eprop 0.1.0: use"
    ):
        load_checkpoint(path)


def test_other_programs_can_read_it(tmp_path: pathlib.Path, checkpoint: Checkpoint) -> None:
    save_checkpoint(tmp_path / "c.h5", checkpoint)
    with h5py.File(tmp_path / "c.h5") as file:
        assert file["state/synapses/weight"].shape == (500,)
        assert file.attrs["config"] == checkpoint.config


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path: pathlib.Path, checkpoint: Checkpoint) -> None:
    path = tmp_path / "c.h5"
    save_checkpoint(path, checkpoint)
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(OutputError, match=r"c.h5: cannot be written: the file would exceed the size limit"):
            save_checkpoint(path, Checkpoint("", {}, {"x": np.zeros(100_000)}))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert same(load_checkpoint(path), checkpoint)
    assert [p.name for p in tmp_path.iterdir()] == ["c.h5"]


def with_header(content: bytes) -> bytes:
    """A file as somebody else could make it: its checksum is right."""
    return module._header("0.2.0", module._digest(io.BytesIO(content), "0.2.0")) + content


def test_a_checkpoint_that_promises_terabytes_is_refused(tmp_path: pathlib.Path, checkpoint: Checkpoint) -> None:
    path = tmp_path / "c.h5"
    save_checkpoint(path, checkpoint)
    with pytest.raises(CheckpointError, match=r"c.h5: .*needs .* bytes of memory"):
        load_checkpoint(path, memory=100)
    with h5py.File(tmp_path / "evil.h5", "w", userblock_size=512) as file:
        file.create_dataset("state/x", (1 << 42,), float, chunks=(1024,))
    path.write_bytes(with_header((tmp_path / "evil.h5").read_bytes()[512:]))
    with pytest.raises(CheckpointError, match="state/x: needs"):
        load_checkpoint(path)


def test_a_position_that_is_none(tmp_path: pathlib.Path, checkpoint: Checkpoint) -> None:
    path = tmp_path / "c.h5"
    for position in ("[1]", "3", "[" * 100_000):
        image = io.BytesIO(module._hdf5(checkpoint))
        with h5py.File(image, "r+") as file:
            file.attrs["position"] = position if len(position) < 60_000 else "[" * 60_000
        path.write_bytes(with_header(image.getvalue()[512:]))
        with pytest.raises(CheckpointError, match=r"c.h5: (cannot be read|is not valid JSON)"):
            load_checkpoint(path)
