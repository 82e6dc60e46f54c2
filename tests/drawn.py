"""Data of pictures: metrics of runs, activity of a sample, networks, spikes, synapses that moved."""

from __future__ import annotations

from typing import Any

import numpy as np

import eprop as ep
from eprop.plot.moved_synapses import SynapseCounts
from eprop.plot.records import Activity


def line_of(samples: int, epoch: int = 1, **values: float | None) -> dict[str, Any]:
    """A report of the metrics."""
    return {"samples": samples, "epoch": epoch, **values}


def lines(rule: str = "eprop", n: int = 30) -> list[dict]:
    """Metrics of a run as its folder keeps them; e-prop+ knows no errors in training."""
    error = np.linspace(0.9, 0.0, n) if rule == "eprop" else [None] * n
    out = [line_of(10 * i + 10, 1 + i // 10, loss=1000.0 / (i + 1), error=error[i]) for i in range(n)]
    for line in out[9::10]:
        line |= {"validation_error": 0.1, "validation_loss": 200.0}
    return out


def ended(error: float) -> dict:
    """Summary of a finished trial."""
    return {
        "test_error": error, "test_error_sigma": 0.01, "test_loss": 100.0, "samples_learned": 300, "train_samples": 100,
        "epochs": 3,
    }  # fmt: skip


def times(factor: float, metrics: list[dict]) -> list[dict]:
    """Metrics with errors and losses of another trial."""
    names = {"error", "loss", "validation_error", "validation_loss"}
    return [{k: factor * v if k in names and v is not None else v for k, v in line.items()} for line in metrics]


def ten_steps(readouts: int, softmax: bool = False, label: str = "", scale: float = 1.0) -> Activity:
    """Activity of ten steps, the errors of which count in the last five."""
    at, window = np.arange(1.0, 11.0), np.repeat([0.0, 1.0], 5)
    target = np.outer(np.sin(at), np.arange(1, readouts + 1))
    y, none, neurons = scale * target, (np.zeros(0), np.zeros(0, int)), np.zeros((10, 2))
    return Activity(
        at, none, none, 3, 2, neurons, neurons, neurons, y, target, window[:, None] * (y - target), window, softmax,
        neurons, label,
    )  # fmt: skip


def two_layers() -> ep.Network:
    """Excitatory and inhibitory neurons, a second layer, two readouts, feedback to both layers."""
    net = ep.Network(seed=1)
    x = net.add(ep.EventSource(), 20, "input")
    exc, inh = net.add(ep.LIF(), 80, "excitatory"), net.add(ep.ALIF(), 20, "inhibitory")
    top = net.add(ep.LIF(), 30, "second layer")
    out, other = net.add(ep.Readout(), 2, "out"), net.add(ep.Readout(), 1, "other")
    rule = ep.EPropPlus()
    net.connect(x, exc, weight=ep.Uniform(0.0, 0.2), rule=rule)
    net.connect(x, inh, ep.Bernoulli(0.1), weight=0.1)
    net.connect(exc, exc, ep.FixedIndegree(10), weight=0.1, rule=rule)
    net.connect(exc, inh, weight=0.1)
    net.connect(inh, exc, weight=-0.4)
    net.connect(exc, top, ep.FixedOutdegree(3), rule=ep.STDP())
    net.connect(top, out, rule=rule)
    net.connect(exc, other, rule=rule)
    net.feedback(out, top)
    net.feedback(out, exc, ep.RandomFeedback())
    return net


def spikes() -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], dict[str, int]]:
    """Spikes of two populations, and their sizes."""
    found = {"e": (np.array([1.0, 5.0, 9.0]), np.array([0, 3, 9])), "i": (np.array([2.0]), np.array([1]))}
    return found, {"e": 10, "i": 4}


def constants() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Constants of neurons before and after they learn."""
    tau = np.full(40, 200.0), np.geomspace(50.0, 5000.0, 40)
    return {"rec.tau_adapt": tau, "rec.v_th": (np.ones(40), np.linspace(0.9, 1.1, 40))}


def moved() -> dict[str, SynapseCounts]:
    """Synapses of sources that are pixels, and of others."""
    before, after = np.arange(24), np.arange(24)[::-1]
    return {"in->rec": SynapseCounts(before, after, (3, 4)), "rec->rec": SynapseCounts(before, after)}
