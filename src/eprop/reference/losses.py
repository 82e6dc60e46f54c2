"""What the outputs of readouts are compared with."""

from __future__ import annotations

from typing import Any

import numpy as np

from eprop.models import CrossEntropy, SquaredError
from eprop.reference.neurons import Array


def softmax(y: Array) -> Array:
    """Softmax over the last axis."""
    p = np.exp(y - y.max(axis=-1, keepdims=True))
    return np.asarray(p / p.sum(axis=-1, keepdims=True))


def compare(loss: Any, y: Array, target: Array) -> tuple[Array, float]:
    """Error signals of one step, which are the derivative of the loss with respect to the outputs, and the loss.

    ``y - target`` and ``0.5 sum_k (y_k - y*_k)^2``, or ``softmax(y) - target`` and ``-sum_k y*_k log softmax(y)_k``.
    """
    match None if loss.in_python else loss:  # a derived class may have a method of its own
        case SquaredError():
            return y - target, float(0.5 * np.sum((y - target) ** 2))
        case CrossEntropy():
            shifted = y - np.max(y)
            return softmax(y) - target, float(-np.sum(target * (shifted - np.log(np.exp(shifted).sum()))))
    errors, value = loss.compare(y, target)
    return np.asarray(errors), float(value)
