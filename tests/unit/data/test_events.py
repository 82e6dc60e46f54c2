"""Events in every form they may arrive in."""

from __future__ import annotations

import numpy as np
import pytest

from eprop.data import EventDataset, Events, as_events, from_iterable
from eprop.data.events import iterate
from eprop.errors import DataError, EPropError

pytestmark = pytest.mark.tiny

TONIC = np.dtype([("x", int), ("y", int), ("t", int), ("p", int)])


def structured(rows, dtype=TONIC):
    """Rows of (x, y, t, p) as Tonic's data sets give them."""
    out = np.zeros(len(rows), dtype)
    for name, column in zip("xytp", np.transpose(rows), strict=True):
        if name in out.dtype.names:
            out[name] = column
    return out


ROWS = [(3, 2, 1500, 1), (33, 0, 2500, 0), (0, 33, 2500, 1)]


def test_every_form_gives_the_same_events():
    expected = Events(np.array([3, 33, 0]), np.array([2, 0, 33]), np.array([1, 0, 1]), np.array([1500, 2500, 2500]))
    assert as_events(expected) is expected
    assert as_events(structured(ROWS)) == expected
    assert as_events(np.array(ROWS)) == expected
    assert as_events(np.array(ROWS, np.float64)) == expected
    odd = np.dtype(
        [("t", "u8"), ("x", "u2"), ("y", "u2"), ("p", "?")]
    )  # other order and types, as some recorders write
    assert as_events(structured(ROWS, odd)) == expected
    assert as_events(expected.structured()) == expected


def test_types_are_compact():
    events = as_events(np.array(ROWS))
    assert [getattr(events, name).dtype for name in "xypt"] == [np.uint8, np.uint8, np.uint8, np.int32]
    wide = as_events(np.array([(639, 2, 0, 1)]))
    assert wide.x.dtype == np.uint16
    assert len(wide) == 1


def test_minus_one_is_a_darker_polarity():
    assert as_events(np.array([(0, 0, 0, -1), (0, 0, 1, 1)])).p.tolist() == [0, 1]


def test_audio_events_have_neither_y_nor_p():
    events = as_events(np.array([(5, 10)], dtype=[("x", int), ("t", int)]))
    assert (events.y.tolist(), events.p.tolist()) == ([0], [0])


def test_recordings_may_be_empty():
    assert len(as_events(np.zeros(0, TONIC))) == 0
    assert len(as_events(np.zeros((0, 4)))) == 0


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
    with pytest.raises(DataError, match=message.replace("(", r"\(")) as caught:
        as_events(bad)
    assert isinstance(caught.value, EPropError)


def test_whole_numbers_of_any_type_are_accepted():
    events = Events([3.0, 33.0], np.array([2.0, 0.0], np.float32), [-1.0, 0.0], [1500.0, 2500.0])
    assert [getattr(events, name).tolist() for name in "xypt"] == [[3, 33], [2, 0], [0, 0], [1500, 2500]]


def test_the_sample_with_a_wrong_position_is_named():
    with pytest.raises(DataError, match="sample 1: event field x must be a whole number"):
        from_iterable([(np.array(ROWS), 0), (np.array([(0.1, 0.9, 1000.0, 1.0)]), 1)], n_steps=4)


def test_arrays_of_different_length_are_refused():
    with pytest.raises(DataError, match="equal length"):
        Events(np.zeros(2), np.zeros(3), np.zeros(2), np.zeros(2))


def test_events_are_compared_by_value():
    events = as_events(np.array(ROWS))
    assert events != as_events(np.array(ROWS[:2]))
    assert (events == "other") is False
    with pytest.raises(TypeError):
        hash(events)


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
