"""Averaging of e-prop gradients: over the batch and, if the rule says so, over the learning window of each sample."""

from __future__ import annotations

import numpy as np

from eprop.engine.run.samples import Samples
from eprop.engine.state.arrays import Arrays


def batch_scale(arrays: Arrays, samples: Samples) -> np.ndarray:
    """Per delay group: mean over the batch; if the rule says so, also over the learning window of the first sample."""
    return np.where(_averaged(arrays), 1.0 / len(samples) / _lengths(samples)[0], 1.0 / len(samples))


def sample_scales(arrays: Arrays, samples: Samples, index: np.ndarray) -> np.ndarray:
    """Factors of gradients as they are added up, per delay group, for samples ``index`` (samples, groups).

    A factor is the unit of the readouts times the length of the first sample's window relative to the sample's own window.
    """
    lengths = np.broadcast_to(_lengths(samples), len(samples))
    shares = np.where(_averaged(arrays), (lengths[0] / lengths[index])[:, None], 1.0)
    dtype = arrays.built.weight.dtype  # the type of a synapse
    scales = arrays.built.topology.groups["input_scale"].astype(dtype) * shares.astype(dtype)
    return np.ascontiguousarray(scales, np.float64)


def rollout_scales(arrays: Arrays, n: int, n_steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Factors as `sample_scales` and `batch_scale` give, for ``n`` lanes and a rollout, all of whose steps count."""
    averaged = _averaged(arrays)
    scales = np.tile(arrays.built.topology.groups["input_scale"].astype(np.float64), (n, 1))
    return scales, np.where(averaged, 1.0 / n / n_steps, 1.0 / n)


def _averaged(arrays: Arrays) -> np.ndarray:
    """Per delay group: whether its gradients are averaged over the learning window."""
    rules = [arrays.network.projections[k].rule for k in arrays.built.topology.groups["projection"]]
    return np.array([getattr(rule, "average_gradient", False) for rule in rules], np.bool_)


def _lengths(samples: Samples) -> np.ndarray:
    """Length of each learning window in steps, or of the common window; 1 if it is never open.

    A step counts with the absolute value of its weight; with several readout populations the longest window counts.
    """
    lengths = np.abs(samples.window).sum(axis=1).max(axis=1)
    return np.where(lengths == 0.0, 1.0, lengths)
