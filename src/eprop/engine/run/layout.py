"""Requirements of a network on its samples, and the arguments of runs and samples by population name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from eprop.errors import InputError
from eprop.models import EventSource, Readout
from eprop.network import Network
from eprop.parameters import brief, check_count

# Largest count of samples, lanes or steps.
MOST = 10**18
# Sizes of the sources, and of the readouts with or without softmax, for which samples are made.
Shape = tuple[tuple[int, ...], tuple[tuple[int, bool], ...]]


class InputPart(NamedTuple):
    """A population with events or targets: its name and size, its first column, whether it has a softmax."""

    name: str
    size: int
    first: int
    softmax: bool = False
    loss: Any = None


@dataclass(frozen=True)
class SampleLayout:
    """Requirements of a network on its samples; made once for all runs of a simulator.

    Attributes
    ----------
    dt : ms
    sources, readouts : event sources and readouts, in the order of the network
    n_readouts : columns of targets
    neurons : sizes of the populations of neurons by name, in the order of the network
    made_for : see `Samples`
    rewarded : whether some projection has a reward trace
    """

    dt: float
    sources: tuple[InputPart, ...]
    readouts: tuple[InputPart, ...]
    n_readouts: int
    neurons: Mapping[str, int]
    made_for: Shape
    rewarded: bool = False

    @cached_property
    def sizes(self) -> tuple[dict[str, int], dict[str, int]]:
        """Sizes of event sources and of readouts, by name."""
        return {p.name: p.size for p in self.sources}, {p.name: p.size for p in self.readouts}

    @classmethod
    def of(cls, network: Network) -> SampleLayout:
        """Make the layout of a network's populations."""
        sources = tuple(InputPart(p.name, p.size, 0) for p in network.populations if isinstance(p.model, EventSource))
        readouts, n = [], 0
        for p in network.populations:
            if isinstance(p.model, Readout):
                readouts.append(InputPart(p.name, p.size, n, bool(p.model.loss.softmax), p.model.loss))
                n += p.size
        neurons = {p.name: p.size for p in network.populations if p.model.role == "neuron"}
        made_for = tuple(p.size for p in sources), tuple((p.size, p.softmax) for p in readouts)
        rewarded = any(getattr(p.rule, "reward", None) is not None for p in network.projections)
        return cls(network.dt, sources, tuple(readouts), n, neurons, made_for, rewarded)


class Given(NamedTuple):
    """Arguments of a run or of samples in the user's form; see `make_samples`."""

    inputs: Any = None
    targets: Any = None
    window: Any = None
    labels: Any = None
    signals: Any = None
    modulator: Any = None
    reward: Any = None


def count_of(what: str, value: object) -> int:
    """Check a count, at least one; products of a larger one than `MOST` would have no room in 64 bits."""
    count = check_count(f"number of {what}", value, InputError)
    if count > MOST:
        raise InputError(f"number of {what} must be at most {MOST:,}, got {brief(value)}")
    return count


def by_name(what: str, given: object) -> dict[str, Any]:
    """Values for populations, which are given in a dictionary, by name; a key may be the population itself."""
    if given is not None and not isinstance(given, Mapping):
        raise InputError(f"{what} must be a dictionary from names of populations to arrays, got {type(given).__name__}")
    out: dict[str, Any] = {}
    for key, value in (given or {}).items():
        name: Any = getattr(key, "name", key)
        if name in out:
            raise InputError(f"{name!r} is given twice, by its name and as a population")
        out[name] = value
    return out


def check_names(what: str, given: Mapping[str, Any], names: Mapping[str, int]) -> None:
    """Refuse names of unknown populations."""
    if unknown := given.keys() - names.keys():
        known = ", ".join(names) or "none"
        raise InputError(f"no {what} named {', '.join(map(repr, sorted(unknown)))}; there are: {known}")
