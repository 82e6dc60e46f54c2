"""Live events, sorted into the steps of a running network."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from eprop.errors import DataError, LostEventsWarning, ParameterError, warn
from eprop.parameters import brief, check_count, is_finite_number, refuse_masks

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
        `eprop.data.live_readers` for standard input. A source that is not an iterator is closed if it has ``close``.
    size : int or pair of int
        Number of channels; for pixels ``(height, width)``: a pixel's channel is ``p * height * width + y * width + x``.
    dt : float
        Step, ms.
    real_time : bool
        Whether to follow the clock.
    delay : float
        Time (ms) between the end of a step and its return, for events in transit.
    capacity : int
        Largest number of waiting events; without a clock, the events of one array may exceed it.

    Attributes
    ----------
    steps, events : int
        Steps and events returned so far.
    late, lost : int
        Events that came too late; events that found no room.
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
        self, source: Iterable[object], size: int | tuple[int, int], *, dt: float = 1.0, real_time: bool = True,
        delay: float = 0.0, capacity: int = 65_536,
    ):  # fmt: skip
        self._shape = size if isinstance(size, tuple) else None
        self.size = 2 * size[0] * size[1] if isinstance(size, tuple) else size
        for length in self._shape or (size,):
            check_count("LiveEvents.size", length)
        check_count("LiveEvents.capacity", capacity)
        if not is_finite_number(dt) or dt <= 0.0 or not is_finite_number(delay) or delay < 0.0:
            raise ParameterError(f"LiveEvents.dt must be > 0 ms and delay >= 0 ms, got {brief(dt)} and {brief(delay)}")
        if not isinstance(source, Iterable):
            raise ParameterError(f"LiveEvents needs an iterable of events, got {brief(source)}")
        self._source, self._dt, self._delay = source, float(dt), float(delay)
        self._real_time, self._capacity = real_time, int(capacity)
        self.steps = self.events = self.late = self.lost = self.behind = 0
        self.due = 0.0
        self._held = self._next = 0
        self._changed = threading.Condition()
        self._waiting: dict[int, list[np.ndarray]] = {}
        self._base: float | None = None
        self._began, self._newest, self._ended, self._closed = 0.0, -1, False, False
        self._problem: BaseException | None = None
        self._reader = threading.Thread(target=self._read, name="eprop live events", daemon=True)
        self._reader.start()

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
            warn(
                f"live events: {self.events:,} used, {self.late:,} too late, {self.lost:,} lost. "
                "Against late events, take a longer delay; against lost events, a larger capacity or faster steps.",
                LostEventsWarning,
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
            if names is not None:
                single = "channel" in names
                times, *parts = (item[name] for name in (("t", "channel") if single else "txyp"))
                times = _real(times) / 1000.0
            elif len(item) == 2:
                times, *parts = item
            else:
                x, y, times, p = item
                times, parts = _real(times) / 1000.0, [x, y, p]
            times = np.atleast_1d(_real(times).astype(np.float64))
            given = [np.atleast_1d(_real(part)) for part in parts]
            shape = np.broadcast_shapes(*(part.shape for part in given))
        except (TypeError, ValueError, KeyError, OverflowError):
            raise DataError(f"a live event is (time, channel) or (x, y, t, polarity), got {brief(item)}") from None
        with np.errstate(invalid="ignore"):
            whole = [part.astype(np.int64) for part in given]
        fractions = any((one != two).any() for one, two in zip(whole, given, strict=True))
        if fractions or shape != times.shape or times.ndim != 1 or not np.isfinite(times).all():
            raise DataError(
                f"times must be finite and channels whole numbers (or columns, rows and polarities), one for each event, got "
                f"{brief(item)}"
            )
        if (np.abs(times) > _MOST_STEPS * self._dt).any():
            raise DataError(
                f"times must lie within {_MOST_STEPS:g} steps of {self._dt:g} ms, got {np.abs(times).max():g} ms"
            )
        return times, self._checked(whole[0]) if len(whole) == 1 else self._pixels(*whole)

    def _checked(self, channels: np.ndarray) -> np.ndarray:
        if channels.size and (np.min(channels) < 0 or np.max(channels) >= self.size):
            raise DataError(f"channels must lie in 0..{self.size - 1}, got {np.min(channels)}..{np.max(channels)}")
        return channels

    def _pixels(self, x: np.ndarray, y: np.ndarray, p: np.ndarray) -> np.ndarray:
        """Channels of pixels."""
        if self._shape is None:
            raise DataError("events of pixels need LiveEvents.size = (height, width)")
        height, width = self._shape
        if np.any((x < 0) | (x >= width) | (y < 0) | (y >= height)):
            raise DataError(f"pixels must lie within {height} rows and {width} columns")
        return (p > 0) * height * width + y * width + x

    def _put(self, times: np.ndarray, channels: np.ndarray) -> None:
        """Put events into the queue, as many as there is room for; without a clock, make the source wait for room."""
        with self._changed:
            room = times.size
            if self._real_time:
                room = min(room, self._capacity - self._held)
            else:
                # If all events belong to the present step, nothing can be returned before the source goes on.
                self._changed.wait_for(
                    lambda: self._held < self._capacity or self._newest <= self._next or self._closed
                )
            if self._closed:
                return
            self.lost += times.size - room
            if not room:
                return
            if self._base is None:
                self._base = float(np.floor(times[0] / self._dt + 1e-9) * self._dt)
                self._began = time.perf_counter()
            self._sort_in(_steps_of(times[:room] - self._base, self._dt), channels[:room])
            self._changed.notify_all()

    def _sort_in(self, steps: np.ndarray, channels: np.ndarray) -> None:
        """Add events to the steps that wait; count events of steps that were returned before as late."""
        if steps.size == 1:  # most sources yield single events
            parts = [(int(steps[0]), channels)]
        else:
            order = np.argsort(steps, kind="stable")
            found, begin = np.unique(steps[order], return_index=True)
            parts = list(zip(found.tolist(), np.split(channels[order], begin[1:]), strict=False))
        for step, part in parts:
            if step < self._next:
                self.late += part.size
            else:
                self._waiting.setdefault(step, []).append(part)
                self._held += part.size
                self._newest = max(self._newest, step)

    # ---------------------------------------------------------------- the consumer

    def _wait_for_time(self, step: int) -> bool:
        """Sleep until a step is due; False if the source ends before."""
        with self._changed:
            self._changed.wait_for(lambda: self._base is not None or self._ended or self._closed)
            if self._closed or self._base is None or (self._ended and self._newest < step):
                return False
        self.due = self._began + 1e-3 * ((step + 1) * self._dt + self._delay)
        left = self.due - time.perf_counter()
        if left > 0.0:
            with self._changed:
                self._changed.wait_for(lambda: self._closed, timeout=left)
        elif left < -1e-3 * self._dt:
            self.behind += 1
        return True

    def _wait_for_events(self, step: int) -> bool:
        """Wait for an event of a later step, or the end; False if there is no such step."""
        with self._changed:
            self._changed.notify_all()  # a source that waits for room must see that nothing can be returned yet
            self._changed.wait_for(lambda: self._newest > step or self._ended or self._closed)
            return self._newest >= step and not self._closed

    def _take(self, step: int) -> np.ndarray:
        """Channels of a step; from now on, its events are late."""
        with self._changed:
            parts = self._waiting.pop(step, [])
            self._next = step + 1
            self._held -= sum(part.size for part in parts)
            self._changed.notify_all()
        return np.unique(np.concatenate(parts)) if parts else _NONE


def _real(values: ArrayLike) -> np.ndarray:
    """An array of real numbers; a `TypeError` if it is none."""
    refuse_masks("a live event", values, DataError)
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise TypeError
    return array


def _steps_of(times: np.ndarray, dt: float) -> np.ndarray:
    """Steps of the times (ms); a multiple of ``dt``, up to rounding, begins its step."""
    count = times / dt
    near = np.rint(count)
    return np.where(np.abs(count - near) <= 1e-9 + 1e-15 * np.abs(count), near, np.floor(count)).astype(np.int64)
