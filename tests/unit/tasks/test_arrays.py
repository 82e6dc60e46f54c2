"""Tasks with data of a user: templates that run as they are, splits, checksums and what a run folder keeps."""

from __future__ import annotations

import pathlib
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest

import eprop as ep
from compare import assert_same
from eprop.data import BinnedDataset, from_arrays
from eprop.errors import CheckpointError, DataError, InputError, ParameterError
from eprop.parameters import param
from eprop.tasks import ArrayData, ArrayTask, Classification, Regression, Splits
from eprop.tasks.arrays import samples_of_dataset
from eprop.tasks.registry import TEMPLATES, new_task, task_named
from eprop.training import RunConfig, evaluate_run, resume_run, start_run
from families import in_turn
from refusals import refusals

pytestmark = pytest.mark.tiny

RNG = np.random.default_rng(0)
LABELS = np.arange(60) % 3
#: Each class has two channels of its own.
EVENTS = (RNG.random((60, 20, 6)) < 0.4) & (np.arange(6) // 2 == LABELS[:, None, None])
WAVES = (1.0 - np.exp(-np.arange(20) / 10.0))[None, :, None] * (1.0 + LABELS[:, None, None])


@dataclass(frozen=True)
class Given(ArrayData):
    """Samples of this module, whole or with a test part."""

    parted: bool = param(False, kind=bool, doc="whether the data have a test part")

    def read(self, task: Any) -> BinnedDataset | Splits:
        aims: dict[str, Any] = {"targets": WAVES} if isinstance(task, Regression) else {"labels": LABELS}
        data = from_arrays(EVENTS, **aims, dt=0.5)
        return Splits(data[:40], data[40:50], data[50:]) if self.parted else data


@dataclass(frozen=True, kw_only=True)
class _Small(ArrayTask):
    data: ClassVar[Any] = Given
    dt: float = 0.5

    def build_network(self) -> ep.Network:
        net, rule = ep.Network(dt=self.dt, seed=self.seed), ep.EProp(optimizer=ep.Adam(eta=2e-2))
        x, rec = net.add(ep.EventSource(), 6, "in"), net.add(ep.LIF(tau_m=5.0), 20, "rec")
        one = isinstance(self, Regression)
        out = net.add(
            ep.Readout(tau_m=5.0, loss=ep.SquaredError() if one else ep.CrossEntropy()), 1 if one else 3, "out"
        )
        net.connect(x, rec, weight=ep.Normal(0.0, 1.0), rule=rule)
        net.connect(rec, out, weight=ep.Glorot(), rule=rule)
        net.feedback(out, rec, ep.Symmetric())
        return net


@dataclass(frozen=True, kw_only=True)
class Classes(_Small, Classification):
    name: ClassVar[str] = "classes"
    classes: ClassVar[tuple[str, ...]] = ("a", "b", "c")

    def evidence(self, samples: Any, y: np.ndarray) -> np.ndarray:
        return y.sum(axis=1)


@dataclass(frozen=True, kw_only=True)
class Curves(_Small, Regression):
    name: ClassVar[str] = "curves"


def test_a_fifth_becomes_the_test_and_a_tenth_of_the_rest_the_validation() -> None:
    splits = Given().load(Classes())
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [44, 4, 12]
    assert np.bincount(splits.test.labels).tolist() == [4, 4, 4]
    rows = [{tuple(row) for row in part.ptr.tolist()} for part in (splits.train, splits.validation, splits.test)]
    assert len(set.union(*rows)) == 60  # no sample is in two parts
    same, other = Given().load(Classes()), Given(seed=1).load(Classes())
    assert_same(same.test, splits.test)
    assert not np.array_equal(other.test.ptr, splits.test.ptr)


def test_parts_of_the_data_stay_what_they_are() -> None:
    splits = Given(parted=True).load(Classes())
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [40, 10, 10]
    limited = Given(parted=True, samples=6, test_samples=3).load(Classes())
    assert (len(limited.train), len(limited.test)) == (6, 3)
    assert Given(validation=0).load(Classes()).validation is None


@pytest.mark.parametrize("kind", [Classes, Curves])
def test_a_sample_survives_the_checkpoint(kind: type[ArrayTask]) -> None:
    task, choice = kind(), Given()
    sample = choice.load(task).test[[3]]
    assert_same(replace(choice.unpack(task, choice.pack(sample)), name=sample.name), sample.compact())


def test_any_other_sample_has_another_checksum() -> None:
    task, choice = Classes(), Given()
    data = choice.load(task).train
    others = [data[1:], data.shuffled(1), replace(data, labels=data.labels[::-1])]
    others.append(data.renumbered(np.array([1, 0, 2, 3, 4, 5], np.int32), 6))
    others.append(replace(data, targets=np.zeros((len(data), 1, 1))))
    prints = [choice.fingerprint(task, each) for each in (data, *others)]
    assert len(set(prints)) == len(prints)
    assert choice.fingerprint(task, data.compact()) == prints[0]


@pytest.mark.parametrize("kind", [Classes, Curves])
def test_the_network_learns_from_the_data(kind: type[ArrayTask], tmp_path: pathlib.Path) -> None:
    task = kind()
    config = RunConfig(task, Given(), ep.training.Training(epochs=60, batch_size=8), ep.training.Execution(threads=1))
    done = start_run(config, tmp_path / "run", watcher=ep.training.Watcher())
    assert done.summary["test_error"] < (0.1 if kind is Classes else 0.5)
    assert done.summary["validation_samples"] == 4


@refusals(
    (lambda: Given(data="/nowhere").load(Classes()), DataError, "/nowhere: no such file or folder"),
    (lambda: Given(test_samples=60).load(Classes()), DataError, "cannot take 60 test samples of 60"),
    (lambda: Given(validation=48).load(Classes()), DataError, "cannot take 48 validation samples of 48"),
    (lambda: ArrayData().load(Classes()), TypeError, r"ArrayData does not define read\(\)"),
    (lambda: Wrong().load(Classes()), DataError, "Wrong.read must return a BinnedDataset, .* got list"),
    (lambda: Classes(dt=1.0).make_samples(Classes(dt=1.0).build_network(), Given().load(Classes()).test), InputError,
     "samples have steps of 0.5 ms, but the network has steps of 1 ms"),
    (lambda: samples_of_dataset(ep.recurrent(5, 1, 3, dt=0.5), Given().load(Classes()).test), InputError,
     "samples have 6 channels, but the network has 5 inputs .'in'."),
    (lambda: samples_of_dataset(ep.Network(), Given().load(Classes()).test), InputError, "needs one event source, .* none"),
    (lambda: new_task("mine", data="video"), ParameterError, 'data must be "generated"'),
    (lambda: new_task("my-data", data="arrays"), ParameterError, "would be the class MyData"),
)  # fmt: skip
def test_what_is_no_data_of_a_task_is_refused(refusal: Any) -> None:
    refusal.check()


class Wrong(ArrayData):
    """Returns no data set."""

    def read(self, task: Any) -> Any:
        return [1, 2, 3]


@in_turn("kind rule", TEMPLATES, ["eprop", "eprop+"])
def test_a_new_task_learns_as_it_is(kind: str, rule: str, tmp_path: pathlib.Path) -> None:
    file, text = new_task(f"task-of-{kind}", tmp_path / f"{kind}.py", kind)
    file.write_text(text)
    run = tmp_path / "run"
    done = start_run(RunConfig.make(str(file), task={"rule": rule}, run={"threads": 1}), run)
    assert done.summary["test_error"] < 0.1
    repeated = evaluate_run(run, task=str(file))[1]
    assert repeated.error == done.evaluation.error
    assert "MyTask" not in text
    assert "FILE" not in text


def test_a_file_replaces_the_invented_samples(tmp_path: pathlib.Path) -> None:
    file, text = new_task("mine", tmp_path / "mine.py", "arrays")
    file.write_text(text)
    events = (RNG.random((30, 50, 20)) < 0.3) & (np.arange(20) // 7 == LABELS[:30, None, None])
    np.savez(tmp_path / "mine.npz", events=events, labels=LABELS[:30])
    config = RunConfig.make(str(file), data={"data": str(tmp_path / "mine.npz")}, training={"epochs": 1})
    done = start_run(config, tmp_path / "run")
    assert done.summary["test_data"] == f"{tmp_path / 'mine.npz'}, test part"
    found = evaluate_run(tmp_path / "run", [tmp_path / "mine.npz"], task=str(file))[1]
    assert found.scores.size == 30
    np.savez(tmp_path / "mine.npz", events=events[::-1], labels=LABELS[:30])
    with pytest.raises(CheckpointError, match="was written while learning from other data"):
        resume_run(tmp_path / "run", task=str(file))


def test_recordings_in_a_folder_replace_the_invented_ones(tmp_path: pathlib.Path) -> None:
    file, text = new_task("mine", tmp_path / "mine.py", "camera")
    file.write_text(text)
    for k, name in enumerate(("left", "right") * 10):
        (tmp_path / "data" / name).mkdir(parents=True, exist_ok=True)
        rows = np.column_stack(
            [RNG.integers(10, size=9), RNG.integers(8, size=9), np.arange(9) * 1000, np.zeros(9, int)]
        )
        np.save(tmp_path / "data" / name / f"{k}.npy", rows)
    splits = task_named(str(file)).data(data=str(tmp_path / "data")).load(task_named(str(file))())
    assert len(splits.train) + len(splits.validation) + len(splits.test) == 20
    assert np.bincount(splits.train.labels).tolist() == [8, 7]
