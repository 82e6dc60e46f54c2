"""Live events, sorted into the steps of a running network."""

from __future__ import annotations

import collections
import threading
import time
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from eprop.errors import DataError, LostEventsWarning, ParameterError
from eprop.parameters import brief, is_finite_number

_NONE = np.zeros(0, np.int64)
#: Largest number of steps; beyond it, times in ms lose their fraction.
_MOST_STEPS = 2.0**52


class LiveEvents:
    """Active channels for one step after another, from events that arrive live.

    A thread reads the source into a queue. Iterating gives for each step an array of channels (int64, strictly ascending), as
    `Stepper.step` takes it, until the source ends. Step 0 begins at the last multiple of ``dt`` before the first event.

    In real time a step is returned ``delay`` after its end by the clock. An event that arrives after its step was returned is
    *late*; an event that finds the queue full is *lost*. Without a clock a step is returned when an event of a later step has
    arrived, and a full queue makes the source wait.

    Parameters
    ----------
    source : iterable
        Yields events ``(time, channel)`` in ms, or ``(x, y, t, polarity)`` of pixels in µs, one by one; or arrays: a pair
        ``(times, channels)``, or a structured array with fields ``t`` (µs) and ``channel``, or ``x``, ``y``, ``t`` and ``p``. See
        `eprop.data.live_sources` for standard input and datagrams.
    size : int or pair of int
        Number of channels; for pixels ``(height, width)``: a pixel's channel is ``p * height * width + y * width + x``.
    dt : float
        Step, ms.
    real_time : bool
        Whether to follow the clock.
    delay : float
        Time (ms) between the end of a step and its return, for events in transit.
    capacity : int
        Largest number of waiting events.

    Attributes
    ----------
    steps, events : int
        Steps and events returned so far.
    late, lost : int
        Events that came too late; events that found no room or never arrived.
    behind : int
        Steps that were requested more than one step after their due time: the consumer is too slow.
    due : float
        Due time of the last step, in seconds of `time.perf_counter`; in real time.

    Raises
    ------
    ParameterError
        If a parameter has an invalid value.
    DataError
        While iterating, if the source yields something other than events, or channels out of range.

    Warns
    -----
    LostEventsWarning
        On closing, if events were late or lost.
    """

    def __init__(
        self, source: Iterable[Any], size: int | tuple[int, int], *, dt: float = 1.0, real_time: bool = True,
        delay: float = 0.0, capacity: int = 65_536,
    ):  # fmt: skip
        self._shape = size if isinstance(size, tuple) else None
        self.size = 2 * size[0] * size[1] if isinstance(size, tuple) else size
        _check_count("size", self.size)
        _check_count("capacity", capacity)
        if not is_finite_number(dt) or dt <= 0.0 or not is_finite_number(delay) or delay < 0.0:
            raise ParameterError(f"LiveEvents.dt must be > 0 ms and delay >= 0 ms, got {brief(dt)} and {brief(delay)}")
        if not isinstance(source, Iterable):
            raise ParameterError(f"LiveEvents needs an iterable of events, got {brief(source)}")
        self._source, self._dt, self._delay = source, float(dt), float(delay)
        self._real_time, self._capacity = real_time, int(capacity)
        self.steps = self.events = self.late = self.behind = 0
        self.due = 0.0
        self._dropped = self._held = 0
        self._queue: collections.deque[tuple[np.ndarray, np.ndarray]] = collections.deque()
        self._changed = threading.Condition()
        self._waiting: dict[int, list[np.ndarray]] = {}
        self._base: float | None = None
        self._began, self._newest, self._ended, self._closed = 0.0, -1, False, False
        self._problem: BaseException | None = None
        self._reader = threading.Thread(target=self._read, name="eprop live events", daemon=True)
        self._reader.start()

    @property
    def lost(self) -> int:
        """Events that found no room, and events that never arrived, as far as the source knows."""
        return self._dropped + int(getattr(self._source, "lost", 0))

    def __repr__(self) -> str:
        return (
            f"LiveEvents({self.steps:,} steps, {self.events:,} events, {self.late:,} late, {self.lost:,} lost, "
            f"{self.behind:,} steps behind)"
        )

    def __enter__(self) -> LiveEvents:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[np.ndarray]:
        return self

    def __next__(self) -> np.ndarray:
        step = self.steps
        if not (self._wait_for_time(step) if self._real_time else self._wait_for_events(step)):
            if self._problem is not None:
                raise self._problem
            raise StopIteration
        channels = self._take(step)
        self.steps += 1
        self.events += channels.size
        return channels

    def close(self) -> None:
        """Stop reading, and warn of lost events."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify_all()
        close = getattr(self._source, "close", None)
        if callable(close) and not isinstance(
            self._source, Iterator
        ):  # a generator may be running in the reader thread
            close()
        if self.late or self.lost:
            warnings.warn(
                f"live events: {self.events:,} used, {self.late:,} too late, {self.lost:,} lost. "
                "Against late events, take a longer delay; against lost events, a larger capacity or faster steps.",
                LostEventsWarning,
                stacklevel=2,
            )

    # ---------------------------------------------------------------- the reader's thread

    def _read(self) -> None:
        try:
            for item in self._source:
                self._put(*self._channels_of(item))
                if self._closed:
                    break
        except BaseException as problem:  # raised again in the consumer
            self._problem = problem
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _channels_of(self, item: Any) -> tuple[np.ndarray, np.ndarray]:
        """Times (ms) and channels of an item of the source."""
        names = getattr(getattr(item, "dtype", None), "names", None)
        try:
            if names is not None and "channel" in names:
                times, channels = item["t"] / 1000.0, item["channel"]
            elif names is not None:
                times, channels = self._pixels(*(item[name] for name in "xytp"))
            elif len(item) == 2:
                times, channels = item
            else:
                times, channels = self._pixels(*item)
        except DataError:
            raise
        except (TypeError, ValueError, KeyError, OverflowError):
            raise _no_event(item) from None
        try:
            times = np.atleast_1d(_real(times).astype(np.float64))
            whole = np.atleast_1d(_real(channels))
            with np.errstate(invalid="ignore"):
                found = whole.astype(np.int64)
        except (TypeError, ValueError, OverflowError):
            raise _no_event(item) from None
        if found.shape != times.shape or times.ndim != 1 or not np.isfinite(times).all() or (found != whole).any():
            raise DataError(f"times must be finite and channels whole numbers, one for each event, got {brief(item)}")
        if (np.abs(times) > _MOST_STEPS * self._dt).any():
            raise DataError(
                f"times must lie within {_MOST_STEPS:g} steps of {self._dt:g} ms, got {np.abs(times).max():g} ms"
            )
        if found.size and (np.min(found) < 0 or np.max(found) >= self.size):
            raise DataError(f"channels must lie in 0..{self.size - 1}, got {np.min(found)}..{np.max(found)}")
        return times, found

    def _pixels(self, x: Any, y: Any, t: Any, p: Any) -> tuple[np.ndarray, np.ndarray]:
        if self._shape is None:
            raise DataError("events of pixels need LiveEvents.size = (height, width)")
        height, width = self._shape
        given = [_real(part) for part in (x, y, p)]
        with np.errstate(invalid="ignore"):
            x, y, p = (part.astype(np.int64) for part in given)
        if any(np.any(whole != part) for whole, part in zip((x, y, p), given, strict=True)):
            raise DataError("columns, rows and polarities of events must be whole numbers")
        if np.any((x < 0) | (x >= width) | (y < 0) | (y >= height)):
            raise DataError(f"pixels must lie within {height} rows and {width} columns")
        return _real(t).astype(np.float64) / 1000.0, (p > 0) * height * width + y * width + x

    def _put(self, times: np.ndarray, channels: np.ndarray) -> None:
        """Put events into the queue while there is room; without a clock, make the source wait for room."""
        begin = 0
        while begin < times.size:
            with self._changed:
                if not self._real_time:
                    self._changed.wait_for(lambda: self._held < self._capacity or self._closed or self._starved())
                room = max(self._capacity - self._held, 1 if self._starved() and not self._real_time else 0)
                part = slice(begin, begin + min(room, times.size - begin))
                if self._base is None:
                    self._base = float(np.floor(times[0] / self._dt + 1e-9) * self._dt)
                    self._began = time.perf_counter()
                steps = _steps_of(times[part] - self._base, self._dt)
                if steps.size:
                    self._queue.append((steps, channels[part]))
                    self._held += steps.size
                    self._newest = max(self._newest, int(steps.max()))
                self._changed.notify_all()
                if self._real_time or self._closed:
                    self._dropped += 0 if self._closed else times.size - part.stop
                    return
                begin = part.stop

    def _starved(self) -> bool:
        """Whether a full queue has nothing to return: all its events belong to the present step."""
        return self._held >= self._capacity and self._newest <= self.steps

    # ---------------------------------------------------------------- the consumer

    def _wait_for_time(self, step: int) -> bool:
        """Sleep until a step is due; False if the source ends before."""
        with self._changed:
            self._changed.wait_for(lambda: self._base is not None or self._ended)
            if self._base is None or (self._ended and self._newest < step):
                return False
        self.due = self._began + 1e-3 * ((step + 1) * self._dt + self._delay)
        left = self.due - time.perf_counter()
        if left > 0.0:
            time.sleep(left)
        elif left < -1e-3 * self._dt:
            self.behind += 1
        return True

    def _wait_for_events(self, step: int) -> bool:
        """Wait for an event of a later step, or the end; False if there is no such step."""
        with self._changed:
            self._changed.notify_all()  # a source that waits for room must see that nothing can be returned yet
            self._changed.wait_for(lambda: self._newest > step or self._ended)
            return self._newest >= step

    def _take(self, step: int) -> np.ndarray:
        """Channels of a step; later events wait, earlier ones are late."""
        with self._changed:
            arrived, self._queue = self._queue, collections.deque()
        late = 0
        for steps, channels in arrived:
            late += int(np.count_nonzero(steps < step))
            for at in np.unique(steps[steps >= step]).tolist():
                self._waiting.setdefault(at, []).append(channels[steps == at])
        parts = self._waiting.pop(step, [])
        self.late += late
        with self._changed:
            self._held -= late + sum(part.size for part in parts)
            self._changed.notify_all()
        if not parts:
            return _NONE
        return np.unique(parts[0] if len(parts) == 1 else np.concatenate(parts))


def _check_count(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ParameterError(f"LiveEvents.{name} must be a whole number >= 1, got {brief(value)}")


def _real(values: Any) -> np.ndarray:
    """An array of real numbers; a `TypeError` if it is none."""
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise TypeError
    return array


def _no_event(item: Any) -> DataError:
    return DataError(f"a live event is (time, channel) or (x, y, t, polarity), got {brief(item)}")


def _steps_of(times: np.ndarray, dt: float) -> np.ndarray:
    """Steps of the times (ms); a multiple of ``dt``, up to rounding, begins its step."""
    count = times / dt
    near = np.rint(count)
    return np.where(np.abs(count - near) <= 1e-9 + 1e-15 * np.abs(count), near, np.floor(count)).astype(np.int64)
