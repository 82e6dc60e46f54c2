"""Binning against a plain version, and what one can do with a binned data set."""

from __future__ import annotations

import dataclasses

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from eprop.data import BinnedDataset, Events, EventTimeWarning, concatenate, from_iterable
from eprop.data.binning import bin_blocks, events_to_channels
from eprop.errors import DataError, ParameterError
from refusals import each_of, each_row, refusals

# Many of the events that are made up lie behind the last step, as they are meant to.
pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.data.EventTimeWarning")]


def random_events(rng, n, size=5, t_max=20_000):
    return Events(rng.integers(0, size, n), rng.integers(0, size, n), rng.integers(0, 2, n), rng.integers(0, t_max, n))


def make(n_samples=6, seed=0, n_steps=7, dt=2.0, size=5):
    rng = np.random.default_rng(seed)
    samples = [(random_events(rng, int(rng.integers(0, 30)), size), k % 3) for k in range(n_samples)]
    return from_iterable(samples, sensor_size=(size, size, 2), n_steps=n_steps, dt=dt, name="made up")


def plain(events, n_channels_xy, n_steps, dt):
    """Steps and channels by the definition."""
    width, height = n_channels_xy
    found = set()
    for x, y, p, t in zip(events.x, events.y, events.p, events.t, strict=True):
        step = int(np.floor(int(t) / (dt * 1000.0)))
        if step < n_steps:
            found.add((step, int(p) * width * height + int(y) * width + int(x)))
    return sorted(found)


ROWS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 12_000), st.integers(0, 1)), max_size=40)


@given(st.lists(ROWS, min_size=1, max_size=4), st.sampled_from([0.1, 0.3, 1.0, 2.5, 7.0, 50.0]), st.integers(1, 9))
def test_binning_is_that_of_the_definition(samples, dt, n_steps):
    events = [np.array(rows, np.int64).reshape(-1, 4) for rows in samples]
    data = from_iterable([(e, k) for k, e in enumerate(events)], sensor_size=(4, 3, 2), n_steps=n_steps, dt=dt)
    data.validate()
    assert (len(data), data.n_steps, data.n_channels, data.dt) == (len(samples), n_steps, 24, dt)
    for i, e in enumerate(events):
        whole = Events(e[:, 0], e[:, 1], e[:, 3], e[:, 2])
        steps, channels = data.sample(i)
        assert list(zip(steps.tolist(), channels.tolist(), strict=True)) == plain(whole, (4, 3), n_steps, dt)


def test_step_boundaries_belong_to_the_later_step():
    data = from_iterable([(np.array([(0, 0, t, 0) for t in (0, 999, 1000, 2999, 3000)]), 1)], n_steps=3)
    assert data.sample(0)[0].tolist() == [0, 1, 2]


def test_block_size_does_not_change_samples():
    rng = np.random.default_rng(3)
    samples = [(random_events(rng, 4), int(k)) for k in rng.integers(0, 9, 600)]  # more than two blocks
    data = from_iterable(iter(samples), sensor_size=(5, 5, 2), n_steps=5)
    for i in (0, 255, 256, 511, 512, 599):
        one = from_iterable([samples[i]], sensor_size=(5, 5, 2), n_steps=5)
        assert np.array_equal(data.dense(i), one.dense(0))
        assert data.labels[i] == samples[i][1]


def test_sensor_size_comes_from_the_data_set():
    class Tonic(list):
        sensor_size = (700, 1, 1)

    rows = np.array([(699, 1500)], dtype=[("x", int), ("t", int)])
    data = from_iterable(Tonic([(rows, 2)]), n_steps=3)
    assert data.n_channels == 700
    assert data.sample(0)[1].tolist() == [699]
    assert from_iterable([(np.array([(3, 2, 1500, 1)]), 7)], n_steps=4).n_channels == 2312
    # With one polarity, p is ignored.
    assert events_to_channels(Events([1], [1], [1], [0]), (3, 3, 1)).tolist() == [4]


LABEL = "sample 0: a label must be a whole number >= 0, got"
NO_EVENTS = np.zeros((0, 4))
WRONG_SAMPLES = [
    ([], "no sample"),
    ([(np.array([(34, 0, 0, 0)]), 0)], "sample 0: x = 34 lies outside the sensor of 34 x 34"),
    ([(np.array([(0, 40, 0, 0)]), 0)], "sample 0: y = 40"),
    ([(NO_EVENTS, 0), (np.zeros((2, 3)), 0)], "sample 1: events must be"),
    *(([(NO_EVENTS, label)], LABEL) for label in ("seven", None, -1, 1.5, np.array([1, 2]))),
    ([(np.array([(0, 0, 0.25, 0)]), 1)], "sample 0: event field t must be whole microseconds, got 0.25; for seconds"),
    (3, "expected an array, a list or a generator"),
]
WRONG_OPTIONS = ({"n_steps": 0}, {"dt": 0.0}, {"dt": np.nan}, {"sensor_size": (3, 3)}, {"sensor_size": (0, 3, 2)})
PTR, ONE = np.array([[0, 2, 3]]), np.zeros(1)


def checked(ptr, channels):
    BinnedDataset(np.array(ptr), np.array(channels), ONE, 5).validate()


@refusals(
    *each_row(WRONG_SAMPLES, from_iterable, DataError),
    *each_of(WRONG_OPTIONS, lambda given: from_iterable([(NO_EVENTS, 0)], **given), ParameterError, "n_steps|dt|sensor_size"),
    (lambda: bin_blocks([], 0), ParameterError, "n_channels"),
    (lambda: checked(PTR, [1, 0, 0]), DataError, "sample 0 has .*unsorted"),
    (lambda: checked(PTR, [1, 1, 0]), DataError, "sample 0 has .*unsorted"),
    (lambda: checked(PTR, [0, 5, 0]), DataError, "sample 0 has .*out of range"),
    (lambda: checked(PTR, [0, -1, 0]), DataError, "sample 0 has .*out of range"),
    (lambda: checked([[0, 2, 4]], [0, 1, 0]), DataError, "sample 0 has .*offsets"),
    (lambda: checked([[0, 3, 2]], [0, 1, 0]), DataError, "sample 0 has .*offsets"),
    (lambda: BinnedDataset(np.zeros(3), np.zeros(0), ONE, 5), DataError, "2 dimension"),
    (lambda: BinnedDataset(PTR, np.zeros(3), np.zeros(2), 5), DataError, "1 rows of offsets but 2 labels"),
    (lambda: BinnedDataset(np.zeros((1, 1)), np.zeros(0), ONE, 5), DataError, "one step"),
    (lambda: BinnedDataset(PTR, np.zeros(3), ONE, 5, dt=-1.0), ParameterError, "dt"),
    *each_of([(501,), (-1, -1), (-2,), (400, 101), (1.5,), (-0.5,), (0.9, 0.2), (50.0,), (np.nan,)],
             lambda sizes: make(500).split(sizes), DataError, "samples|size|split"),
    (lambda: make().subset([6]), DataError, "subset of 6"),
    (lambda: concatenate([make(), make(n_steps=8)]), DataError, "differ"),
    (lambda: concatenate([]), DataError, "nothing"),
)  # fmt: skip
def test_what_is_no_data_set_is_refused(refusal):
    refusal.check()


@pytest.mark.parametrize("label", [np.array([3]), np.int64(3), 3.0])
def test_labels_may_be_whole_numbers_of_any_type(label):
    assert from_iterable([(np.zeros((0, 4)), label)], n_steps=4).labels.tolist() == [3]


@pytest.mark.parametrize(
    ("times", "n_steps", "words"),
    [
        ((0, 2999, 3000, 4500), 3, "2 of 4 events come after the end .* at 3 ms and are dropped; the last one is at 4.5 ms"),
        ((0, 1), 300, "all 2 events fall into the first of 300 steps, the last one at 1 us"),
    ],
)  # fmt: skip
def test_events_after_the_last_step_and_times_in_seconds_cause_a_warning(times, n_steps, words):
    with pytest.warns(EventTimeWarning, match=words):
        data = from_iterable([(np.array([(k, 0, t, 0) for k, t in enumerate(times)]), 0)], n_steps=n_steps)
    assert data.counts.tolist() == [2]


def test_subsets_share_the_channels():
    data = make()
    part = data.subset([4, 1], name="two")
    assert part.channels is data.channels
    assert (len(part), part.name) == (2, "two")
    assert np.array_equal(part.dense(0), data.dense(4))
    assert np.array_equal(part.dense(1), data.dense(1))
    assert len(data.subset(slice(1, 4))) == 3
    assert len(data.subset(data.labels == 2)) == 2
    assert len(data.subset(3)) == 1
    assert len(data.subset([])) == 0
    compact = part.compact()
    assert compact.channels.size == part.counts.sum()
    assert np.array_equal(compact.dense(0), data.dense(4))
    assert part.counts.tolist() == [data.counts[4], data.counts[1]]


def test_a_split_is_disjoint_and_stratified():
    labels = np.repeat(np.arange(10), 50)
    ptr = np.repeat(np.arange(500)[:, None], 2, axis=1)
    ptr[:, 1] += 1
    data = BinnedDataset(ptr, np.zeros(500, np.int32), labels, 3)
    train, validation, test = data.split((-1, 50, 100), seed=4, names=("a", "b"))
    assert [len(part) for part in (train, validation, test)] == [350, 50, 100]
    assert [part.name for part in (train, validation, test)] == ["a", "b", ""]
    assert sorted(np.concatenate([p.ptr[:, 0] for p in (train, validation, test)])) == list(range(500))
    assert np.bincount(validation.labels).tolist() == [5] * 10
    assert np.bincount(test.labels).tolist() == [10] * 10
    again = data.split((-1, 50, 100), seed=4)
    assert np.array_equal(again[1].ptr, validation.ptr)
    assert not np.array_equal(data.split((50,), seed=5)[0].ptr, validation.ptr)
    assert np.array_equal(data.split((3, 2), seed=None)[1].ptr[:, 0], [3, 4])


@pytest.mark.parametrize(
    ("sizes", "counts"),
    [
        ((1.0, 0.0), [50, 0]), ((0.99, 0.01), [50, 0]), ((0.4, 0.3, 0.3), [20, 15, 15]), ((0.25, 0.25, 0.5), [13, 12, 25]),
        ((1, 0), [1, 0]), ((0.29, -1), [14, 36]), ((0.58, 0.42), [29, 21]), ((np.float32(0.5), np.int64(5)), [25, 5]),
        ((0.5, 0.25), [25, 12]), ((0.5, 0.25, -1), [25, 12, 13]),
    ],
)  # fmt: skip
def test_fractions_are_float_and_counts_whole_numbers(sizes, counts):
    assert [len(part) for part in make(50).split(sizes)] == counts


def test_concatenated_data_sets_keep_all_samples():
    one, two = make(3, seed=1), make(4, seed=2)
    both = concatenate([one, two], name="both")
    assert (len(both), both.name) == (7, "both")
    assert np.array_equal(both.dense(5), two.dense(2))
    both.validate()
    assert concatenate([one]).name == "made up"


def test_a_data_set_prints_its_sizes():
    data = make()
    assert repr(data).startswith("<BinnedDataset 'made up': 6 recorded samples, 50 channels, 7 steps of 2 ms, ")
    assert data.n_classes == 3
    assert data.subset([]).n_classes == 0
    assert data.nbytes == data.ptr.nbytes + data.channels.nbytes + data.labels.nbytes
    more = dataclasses.replace(data, targets=np.zeros((6, 7, 2)), lengths=np.full(6, 7))
    assert more.nbytes == data.nbytes + 6 * 7 * 2 * 8 + 6 * 8
    assert data.dense(0).sum() == data.counts[0]
    assert data.activity().tolist() == sum(data.dense(k).astype(int) for k in range(6)).sum(axis=0).tolist()


def test_tonic_reads_the_same_events(tmp_path):
    """Tonic's own reader of the same file; its data sets hand out these arrays, with the label."""
    tonic = pytest.importorskip("tonic")
    from eprop.data import EventSample, read_nmnist, write_recording

    rng = np.random.default_rng(5)
    events = Events(*(rng.integers(0, top, 50) for top in (34, 34, 2)), np.sort(rng.integers(0, 300_000, 50)))
    path = write_recording(tmp_path, 0, EventSample(events, 4))
    theirs = tonic.io.read_mnist_file(str(path), dtype=tonic.datasets.NMNIST.dtype)
    size = tonic.datasets.NMNIST.sensor_size
    one, two = from_iterable([(theirs, 4)], sensor_size=size), read_nmnist(tmp_path).binned()
    assert np.array_equal(one.channels, two.channels)
    assert np.array_equal(one.ptr, two.ptr)
