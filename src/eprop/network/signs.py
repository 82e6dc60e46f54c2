"""Signs of synapses: Dale's law, by which all synapses of a source have its sign, or each synapse with a sign of its own."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from eprop import random
from eprop.errors import NetworkError
from eprop.network.distributions import Array, Distribution, Glorot
from eprop.network.parts import Population, Projection
from eprop.parameters import brief, param, refuse_masks, short
from eprop.rules import PairRule

#: By the sign of the source, or by that of the initial weight.
SOURCE, FIXED = "source", "fixed"

Signs = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Balanced(Distribution):
    """Weights whose excitation and inhibition cancel on average, for ``connect(..., sign="source")``.

    The absolute values of another distribution, times ``sqrt((1 - f) / f)`` from excitatory and ``sqrt(f / (1 - f))`` from
    inhibitory sources, with the share ``f`` of excitatory sources. If both fire at the same rate, the mean input is 0, and its
    variance is that of the other distribution (van Vreeswijk and Sompolinsky 1996).

    Examples
    --------
    >>> Balanced(Glorot(0.5))
    Balanced(values=Glorot(gain=0.5))
    """

    values: Distribution = param(Glorot(), kind=Distribution, doc="distribution of the absolute values")

    def draw(  # noqa: D102
        self, lo: int, hi: int, indptr: np.ndarray, fan: tuple[float, float], seed: int
    ) -> np.ndarray:
        return self.values.drawn("Balanced", lo, hi, indptr, fan, seed)


def signs_of_nodes(name: str, excitatory: object, size: int, seed: int) -> Signs:
    """Signs of the nodes of a population, (size,): 1 excitatory, -1 inhibitory.

    Parameters
    ----------
    name : str
    excitatory : float, bool or array of bool
        Share of excitatory nodes, whose number is rounded to a whole one and which are drawn; or which nodes they are.
    size : int
    seed : int
        Seed of the network and the population.

    Raises
    ------
    NetworkError
        If ``excitatory`` is something else, or a share lies outside 0 to 1.
    """
    if isinstance(excitatory, (bool, np.bool_, numbers.Real)):
        return _drawn_signs(name, float(excitatory), size, seed)
    refuse_masks(f"{name}: excitatory", excitatory, NetworkError)
    given = np.asarray(excitatory)
    if given.dtype != np.bool_ or given.shape != (size,):
        raise NetworkError(
            f"{name}: excitatory must be a share from 0 to 1, or {size} truth values, one for each node, got "
            f"{brief(excitatory)}"
        )
    return _readonly(np.where(given, 1, -1).astype(np.int8))


def _drawn_signs(name: str, share: float, size: int, seed: int) -> Signs:
    if not 0.0 <= share <= 1.0:
        raise NetworkError(
            f"{name}: excitatory is the share of excitatory nodes and must lie in 0..1, got {share:g}; 1 makes all nodes "
            "excitatory, 0 inhibitory"
        )
    number = round(share * size)
    if number in (0, size):
        return np.broadcast_to(np.int8(1 if number else -1), (size,))
    signs: Signs = np.full(size, -1, np.int8)
    signs[random.permutation(seed, random.SHUFFLE, 0, size)[:number]] = 1
    return _readonly(signs)


def _readonly(signs: Signs) -> Signs:
    signs.setflags(write=False)
    return signs


def check_sign(p: Projection) -> None:
    """Check the argument ``sign`` of `Network.connect`, before anything is drawn.

    Raises
    ------
    NetworkError
        If the word is unknown, sources have no sign, or weights or rule contradict the signs.
    """
    name, sign, pre, weight, rule = p.name, p.sign, p.pre, p.weight, p.rule
    if sign not in (None, SOURCE, FIXED):
        raise NetworkError(
            f'{name}: sign must be "source" (all synapses of a source have its sign) or "fixed" (each keeps the sign of its '
            f"initial weight), got {brief(sign)}"
        )
    if isinstance(weight, Balanced) and (
        sign != SOURCE or pre.signs is None or abs(pre.signs.sum(dtype=int)) == pre.size
    ):
        raise NetworkError(
            f'{name}: Balanced weights need sign="source" and a population with both signs: '
            f"net.add(..., {pre.name!r}, excitatory=0.8)"
        )
    if sign != SOURCE:
        return
    if pre.signs is None:
        raise NetworkError(
            f'{name}: sign="source" needs the signs of {pre.name!r}: net.add(..., {pre.name!r}, excitatory=0.8) for 80 % '
            "excitatory nodes, 1 for excitatory ones only, 0 for inhibitory ones"
        )
    if isinstance(rule, PairRule) and (pre.signs < 0).any():
        raise NetworkError(
            f"{name}: {type(rule).__name__} keeps weights in 0..w_max, but {pre.name!r} has inhibitory nodes, whose weights are "
            "negative: give inhibitory nodes a population of their own, with another rule"
        )
    if not isinstance(weight, Array) and weight.ends[0] < 0.0 >= weight.ends[1] and (pre.signs > 0).any():
        raise NetworkError(
            f"{name}: {short(weight)} is negative, but {pre.name!r} has excitatory nodes; give positive values: inhibitory nodes "
            "take them with a minus"
        )


def ends_of_weights(sign: object, pre: Population, weight: Distribution | Array) -> tuple[float, float]:
    """Lowest and highest possible weight of a projection with this argument ``sign``."""
    low, high = weight.ends
    if sign != SOURCE or pre.signs is None or isinstance(weight, Array):
        return low, high
    largest = math.inf if isinstance(weight, Balanced) else max(abs(low), abs(high))
    return -largest if (pre.signs < 0).any() else 0.0, largest if (pre.signs > 0).any() else 0.0


def signed_constants(p: Projection, value: float) -> list[float]:
    """Initial weights of a projection whose weights are all ``value``: with each sign that its sources have."""
    return [sign * abs(value) for sign in sign_classes(p)] if p.sign == SOURCE else [value]


def signed_weights(p: Projection, sources: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Initial weights: drawn values with the signs of their ``sources``; given weights, if they have the signs.

    Raises
    ------
    NetworkError
        If a given weight has not the sign of its source, or a distribution draws a value beyond its ends.
    """
    if p.sign == FIXED and len(classes := sign_classes(p)) == 1:
        _check_sign_of_each(p, np.full(values.size, classes[0]), values, f"{short(p.weight)} says that it is")
    if p.sign != SOURCE:
        return values
    signs, share = _of_nodes(p)[sources], float((_of_nodes(p) > 0).mean())
    if isinstance(p.weight, Array):
        _check_sign_of_each(p, signs, values, "its source is", sources)
        return np.copysign(values, signs)
    size = np.abs(values)
    if isinstance(p.weight, Balanced):
        size *= np.where(signs > 0, math.sqrt((1.0 - share) / share), math.sqrt(share / (1.0 - share)))
    return np.copysign(size, signs)


def _check_sign_of_each(
    p: Projection, signs: Any, values: np.ndarray, by: str, sources: np.ndarray | None = None
) -> None:
    if (wrong := np.flatnonzero(signs * values < 0.0)).size:
        at = wrong[0]
        node = "" if sources is None else f" from node {sources[at]} of {p.pre.name!r}"
        kind = "excitatory" if signs[at] > 0 else "inhibitory"
        raise NetworkError(
            f"{p.name}: a weight{node} is {values[at]:g} {p.weight_unit}, but {by} {kind}; give weights of the right sign, "
            'or a distribution, which takes the signs of the sources, or sign="fixed"'
        )


def sign_classes(p: Projection) -> tuple[int, ...]:
    """Signs that synapses of a projection may have, 1 before -1; (0,) if a weight may have any sign at any time."""
    if p.sign is None:
        return (0,)
    if p.sign == SOURCE:
        return tuple(sign for sign in (1, -1) if (_of_nodes(p) == sign).any())
    (low, high), (w_min, w_max) = p.weight.ends, p.rule.bounds
    if low < 0.0 >= min(high, w_max):
        return (-1,)
    has_zeros = isinstance(p.weight, Array) and w_min < 0.0 and bool(np.signbit(p.weight.values).any())  # -0.0
    return (1,) if max(low, w_min) >= 0.0 and not has_zeros else (1, -1)


def signs_of_synapses(p: Projection, sources: np.ndarray, weights: np.ndarray) -> Signs:
    """Signs of some synapses of a projection with ``sign``, from their sources and initial weights.

    A zero is inhibitory if no weight may be positive; otherwise it has the sign of its bit, so that -0.0 is inhibitory.
    """
    if p.sign == SOURCE:
        return _of_nodes(p)[sources]
    if len(classes := sign_classes(p)) == 1:
        return np.full(sources.size, classes[0], np.int8)
    return np.where(np.signbit(weights), -1, 1).astype(np.int8)


def _of_nodes(p: Projection) -> Signs:
    """Signs of the sources of a projection, which `check_sign` has found."""
    assert p.pre.signs is not None
    return p.pre.signs


def signed_bounds(bounds: tuple[float, float], sign: int) -> tuple[float, float]:
    """Bounds of the weights of a sign. The upper bound of inhibitory ones has their sign, -0.0."""
    low, high = bounds
    if sign > 0:
        return max(low, 0.0), high
    return low, -0.0 if sign < 0 and high >= 0.0 else high
