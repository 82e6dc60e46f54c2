"""What the outputs of the readouts are compared with, and how the errors come back to the neurons."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from eprop.reference.neurons import Array

LOSSES = ("squared_error", "cross_entropy")


def softmax(y: Array) -> Array:
    """Softmax over the last axis."""
    p = np.exp(y - y.max(axis=-1, keepdims=True))
    return np.asarray(p / p.sum(axis=-1, keepdims=True))


def error_signal(kind: str, y: Array, target: Array) -> Array:
    """Derivative of the loss by the outputs of the same step.

    ``y - target`` for the squared error, ``softmax(y) - target`` for the cross-entropy; the shape of ``y``.
    """
    _check(kind)
    return (y if kind == "squared_error" else softmax(y)) - target


def loss(kind: str, y: Array, target: Array, window: Array) -> float:
    """Sum over steps and readouts of ``0.5 (y - y*)^2`` or ``-y* log softmax(y)``, weighted by the learning window.

    ``y`` and ``target`` are [T, K], ``window`` is [T] or, for each readout its own, [T, K].
    """
    _check(kind)
    weight = of_readouts(window)
    if kind == "squared_error":
        return float(0.5 * np.sum(weight * (y - target) ** 2))
    shifted = y - y.max(axis=-1, keepdims=True)
    log_softmax = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return float(-np.sum(weight * target * log_softmax))


def of_readouts(window: Array) -> Array:
    """A learning window [T] or [T, K] as one that multiplies [T, K]."""
    return window[:, None] if window.ndim == 1 else window


def feedback_matrix(feedback: npt.ArrayLike | str, readout_weights: Array) -> Array:
    """Feedback weights [N, K]: those given, or for ``"symmetric"`` the readout weights [K, N] transposed."""
    if isinstance(feedback, str):
        if feedback != "symmetric":
            raise ValueError(f'feedback must be a matrix or "symmetric", got {feedback!r}')
        return readout_weights.T
    return np.asarray(feedback, dtype=float)


def _check(kind: str) -> None:
    if kind not in LOSSES:
        raise ValueError(f"loss must be one of {LOSSES}, got {kind!r}")
