"""Inputs in the user's form: events by offsets, zeros and ones or times, currents, targets and the like become `Samples`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse

from eprop.core import lib
from eprop.engine.build.check import NOTICEABLE, check_room, refusing_failed_allocations
from eprop.engine.run.samples import NO_EVENTS, NO_REWARD_TRACE, NONE_GIVEN, InputPart, SampleLayout, Samples
from eprop.errors import InputError
from eprop.network import Network
from eprop.parameters import brief, check_count, real_numbers

# Largest count of samples, lanes or steps; products of a larger one would have no room in 64 bits.
MOST = 10**18
# Offsets into the events are stored for every step of every sample.
MOST_STEPS = 2**31


class Given(NamedTuple):
    """Arguments of a run or of samples in the user's form; see `Simulator.samples`."""

    inputs: Any = None
    targets: Any = None
    window: Any = None
    labels: Any = None
    signals: Any = None
    modulator: Any = None
    reward: Any = None


def make_samples(
    network: Network | SampleLayout,
    n: int,
    n_steps: int,
    inputs: Mapping[str, Any] | None = None,
    targets: Mapping[str, Any] | None = None,
    window: object = None,
    labels: object = None,
    **external: object,
) -> Samples:
    """Make samples for a network, which no simulator needs to have built; the arguments of `Simulator.samples`.

    Raises
    ------
    InputError, MemoryLimitError
        As for `Simulator.samples`.
    """
    layout = network if isinstance(network, SampleLayout) else SampleLayout.of(network)
    n, n_steps = count_of("samples", n), count_of("steps", n_steps)
    with refusing_failed_allocations():
        return Arrangement(layout, n, n_steps).samples(Given(inputs, targets, window, labels, **external))


class Arrangement:
    """Checks arrays in the user's form, and arranges them as `Samples`.

    Parameters
    ----------
    layout : SampleLayout
    n, n_steps : int
    run : bool
        Whether the arrays are those of a run: one sample, without an axis of samples.
    one : str
        What a sample is called.
    """

    def __init__(self, layout: SampleLayout, n: int, n_steps: int, run: bool = False, one: str = "sample"):
        self.layout, self.n, self.n_steps, self.run, self.one = layout, n, n_steps, run, one

    def lanes(self, channels: object) -> Samples:
        """Make the samples of lanes, from events by steps, lanes and channels; see `Lanes.run`."""
        n, n_steps, sources = self.n, self.n_steps, self.layout.sources
        given = zip(sources, by_source(channels, self.layout), strict=True)
        return self.samples(
            Given({p.name: of_lanes(p.name, p.size, part, n, n_steps) for p, part in given if part is not None})
        )

    def samples(self, given: Given) -> Samples:
        """Make the samples.

        Raises
        ------
        InputError, MemoryLimitError
        """
        layout, n, n_steps, sources = self.layout, self.n, self.n_steps, len(self.layout.sources)
        if n * n_steps > MOST_STEPS:
            raise InputError(
                f"{n} {self.one}s of {n_steps} steps are more than {MOST_STEPS} steps; give them in several parts"
            )
        needed = 8 * n * n_steps * (sources + 1)
        if needed > NOTICEABLE:
            check_room(f"the events of {n:,} x {n_steps:,} steps", needed, "give them in parts")
        starts = np.zeros((sources, n * n_steps + 1), np.int64)
        channels, currents = self._inputs(given.inputs, starts)
        window = self._window(given.window)
        target, labels = self._target(given.targets, given.labels, window)
        signals, modulator = self.external(given.signals, given.modulator)
        if given.reward is not None and not layout.rewarded:
            raise InputError(NO_REWARD_TRACE)
        reward = NONE_GIVEN if given.reward is None else self._of_steps("reward", given.reward)
        return Samples(
            starts, channels, target, window, n, n_steps, labels, signals, modulator, reward, currents, layout.made_for
        )

    def external(self, signals: object, modulator: object) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Make ``signals`` and ``modulator`` of `Samples`."""
        found = {}
        if signals is not None:
            given = by_name("signals", signals)
            check_names("population of neurons", given, self.layout.neurons)
            found = self.of_neurons("signals", given)
        return found, NONE_GIVEN if modulator is None else self._of_steps("modulator", modulator)

    def of_neurons(self, what: str, given: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Make ``signals`` or ``currents`` of `Samples`, in the order of the network."""
        out = {}
        for name, size in self.layout.neurons.items():
            if name not in given:
                continue
            value = self.array(f"{what} {name!r}", given[name], size)
            if value.dtype.kind == "b":
                raise InputError(f"{what} {name!r} must be numbers, got True and False; spikes need an EventSource")
            out[name] = np.array(value, np.float64, order="C")
            if not lib.all_finite(out[name]):
                raise InputError(f"{what} {name!r} hold values that are not finite")
        return out

    def array(self, label: str, value: object, size: int, constant: bool = False) -> np.ndarray:
        """An array (n, n_steps, size); also (n, 1, size) if it may be ``constant``: the same in all steps."""
        given, n, n_steps = real_numbers(label, value, InputError), self.n, self.n_steps
        shape = given.shape
        if constant and size == 1 and given.ndim == 2 - self.run:
            given = given[..., None]  # one readout needs no axis
        if self.run:
            given = given[None, None] if constant and given.ndim == 1 else given[None]
        if given.shape == (n, n_steps, size) or (constant and given.shape == (n, 1, size)):
            return given
        if self.run:
            wanted = f"({n_steps}, {size}) = (steps, size)" + f" or ({size},)" * constant
        else:
            wanted = f"({n}, {n_steps}{' or 1' * constant}, {size})"
        raise InputError(f"{label} must have shape {wanted}, got {shape}")

    def _inputs(self, given: object, starts: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Make ``event_channels`` and ``currents`` of `Samples`; write the offsets of the former to ``starts``."""
        if given is None:
            return NO_EVENTS, {}
        layout, inputs, parts, offset = self.layout, by_name("inputs", given), [], 0
        for p, start in zip(layout.sources, starts, strict=True):
            if p.name in inputs:
                parts.append(find_events(p.name, p.size, inputs[p.name], self, start))
                if offset:
                    start += offset
                offset += parts[-1].size
        currents = {}
        if len(parts) < len(inputs):
            check_names("event source", inputs, layout.sizes[0], layout.neurons)
            currents = self.of_neurons("currents into", inputs)
        return parts[0] if len(parts) == 1 else np.concatenate([NO_EVENTS, *parts]), currents

    def _target(self, given: object, labels: object, window: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Make ``target`` and ``labels`` of `Samples`."""
        if given is None and labels is None and self.n == 1:
            return self.layout.no_target, None
        readouts, targets = self.layout.readouts, {} if given is None else by_name("targets", given)
        if labels is not None:
            found = _labels(() if targets else readouts, labels, self.n)
            return np.eye(readouts[0].size)[found][:, None, :], found
        arrays, length = dict[str, np.ndarray](), 1
        for p in readouts:
            if p.name in targets:
                arrays[p.name] = value = self.array(f"target {p.name!r}", targets[p.name], p.size, constant=True)
                length = max(length, value.shape[1])
        if len(arrays) < len(targets):
            check_names("readout", targets, self.layout.sizes[1])
        out = np.empty((self.n, length, self.layout.n_readouts))
        for p in readouts:
            out[:, :, p.first : p.first + p.size] = arrays.get(p.name, np.nan)
        finite = lib.all_finite(out)
        for k, p in enumerate(readouts):
            if not finite and p.name in arrays and not np.isfinite(arrays[p.name]).all():
                raise InputError(f"target {p.name!r} holds values that are not finite")
            if p.softmax and p.name in arrays:
                _check_shares(p, arrays[p.name], window[:, :, k] != 0.0)
        return out, None

    def _window(self, window: object) -> np.ndarray:
        """Make ``window`` of `Samples`."""
        readouts = self.layout.readouts
        shape = 1, self.n_steps, len(readouts) or 1
        if window is None:
            out = np.empty(shape)
            out.fill(1.0)
            return out
        if not isinstance(window, Mapping):
            return np.repeat(self._of_steps("window", window)[:, :, None], shape[2], axis=2)
        own = by_name("window", window)
        check_names("readout", own, self.layout.sizes[1])
        found = {name: self._of_steps(f"window of {name!r}", value) for name, value in own.items()}
        out = np.ones((max([1, *map(len, found.values())]), *shape[1:]))
        for k, p in enumerate(readouts):
            out[:, :, k] = found.get(p.name, 1.0)
        return out

    def _of_steps(self, label: str, values: object) -> np.ndarray:
        """A number for each step, of all samples or of each sample, (1 or n, n_steps)."""
        n, n_steps, out = self.n, self.n_steps, real_numbers(label, values, InputError).astype(np.float64)
        if out.shape not in ((n_steps,), (n, n_steps), (1, n_steps)):
            raise InputError(f"{label} must have shape ({n_steps},) or ({n}, {n_steps}), got {out.shape}")
        if not np.all(np.isfinite(out)):
            raise InputError(f"{label} must hold finite numbers")
        return np.ascontiguousarray(np.atleast_2d(out))


def _labels(readouts: tuple[InputPart, ...], labels: object, n: int) -> np.ndarray:
    """Check classes of samples; each has a readout."""
    out = real_numbers("labels", labels, InputError)
    if out.shape != (n,):
        raise InputError(f"labels must be {n} whole numbers, got shape {out.shape}")
    if out.dtype.kind == "f" and (fractions := np.flatnonzero(~np.isfinite(out) | (out != np.rint(out)))).size:
        raise InputError(f"labels must be {n} whole numbers, but label {fractions[0]} is {out[fractions[0]]:g}")
    if len(readouts) != 1:
        raise InputError("labels need exactly one readout population, and no targets")
    if out.min() < 0 or out.max() >= readouts[0].size:
        raise InputError(
            f"labels must lie in 0..{readouts[0].size - 1}, got {out.min()}..{out.max()}: each class needs a readout, and "
            f"there are {readouts[0].size}"
        )
    return np.asarray(out.astype(np.int64))


def _check_shares(p: InputPart, value: np.ndarray, opened: np.ndarray) -> None:
    """Check that targets are class probabilities: not negative, with sum one where the window is ``opened``."""
    if value.min() < 0.0:
        raise InputError(f"target {p.name!r} holds negative values; with {p.loss} it holds class probabilities")
    total = value.sum(axis=2)
    wrong = np.argwhere((np.abs(total - 1.0) > 1e-3) & opened)
    if wrong.size:
        sample, step = wrong[0]
        total = np.broadcast_to(total, (len(total), opened.shape[1]))
        raise InputError(
            f"target {p.name!r} sums to {total[sample, step]:g} in step {step} of sample {sample}; "
            f"with {p.loss} it holds class probabilities, which sum to one"
        )


def count_of(what: str, value: object) -> int:
    """Check a count, at least one."""
    count = check_count(f"number of {what}", value, InputError)
    if count > MOST:
        raise InputError(f"number of {what} must be at most {MOST:,}, got {brief(value)}")
    return count


def by_name(what: str, given: object) -> dict[str, Any]:
    """Values for populations, which are given in a dictionary, by name; a key may be the population itself."""
    if type(given) is not dict and not isinstance(given, Mapping):
        raise InputError(f"{what} must be a dictionary from names of populations to arrays, got {type(given).__name__}")
    out: dict[str, Any] = {}
    for key, value in given.items():
        name: Any = key if type(key) is str else getattr(key, "name", key)
        if name in out:
            raise InputError(f"{name!r} is given twice, by its name and as a population")
        out[name] = value
    return out


def by_source(channels: object, layout: SampleLayout) -> tuple[Any, ...]:
    """Events of lanes in the user's form, see `Lanes.step`: those of each event source, or None."""
    names = layout.sizes[0]
    if type(channels) is not dict and not isinstance(channels, Mapping):
        if len(names) == 1:
            return (_as_bytes(channels),)
        if channels is None:
            return (None,) * len(names)
        raise InputError(
            f"step takes channels by the names of the event sources ({', '.join(names) or 'none'}) in a dictionary"
        )
    given = by_name("channels", channels)
    for name in given:
        if name in layout.neurons:
            raise InputError(f"lanes take no currents into {name!r}; Lanes.forward and train do, from samples")
        if name not in names:
            raise InputError(f"no event source named {name!r}; there are: {', '.join(names) or 'none'}")
    return tuple(_as_bytes(given.get(name)) for name in names)


def _as_bytes(given: object) -> Any:
    """View booleans as bytes, which the core reads; return other values unchanged."""
    return given.view(np.uint8) if type(given) is np.ndarray and given.dtype == np.bool_ else given


def check_names(
    what: str, given: Mapping[str, Any], names: Mapping[str, int], others: Mapping[str, int] | None = None
) -> None:
    """Refuse names of populations that are neither one of ``names``, which the message lists, nor of ``others``."""
    if unknown := given.keys() - names.keys() - (others or {}).keys():
        known = ", ".join(names) or "none"
        raise InputError(f"no {what} named {', '.join(map(repr, sorted(unknown)))}; there are: {known}")


DOUBLE_PRECISION = float(np.finfo(np.float64).eps)


def is_pair(given: object) -> bool:
    """Whether an input is a pair."""
    return isinstance(given, tuple) and len(given) == 2


def find_events(name: str, size: int, given: Any, form: Arrangement, start: np.ndarray) -> np.ndarray:
    """Find the events of a source in all steps.

    Parameters
    ----------
    name, size : str, int
        Of the source.
    given : object
        Its input in the user's form.
    form : Arrangement
        Shape of the samples.
    start : (steps of all samples + 1,) int64
        Out: offsets of the steps in the result; zero at first.

    Returns
    -------
    (events,) int32
        Channels, ascending within a step.

    Raises
    ------
    InputError
    """
    if form.run and is_pair(given):
        return _binned(f"input {name!r}", given, size, form.layout.dt, start)
    if form.run and scipy.sparse.issparse(given):
        given = [given]
    if isinstance(given, (list, tuple)) and given:
        if all(map(is_pair, given)) and isinstance(given, list):
            return _of_times(name, size, given, form, start)
        if all(map(scipy.sparse.issparse, given)):
            given = _dense_of_sparse(name, given)
            given = given[0] if form.run else given
    if is_pair(given):
        return _of_offsets(f"input {name!r}", size, given, form, start)
    return _of_dense(f"input {name!r}", size, given, form, start)


def _of_times(name: str, size: int, given: list[Any], form: Arrangement, start: np.ndarray) -> np.ndarray:
    """Convert pairs of times (ms) and channels, one for each sample; events of the same channel and step count once.

    A time that is a multiple of the step, up to the rounding of its type, falls into the step that begins there.
    """
    if len(given) != form.n:
        raise InputError(f"input {name!r} has {len(given)} pairs (times, channels) for {form.n} samples")
    found: list[np.ndarray] = []
    offset, steps = 0, np.empty(form.n_steps + 1, np.int64)
    for k, pair in enumerate(given):
        found.append(_binned(f"input {name!r}, sample {k}", pair, size, form.layout.dt, steps))
        start[k * form.n_steps + 1 : (k + 1) * form.n_steps + 1] = steps[1:] + offset
        offset += found[-1].size
    return found[0] if len(found) == 1 else np.concatenate(found)


def _binned(label: str, pair: Any, size: int, dt: float, start: np.ndarray) -> np.ndarray:
    """Channels of a pair of times and channels, step by step; writes the offsets of the steps."""
    times, channels = real_numbers(label, pair[0], InputError), real_numbers(label, pair[1], InputError)
    if times.shape != channels.shape or times.ndim != 1:
        raise InputError(
            f"{label}: times and channels must be lists of equal length, got {times.shape}, {channels.shape}"
        )
    if channels.size and channels.dtype.kind not in "iu":
        raise InputError(f"{label}: channels must be whole numbers")
    single = times.dtype.kind == "f" and times.dtype.char != "d"
    precision = float(np.finfo(times.dtype).eps) if single else DOUBLE_PRECISION
    found: np.ndarray | None = lib.bin_spikes(
        np.ascontiguousarray(times, np.float64), np.ascontiguousarray(channels, np.int64), size, dt, precision, start
    )
    if found is not None:
        return found
    if not np.all(np.isfinite(times)):
        raise InputError(f"{label}: times must be finite")
    _check_channels(label, channels, size)
    end = (start.size - 1) * dt
    at_end = abs(float(times.max()) - end) < 1e-6 * dt
    advice = "; recorded spikes have the times of the ends of steps: subtract dt" if at_end else ""
    raise InputError(f"{label}: times must lie in [0, {end:g}) ms, got {times.min():g}..{times.max():g} ms{advice}")


def _check_channels(label: str, channels: np.ndarray, size: int) -> None:
    if channels.size and (channels.min() < 0 or channels.max() >= size):
        raise InputError(f"{label}: channels must lie in 0..{size - 1}, got {channels.min()}..{channels.max()}")


def _of_offsets(label: str, size: int, given: Any, form: Arrangement, start: np.ndarray) -> np.ndarray:
    """Convert a pair ``(ptr, channels)``."""
    ptr, channels = real_numbers(label, given[0], InputError), real_numbers(label, given[1], InputError)
    if ptr.shape != (form.n, form.n_steps + 1):
        raise InputError(f"{label}: ptr must have shape ({form.n}, {form.n_steps + 1}), got {ptr.shape}")
    if channels.ndim != 1:
        raise InputError(f"{label}: channels must be one list, got shape {channels.shape}")
    if any(part.size and part.dtype.kind not in "iu" for part in (ptr, channels)):
        raise InputError(f"{label}: ptr and channels must be whole numbers, got {ptr.dtype}, {channels.dtype}")
    ptr = np.ascontiguousarray(ptr, np.int64)
    exact: Any = np.ascontiguousarray(channels, np.int32 if channels.dtype == np.int32 else np.int64)
    found: np.ndarray | None = lib.copy_events(ptr, exact, size, start)
    if found is not None:
        return found
    if (ptr[:, 1:] < ptr[:, :-1]).any() or ptr.min() < 0 or ptr.max() > channels.size:
        raise InputError(f"{label}: ptr must ascend within 0..{channels.size}")
    steps = np.zeros(form.n_steps + 1, np.int64)
    k = next(k for k, row in enumerate(ptr) if lib.copy_events(row[None], exact, size, steps) is None)
    label = f"{label}, {form.one} {k}"
    _check_channels(label, channels[ptr[k, 0] : ptr[k, -1]], size)
    raise InputError(f"{label}: a channel has two events in one step; keep one")


def _of_dense(label: str, size: int, given: Any, form: Arrangement, start: np.ndarray) -> np.ndarray:
    """Convert an array of zeros and ones."""
    if form.run and real_numbers(label, given, InputError).ndim != 2:
        raise InputError(f"{label} must be an array (steps, size), sparse or not, or a pair (times, channels)")
    rows = form.array(label, given, size).reshape(-1, size)
    try:
        channels: np.ndarray | None = lib.find_ones(rows, start)
    except TypeError:  # not contiguous, or of a type that the core does not support
        channels = lib.find_ones(np.ascontiguousarray(rows, np.float64), start)
    if channels is None:
        raise InputError(
            f"{label} must hold only zeros and ones: at most one event per channel and step. Runs and samples take "
            "currents (pA) by the name of a population of neurons in place of a source; encoders turn numbers into events"
        )
    return channels


def _dense_of_sparse(name: str, matrices: Sequence[Any]) -> np.ndarray:
    """Sparse matrices of zeros and ones (steps, size), one for each sample, as an array of bytes."""
    if not all(np.isin(matrix.tocoo().data, (0, 1)).all() for matrix in matrices):
        raise InputError(f"input {name!r} must hold zeros and ones")
    if len({matrix.shape for matrix in matrices}) > 1:
        raise InputError(f"input {name!r}: the sparse matrices (steps, size) of all samples must have one shape")
    return np.stack([matrix.astype(np.uint8).toarray() for matrix in matrices])


def of_lanes(name: str, size: int, given: Any, n: int, n_steps: int) -> Any:
    """Events of a source in some steps of ``n`` lanes in the form of samples: an array, or a pair ``(ptr, channels)``."""
    label = f"input {name!r}"
    if n_steps == 1 and not (isinstance(given, np.ndarray) and given.ndim > 1):
        if isinstance(given, np.ndarray | str | Mapping) or not hasattr(given, "__len__") or len(given) != n:
            raise InputError(f"{label} must be a list with an array for each of {n} lanes, or an array ({n}, {size})")
        parts = [np.atleast_1d(real_numbers(f"{label}, lane {k}", part, InputError)) for k, part in enumerate(given)]
        for k, part in enumerate(parts):
            if part.ndim != 1 or (part.size and part.dtype.kind not in "iu"):
                raise InputError(f"{label}, lane {k} must be a list of whole numbers, got {given[k]!r:.80}")
        stop = np.cumsum([part.size for part in parts])
        return np.stack([[0, *stop[:-1]], stop], axis=1), np.concatenate([part.astype(np.int64) for part in parts])
    dense = real_numbers(label, given, InputError)
    shape = (n, size) if n_steps == 1 and dense.ndim != 3 else (n_steps, n, size)
    if dense.shape != shape:
        raise InputError(f"{label} must have shape {shape}, got {dense.shape}")
    return dense.reshape(n_steps, n, size).swapaxes(0, 1)
