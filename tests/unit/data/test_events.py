"""Events in every form they may arrive in."""

from __future__ import annotations

import numpy as np
import pytest

from eprop.data import EventDataset, Events, as_events, from_iterable
from eprop.data.events import iterate
from eprop.errors import DataError

pytestmark = pytest.mark.tiny

TONIC = np.dtype([("x", int), ("y", int), ("t", int), ("p", int)])
#: Another order and other types, as some recorders write.
ODD = np.dtype([("t", "u8"), ("x", "u2"), ("y", "u2"), ("p", "?")])
ROWS = [(3, 2, 1500, 1), (33, 0, 2500, 0), (0, 33, 2500, 1)]
EXPECTED = Events(np.array([3, 33, 0]), np.array([2, 0, 33]), np.array([1, 0, 1]), np.array([1500, 2500, 2500]))


def structured(dtype=TONIC):
    """The rows as Tonic's data sets give them."""
    out = np.zeros(len(ROWS), dtype)
    for name, column in zip("xytp", np.transpose(ROWS), strict=True):
        out[name] = column
    return out


def values(events):
    return [getattr(events, name).tolist() for name in "xypt"]


def test_every_form_gives_the_same_events_of_compact_types():
    assert as_events(EXPECTED) is EXPECTED
    for given in (structured(), np.array(ROWS), np.array(ROWS, np.float64), structured(ODD), EXPECTED.structured()):
        assert as_events(given) == EXPECTED
    events = as_events(np.array(ROWS))
    assert [getattr(events, name).dtype for name in "xypt"] == [np.uint8, np.uint8, np.uint8, np.int32]
    assert as_events(np.array([(639, 2, 0, 1)])).x.dtype == np.uint16
    assert events != as_events(np.array(ROWS[:2]))
    assert (events == "other") is False
    with pytest.raises(TypeError):
        hash(events)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (np.array([(0, 0, 0, -1), (0, 0, 1, 1)]), [[0, 0], [0, 0], [0, 1], [0, 1]]),  # -1 is the darker polarity
        (np.array([(5, 10)], dtype=[("x", int), ("t", int)]), [[5], [0], [0], [10]]),  # of sound: neither y nor p
        (np.zeros(0, TONIC), [[]] * 4),
        (np.zeros((0, 4)), [[]] * 4),
        (Events([3.0, 33.0], np.array([2.0, 0.0], np.float32), [-1.0, 0.0], [1.5e3, 2.5e3]),
         [[3, 33], [2, 0], [0, 0], [1500, 2500]]),
    ],
)  # fmt: skip
def test_events_of_other_kinds(given, wanted):
    assert values(as_events(given)) == wanted


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros((3, 3)), "columns"),
        (7, "columns"),
        (np.zeros(2, [("x", int), ("p", int)]), "lack the field 't'"),
        (np.array([(-1, 0, 0, 0)]), "field x must lie in 0..65535, got -1"),
        (np.array([(0, 0, -5, 0)]), "field t must lie in"),
        (np.array([(0, 0, 2**31, 0)]), "field t must lie in"),
        (np.array([(0, 0, 0, 2)]), "field p must lie in 0..1, got 2"),
        (np.array([(0.0, 0.0, np.nan, 0.0)]), "field t"),
        (np.array([("a", "b", "c", "d")]), "must be numbers"),
        (np.array([(0.2, 0, 1, 1)]), "field x must be a whole number .a pixel., got 0.2; round"),
        (np.array([(0, 0.9, 1, 1)]), "field y must be a whole number"),
        (np.array([(0, 0, 0.001, 1)]), "field t must be whole microseconds, got 0.001; for seconds give"),
        (np.array([(0, 0, 0, 0.5)]), "field p must be 0 or 1, or else -1 or 1, got 0.5"),
        (np.array([(0, 0, 0, -1), (0, 0, 0, 5)]), "field p must be 0 or 1, or else -1 or 1, got -1 and 5"),
        (np.array([(0, 0, 0, -1.0), (0, 0, 0, 0.5)]), "got -1 and 0.5"),
        (np.array([(0, 0, 0, -2), (0, 0, 0, 1)]), "field p must lie in 0..1, got -2"),
    ],
)
def test_bad_events_are_named(bad, message):
    with pytest.raises(DataError, match=message.replace("(", r"\(")):
        as_events(bad)


def test_events_of_wrong_lengths_and_the_sample_of_a_wrong_one_are_named():
    with pytest.raises(DataError, match="equal length"):
        Events(np.zeros(2), np.zeros(3), np.zeros(2), np.zeros(2))
    with pytest.raises(DataError, match="sample 1: event field x must be a whole number"):
        from_iterable([(np.array(ROWS), 0), (np.array([(0.1, 0.9, 1000.0, 1.0)]), 1)], n_steps=4)


class TorchStyle:
    """A data set without an iterator, whose items never end."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return np.array(ROWS), index


def test_data_sets_are_iterated_once():
    assert isinstance(TorchStyle(), EventDataset)
    assert [label for _, label in iterate(TorchStyle())] == [0, 1]
    assert [label for _, label in iterate((ROWS, k) for k in range(3))] == [0, 1, 2]
    with pytest.raises(DataError, match=r"a list or a generator of samples, .* got 3"):
        list(iterate(3))
    with pytest.raises(DataError, match="sample 1 is no"):
        list(iterate([(ROWS, 1), 5]))
