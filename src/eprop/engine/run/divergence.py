"""Divergence checks: voltages, losses and weights that are no numbers stop a run on all ranks; silence is warned of."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from eprop.engine.state.arrays import Arrays
from eprop.errors import Status, check_status

# No neuron means such a voltage (mV): the run has diverged, though its numbers are still finite.
LARGEST_VOLTAGE = 1e9


def check_voltages(arrays: Arrays, where: str, loss: float) -> None:
    """Stop with advice when a voltage is no longer a number, or beyond all sense."""
    status = arrays.stream.divergence()
    if status != Status.NOT_FINITE and not math.isfinite(loss):
        status = Status.NOT_FINITE
    if status or arrays.exchange.several:
        check_status(arrays.exchange.worst(status), where)


def check_weights(arrays: Arrays, where: str, finite: bool) -> None:
    """Stop with advice when a weight is no longer a number on some rank; ``finite``: those of this one are."""
    if not finite or arrays.exchange.several:
        check_status(arrays.exchange.worst(Status.OK if finite else Status.WEIGHT_NOT_FINITE), where)


def check_losses(losses: np.ndarray, y: np.ndarray) -> None:
    """Stop and name the first sample whose loss is no longer a number, or the outputs where no loss tells of them."""
    if not np.all(np.isfinite(losses)):
        check_status(Status.NOT_FINITE, f"sample {int(np.argmin(np.isfinite(losses)))}")
    largest = max(y.max(initial=0.0), -y.min(initial=0.0))
    if not largest <= LARGEST_VOLTAGE:  # NaN included
        check_status(Status.EXPLODED if largest > LARGEST_VOLTAGE else Status.NOT_FINITE, "samples")


def check_batch(arrays: Arrays, losses: np.ndarray, batch: Any, y: np.ndarray) -> None:
    """As `check_voltages`, of samples side by side; a sample whose voltages are no numbers has no loss.

    Sample slots that these samples did not need hold what another call has left there.
    """
    check_losses(losses, y)
    status = Status.OK if batch.finite(min(losses.size, batch.slots)) else Status.NOT_FINITE
    check_status(arrays.exchange.worst(status), "samples")


def check_silence(arrays: Arrays, spikes: np.ndarray) -> None:
    """Warn with advice if no neuron spiked; rate regularisation may still wake them up."""
    regularised = any(getattr(p.rule, "c_reg", 0.0) > 0.0 for p in arrays.network.projections)
    if arrays.built.n_neurons and not spikes.any() and not regularised:
        check_status(Status.SILENT, "train")
