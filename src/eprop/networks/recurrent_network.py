"""A recurrent network that learns, in one call: inputs, neurons, readouts, feedback."""

from __future__ import annotations

import math

import numpy as np

from eprop.models import LIF, CrossEntropy, EventSource, Neuron, Readout, SquaredError
from eprop.network import AllToAll, Balanced, ConnectionRule, Distribution, Feedback, Glorot, Network, Normal, Symmetric
from eprop.rules import EProp, Rule

#: Standard deviations of the initial weights times the square root of their number, mV.
W_IN, W_REC = 2.0, 1.0
#: Time constant of the readouts, ms.
TAU_OUT = 50.0


def recurrent(
    inputs: int,
    hidden: int,
    outputs: int,
    *,
    neuron: Neuron | None = None,
    readout: Readout | None = None,
    rule: Rule | None = None,
    connectivity: ConnectionRule | None = None,
    feedback: Feedback | None = None,
    excitatory: float | np.ndarray | None = None,
    w_in: float = W_IN,
    w_rec: float = W_REC,
    dt: float = 1.0,
    seed: int = 1,
) -> Network:
    """Describe a network whose neurons receive events and each other, and whose readouts learn with them.

    All projections are plastic. The populations are ``"in"``, ``"rec"`` and ``"out"``, so that
    ``sim.samples(..., {"in": events}, labels=labels)`` and `eprop.fit` find them.

    Parameters
    ----------
    inputs, hidden, outputs : int
        Event sources, recurrent neurons, readouts.
    neuron : Neuron, optional
        Model of the neurons; the default is ``LIF()``.
    readout : Readout, optional
        Model of the readouts. By default two or more readouts are classes (`CrossEntropy`), and one has the squared error; both
        with a time constant of 50 ms. For several numbers give ``Readout(tau_m=50.0)``.
    rule : Rule, optional
        Rule of all synapses; the default is ``EProp()``.
    connectivity : ConnectionRule, optional
        Connections between the neurons; the default is ``AllToAll()``.
    feedback : Feedback, optional
        The default is ``Symmetric()``.
    excitatory : float or array of bool (hidden,), optional
        Share of excitatory neurons, whose synapses keep their sign (Dale's law), see `Network.add`. The weights are balanced.
    w_in, w_rec : float
        Standard deviation of the weights onto neurons, times the square root of the number of inputs, or of connections from
        neurons, mV.
    dt : float
        Time step, ms.
    seed : int
        Seed of every draw.

    Returns
    -------
    Network
        Populations and projections may be added.

    Raises
    ------
    NetworkError
        If a size, a model or a rule is invalid.

    Examples
    --------
    >>> import eprop as ep
    >>> net = ep.recurrent(70, 200, 10)
    >>> [(p.name, p.size) for p in net.populations]
    [('in', 70), ('rec', 200), ('out', 10)]
    """
    loss = CrossEntropy() if outputs != 1 else SquaredError()
    net = Network(dt=dt, seed=seed)
    x = net.add(EventSource(), inputs, "in")
    rec = net.add(neuron or LIF(), hidden, "rec", excitatory=excitatory)
    out = net.add(readout or Readout(tau_m=TAU_OUT, loss=loss), outputs, "out")
    rule, between = rule or EProp(), connectivity or AllToAll()
    degree = between.expected(hidden, hidden) / hidden
    values: Distribution = Normal(0.0, w_rec / math.sqrt(max(degree, 1.0)))
    sign = None if excitatory is None else "source"
    net.connect(x, rec, weight=Normal(0.0, w_in / math.sqrt(inputs)), rule=rule)
    net.connect(rec, rec, between, weight=values if sign is None else Balanced(values), rule=rule, sign=sign)
    net.connect(rec, out, weight=Glorot(), rule=rule)
    net.feedback(out, rec, feedback or Symmetric())
    return net
