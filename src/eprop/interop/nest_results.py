"""Results of NEST: simulate a session and read its recorders, in the layout of the engine's own results."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse

from eprop.engine import Samples
from eprop.engine.build.neurons import present_neurons
from eprop.interop.nest_session import Session
from eprop.models import Readout
from eprop.models.adaptation import Adaptive
from eprop.models.membrane import Membrane
from eprop.network import Population, Projection


@dataclass
class NestResult:
    """Results of NEST, in the layout of the engine's own results.

    Attributes
    ----------
    v : dict of (steps, size), mV; from `NestNetwork.train`: (samples, steps - 1, size)
    threshold : dict of the same shapes, mV; for adaptive neurons
    spikes : dict of the same shapes, bool
    y : dict of (steps, size) or (samples, steps, size), mV
    loss : (steps,) or (samples,)
    weights : dict of (steps, connections) or (batches + 1, connections)
        Weights with which spikes arrived in a step, or during a batch, in the order of `Simulator.connections`. NaN
        without an arrival, since NEST shows a weight only at a spike. Row ``b`` of a training is after ``b`` updates.
    final_weights : dict of scipy.sparse.csr_matrix, shape (targets, sources), mV
        The last weight of each connection that NEST showed, or the initial weight if no spike arrived.
    seconds : (batches,)
        From a training: wall clock time of each batch, without the time to build the network. NEST's optimiser step happens
        when spikes arrive after the update, so the time of a batch includes some work of the batch before.
    """

    v: dict[str, np.ndarray] = field(default_factory=dict)
    threshold: dict[str, np.ndarray] = field(default_factory=dict)
    spikes: dict[str, np.ndarray] = field(default_factory=dict)
    y: dict[str, np.ndarray] = field(default_factory=dict)
    loss: np.ndarray = field(default_factory=lambda: np.zeros(0))
    weights: dict[str, np.ndarray] = field(default_factory=dict)
    final_weights: dict[str, scipy.sparse.csr_matrix] = field(default_factory=dict)
    seconds: np.ndarray = field(default_factory=lambda: np.zeros(0))


def run_of(session: Session) -> NestResult:
    """Simulate one continuous run."""
    (samples,) = session.batches
    if session.held:
        session.release()
    session.nest.Simulate((session.n_steps + 1 + (0 if session.held else session.first)) * session.dt)
    out = _activity(session)
    out.loss = _losses(session, {name: y[None] for name, y in out.y.items()}, samples)[0]
    for p in _plastic(session):
        steps, synapses, weights = _weights(session, p)
        _show_weights(out, session, p, session.n_steps, (steps, synapses), weights)
    return out


def training_of(session: Session, batches: Sequence[Samples]) -> NestResult:
    """Simulate batch after batch; the session may hold one more than the results show."""
    n, length = sum(map(len, batches)), session.length
    seconds = _simulate(session, [len(batch) * length for batch in batches])
    out = _activity(session)
    for part in (out.v, out.threshold, out.spikes, out.y):
        part |= {name: values[: n * length].reshape(n, length, -1) for name, values in part.items()}
    for p, _ in session.readouts:
        leak = np.array([m.e_l for m in present_neurons(session.simulator, p)])
        start = np.broadcast_to(leak, (n, 1, p.size))
        out.y[p.name] = np.concatenate([start, out.y[p.name]], axis=1)
    begin, losses = 0, []
    for batch in batches:
        own = {name: y[begin : begin + len(batch)] for name, y in out.y.items()}
        losses.append(_losses(session, own, batch).sum(axis=1))
        begin += len(batch)
    out.loss, out.seconds = np.concatenate(losses), seconds
    for projection in _plastic(session) if session.record else []:
        steps, synapses, weights = _weights(session, projection)
        # Spikes that arrive in the first step of a sample still show the old weight: drop them.
        counts = steps % length > 0
        where = steps[counts] // (length * len(batches[0])), synapses[counts]
        _show_weights(out, session, projection, len(batches) + 1, where, weights[counts])
    return out


def _simulate(session: Session, steps: list[int]) -> np.ndarray:
    """Simulate in parts of the given numbers of steps, then the rest; return the wall clock time of the parts."""
    session.nest.Simulate(session.first * session.dt)
    seconds = np.zeros(len(steps))
    for part, count in enumerate(steps):
        began = time.perf_counter()
        session.nest.Simulate(count * session.dt)
        seconds[part] = time.perf_counter() - began
    session.nest.Simulate((session.n_steps - sum(steps) + 2) * session.dt)
    return seconds


def _activity(session: Session) -> NestResult:
    """Voltages, thresholds, spikes and outputs of all steps."""
    out = NestResult()
    for p in session.network.populations:
        if isinstance(p.model, Membrane) and session.record:
            out.v[p.name] = _dense(session, p, "v", "V_m")
            if isinstance(p.model, Adaptive):
                out.threshold[p.name] = _dense(session, p, "v", "V_th_adapt")
            out.spikes[p.name] = _dense(session, p, "spikes", None) > 0.0
        elif isinstance(p.model, Readout):
            # In NEST's samples, too, outputs come one step after the spikes.
            out.y[p.name] = _dense(session, p, "v", "V_m", 1 if session.suffix else 0)
    return out


def _dense(session: Session, p: Population, what: str, key: str | None, late: int = 0) -> np.ndarray:
    """Recorded values, or ones for spikes; (steps, size)."""
    events = session.recorders[p.name, what].events
    steps = np.rint(events["times"] / session.dt).astype(np.int64) - 1 - session.first - late
    # Without spikes, NEST returns an empty list without a type.
    nodes = np.asarray(events["senders"], np.int64) - session.nodes[p.name][0].global_id
    inside = (steps >= 0) & (steps < session.n_steps)
    out = np.zeros((session.n_steps, p.size))
    out[steps[inside], nodes[inside]] = 1.0 if key is None else events[key][inside]
    return out


def _plastic(session: Session) -> list[Projection]:
    return [p for p in session.network.projections if p.rule.plastic]


def _weights(session: Session, p: Projection) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Step, synapse and weight of every arrival."""
    if (p.name, "weight") not in session.recorders:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    sources, targets, _ = session.simulator.connections(p.name)
    events = session.recorders[p.name, "weight"].events
    late = 1 if session.suffix and isinstance(p.post.model, Readout) else 0
    steps = np.rint(events["times"] / session.dt).astype(np.int64) - session.first - late
    pre = events["senders"] - session.nodes[p.pre.name][0].global_id
    post = events["targets"] - session.nodes[p.post.name][0].global_id
    synapses = np.searchsorted(targets * p.pre.size + sources, post * p.pre.size + pre)
    inside = (steps >= 0) & (steps < session.n_steps)
    return steps[inside], synapses[inside], events["weights"][inside]


def _show_weights(
    out: NestResult,
    session: Session,
    p: Projection,
    rows: int,
    where: tuple[np.ndarray, np.ndarray],
    values: np.ndarray,
) -> None:
    """Write recorded weights to their rows, and the last weight of each connection."""
    sources, targets, weights = session.simulator.connections(p.name)
    shown = out.weights[p.name] = np.full((rows, sources.size), np.nan)
    shown[where] = values
    for row in shown:
        weights = np.where(np.isnan(row), weights, row)
    out.final_weights[p.name] = scipy.sparse.csr_matrix((weights, (targets, sources)), shape=(p.post.size, p.pre.size))


def _losses(session: Session, y: dict[str, np.ndarray], samples: Samples) -> np.ndarray:
    """Loss of each step of all samples, from the outputs of readouts that have a target; (n, steps)."""
    total = np.zeros((len(samples), samples.n_steps))
    for k, (p, columns) in enumerate(session.readouts):
        aim = samples.target[:, :, columns]
        if not np.isnan(aim).any():
            total += samples.window[:, :, k] * _loss(p.model.loss.softmax, y[p.name], aim)  # type: ignore[attr-defined]
    return total


def _loss(softmax: bool, y: np.ndarray, target: np.ndarray) -> np.ndarray:
    """``0.5 sum (y - y*)^2`` or ``-sum y* log softmax(y)`` of each step."""
    if not softmax:
        return np.asarray(0.5 * np.sum((y - target) ** 2, axis=2))
    shifted = y - y.max(axis=2, keepdims=True)
    return np.asarray(-np.sum(target * (shifted - np.log(np.exp(shifted).sum(axis=2, keepdims=True))), axis=2))
