"""A recording as a block of Neo, which Elephant, Viziphant and many file formats read. Needs the extra ``neo``.

::

    from eprop.interop.neo import to_neo

    recording = sim.run(500.0, {"in": events}, record=[("rec", "v")], spikes=["in", "rec"])
    (segment,) = to_neo(recording, net).segments
    segment.spiketrains  # one for each node of "in" and of "rec"
    segment.analogsignals  # of the readouts and "rec.v", in mV; the loss

A spike or a value has the time of the end of its step, as in the recording.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from eprop.engine import Recording
from eprop.errors import InputError, optional_module
from eprop.models import CrossEntropy, Readout, SquaredError
from eprop.network import Network

#: Units of recorded variables and of variables that depend on the loss. Weights have the unit of their projection; other state
#: variables depend on the model.
UNITS = {"v": "mV", "y": "mV", "threshold": "mV", "current": "pA", "current_in": "pA", "surrogate": "1/mV"}
UNITS_OF_LOSS: dict[type, dict[str, str]] = {
    SquaredError: {"error": "mV", "learning_signal": "mV**2", "loss": "mV**2"},
    CrossEntropy: {"learning_signal": "mV"},
}


def to_neo(recording: Recording, network: Network) -> Any:
    """Convert a recording to a block of Neo.

    Parameters
    ----------
    recording : Recording
        Result of `Simulator.run`.
    network : Network
        The network that ran.

    Returns
    -------
    neo.Block
        One segment. Each node of a population whose spikes were recorded has a spike train (ms), even without spikes, with
        the annotations ``population`` and ``node``. The spike trains of a population form a group of its name. Each recorded
        variable is a signal named ``"population.variable"``; array annotations give the ``node`` or ``synapse`` of a column.
        The loss is a signal, and so are all readout voltages unless some were recorded explicitly. Voltages and weights are in
        mV, currents and weights onto neurons with a current in pA, surrogate gradients in 1/mV. If all readouts have the squared
        error, errors are in mV, and learning signals and the loss in mV². If all have softmax, learning signals are in mV.
        Everything else has no unit.

    Raises
    ------
    MissingExtraError
        If Neo is not installed.
    InputError
        If the recording does not belong to this network.
    """
    neo, quantities = (optional_module(name, "neo", "A block of Neo") for name in ("neo", "quantities"))
    ms = quantities.ms
    if not all(map(isinstance, (recording, network), (Recording, Network))):
        raise InputError(
            f"to_neo takes a Recording and its Network, got {type(recording).__name__}, {type(network).__name__}"
        )
    sizes = {p.name: p.size for p in network.populations}
    if unknown := sorted({*recording.spikes, *recording.y} - set(sizes)):
        raise InputError(f"to_neo: the network has no population {unknown[0]!r}; it has: {', '.join(sizes)}")
    block, segment = neo.Block(name="eprop", dt=network.dt, seed=network.seed), neo.Segment(name="run")
    block.segments.append(segment)
    first, last = recording.times[0], recording.times[-1]
    for name, (times, nodes) in recording.spikes.items():
        trains = [
            neo.SpikeTrain(
                found * ms, t_start=(first - network.dt) * ms, t_stop=last * ms, sampling_rate=1.0 / (network.dt * ms),
                name=f"{name}[{node}]", population=name, node=node,
            )
            for node, found in enumerate(_by_node(times, nodes, sizes[name]))
        ]  # fmt: skip
        segment.spiketrains.extend(trains)
        block.groups.append(neo.Group(trains, name=name))
    units = UNITS | _units_of_loss(network)
    projections = {p.name: p.weight_unit for p in network.projections}
    for (name, variable), values in _signals(recording).items():
        column = "synapse" if name in projections else "node"
        unit = projections[name] if variable == "weight" else units.get(variable, "dimensionless")
        index = recording.index.get((name, variable), np.arange(values.shape[1]))
        segment.analogsignals.append(
            neo.AnalogSignal(
                values, units=unit, t_start=first * ms, sampling_period=network.dt * ms,
                name=f"{name}.{variable}" if name else variable, array_annotations={column: index} if name else None,
            )
        )  # fmt: skip
    return block


def _units_of_loss(network: Network) -> dict[str, str]:
    """Units that depend on the loss, if all readouts have the same loss."""
    losses = {type(p.model.loss) for p in network.populations if isinstance(p.model, Readout)}
    return UNITS_OF_LOSS.get(losses.pop(), {}) if len(losses) == 1 else {}


def _by_node(times: np.ndarray, nodes: np.ndarray, size: int) -> list[np.ndarray]:
    """Times of each node."""
    order = np.argsort(nodes, kind="stable")
    return np.split(times[order], np.searchsorted(nodes[order], np.arange(1, size)))


def _signals(recording: Recording) -> dict[tuple[str, str], np.ndarray]:
    """All signals with a value at each step, (steps, columns). An explicit recording replaces the default one."""
    outputs = {(name, "y"): y for name, y in recording.y.items()}
    return outputs | {("", "loss"): recording.loss[:, None]} | recording.traces
