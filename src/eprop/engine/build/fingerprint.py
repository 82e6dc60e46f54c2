"""The description of a network as a few kilobytes of text, which identifies the network of a saved state."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping

import numpy as np

from eprop.engine.build.records import Kind
from eprop.errors import InputError
from eprop.models import Learned
from eprop.network import FixedPoint, Network
from eprop.network.distributions import Array
from eprop.parameters import Description, Values
from eprop.rules import EPropPlus, PairRule

#: End of the keys of scales of weights of few bits.
SCALE = ".precision.scale"


def fingerprint_of(
    network: Network, dtype: type, kinds: tuple[Kind, ...], block_steps: int, formats: Mapping[str, FixedPoint]
) -> np.ndarray:
    """Everything of a network except initial weights and learning rates: (bytes,) uint8, the same on every rank.

    The fingerprint determines the connections: they are drawn from the seed, or a digest stands for given ones. The state of
    an e-prop+ synapse depends on its kind and on the steps of a block, so both are included.
    """
    out = {"precision": np.dtype(dtype).name} | description_of(network)
    for name, one in formats.items():
        out[f"{name}{SCALE}"] = repr(one.scale)
    if kinds:
        each = (
            f"{kind.n_filters} filters, {kind.n_own} own, {'anchored' if kind.anchored else 'crossing'}"
            for kind in kinds
        )
        out["EPropPlus.synapses"] = f"{'; '.join(each)}; blocks of {block_steps} steps"
        if any(isinstance(p.rule, EPropPlus) and p.rule.descends_each_step for p in network.projections):
            out["EPropPlus.synapses"] += "; descent at each step from the start of a block"
    return np.frombuffer(json.dumps(out).encode(), np.uint8)


def description_of(network: Network, *, whole: bool = False) -> dict[str, str]:
    """A network as texts by the names of its parts; with ``whole``, also initial weights and learning rates."""
    out = {"Network.dt": repr(network.dt), "Network.seed": repr(network.seed)}
    out["populations"] = ", ".join(p.name for p in network.populations)
    out["projections"] = ", ".join(p.name for p in network.projections)
    out["feedback"] = ", ".join(f"{f.pre.name}->{f.post.name}" for f in network.feedback_projections)
    for p in network.populations:
        out[f"size of {p.name}"] = repr(p.size)
        _describe(p.name, p.model, out, whole)
        _describe(f"{p.name}.signs", p.signs, out, whole)
        _describe(f"{p.name}.dropout", p.dropout, out, whole)
    for q in network.projections:
        for what in ("connectivity", "rule", "delay", *(("weight",) if whole else ())):
            _describe(f"{q.name}.{what}", getattr(q, what), out, whole)
        for what in ("receptor", "sign", "rewiring", "precision"):
            if what == "sign" or getattr(q, what) is not None:
                _describe(f"{q.name}.{what}", getattr(q, what), out, whole)
    for s in network.stimulations:
        _describe(f"{s.name} onto {s.population.name}", s.drive, out, whole)
    for f in network.feedback_projections:
        for what in ("kind", "delay"):
            _describe(f"{f.name}.{what}", getattr(f, what), out, whole)
    return out


def check_fingerprint(given: object, own: np.ndarray) -> None:
    """Refuse a state of another network, and name the first difference.

    Keys that only one of the two has are skipped: they were added or removed by a version of the package.

    Raises
    ------
    InputError
    """
    theirs, ours = _read(given), _read(own)
    for name, here in ours.items():
        there = str(theirs.get(name, here))
        if there != here:
            how = "differs" if "digest" in (here[:6], there[:6]) else f"is {there:.80} there, {here:.80} here"
            raise InputError(
                f"the state belongs to another network: {name} {how}. Build the network as it was; "
                "to restore weights alone, use set_weights()"
            )


def has_formats_of(given: object, own: np.ndarray) -> bool:
    """Whether weights of a checked state are on the levels of this network."""
    return {name for name in _read(own) if name.endswith(SCALE)} <= set(_read(given))


def _describe(name: str, value: object, out: dict[str, str], whole: bool) -> None:
    """Add a value, and the parts of a description, as texts."""
    if isinstance(value, Description):
        out[name] = type(value).__name__
        for part in dataclasses.fields(value):
            # The state replaces initial weights, and training may continue at another rate.
            rate = part.name == "eta" or (isinstance(value, PairRule) and part.name == "rate")
            rate |= part.name == "start" and isinstance(value, Learned)  # a state has the present value
            if whole or not (rate or (part.name == "weight" and name.startswith("feedback "))):
                _describe(f"{name}.{part.name}", getattr(value, part.name), out, whole)
    elif isinstance(value, (Values, Array, np.ndarray, list, tuple)):
        out[name] = _digest(getattr(value, "values", value))
    elif value is None or isinstance(value, (bool, int, float, str)):
        out[name] = repr(value)
    else:  # a user's own class, whose repr may contain an address
        out[name] = type(value).__name__


def _digest(values: object) -> str:
    array = np.ascontiguousarray(values)
    content = array.data if array.dtype.kind in "biuf" else repr(values).encode()
    return f"digest {array.shape} {hashlib.blake2b(content, digest_size=16).hexdigest()}"


def _read(fingerprint: object) -> dict[str, str]:
    try:
        given = np.asarray(fingerprint)
        if given.dtype.kind not in "iu" or (given != given.astype(np.uint8)).any():
            raise ValueError("it must be bytes")
        found = json.loads(given.astype(np.uint8).tobytes())
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"the state is damaged: its entry 'network' cannot be read ({error})") from error
    if not isinstance(found, dict):
        raise InputError("the state is damaged: its entry 'network' is no description of a network")
    return found
