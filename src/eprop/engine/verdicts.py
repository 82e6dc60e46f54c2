"""Judge what a run came to: voltages, losses and weights that are no numbers stop it on all ranks, silence is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from eprop.engine.state import Lanes
from eprop.errors import Status, check_status
from eprop.kernels import layout as lay
from eprop.models import Neuron

if TYPE_CHECKING:
    from eprop.engine.arrays import Arrays

# No neuron means such a voltage (mV): the run has diverged, though its numbers are still finite.
LARGEST_VOLTAGE = 1e9


def check_voltages(arrays: Arrays, where: str, loss: float) -> None:
    """Stop with advice when a voltage is no longer a number, or beyond all sense."""
    neurons, status = arrays.neurons, Status.OK
    if not (np.isfinite(neurons.state).all() and np.isfinite(neurons.y).all() and np.isfinite(loss)):
        status = Status.NOT_FINITE
    elif max((np.abs(v).max() for v in (*_voltages(arrays), neurons.y) if v.size), default=0.0) > LARGEST_VOLTAGE:
        status = Status.EXPLODED
    check_status(arrays.ranks.agree(status), where)


def check_finite(arrays: Arrays, where: str) -> None:
    """Stop with advice when a voltage or weight is no longer a number."""
    check_voltages(arrays, where, 0.0)
    check_weights(arrays, where)


def check_weights(arrays: Arrays, where: str) -> None:
    """Stop with advice when a weight is no longer a number."""
    finite = np.isfinite(arrays.synapses.weight.sum())
    check_status(arrays.ranks.agree(Status.OK if finite else Status.WEIGHT_NOT_FINITE), where)


def check_losses(losses: np.ndarray, y: np.ndarray) -> None:
    """Stop and name the first sample whose loss is no longer a number, or the outputs where no loss tells of them."""
    if not np.all(np.isfinite(losses)):
        check_status(Status.NOT_FINITE, f"sample {int(np.argmin(np.isfinite(losses)))}")
    largest = max(y.max(initial=0.0), -y.min(initial=0.0))
    if not largest <= LARGEST_VOLTAGE:  # NaN included
        check_status(Status.EXPLODED if largest > LARGEST_VOLTAGE else Status.NOT_FINITE, "samples")


def check_lanes(arrays: Arrays, losses: np.ndarray, lanes: Lanes, y: np.ndarray) -> None:
    """As `check_voltages`, of samples side by side; a sample whose voltages are no numbers has no loss.

    Lanes that these samples did not need hold what another call has left there.
    """
    check_losses(losses, y)
    status = Status.OK if np.isfinite(lanes.state[: losses.size]).all() else Status.NOT_FINITE
    check_status(arrays.ranks.agree(status), "samples")


def check_silence(arrays: Arrays, spikes: np.ndarray) -> None:
    """Warn with advice if no neuron spiked; rate regularisation may still wake them up."""
    regularised = any(getattr(p.rule, "c_reg", 0.0) > 0.0 for p in arrays.network.projections)
    if arrays.neurons.psi.size and not spikes.any() and not regularised:
        check_status(Status.SILENT, "train")


def _voltages(arrays: Arrays) -> list[np.ndarray]:
    """Membrane voltages of each population that has some."""
    found = []
    for p in arrays.network.populations:
        lo, hi = arrays.built.topology.populations[p.index, [lay.POP_LO, lay.POP_HI]]
        if isinstance(p.model, Neuron) and "v" in p.model.state_rows:
            found.append(arrays.neurons.state[p.model.state_rows.index("v"), lo:hi])
    return found
