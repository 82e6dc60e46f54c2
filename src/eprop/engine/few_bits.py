"""Round the weights of a trained network to few bits, and measure what is lost."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from eprop.engine.run.samples import Samples
from eprop.engine.simulator import Simulator
from eprop.errors import InputError
from eprop.markup import table
from eprop.network import FixedPoint
from eprop.parameters import brief


@dataclass(frozen=True, eq=False, repr=False)
class Quantised:
    """A network with rounded weights, and what the rounding has changed.

    Attributes
    ----------
    simulator : Simulator
        A copy of the network with rounded weights.
    formats : dict of FixedPoint
        Bits and scale of each projection; ``formats[name].levels(weights)`` are the whole numbers.
    errors : dict of float
        Root mean square change of the weights of each projection, relative to the root mean square weight.
    saturated : dict of int
        Weights of each projection beyond the largest level.
    losses : tuple of float, or None
        Mean loss of a sample before and after, if samples were given.
    """

    simulator: Simulator
    formats: dict[str, FixedPoint]
    errors: dict[str, float]
    saturated: dict[str, int]
    losses: tuple[float, float] | None = None

    def __repr__(self) -> str:
        parts = [f"{name} {100 * error:.2g} %" for name, error in self.errors.items()]
        loss = "" if self.losses is None else "; loss of a sample {:.4g} -> {:.4g}".format(*self.losses)
        bits = sorted({one.bits for one in self.formats.values()})
        return f"Quantised({', '.join(map(str, bits))} bits; change of weights: {', '.join(parts) or 'none'}{loss})"

    def _repr_html_(self) -> str:
        """Table of projections, for notebooks."""
        rows = [
            (name, one.bits, f"{one.level:.4g}", f"{100 * self.errors[name]:.3g} %", self.saturated[name])
            for name, one in self.formats.items()
        ]
        shown = table("Quantised", rows, ("projection", "bits", "scale", "change of weights", "saturated"))
        if self.losses is None:
            return shown
        return shown + table("Loss of a sample", [("before", self.losses[0]), ("after", self.losses[1])])


def quantise(
    simulator: Simulator,
    bits: int,
    samples: Samples | None = None,
    *,
    scale: float | Mapping[str, float] | None = None,
) -> Quantised:
    """Round all weights of a network to the nearest of ``2^bits - 1`` levels, one scale for each projection.

    Parameters
    ----------
    simulator : Simulator
        Does not change.
    bits : int
        2 to 16, with the sign.
    samples : Samples, optional
        Also evaluate these samples before and after.
    scale : float, or mapping of str to float, optional
        Weight of a level, mV or pA, of all projections or by their names. The default is the scale with the smallest mean square
        error.

    Returns
    -------
    Quantised
        Its ``simulator`` has the rounded weights; signs and bounds of the rules still hold.

    Raises
    ------
    ParameterError
        If ``bits`` is not a whole number from 2 to 16, or a scale is not a number > 0.
    InputError
        If ``simulator`` is no simulator, is on several ranks or has weights of few bits already, or ``scale`` names another
        projection.

    Examples
    --------
    >>> rounded = ep.quantise(run.simulator, 4, samples)
    >>> rounded.losses, rounded.formats["in->rec"].scale
    """
    if not isinstance(simulator, Simulator):
        raise InputError(
            f"quantise takes a Simulator, got {type(simulator).__name__}; of a run it is ep.load(path).simulator"
        )
    if simulator.comm.size > 1:
        raise InputError(
            f"quantise rounds a copy, and a simulator on {simulator.comm.size} ranks cannot be copied; give its state() to "
            "set_state() of a simulator on one process, and round that"
        )
    FixedPoint(bits)  # checks the bits before all else
    if simulator.formats:
        raise InputError(
            f"quantise rounds trained weights; those of {', '.join(simulator.formats)} have few bits already, see "
            "Simulator.formats"
        )
    names = [p.name for p in simulator.network.projections]
    if isinstance(scale, Mapping) and (unknown := sorted(set(scale) - set(names))):
        raise InputError(f"quantise: scale names {brief(unknown[0])}; the projections are: {', '.join(names)}")
    rounded = Quantised(copy.copy(simulator), {}, {}, {})
    for p in simulator.network.projections:
        given = scale.get(p.name) if isinstance(scale, Mapping) else scale
        weights = simulator.connections(p)[2]
        one = FixedPoint.closest(bits, weights) if given is None else FixedPoint(bits, given)
        values = one.rounded(weights, *p.rule.bounds)
        rounded.simulator.set_weights(p, values)
        size = float(np.square(weights).sum())
        rounded.formats[p.name], rounded.saturated[p.name] = one, one.saturated(weights)
        rounded.errors[p.name] = float(np.sqrt(np.square(values - weights).sum() / size)) if size else 0.0
    if samples is None:
        return rounded
    before, after = (float(one.evaluate(samples).loss.mean()) for one in (simulator, rounded.simulator))
    return Quantised(rounded.simulator, rounded.formats, rounded.errors, rounded.saturated, (before, after))
