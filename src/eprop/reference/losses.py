"""What the outputs of readouts are compared with."""

from __future__ import annotations

import numpy as np

from eprop.models import Loss
from eprop.reference.neurons import Array


def softmax(y: Array) -> Array:
    """Softmax over the last axis."""
    p = np.exp(y - y.max(axis=-1, keepdims=True))
    return np.asarray(p / p.sum(axis=-1, keepdims=True))


def error_signal(loss: Loss, y: Array, target: Array) -> Array:
    """Derivative of the loss with respect to the outputs of the same step: ``y - target``, or ``softmax(y) - target``."""
    return (softmax(y) if loss.softmax else y) - target


def loss_of_step(loss: Loss, y: Array, target: Array) -> float:
    """``0.5 sum_k (y_k - y*_k)^2``, or ``-sum_k y*_k log softmax(y)_k``."""
    if not loss.softmax:
        return float(0.5 * np.sum((y - target) ** 2))
    shifted = y - y.max()
    return float(-np.sum(target * (shifted - np.log(np.exp(shifted).sum()))))
