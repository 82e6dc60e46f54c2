from __future__ import annotations

import io
import os
import pathlib
from typing import Any

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import eprop as ep
from eprop.errors import CheckpointError, OutputError
from eprop.runs import Checkpoint, RunRecord, load_checkpoint, save_checkpoint
from eprop.runs.checkpoint import packed, unpacked
from small_tasks import bare

pytestmark = pytest.mark.tiny

NAMES = st.text("abc/_ü", min_size=1, max_size=8)
SHAPES = arrays.array_shapes(min_dims=0, min_side=0)
ARRAYS = st.dictionaries(NAMES, st.sampled_from("?ilfdI").flatmap(lambda kind: arrays.arrays(np.dtype(kind), SHAPES)))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**100), 2**100) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3), max_leaves=5,
)  # fmt: skip
VALUES = st.dictionaries(NAMES, JSON)
CHECKPOINTS = st.builds(
    lambda record, values, positions, state, example: Checkpoint(record, {**positions, **values}, state, example, "0.1.0"),
    st.builds(RunRecord, st.text(), st.text(), VALUES, VALUES, VALUES), VALUES, ARRAYS, ARRAYS, ARRAYS,
)  # fmt: skip


def assert_same(found: Checkpoint, wanted: Checkpoint) -> None:
    assert (found.record, found.version) == (wanted.record, wanted.version)
    for part in ("state", "example", "network", "position"):
        have, want = getattr(found, part), getattr(wanted, part)
        assert have.keys() == want.keys()
        for name, value in want.items():
            assert type(have[name]) is type(value)
            if not isinstance(value, np.ndarray):
                assert have[name] == value
                continue
            np.testing.assert_array_equal(have[name], value, err_msg=f"{part}/{name}", strict=True)


@pytest.fixture
def checkpoint() -> Checkpoint:
    rng = np.random.default_rng(0)
    state = {"synapses/weight": rng.normal(size=500).astype(np.float32), "single": np.array(3.5)}
    position = {"done": 7, "draws": [2**100], "lanes/v": np.arange(3.0)}
    return Checkpoint(
        RunRecord("ü", "ü.py", {"neurons": 5}, {"epochs": 2}), position, state, {"ptr": np.arange(4)}, "0.1.0", state
    )


@pytest.fixture
def path(tmp_path: pathlib.Path, checkpoint: Checkpoint) -> pathlib.Path:
    save_checkpoint(tmp_path / "c.npz", checkpoint)
    return tmp_path / "c.npz"


@given(checkpoint=CHECKPOINTS)
def test_a_checkpoint_is_loaded_as_it_was_saved(
    tmp_path_factory: pytest.TempPathFactory, checkpoint: Checkpoint
) -> None:
    path = tmp_path_factory.mktemp("c") / "c.npz"
    save_checkpoint(path, checkpoint)
    assert_same(load_checkpoint(path), checkpoint)
    assert [p.name for p in path.parent.iterdir()] == ["c.npz"]


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


def other_layout(path: pathlib.Path) -> None:
    with np.load(path) as archive:
        arrays = dict(archive.items())
    assert {array.dtype.kind for array in arrays.values()} <= set("biufU")  # nothing is pickled
    text = arrays["checkpoint.json"].tobytes().replace(b'"format": 5', b'"format": 2')
    np.savez(path, **{**arrays, "checkpoint.json": np.frombuffer(text, np.uint8)})


def compressed(path: pathlib.Path) -> None:
    file = io.BytesIO()
    np.savez_compressed(file, **{"state/x": np.zeros(10_000_000)})
    path.write_bytes(file.getvalue())


def pipe(path: pathlib.Path) -> None:
    path.unlink()
    os.mkfifo(path)


CUT = r"is damaged.* or repeat the run"
DAMAGES: dict[str, tuple[Any, str]] = {
    **{f"cut at {n}": (lambda p, n=n: p.write_bytes(p.read_bytes()[:n]), CUT) for n in (0, 1, 100, 2000, -1)},
    "none": (lambda p: p.unlink(), "there is no checkpoint; the run was stopped before its first one"),
    "another layout": (other_layout, r"has layout 2, this version of eprop reads layout 5; .* use that, or train again"),
    "other arrays": (lambda p: np.savez(p, x=np.arange(3)), "is damaged or no checkpoint"),
    "a pipe": (pipe, "it is a named pipe"),
    "a bomb": (compressed, "its arrays are larger than the file"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_other_files_are_refused_in_words(damage: str, path: pathlib.Path) -> None:
    change, words = DAMAGES[damage]
    change(path)
    with pytest.raises(CheckpointError, match=rf"c.npz: .*{words}"):
        load_checkpoint(path)


def test_a_full_disk_leaves_the_old_checkpoint(path: pathlib.Path, checkpoint: Checkpoint) -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(OutputError, match=r"c.npz: cannot be written: the file would exceed the size limit"):
            save_checkpoint(path, Checkpoint(RunRecord(), {}, {"x": np.zeros(100_000)}))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert_same(load_checkpoint(path), checkpoint)
    assert [p.name for p in path.parent.iterdir()] == ["c.npz"]


def test_the_sample_for_pictures_is_read_as_it_was() -> None:
    simulator = ep.Simulator(bare().network, threads=1)
    events = np.random.default_rng(0).random((1, 20, 6)) < 0.3
    wanted = simulator.samples(1, 20, {"in": events}, {"out": np.ones((1, 20, 2)) / 2})
    found = unpacked(packed(wanted))
    assert found is not None
    np.testing.assert_array_equal(simulator.evaluate(found).loss, simulator.evaluate(wanted).loss)
    assert unpacked(packed(None)) is None
