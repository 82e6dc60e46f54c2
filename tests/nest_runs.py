"""The same run in the engine and in NEST, and how far they are apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import eprop as ep
from eprop.interop.nest import NestResult, to_nest


@dataclass
class Found:
    """NEST's result, the largest deviations of the engine's (loss: relative), and how much there was to compare."""

    theirs: NestResult
    voltage: float
    threshold: float
    output: float
    loss: float
    weight: float
    spikes: int
    compared: int
    different: int
    least: float
    """Smallest range of the compared weights of a projection."""

    def note(self, deviations: Any, row: str, *quantities: str) -> None:
        """For the table; an output is the voltage of a readout."""
        columns = {{"output": "voltage"}.get(q, q): getattr(self, q) for q in quantities}
        deviations.note(row, self.compared, self.spikes, **columns)


def deviation(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.abs(found - wanted).max(initial=0.0))


def compared(theirs: NestResult, ours: NestResult, exact: float = 1e-9) -> Found:
    """Compare all that both know; spikes exactly, weights where NEST shows them, which is where a spike arrives."""
    for name, spikes in theirs.spikes.items():
        np.testing.assert_array_equal(ours.spikes[name], spikes)
    worst = {
        part: max((deviation(getattr(ours, part)[name], v) for name, v in getattr(theirs, part).items()), default=0.0)
        for part in ("v", "threshold", "y")
    }
    pairs = [
        (ours.weights[name][seen], w[seen]) for name, w in theirs.weights.items() if (seen := ~np.isnan(w)) is not None
    ]
    found = Found(
        theirs, worst["v"], worst["threshold"], worst["y"],
        deviation(ours.loss, theirs.loss) / (theirs.loss.max() or 1.0),
        max((deviation(*pair) for pair in pairs), default=0.0),
        sum(int(spikes.sum()) for spikes in theirs.spikes.values()),
        sum(w.size for _, w in pairs), sum(np.unique(w).size for _, w in pairs),
        min((float(np.ptp(w)) if w.size else 0.0 for _, w in pairs), default=0.0),
    )  # fmt: skip
    assert max(found.voltage, found.threshold, found.output, found.loss, found.weight) < exact
    return found


def rows_of(net: ep.Network) -> list[tuple[str, str]]:
    """State rows of the neurons that NEST shows too."""
    neurons = [p for p in net.populations if p.model.role == "neuron"]
    return [(p.name, row) for p in neurons for row in ("v", "z", "threshold") if row in p.model.state_rows]


def plastic_of(net: ep.Network) -> list[str]:
    return [p.name for p in net.projections if p.rule.plastic]


def run_in_both(net: ep.Network, *given: Any, exact: float = 1e-9) -> Found:
    """One run of a network that does not learn, or at every spike; equal to ``exact`` mV."""
    weights, ours = plastic_of(net), NestResult()
    ran = ep.Simulator(net, threads=1).run(*given, record=rows_of(net) + [(name, "weight") for name in weights])
    for name, row in rows_of(net):
        {"v": ours.v, "z": ours.spikes, "threshold": ours.threshold}[row][name] = ran[name, row]
    ours.y, ours.loss, ours.weights = ran.y, ran.loss, {name: ran[name, "weight"] for name in weights}
    return compared(to_nest(net).run(*given), ours, exact)


def train_in_both(net: ep.Network, batches: list, window: np.ndarray) -> Found:
    """Batches of inputs and targets by population; voltages are those of each sample from rest, with the weights of its batch."""
    sim, ours, y, losses = ep.Simulator(net, threads=1), NestResult(), [], []
    parts: dict[tuple[str, str], list] = {key: [] for key in rows_of(net)}
    weights: dict[str, list] = {name: [sim.connections(name)[2]] for name in plastic_of(net)}
    given = []
    for inputs, targets in batches:
        n, steps = next(iter(inputs.values())).shape[:2]
        given.append(sim.samples(n, steps, inputs=inputs, targets=targets, window=window))
        for k in range(n):
            sample = {name: x[k] for name, x in inputs.items()}
            ran = sim.run(float(steps), sample, learn=False, record=rows_of(net))
            for key, part in parts.items():
                part.append(ran[key][:-1])
        result = sim.train(given[-1])
        y.append(result.y)
        losses.append(result.loss)
        for name, history in weights.items():
            history.append(sim.connections(name)[2])
    for (name, row), part in parts.items():
        {"v": ours.v, "z": ours.spikes, "threshold": ours.threshold}[row][name] = np.stack(part)
    readouts = [p for p in net.populations if p.model.role == "readout"]
    ends = np.cumsum([p.size for p in readouts])[:-1]
    ours.y = dict(zip((p.name for p in readouts), np.split(np.concatenate(y), ends, axis=2), strict=True))
    ours.loss, ours.weights = np.concatenate(losses), {name: np.stack(history) for name, history in weights.items()}
    return compared(to_nest(net).train(given), ours)
