"""How far e-prop's gradient is from that of backpropagation through time, for each kind of weights."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from eprop.engine import Samples
from eprop.errors import InputError
from eprop.network import Projection
from eprop.reference.backpropagation import backpropagate
from eprop.reference.time_driven import TimeDriven

#: Kinds of weights: onto neurons from sources, onto neurons from neurons, onto readouts.
INPUT, RECURRENT, READOUT = KINDS = ("input", "recurrent", "readout")


@dataclass(frozen=True, eq=False)
class GradientAngle:
    """Between the gradients of a mini-batch; ``each`` between those of its samples.

    Attributes
    ----------
    cosine : float
        1: one direction, 0: unrelated; NaN if a gradient is zero.
    size : float
        Length of e-prop's gradient in units of backpropagation's.
    each : ndarray, shape (samples,)
        Degrees.
    """

    cosine: float
    size: float
    each: np.ndarray

    @property
    def degrees(self) -> float:
        """The angle."""
        return math.degrees(math.acos(self.cosine))


def gradient_angles(network: TimeDriven, samples: Samples) -> dict[str, GradientAngle]:
    """Angles between e-prop's gradient of the loss and backpropagation's, with the present weights, from rest.

    Without rate regularisation, which both rules would have in common, and with the decay of the readouts for ``kappa``.

    Parameters
    ----------
    network : TimeDriven
    samples : Samples

    Returns
    -------
    dict
        Of each of `KINDS` that the network has weights of.

    Raises
    ------
    InputError
        If ``samples`` are no `Samples`.
    """
    if not isinstance(samples, Samples):
        raise InputError(f"gradient_angles takes Samples (see Simulator.samples), got {type(samples).__name__}")
    kinds = np.concatenate(
        [np.full(network.connections(p.name)[0].size, kind_of(p)) for p in network.network.projections]
    )
    found = [backpropagate(network, samples, i) for i in range(len(samples))]
    eprop, bptt = (np.stack([getattr(f, name) for f in found]) for name in ("eprop", "gradient"))
    return {kind: _angle(eprop[:, kinds == kind], bptt[:, kinds == kind]) for kind in KINDS if kind in kinds}


def kind_of(projection: Projection) -> str:
    """Kind of a projection's weights."""
    if projection.post.model.role == "readout":
        return READOUT
    return INPUT if projection.pre.model.role == "source" else RECURRENT


def _angle(a: np.ndarray, b: np.ndarray) -> GradientAngle:
    """Of gradients of shape (samples, weights)."""
    each = np.degrees(np.arccos([_cosine(x, y) for x, y in zip(a, b, strict=True)]))
    a, b = a.sum(axis=0), b.sum(axis=0)
    length = float(np.linalg.norm(b))
    return GradientAngle(_cosine(a, b), float(np.linalg.norm(a)) / length if length > 0.0 else math.nan, each)


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    size = np.linalg.norm(a) * np.linalg.norm(b)
    return float(np.clip(a @ b / size, -1.0, 1.0)) if size > 0.0 else math.nan
