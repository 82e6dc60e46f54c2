"""The description of a network as a few kilobytes of text, which identifies the network of a saved state."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np

from eprop.engine.build.records import Kind
from eprop.errors import InputError
from eprop.network import FixedPoint, Network
from eprop.network.description import describe, text_of
from eprop.rules import EPropPlus

#: End of the keys of scales of weights of few bits.
SCALE = ".precision.scale"


def fingerprint_of(
    network: Network, dtype: type, kinds: tuple[Kind, ...], block_steps: int, formats: Mapping[str, FixedPoint]
) -> np.ndarray:
    """Everything of a network except initial weights and learning rates: (bytes,) uint8, the same on every rank.

    The fingerprint determines the connections: they are drawn from the seed, or a digest stands for given ones. The state of
    an e-prop+ synapse depends on its kind and on the steps of a block, so both are included.
    """
    described = {name: text_of(value) for name, value in describe(network, whole=False).values.items()}
    out = {"precision": np.dtype(dtype).name} | described
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
