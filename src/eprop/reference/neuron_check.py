"""Hold a neuron model against what it says of itself, and the engine against the time-driven rules with it."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from eprop.engine import Simulator
from eprop.engine.build.eligibility import check_components, sort_components
from eprop.engine.build.neurons import neurons_of
from eprop.engine.build.user_model import check_psi
from eprop.engine.state.synapse_order import all_synapses
from eprop.errors import NetworkError, ParameterError, SilenceWarning
from eprop.models import EventSource, Neuron, Readout
from eprop.network import Bernoulli, FixedIndegree, Network, Symmetric, Uniform
from eprop.reference.backpropagation import backpropagate
from eprop.reference.spike_check import Surrogacy, check_spike
from eprop.reference.time_driven import TimeDriven
from eprop.rules import Adam, EProp, EPropPlus, GradientDescent, Rule

#: Largest deviation that rounding may cause, relative to the largest value.
TOLERANCE = 1e-9
INPUTS, NEURONS, READOUTS = 12, 8, 2
PARTITIONS = (1, 2, 5)
RULES: dict[str, Rule] = {
    "e-prop": EProp(optimizer=Adam(1e-3, epsilon=1e-2), c_reg=0.1),
    "e-prop+": EPropPlus(optimizer=GradientDescent(1e-4), c_reg=0.01, cutoff=40.0),
}


class NeuronCheck(dict[str, float]):
    """Largest deviations by the names of the checks, see `check_neuron`; printed, one a line.

    Attributes
    ----------
    surrogacy : Surrogacy or None
        How the surrogate gradient lies to the threshold; None where it could not be measured.
    """

    surrogacy: Surrogacy | None = None

    def __str__(self) -> str:
        lines = [f"{name:22s}{deviation:8.0e}" for name, deviation in self.items()]
        return "\n".join([*lines, *([str(self.surrogacy)] if self.surrogacy is not None else [])])


def check_neuron(neuron: Neuron, dt: float = 1.0, steps: int = 150) -> NeuronCheck:
    """What every neuron model must hold; for a model of one's own, before it is trusted.

    Parameters
    ----------
    neuron : Neuron
    dt : float
        Time step, ms.
    steps : int
        Length of the runs.

    Returns
    -------
    NeuronCheck
        A dict of largest deviations, relative to the largest value. ``print`` shows them, and how the surrogate gradient lies to
        the threshold.

        ``response to a pulse``: row ``v`` after a pulse, against what `eprop.models.Eligibility` says. ``own spike``: the
        surrogate gradient in the steps after a spike of the neuron itself, with the reset of the voltage undone, against
        ``output``, ``decay`` and ``spike``. ``e-prop`` and ``e-prop+``: what weights learn in the engine, in 1, 2 and 5
        partitions and with delays of several steps, against `TimeDriven`, which keeps every trace of every synapse.
        ``backpropagation``: the gradient by the eligibility and the total derivative, against backpropagation through time.

        By e-prop+ there is no number if the eligibility has more components than `EPropPlus` takes, for the own spike none if a
        pulse cannot show it; a warning tells so and why.

    Raises
    ------
    NetworkError
        If one of them is more than rounding, if the neuron does not spike whatever the input, if its surrogate gradient is
        larger than `largest_psi` says, or if the surrogate gradient jumps at the threshold, as one taken after the reset does.
    ParameterError
        If ``neuron`` is no neuron model.
    """
    if not isinstance(neuron, Neuron):
        hint = f"; call it: {neuron.__name__}()" if isinstance(neuron, type) else ""
        raise ParameterError(f"check_neuron needs a neuron model, got {neuron!r:.80}{hint}")
    found = NeuronCheck()
    if "v" in neuron.state_rows:
        found["response to a pulse"] = _response(neuron, dt)
        _judge(neuron, found, "update() and eligibility() do not describe the same neuron")
    gain, too_many = _gain(neuron, dt, steps), _too_many(neuron, dt)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SilenceWarning)
        for name, deviation in (("e-prop", _samples), *([("e-prop+", _plus)] if not too_many else [])):
            found[name] = deviation(neuron, gain, dt, steps)
            _judge(neuron, found, "the engine and the time-driven rule disagree")
        found["backpropagation"] = _factorisation(neuron, gain, dt, steps)
        _judge(neuron, found, "eligibility() does not factorise the gradient")
    if too_many:
        warnings.warn(f"e-prop+ was left out: {too_many}", stacklevel=2)
    if "v" in neuron.state_rows:
        _add_own_spike(neuron, dt, found)
    else:
        warnings.warn(
            "the response to a pulse and an own spike were left out: no row of the state is called v", stacklevel=2
        )
    return found


def _add_own_spike(neuron: Neuron, dt: float, found: NeuronCheck) -> None:
    """What a spike of the neuron does to itself, and the surrogate gradient about the threshold."""
    measured = check_spike(neuron, dt)
    found.surrogacy = measured.surrogacy
    if measured.deviation is None:
        warnings.warn(f"Eligibility.spike is taken on trust: {measured.unknown}", stacklevel=3)
        return
    found["own spike"] = measured.deviation
    _judge(neuron, found, "Eligibility.spike, or decay and output of what it reaches, is not what a spike does")


def _too_many(neuron: Neuron, dt: float) -> str:
    """Why `EPropPlus` does not take a neuron; nothing if it does."""
    net = _network(neuron, EProp(), 1.0, dt)
    members = neurons_of(net, net.population("rec"))
    try:
        check_components(type(neuron).__name__, sort_components("rec", [m.eligibility(dt) for m in members]))
    except NetworkError as error:
        return str(error)
    return ""


def _judge(neuron: Neuron, found: dict[str, float], what: str) -> None:
    name, deviation = list(found.items())[-1]
    if not deviation < TOLERANCE:
        raise NetworkError(f"{type(neuron).__name__}, {name}: {what}; largest deviation {deviation:.2g}")


def _response(neuron: Neuron, dt: float, steps: int = 40) -> float:
    """Deviation of the voltage after a small pulse, against a run without, from ``output . decay^n arrival``."""
    net = Network(dt=dt)
    x, rec = net.add(EventSource(), 1, "in"), net.add(neuron, 1, "rec")
    size = 1e-3
    net.connect(x, rec, weight=size)
    pulse = np.zeros((steps, 1))
    pulse[0] = 1.0
    v = [_voltage(net, p) for p in (pulse, 0 * pulse)]
    c = sort_components("rec", [member.eligibility(dt) for member in neurons_of(net, rec)])
    eps, wanted = c.arrival[0], np.zeros(steps)
    for t in range(1, steps):
        wanted[t] = size * (c.output[0] @ eps)
        eps = c.decay[0] @ eps
    return _deviation(v[0] - v[1], wanted)


def _voltage(net: Network, pulse: np.ndarray) -> np.ndarray:
    """Voltage of the only neuron at each step, mV."""
    stepped = TimeDriven(net)
    return stepped.forward.run(stepped.samples(1, len(pulse), inputs={"in": pulse[None]}), 0).v[:, 0]


def _network(neuron: Neuron, rule: Rule, gain: float, dt: float) -> Network:
    """Everything learns, with delays of their own for spikes and learning signals."""
    net = Network(dt=dt, seed=1)
    x, rec = net.add(EventSource(), INPUTS, "in"), net.add(neuron, NEURONS, "rec")
    out = net.add(Readout(tau_m=20.0 * dt), READOUTS, "out")
    some = Uniform(0.6 * dt, 5.4 * dt)
    net.connect(x, rec, Bernoulli(0.8), weight=Uniform(-0.2 * gain, gain), rule=rule, delay=some)
    net.connect(rec, rec, FixedIndegree(3), weight=Uniform(-0.5 * gain, 0.5 * gain), rule=rule, delay=some)
    net.connect(rec, out, weight=Uniform(-1.0, 1.0), rule=rule, delay=some)
    net.feedback(out, rec, Symmetric(), delay=3.0 * dt)
    return net


def _stimulus(steps: int) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    return {
        "inputs": {"in": rng.random((1, steps, INPUTS)) < 0.1},
        "targets": {"out": rng.normal(size=(1, steps, READOUTS))},
    }


def _gain(neuron: Neuron, dt: float, steps: int) -> float:
    """Weights at which every neuron spikes in about every tenth step; if none does so, those at which they spike most."""
    most, best = 0, 0.0
    for gain in 2.0 ** np.arange(-12, 21):
        sim = Simulator(_network(neuron, EProp(), gain, dt), threads=1)
        spikes = sim.evaluate(sim.samples(1, steps, **_stimulus(steps))).spikes
        if spikes is not None and spikes.sum() > most:
            most, best = int(spikes.sum()), float(gain)
        if most > 0.05 * steps * NEURONS:
            break
    if not most:
        raise NetworkError(f"{type(neuron).__name__} does not spike, whatever its input: update() never returns True")
    return best


def _plus(neuron: Neuron, gain: float, dt: float, steps: int) -> float:
    """Largest deviation of the weights with which spikes arrive, in any partitions, from the time-driven e-prop+."""
    net, given = _network(neuron, RULES["e-prop+"], gain, dt), _stimulus(steps)
    once = steps * dt, {"in": given["inputs"]["in"][0]}, {"out": given["targets"]["out"][0]}
    stepped = TimeDriven(net)
    order, first = all_synapses(stepped.simulator._arrays), stepped.weight.copy()
    wanted = stepped.run(*once, record_weights=True)
    check_psi(type(neuron).__name__, wanted.psi, [m.largest_psi(dt) for m in neurons_of(net, net.population("rec"))])
    arriving = np.stack([stepped.synapses.arriving(wanted.spikes, t)[order] for t in range(steps)])
    change = np.abs(wanted.weights - first[order]).max()
    worst = 0.0
    for partitions in PARTITIONS:
        run = Simulator(net, threads=1, partitions=partitions).run(
            *once, record=[(p.name, "weight") for p in net.projections]
        )
        found = np.concatenate([run[p.name, "weight"] for p in net.projections], axis=1)
        worst = max(worst, np.abs(found - wanted.weights)[arriving].max(initial=0.0) / change)
    return float(worst)


def _samples(neuron: Neuron, gain: float, dt: float, steps: int) -> float:
    """Largest deviation of the weights after two batches, in any partitions, from the time-driven e-prop."""
    net = _network(neuron, RULES["e-prop"], gain, dt)
    results: list[np.ndarray] = []
    networks: list[Any] = [TimeDriven(net), *(Simulator(net, threads=1, partitions=n) for n in PARTITIONS)]
    for network in networks:
        samples = network.samples(1, steps, **_stimulus(steps))
        before = np.concatenate([network.connections(p.name)[2] for p in net.projections])
        for _ in range(2):
            network.train(samples)
        results.append(np.concatenate([network.connections(p.name)[2] for p in net.projections]) - before)
    return max(_deviation(change, results[0]) for change in results[1:])


def _factorisation(neuron: Neuron, gain: float, dt: float, steps: int) -> float:
    stepped = TimeDriven(_network(neuron, EProp(), gain, dt))
    found = backpropagate(stepped, stepped.samples(1, steps, **_stimulus(steps)))
    return _deviation(found.factorised, found.gradient)


def _deviation(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.abs(found - wanted).max(initial=0.0) / max(np.abs(wanted).max(initial=0.0), 1e-300))
