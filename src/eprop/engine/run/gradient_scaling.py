"""What gradients of e-prop are averaged over: a batch, and where the rule says so, the learning window of each sample."""

from __future__ import annotations

import numpy as np

from eprop.engine.run.samples import Samples
from eprop.engine.state.arrays import Arrays


def batch_scale(arrays: Arrays, samples: Samples) -> np.ndarray:
    """Per delay group: mean over the batch; also over the learning window, that of the first sample, where the rule says so."""
    return np.where(_averaged(arrays), 1.0 / len(samples) / _lengths(samples)[0], 1.0 / len(samples))


def sample_scales(arrays: Arrays, samples: Samples, index: np.ndarray) -> np.ndarray:
    """Of samples ``index``, per delay group, what gradients are multiplied with as they are added up (samples, groups).

    That is the unit of readouts, and how much longer the window of the first sample is, over which all are averaged together.
    """
    lengths = np.broadcast_to(_lengths(samples), len(samples))
    shares = np.where(_averaged(arrays), (lengths[0] / lengths[index])[:, None], 1.0)
    dtype = arrays.built.weight.dtype  # numbers of the type of a synapse
    scales = arrays.built.topology.groups["input_scale"].astype(dtype) * shares.astype(dtype)
    return np.ascontiguousarray(scales, np.float64)


def rollout_scales(arrays: Arrays, n: int, n_steps: int) -> tuple[np.ndarray, np.ndarray]:
    """As `sample_scales` and `batch_scale`, of ``n`` streams and a rollout without a window: all its steps count."""
    averaged = _averaged(arrays)
    scales = np.tile(arrays.built.topology.groups["input_scale"].astype(np.float64), (n, 1))
    return scales, np.where(averaged, 1.0 / n / n_steps, 1.0 / n)


def _averaged(arrays: Arrays) -> np.ndarray:
    """Per delay group: whether its gradients are averaged over the learning window."""
    rules = [arrays.network.projections[k].rule for k in arrays.built.topology.groups["projection"]]
    return np.array([getattr(rule, "average_gradient", False) for rule in rules], np.bool_)


def _lengths(samples: Samples) -> np.ndarray:
    """Steps of each learning window, or of the one for all samples; 1 where it is never open.

    A step counts as much as its weight, whatever the sign; of several readout populations the longest window counts.
    """
    lengths = np.abs(samples.window).sum(axis=1).max(axis=1)
    return np.where(lengths == 0.0, 1.0, lengths)
