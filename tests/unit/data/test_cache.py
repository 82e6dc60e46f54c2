"""The cache on disk: there whole or not at all, and never wrong."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import time
import types
import warnings

import numpy as np
import pytest

from compare import assert_same
from eprop.core import lib
from eprop.data import BinnedDataset, CacheWarning, cache, cached, load_dataset, save_dataset
from eprop.errors import DataError, OutputError

pytestmark = pytest.mark.tiny


def made(n=4):
    ptr = np.array([[2 * i, 2 * i + 1, 2 * i + 2] for i in range(n)])
    return BinnedDataset(ptr, np.arange(2 * n) % 5, np.arange(n), 5, dt=0.5, simulated=True, name="made")


class Maker:
    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return made()


def test_a_data_set_is_made_once_and_then_read(tmp_path):
    maker = Maker()
    key = {"what": "digits", "seed": 1}
    first, second = (cached(key, maker, tmp_path) for _ in range(2))
    assert maker.calls == 1
    assert_same(first, made())
    assert_same(second, made())
    second.validate()
    cached({**key, "seed": 2}, maker, tmp_path)
    assert maker.calls == 2
    assert len(list(tmp_path.iterdir())) == 2


def test_mapped_arrays_do_not_change_the_file(tmp_path):
    cached({}, made, tmp_path).channels[:] = 4
    assert_same(cached({}, made, tmp_path), made())


def test_the_key_depends_on_the_code(monkeypatch):
    before = cache.digest({"a": 1})
    assert cache.digest({"a": 1}) == before
    monkeypatch.setattr(cache, "_code_digest", lambda: "another version")
    assert cache.digest({"a": 1}) != before
    monkeypatch.undo()
    cache._code_digest.cache_clear()
    monkeypatch.setattr(cache, "lib", types.SimpleNamespace(data_version=lib.data_version + 1))
    assert cache.digest({"a": 1}) != before
    cache._code_digest.cache_clear()


def rewrite(entry, **changes):
    path = entry / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


DAMAGE = {
    "truncated": lambda entry: os.truncate(entry / "ptr.npy", (entry / "ptr.npy").stat().st_size - 8),
    "no JSON": lambda entry: (entry / "dataset.json").write_text("{"),
    "version": lambda entry: rewrite(entry, format=0),
    "attributes": lambda entry: rewrite(entry, attributes={"colour": 3}),
    "missing": lambda entry: (entry / "labels.npy").unlink(),
    "offsets": lambda entry: np.save(entry / "ptr.npy", np.array([[0, 1, 2], [2, 2**40, 4], [4, 5, 6], [6, 7, 8]])),
    "labels": lambda entry: np.save(entry / "labels.npy", np.array([0, -1, 0, 0])),
    "texts": lambda entry: np.save(entry / "labels.npy", np.array(list("abcd"))),
    "pickle": lambda entry: np.save(entry / "labels.npy", np.array([{}], object), allow_pickle=True),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damaged_entries_are_made_again(tmp_path, damage):
    maker = Maker()
    cached({}, maker, tmp_path)
    (entry,) = tmp_path.iterdir()
    damage(entry)
    with pytest.raises(DataError, match="delete the folder"):
        load_dataset(entry)
    with pytest.warns(CacheWarning, match="made again"):
        again = cached({}, maker, tmp_path)
    assert maker.calls == 2
    assert_same(again, made())
    cached({}, maker, tmp_path)
    assert maker.calls == 2


@pytest.mark.parametrize(
    ("problem", "advice"),
    [
        (OSError(errno.ENOSPC, "full"), "the disk is full; free some space.*bytes are needed"),
        (OSError(errno.EROFS, "read-only"), "cannot be written"),
        (KeyboardInterrupt(), None),
    ],
)
def test_a_full_disk_and_an_interrupt_leave_no_entry(tmp_path, monkeypatch, problem, advice):
    real, calls = cache._save_array, []

    def save(*arguments, **options):
        calls.append(1)
        if len(calls) == 2:
            raise problem
        real(*arguments, **options)

    monkeypatch.setattr(cache, "_save_array", save)
    if advice is None:
        with pytest.raises(KeyboardInterrupt):
            cached({}, made, tmp_path)
    else:
        with pytest.warns(CacheWarning, match=f"{advice}.*used from memory.*EPROP_CACHE_DIR"):
            assert_same(cached({}, made, tmp_path), made())
    assert list(tmp_path.iterdir()) == []


def test_entries_used_longest_ago_are_deleted_beyond_the_limit(tmp_path, monkeypatch):
    def use(seed):
        return cached({"seed": seed}, made, tmp_path)

    def seeds():
        names = {cache.digest({"seed": seed}): seed for seed in range(5)}
        return sorted(names[path.name] for path in tmp_path.iterdir() if path.name in names)

    kept = use(0)
    size = sum(file.stat().st_size for file in (tmp_path / cache.digest({"seed": 0})).iterdir())
    monkeypatch.setattr(cache, "LIMIT", 3 * size)
    for seed in (1, 2):
        use(seed)
    for seed in range(3):  # a clock of a file system may be coarse
        os.utime(tmp_path / cache.digest({"seed": seed}) / "dataset.json", (1000.0 + seed, 1000.0 + seed))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").write_text("mine")
    use(1)  # now 0 and 2 were used longest ago
    with pytest.warns(
        CacheWarning, match=r"exceeded .* GB; deleted those used longest ago, 1 of 4, .*makes them again"
    ):
        use(3)
    assert seeds() == [1, 2, 3]
    assert_same(kept, made())  # mapped arrays stay
    monkeypatch.setattr(cache, "LIMIT", 1)
    with pytest.warns(CacheWarning, match="3 of 4"):
        use(4)
    assert seeds() == [4]  # the latest one stays, whatever its size
    left = tmp_path / f".{cache.digest({})}.x1y2"
    for age in (0, 2):
        left.mkdir(exist_ok=True)
        os.utime(left, (time.time() - age * 86_400,) * 2)
        assert cache.clear(tmp_path)[0] == 1  # entry, then what a killed process has left
        assert left.exists() == (age == 0)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_an_entry_that_another_process_made_in_the_meantime_stays(tmp_path):
    inodes = []

    def make():
        cached({}, made, tmp_path)
        (entry,) = tmp_path.iterdir()
        inodes.append((entry / "channels.npy").stat().st_ino)
        return made()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_same(cached({}, make, tmp_path), made())
    (entry,) = tmp_path.iterdir()
    assert inodes == [(entry / "channels.npy").stat().st_ino]


def test_a_data_set_is_replaced_and_other_files_are_not(tmp_path):
    """Numbers of NumPy are numbers."""
    (tmp_path / "set").mkdir()  # it is empty
    save_dataset(dataclasses.replace(made(), dt=np.float32(0.5), n_channels=np.int64(5)), tmp_path / "set")
    assert_same(load_dataset(tmp_path / "set"), made())
    save_dataset(made(6).subset([5, 0]), tmp_path / "set")
    back = load_dataset(tmp_path / "set")
    assert (back.labels.tolist(), back.channels.size) == ([5, 0], 4)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "chapter").write_text("1")
    with pytest.raises(DataError, match="book: holds other files than a data set, which will not be replaced"):
        save_dataset(made(), tmp_path / "book")
    assert (tmp_path / "book" / "chapter").read_text() == "1"
    with pytest.raises(DataError, match="is not a readable data set"):
        load_dataset(tmp_path)
    with pytest.raises(OutputError, match="cannot be written"):
        save_dataset(made(), tmp_path / "book" / "chapter" / "set")


def test_the_digest_tells_values_shapes_and_types_apart():
    a = np.arange(6)
    assert cache.describe_bytes(a, a) == cache.describe_bytes(a, a.copy())
    others = [
        cache.describe_bytes(*arrays) for arrays in ((a,), (a.reshape(2, 3),), (a.astype(np.int32),), (a + 1,), ())
    ]
    assert len(set(others)) == 5
