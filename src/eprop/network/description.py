"""A network as plain values by the names of its parts: what identifies it, and what it can be made of again."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from eprop.models import Learned
from eprop.network.distributions import Array
from eprop.network.network import Network
from eprop.network.positions import Positions
from eprop.parameters import Description, Values, parameters_of
from eprop.rules import PairRule

#: Numbers, truth values and None as they are; a text in quotes; a class, a function and the digest of an array without quotes.
Plain: TypeAlias = str | float | bool | None


@dataclass
class PlainDescription:
    """Plain values of descriptions by name; a part of a description is ``name.part``.

    Attributes
    ----------
    whole : bool
        Without, what a state replaces is left out: initial weights, and learning rates, because training may continue at
        another one.
    values : dict
    arrays : dict of ndarray
        The given arrays (connections, weights, values of nodes, positions) by their digests.
    meanings : dict of str
        Meaning and unit of the parameters.
    """

    whole: bool = True
    values: dict[str, Plain] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    meanings: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, value: Any) -> None:
        """Add a value, and the parts of a description."""
        if isinstance(value, Description):
            self.values[name] = type(value).__name__
            known = dict(parameters_of(type(value)))
            for part in dataclasses.fields(value):
                rate = part.name == "eta" or (isinstance(value, PairRule) and part.name == "rate")
                rate |= part.name == "start" and isinstance(value, Learned)  # a state has the present value
                if self.whole or not (rate or (part.name == "weight" and name.startswith("feedback "))):
                    if (info := known.get(part.name)) is not None:
                        self.meanings[f"{name}.{part.name}"] = ", ".join(filter(None, (info.doc, info.unit)))
                    self.add(f"{name}.{part.name}", getattr(value, part.name))
        elif isinstance(value, Positions):
            self.values[name] = type(value).__name__
            for what in ("points", "periodic"):
                self.add(f"{name}.{what}", getattr(value, what))
        elif isinstance(value, (Values, Array, np.ndarray, list, tuple)):
            given = getattr(value, "values", value)
            array = np.ascontiguousarray(given)
            numeric = array.dtype.kind in "biuf"
            content = array.data if numeric else repr(given).encode()
            self.values[name] = digest = f"digest {array.shape} {hashlib.blake2b(content, digest_size=16).hexdigest()}"
            if numeric:
                self.arrays[digest] = array
        elif value is None or isinstance(value, (bool, int, float)):
            self.values[name] = value
        elif isinstance(value, str):
            self.values[name] = repr(value)
        else:
            self.values[name] = _name_of(value)


def describe(network: Network, *, whole: bool = True) -> PlainDescription:
    """A network as plain values."""
    out = PlainDescription(whole)
    out.values |= {
        "Network.dt": network.dt,
        "Network.seed": network.seed,
        "populations": ", ".join(p.name for p in network.populations),
        "projections": ", ".join(p.name for p in network.projections),
        "feedback": ", ".join(f"{f.pre.name}->{f.post.name}" for f in network.feedback_projections),
    }
    for p in network.populations:
        out.add(f"size of {p.name}", p.size)
        out.add(p.name, p.model)
        out.add(f"{p.name}.signs", p.signs)
        out.add(f"{p.name}.dropout", p.dropout)
        if p.positions is not None:
            out.add(f"{p.name}.positions", p.positions)
    for q in network.projections:
        ends = f"{q.pre.name}->{q.post.name}"
        if q.name.partition("/")[0] != ends:  # a part of a projection has a "/"
            out.values[f"ends of {q.name}"] = ends
        for what in ("connectivity", "rule", "delay", *(("weight",) if whole else ())):
            out.add(f"{q.name}.{what}", getattr(q, what))
        for what in ("receptor", "sign", "rewiring", "precision"):
            if what == "sign" or getattr(q, what) is not None:
                out.add(f"{q.name}.{what}", getattr(q, what))
    for s in network.stimulations:
        out.add(f"{s.name} onto {s.population.name}", s.drive)
    for f in network.feedback_projections:
        for what in ("kind", "delay"):
            out.add(f"{f.name}.{what}", getattr(f, what))
    return out


def text_of(value: Plain) -> str:
    """A plain value as a text."""
    return value if isinstance(value, str) else repr(value)


def _name_of(value: Any) -> str:
    """Name of a function, with the arguments that `functools.partial` has given it; of another object, that of its class."""
    if isinstance(value, functools.partial):
        given = PlainDescription()
        for name, each in {**{str(k): v for k, v in enumerate(value.args)}, **value.keywords}.items():
            given.add(name, each)
        texts = [text_of(v) if k.isdecimal() else f"{k}={text_of(v)}" for k, v in given.values.items()]
        return _name_of(value.func) + (f"({', '.join(texts)})" if texts else "")
    # A repr may contain an address; the module of a task's file, or of a notebook, depends on the place.
    return str(getattr(value, "__qualname__", type(value).__name__))
