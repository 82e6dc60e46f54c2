"""Forms of samples: what a user gives becomes a data set, and a data set the samples of a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from eprop.data import BinnedDataset, SeriesDataset, from_arrays
from eprop.data.cache import describe_bytes
from eprop.data.events import items_of
from eprop.data.generated import GeneratedSamples
from eprop.engine import Samples, make_samples
from eprop.errors import DataError, InputError
from eprop.network import Network
from eprop.parameters import real_numbers

#: Samples in a form that `eprop.fit` takes.
Data: TypeAlias = "BinnedDataset | SeriesDataset | GeneratedSamples | Samples | tuple[Any, Any]"
#: Weight of each step, or a function of the number of steps that gives it.
Window: TypeAlias = "npt.ArrayLike | Callable[[int], np.ndarray] | None"


class Dataset(Protocol):
    """Samples by number: a `BinnedDataset`, `GeneratedSamples`, or a `SampleSet`."""

    @property
    def name(self) -> str:
        """Description of the source."""

    @property
    def simulated(self) -> bool | None:
        """Whether the recordings are from a simulated camera; None if the samples are not recordings."""

    def __len__(self) -> int: ...

    def subset(self, indices: Any) -> Dataset:
        """The samples at ``indices``, in that order."""


@dataclass(frozen=True, eq=False)
class SampleSet:
    """`Samples` as a data set."""

    samples: Samples
    name: str = "samples"
    simulated: bool | None = None

    def __len__(self) -> int:
        return len(self.samples)

    def subset(self, indices: Any) -> SampleSet:
        """The samples at ``indices``."""
        return SampleSet(self.samples[indices])


def is_data(given: object) -> bool:
    """Whether something has one of the forms of `Data`."""
    return isinstance(given, (BinnedDataset, SeriesDataset, GeneratedSamples, SampleSet, Samples, tuple))


def dataset_of(network: Network, data: Any, label: str, epoch: int | None = None) -> Any:
    """Samples in any form as a data set; ``label`` names them in messages.

    The result is a `Dataset`; series stay a `SeriesDataset`, and with an ``epoch``, their spikes are drawn, for training
    samples those of the epoch.

    Raises
    ------
    DataError
        If they have none of the forms.
    """
    if isinstance(data, Samples):
        return SampleSet(data)
    if isinstance(data, SeriesDataset):
        if epoch is None:
            _check_targets(network, data[:1].drawn(), label)
            return data
        data = data.drawn(epoch) if label == "train" else data.drawn()
    if isinstance(data, (GeneratedSamples, SampleSet)):
        return data
    if isinstance(data, BinnedDataset):
        return _check_targets(network, data, label)
    pair: Any = data
    if not isinstance(pair, tuple) or len(pair) != 2:
        raise DataError(
            f"{label} must be a data set (eprop.data.from_arrays), samples (Simulator.samples) or a pair (events, labels), got "
            f"{type(data).__name__}"
        )
    events, given = pair
    readout = only(network, "readout", "out")
    given = real_numbers(f"{label}: labels or targets", given, DataError)
    if _is_one_hot(given, readout.size):
        given = np.argmax(given, axis=1)
    if readout.size == 1 and given.ndim == 2:
        given = given[:, :, None]  # a curve for each sample, or a number
    kind = "labels" if given.ndim == 1 and readout.size > 1 else "targets"
    aims: dict[str, Any] = {kind: given}
    return from_arrays(events, **aims, dt=network.dt, name=label)


def unlabelled(events: Any) -> tuple[Any, np.ndarray]:
    """Events with labels that nobody reads."""
    events = events if isinstance(events, np.ndarray) else list(items_of(events))
    return events, np.zeros(len(events), np.int64)


def _check_targets(network: Network, data: BinnedDataset, label: str) -> BinnedDataset:
    if data.targets is not None and data.targets.shape[2] != (size := only(network, "readout", "out").size):
        raise DataError(
            f"{label}: the targets have {data.targets.shape[2]} outputs, but the network has {size} readouts; the curve of "
            "one output is targets[:, :, None]"
        )
    return data


def _is_one_hot(given: np.ndarray, n_classes: int) -> bool:
    """Whether each row has a single 1 and otherwise zeros: targets that are the classes."""
    if n_classes == 1 or given.ndim != 2 or given.shape[1] != n_classes:
        return False
    return bool(np.all((given == 0) | (given == 1)) and np.all(given.sum(axis=1) == 1))


def samples_of(network: Network, dataset: Any, window: Window = None) -> Samples:
    """Samples for a network from a data set.

    Raises
    ------
    InputError
        If samples, window and network do not fit each other.
    """
    if isinstance(dataset, SampleSet):
        return dataset.samples
    if isinstance(dataset, GeneratedSamples):
        return _drawn(network, dataset, window)
    return samples_of_dataset(network, dataset, _weights(window, dataset.n_steps))


def samples_of_dataset(network: Network, dataset: BinnedDataset, window: object = None) -> Samples:
    """Samples of a `BinnedDataset`.

    The inputs go to the population named ``in``, or to the only source. Labels are the classes of the only readouts; targets
    go to the readouts named ``out``, or to the only ones.

    Raises
    ------
    InputError
        If they do not fit each other.
    """
    source, readout = only(network, "source", "in"), only(network, "readout", "out")
    if dataset.n_channels > source.size:
        raise InputError(
            f"the samples have {dataset.n_channels} channels, but the network has {source.size} inputs ({source.name!r}); "
            "make an input for each channel"
        )
    if dataset.n_channels < source.size and not dataset.inferred:
        raise InputError(
            f"the samples have {dataset.n_channels} channels, but the network has {source.size} inputs ({source.name!r}); make "
            f"as many inputs, or, if the other channels are silent, give from_arrays n_channels={source.size}"
        )
    if dataset.dt != network.dt:
        raise InputError(
            f"the samples have steps of {dataset.dt:g} ms, but the network has steps of {network.dt:g} ms; give both the same dt"
        )
    aims = {"labels": dataset.labels} if dataset.targets is None else {"targets": {readout.name: dataset.targets}}
    inputs = {source.name: (dataset.ptr, dataset.channels)}
    if dataset.lengths is not None:
        window = _until_the_end(dataset, dataset.lengths, window)
    return make_samples(network, len(dataset), dataset.n_steps, inputs, window=window, **aims)


def _until_the_end(dataset: BinnedDataset, lengths: np.ndarray, window: Any) -> np.ndarray:
    """A window of each sample, (samples, steps), which ends with the sample."""
    given = np.ones(dataset.n_steps) if window is None else real_numbers("window", window, InputError)
    if given.shape not in ((dataset.n_steps,), (len(dataset), dataset.n_steps)):
        return given  # it is refused with the others
    found = given * (np.arange(dataset.n_steps) < lengths[:, None])
    if (empty := np.flatnonzero(~found.any(axis=1) & given.any())).size:
        raise InputError(
            f"the window begins after the end of sample {empty[0]}, which has {lengths[empty[0]]} of {dataset.n_steps} steps; "
            "take a window that begins earlier, or leave out short samples"
        )
    return found


def only(network: Network, role: str, name: str) -> Any:
    """The population of a role with this name, or else the only one.

    Raises
    ------
    InputError
        If there are several and none has the name, or there is none.
    """
    found = [p for p in network.populations if p.model.role == role]
    named = [p for p in found if p.name == name]
    if named or len(found) == 1:
        return (named or found)[0]
    what = {"source": "event source", "readout": "readout population"}[role]
    listed = ", ".join(repr(p.name) for p in found) or "none"
    raise InputError(f"a data set needs one {what}, or one named {name!r}; the network has: {listed}")


def _weights(window: Window, n_steps: int) -> Any:
    """The weight of each step, (n_steps,); None if all count."""
    if window is None:
        return None
    found = real_numbers("window", window(n_steps) if callable(window) else window, InputError)
    if found.shape != (n_steps,):
        raise InputError(f"window must have shape ({n_steps},), a weight for each step, got {found.shape}")
    if not found.any():
        raise InputError("window is zero in every step: nothing would be learned, or judged")
    return found


def extremes(dataset: Any) -> np.ndarray:
    """Numbers of at most two samples that show mistakes: of labelled ones, those with the lowest and the highest label."""
    labels = getattr(dataset, "labels", None)
    if labels is None or len(dataset) == 0:
        return np.arange(min(len(dataset), 2))
    return np.unique([np.argmin(labels), np.argmax(labels)])


def check_fit(network: Network, dataset: Any, window: Window) -> None:
    """Encode two samples, to find mistakes before anything is simulated.

    Raises
    ------
    InputError
        If samples, window and network do not fit each other.
    """
    if (tried := extremes(dataset)).size:
        some = dataset.subset(tried)
        samples_of(network, some.drawn() if isinstance(some, SeriesDataset) else some, window)


def _drawn(network: Network, dataset: GeneratedSamples, window: Window) -> Samples:
    """Samples that are made from a seed."""
    drawn = dataset.drawn()
    inputs = np.stack([sample.inputs for sample in drawn])
    targets = np.stack([np.asarray(sample.target) for sample in drawn])
    source, readout = only(network, "source", "in"), only(network, "readout", "out")
    aims: dict[str, Any] = {"labels": targets} if targets.ndim == 1 else {"targets": {readout.name: targets}}
    weights = _weights(window, inputs.shape[1])
    try:
        return make_samples(network, len(drawn), inputs.shape[1], {source.name: inputs}, window=weights, **aims)
    except InputError as error:
        raise InputError(f"drawn samples, window and network must fit each other: {error}") from error


def targets_of(dataset: Any) -> np.ndarray | None:
    """Targets of a data set, (samples, 1 or steps, outputs), of generated ones those of the first; None if it has labels."""
    if isinstance(dataset, SampleSet):
        return None if dataset.samples.labels is not None else dataset.samples.target
    if isinstance(dataset, GeneratedSamples):
        drawn = np.stack([np.asarray(sample.target) for sample in dataset.subset(slice(1)).drawn()])
        return None if drawn.ndim == 1 else drawn
    return None if dataset.targets is None else np.asarray(dataset.targets)


def fingerprint(dataset: Any) -> str:
    """A short text that identifies training data; a resumed run finds changed data with it."""
    if isinstance(dataset, GeneratedSamples):
        (first,) = dataset.subset([0]).drawn()
        parts = [np.ascontiguousarray(part) for part in (first.inputs, first.target)]
        return describe_bytes(np.array([*dataset.seed, len(dataset)]), *parts)
    if isinstance(dataset, SampleSet):
        samples = dataset.samples
        return describe_bytes(samples.event_start, samples.event_channels, samples.target, samples.window)
    given = [part for part in (dataset.targets, dataset.lengths) if part is not None]
    return describe_bytes(dataset.labels, dataset.counts, *given, dataset.activity())
