"""Live events: iterators, text and packed records become steps; what is late or lost is counted and said."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from eprop.data import Events, LiveEvents, LostEventsWarning, read_packed, read_text
from eprop.data.live_readers import CHANNEL_RECORD, PIXEL_RECORD
from eprop.errors import DataError, ParameterError
from refusals import refusals

SECONDS = 10.0


def steps_of(source: Any, size: Any = 8, **options: Any) -> list[list[int]]:
    """The channels of all steps, without a clock."""
    with LiveEvents(source, size, real_time=False, **options) as live:
        return [channels.tolist() for channels in live]


class Portions(io.BytesIO):
    """A file that gives at most ``size`` bytes at a time."""

    def __init__(self, content: bytes, size: int):
        super().__init__(content)
        self.size = size

    def read1(self, n: int | None = -1, /) -> bytes:
        return super().read1(self.size)


PAIRS = [(10.2, 3), (10.7, 1), (10.9, 3), (12.0, 0), (14.99, 7)]
STEPS = [[1, 3], [], [0], [], [7]]


TIMES, CHANNELS = (np.array(part) for part in zip(*PAIRS, strict=True))
PACKED = np.array([(1000 * t, c) for t, c in PAIRS], CHANNEL_RECORD)
LINES = "# time channel\n10.2 3\n10.7, 1\n\n10.9\t3  # again\n12 0\n14.99 7\n"
PIXELS = [(1, 2, 500, 0), (0, 0, 900, 1), (2, 1, 1500, -1)]
PIXEL_STEPS = [[2 * 3 + 1, 12], [1 * 3 + 2]]


@pytest.mark.parametrize(
    ("source", "options", "wanted"),
    [
        (iter(PAIRS), {}, STEPS),
        (PAIRS, {"dt": 2.0}, [[1, 3], [0], [7]]),
        ([], {}, []),
        ([(0.1 * k, k) for k in range(5)], {"dt": 0.1}, [[0], [1], [2], [3], [4]]),  # times up to rounding
        ([(TIMES[:2], CHANNELS[:2]), (TIMES[2:], CHANNELS[2:])], {}, STEPS),
        ([PACKED], {}, STEPS),
        (read_text(io.StringIO(LINES)), {}, STEPS),
        *((read_packed(Portions(PACKED.tobytes(), size)), {}, STEPS) for size in (1, 5, 12, 1000)),
        # Pixels have the channels of recordings.
        (PIXELS, {"size": (4, 3)}, PIXEL_STEPS),
        ([Events(x=[1, 0, 2], y=[2, 0, 1], p=[0, 1, 0], t=[500, 900, 1500]).structured()], {"size": (4, 3)}, PIXEL_STEPS),
        ([np.array([(500, 1, 2, 0), (900, 0, 0, 1), (1500, 2, 1, 0)], PIXEL_RECORD)], {"size": (4, 3)}, PIXEL_STEPS),
        ([([1, 0], [2, 0], [500, 900], 0)], {"size": (4, 3)}, [[0, 7]]),
        (read_text(["1 2 500 0", "0 0 900 1"]), {"size": (4, 3)}, [[7, 12]]),
    ],
    ids=range(16),
)  # fmt: skip
def test_events_of_every_form_become_steps(source, options, wanted):
    """From the step of the first one on; a channel is active once in a step."""
    assert steps_of(source, **options) == wanted


WRONG = [
    (["x"], "a live event is"),
    ([(1.0, 2, 3)], "a live event is"),
    ([(1.0, 8)], r"channels must lie in 0\.\.7, got 8\.\.8"),
    ([(1.0, 1.5)], "channels whole numbers"),
    ([(np.nan, 1)], "times must be finite"),
    (read_packed(io.BytesIO(PACKED.tobytes()[:-5])), "ends within a record of 8 bytes: only 3 bytes are left"),
    ([(1, 2, 500, 0)], r"events of pixels need LiveEvents.size = \(height, width\)"),
    (read_text(["1 2 3"]), "line 1: expected 'time channel' or 'x y t polarity', got '1 2 3'"),
    (read_text(["1 2", "a b"]), "line 2"),
    (read_text(["1 0", "1_0 0"]), "line 2: expected 'time channel'"),
    *(([item], "a live event is") for item in (([1.0 + 1j], [1.0]), (1.0, 2.0, 3.0, 1j), (["1"], ["1"]))),
]


@pytest.mark.parametrize(("source", "words"), WRONG, ids=range(len(WRONG)))
def test_items_that_are_no_events_are_refused(source, words):
    with pytest.raises(DataError, match=words):
        steps_of(source)


@refusals(
    (lambda: LiveEvents([], 0), ParameterError, "LiveEvents.size must be a whole number >= 1, got 0"),
    (lambda: LiveEvents([], (-3, -3)), ParameterError, "LiveEvents.size"),
    (lambda: LiveEvents([], 4, capacity=0), ParameterError, "LiveEvents.capacity"),
    (lambda: LiveEvents([], 4, dt=0.0), ParameterError, "LiveEvents.dt must be > 0 ms"),
    (lambda: LiveEvents([], 4, delay=-1.0), ParameterError, "delay >= 0 ms"),
    (lambda: LiveEvents(3, 4), ParameterError, "LiveEvents needs an iterable"),
)
def test_parameters_out_of_bounds_are_refused(refusal):
    refusal.check()


def test_events_out_of_order_are_late_once_their_step_was_given():
    late = threading.Event()
    live = LiveEvents(_later(late), 8, real_time=False)
    assert next(live).tolist() == [0]
    assert next(live).tolist() == []
    late.set()
    assert [channels.tolist() for channels in live] == [[1], [], [], [2]]
    with pytest.warns(LostEventsWarning, match="live events: 3 used, 1 too late, 0 lost"):
        live.close()
    assert repr(live) == "LiveEvents(6 steps, 3 events, 1 late, 0 lost, 0 steps behind)"


def _later(late: threading.Event) -> Any:
    yield from [(0.0, 0), (2.5, 1)]
    assert late.wait(SECONDS)
    yield from [(1.0, 4), (5.0, 2)]


def test_without_a_clock_a_full_queue_makes_the_source_wait():
    """Nothing is lost, wherever the steps of many events lie."""
    given = [(0.001 * k * k, k % 8) for k in range(300)]
    wanted: list[set[int]] = [set() for _ in range(int(given[-1][0]) + 1)]
    for t, channel in given:
        wanted[int(t)].add(channel)
    for capacity in (1, 7, 1000):
        assert steps_of(iter(given), capacity=capacity) == [sorted(step) for step in wanted]
    assert steps_of([tuple(np.transpose(given))], capacity=5) == [sorted(step) for step in wanted]


def test_in_real_time_a_full_queue_loses_events():
    given = np.arange(100) * 0.0001, np.arange(100) % 8
    live = LiveEvents([given], 8, capacity=30)
    assert [channels.size for channels in live] == [8]
    assert live.lost == 70
    with pytest.warns(LostEventsWarning, match="70 lost"):
        live.close()


def test_real_time_steps_come_when_they_are_due():
    """None before its time; how long after depends on the machine."""
    with LiveEvents([(0.0, 1), (3.0, 2), (9.5, 3)], 8, dt=2.0, delay=4.0) as live:
        found = []
        for channels in live:
            assert time.perf_counter() >= live.due
            found.append(channels.tolist())
    assert found == [[1], [2], [], [], [3]]
    assert live.due - live._began == pytest.approx(1e-3 * (5 * 2.0 + 4.0))


def test_a_slow_consumer_is_counted_as_behind():
    with LiveEvents([(0.0, 1), (20.0, 2)], 8) as live:
        for channels in live:
            if channels.size and channels[0] == 1:
                time.sleep(0.01)
    assert live.steps == 21
    assert live.behind >= 5


#: µs, from which on times of 32 bits begin again at 0.
ROUND = 2**32


def test_times_that_begin_again_at_zero_run_on():
    """Twice, with an event that is a little late; and a silence of an hour is one."""
    times = [ROUND - 1500, ROUND - 500, 500, 400, ROUND // 2, ROUND - 1, 2500, 2500 + 3_600_000_000]
    packed = np.array([(t % ROUND, 1) for t in times], CHANNEL_RECORD)
    wanted = [-1500, -500, 500, 400, ROUND // 2, ROUND - 1, ROUND + 2500, ROUND + 2500 + 3_600_000_000]
    for size in (8, 24, 1000):
        found = np.concatenate([events["t"] for events in read_packed(Portions(packed.tobytes(), size))])
        assert (found - ROUND).tolist() == wanted


def test_a_source_that_can_be_closed_is_closed():
    class Silent:
        """Waits for events until it is closed."""

        closed = threading.Event()

        def __iter__(self) -> Iterator[tuple[float, int]]:
            assert self.closed.wait(SECONDS)
            return iter(())

        def close(self) -> None:
            self.closed.set()

    live = LiveEvents(Silent(), 8)
    live.close()
    live._reader.join(SECONDS)
    assert not live._reader.is_alive()
    assert list(live) == []


@pytest.mark.parametrize("real_time", [True, False])
def test_closing_wakes_the_consumer(real_time):
    """Also one that waits for the first event, or for the time of a step."""
    for first in ([], [(0.0, 1)]):
        go_on = threading.Event()

        def source(first=first, go_on=go_on):
            yield from first
            go_on.wait(SECONDS)

        live = LiveEvents(source(), 8, real_time=real_time, delay=1e6)
        consumer = threading.Thread(target=list, args=(live,))
        consumer.start()
        time.sleep(0.02)
        live.close()
        consumer.join(SECONDS / 2)
        assert not consumer.is_alive()
        go_on.set()
