"""Data sets from arrays, lists and generators: the same samples in every form, and refusals that name the sample."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

import eprop as ep
from compare import assert_same
from eprop.data import EventTimeWarning, cached, concatenate, from_arrays, load_dataset, save_dataset
from eprop.errors import DataError, MemoryLimitError
from refusals import refusals

pytestmark = pytest.mark.tiny

RNG = np.random.default_rng(0)
DENSE = RNG.random((6, 30, 4)) < 0.2
DENSE[:, -1, -1] = True  # all samples have all steps and channels
PAIRS = [np.nonzero(one) for one in DENSE]
LABELS = np.array([0, 1, 2, 0, 1, 2])


FORMS = {
    "dense": DENSE,
    "float": DENSE.astype(float),
    "fortran": np.asfortranarray(DENSE),
    "rows": list(DENSE),
    "pairs": PAIRS,
    "generator": (pair for pair in PAIRS),
    "generator with labels": zip(PAIRS, LABELS, strict=True),
    "late in the step": [(steps + 0.999, channels.astype(float)) for steps, channels in PAIRS],
    "lists": [tuple(part.tolist() for part in pair) for pair in PAIRS],
    "sparse": [scipy.sparse.csr_array(one) for one in DENSE],
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_samples(form):
    data = from_arrays(FORMS[form], None if "labels" in form else LABELS, n_channels=4)
    assert_same(data, from_arrays(DENSE, LABELS))
    data.validate()
    assert all((data.dense(k) == one).all() for k, one in enumerate(DENSE))
    assert data.labels.tolist() == LABELS.tolist()


def test_the_number_of_channels_is_known_or_inferred(tmp_path):
    """An array has a column for each channel; of pairs, the last channels may be silent."""
    for events, inferred in ((DENSE, False), (list(DENSE), False), (PAIRS, True), ([PAIRS[0], DENSE[1]], False)):
        data = from_arrays(events, LABELS[: len(events)])
        assert data.inferred == data[:1].inferred == inferred
        save_dataset(data, tmp_path)
        assert load_dataset(tmp_path).inferred == inferred
    assert not from_arrays(PAIRS, LABELS, n_channels=9).inferred


def test_steps_are_those_of_the_engine():
    times = np.array([0.0, 0.29, 0.3, 0.6000000000000001, 0.8999999999999999, 1.19999])
    for dtype in (np.float64, np.float32):
        pair = (times.astype(dtype), np.arange(6) % 3)
        data = from_arrays([pair], [0], dt=0.3)
        net = ep.Network(dt=0.3)
        net.add(ep.EventSource(), 3, "in")
        net.add(ep.LIF(), 1)
        samples = ep.Simulator(net, threads=1).samples(1, data.n_steps, {"in": [pair]})
        np.testing.assert_array_equal(data.ptr[0], samples.event_start[0])
        np.testing.assert_array_equal(data.channels, samples.event_channels)


def test_shorter_samples_end_in_silence():
    """A channel spikes once in a step."""
    data = from_arrays([([0.5, 2.0], [3, 1]), ([], []), ([7.2, 7.9, 3.1], [0, 0, 2])], [1, 0, 1])
    assert (data.n_steps, data.n_channels, data.counts.tolist()) == (8, 4, [2, 0, 2])
    assert data.dense(0).sum(axis=1).tolist() == [1, 0, 1, 0, 0, 0, 0, 0]
    assert from_arrays([np.eye(3), np.zeros((5, 3))], [0, 1]).n_steps == 5


def test_lengths_go_with_their_samples(tmp_path):
    rows = [np.eye(3), np.zeros((5, 3)), np.eye(4)[:, :3]]
    data = from_arrays(rows, [0, 1, 0])
    assert data.lengths.tolist() == [3, 5, 4]
    assert data[[2, 0]].lengths.tolist() == [4, 3]
    assert concatenate([data, from_arrays(np.zeros((2, 5, 3)), [1, 1])]).lengths.tolist() == [3, 5, 4, 5, 5]
    for kept in (cached({}, lambda: data, tmp_path), cached({}, pytest.fail, tmp_path)):
        assert_same(kept, data)
    assert from_arrays(rows, [0, 1, 0], n_steps=4).lengths.tolist() == [3, 4, 4]
    assert from_arrays([([0.5], [1]), ([4.5], [1])], [0, 1]).lengths is None  # where they end is not known
    assert from_arrays([([0.5], [1]), ([4.5], [1])], [0, 1], lengths=[3, 5]).lengths.tolist() == [3, 5]
    for lengths in ([3], [0, 5], [2.5, 5], [3, 6]):
        with pytest.raises(DataError, match=r"lengths must be 2 whole numbers of steps, .* from 1 to 5"):
            from_arrays(DENSE[:2, :5], [0, 1], lengths=lengths)


def test_an_array_may_have_other_steps_and_channels_than_wanted():
    padded = from_arrays(DENSE, LABELS, n_steps=40, n_channels=9)
    assert (padded.n_steps, padded.n_channels) == (40, 9)
    np.testing.assert_array_equal(padded.dense(2)[:30, :4], DENSE[2])
    assert padded.counts.tolist() == DENSE.sum(axis=(1, 2)).tolist()
    with pytest.warns(EventTimeWarning, match="after step 20"):
        cut = from_arrays(DENSE, LABELS, n_steps=20)
    np.testing.assert_array_equal(cut.dense(2), DENSE[2, :20])
    with pytest.warns(EventTimeWarning, match="1 of 3 spikes come after step 4"):
        data = from_arrays([([0.0, 3.9, 4.0], [0, 1, 2])], [0], n_steps=4)
    assert data.channels.tolist() == [0, 1]


@pytest.mark.parametrize(("seconds", "rate"), [(0.3, 30.0), (1.0, 2.0), (1.0, 50.0), (5.0, 50.0), (0.05, 20.0)])
def test_times_in_another_unit_are_told_with_the_factor(seconds, rate):
    rng, n = np.random.default_rng(4), round(10 * rate * seconds)
    samples = [(np.sort(rng.uniform(0.0, seconds, n)), rng.integers(0, 10, n)) for _ in range(3)]
    with pytest.warns(EventTimeWarning, match="look like seconds; multiply them by 1000"):
        from_arrays(samples, [0, 1, 2])
    for steps in (None, round(1000 * seconds)):
        if seconds > 0.1:
            with pytest.warns(EventTimeWarning, match="look like microseconds; divide them by 1000") as told:
                from_arrays([(1e6 * t, k) for t, k in samples], [0, 1, 2], n_steps=steps)
            assert len(told) == 1
    from_arrays([(1e3 * t, k) for t, k in samples], [0, 1, 2])


@pytest.mark.filterwarnings("error")
def test_ordinary_times_are_in_ms():
    rng = np.random.default_rng(5)
    latency = [(rng.uniform(0.0, 20.0, 30), np.arange(30)) for _ in range(3)]
    camera = [(rng.uniform(0.0, 300.0, 9000), rng.integers(0, 100, 9000)) for _ in range(3)]
    slow = [(rng.uniform(0.0, 600e3, 3000), rng.integers(0, 10, 3000)) for _ in range(3)]  # ten minutes at 0.5 Hz
    cues = [(np.array([100.0, 20e3]), np.array([0, 1])) for _ in range(9)]
    for samples in (latency, camera, slow, cues, [([0.0] * 12, np.arange(12))], [([0.2, 0.4], [0, 1])]):
        from_arrays(samples, [0] * len(samples))
    from_arrays(camera, [0] * 3, dt=50.0)


@pytest.mark.parametrize("shape", [(6,), (6, 2), (6, 30, 2), (6, 1, 3)])
def test_targets_go_with_their_samples(shape, tmp_path):
    targets = RNG.normal(size=shape)
    data = from_arrays(DENSE, targets=targets)
    whole = targets if targets.ndim == 3 else targets.reshape(6, 1, -1)
    np.testing.assert_array_equal(data.targets, whole)
    np.testing.assert_array_equal(data[[4, 1]].targets, whole[[4, 1]])
    np.testing.assert_array_equal(concatenate([data, data]).targets, np.concatenate([whole, whole]))
    first, rest = data.split((2, -1), seed=3)
    np.testing.assert_array_equal(
        np.sort(np.concatenate([first.targets, rest.targets]), axis=0), np.sort(whole, axis=0)
    )
    for kept in (cached({}, lambda: data, tmp_path), cached({}, pytest.fail, tmp_path)):
        assert_same(kept, data)


@refusals(
    (lambda: from_arrays([], []), DataError, "no samples"),
    (lambda: from_arrays(np.zeros((0, 3, 2)), []), DataError, "no samples"),
    (lambda: from_arrays(DENSE, LABELS[:5]), DataError, "one whole number for each of 6 samples"),
    (lambda: from_arrays(DENSE, LABELS, targets=LABELS), DataError, "either labels or targets"),
    (lambda: from_arrays(DENSE, ["a"] * 6), DataError, r"np\.unique\(names, return_inverse=True\)"),
    (lambda: from_arrays(DENSE, LABELS - 1), DataError, "sample 0: a label must be a whole number >= 0"),
    (lambda: from_arrays(DENSE * 0.5, LABELS), DataError, "only zeros and ones; .* encoder"),
    (lambda: from_arrays([np.eye(2), [[0.0, 7.0]]], [0, 1]), DataError, "sample 1 must hold only zeros and ones"),
    (lambda: from_arrays([([1.0], [0]), ([1.0, 2.0], [0])], [0, 1]), DataError, "sample 1: as many channels as times"),
    (lambda: from_arrays([([-1.0], [0])], [0]), DataError, "sample 0: times must be finite and >= 0 ms"),
    (lambda: from_arrays([([1.0], [0.5])], [0]), DataError, "sample 0: channels must be whole numbers"),
    (lambda: from_arrays([([1.0], [9])], [0], n_channels=4), DataError, "sample 0 has 10 channels, more than n_channels = 4"),
    (lambda: from_arrays([([1e12], [0])], [0]), MemoryLimitError, "are the times in ms"),
    (lambda: from_arrays([3.0], [0]), DataError, "sample 0 must be a tuple"),
    (lambda: from_arrays([3.0]), DataError, "sample 0 must be a pair .sample, label."),
    (lambda: from_arrays(DENSE, LABELS, n_channels=3), DataError, "events have 4 channels, more than n_channels = 3"),
    (lambda: from_arrays(7), DataError, "an array, a list or a generator"),
    (lambda: from_arrays(DENSE, LABELS, dt=0.0), DataError, "dt must be a number > 0 ms"),
    (lambda: from_arrays(DENSE, targets=np.zeros((6, 29, 1))), DataError, "targets must have the shape"),
    (lambda: from_arrays(DENSE, targets=np.full(6, np.nan)), DataError, "targets of sample 0 are not finite"),
)  # fmt: skip
def test_what_has_no_such_form_is_refused(refusal):
    refusal.check()
