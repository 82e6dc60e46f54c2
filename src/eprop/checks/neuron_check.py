"""Check a neuron model: its dynamics against its eligibility, and the engine against the time-driven reference with it."""

from __future__ import annotations

import warnings

import numpy as np

from eprop.checks.reference_input import time_driven
from eprop.checks.spike_check import Surrogacy, check_spike, effect
from eprop.engine import Samples, Simulator
from eprop.engine.build.eligibility import check_components, sort_components
from eprop.engine.build.neurons import neurons_of
from eprop.engine.own_neuron import check_psi
from eprop.errors import NetworkError, ParameterError, SilenceWarning, warn
from eprop.models import EventSource, Neuron, Readout
from eprop.models.base import EXCITATORY, INHIBITORY, RECEPTORS
from eprop.network import Bernoulli, FixedIndegree, Network, Symmetric, Uniform
from eprop.reference import Stimulus, backpropagate
from eprop.rules import Adam, EProp, EPropPlus, GradientDescent, Rule

#: Largest deviation that rounding may cause, relative to the largest value.
TOLERANCE = 1e-9
INPUTS, NEURONS, READOUTS = 12, 8, 2
PARTITIONS = (1, 2, 5)
RULES: dict[str, Rule] = {
    "e-prop": EProp(optimizer=Adam(1e-3, epsilon=1e-2), c_reg=0.1),
    "e-prop+": EPropPlus(optimizer=GradientDescent(1e-4), rate_reg=1e-5, cutoff=40.0),
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


def check_neuron(neuron: Neuron, dt: float = 1.0, steps: int = 150, *, receptor: str = EXCITATORY) -> NeuronCheck:
    """Check that a neuron model, its eligibility and the engine agree; for a user-defined model, before it is used.

    Parameters
    ----------
    neuron : Neuron
    dt : float
        Time step, ms.
    steps : int
        Length of the runs.
    receptor : str
        Receptor of all synapses, of a neuron with two: ``"excitatory"`` or ``"inhibitory"``.

    Returns
    -------
    NeuronCheck
        A dict of largest deviations, relative to the largest value. ``print`` shows them, and how the surrogate gradient lies to
        the threshold.

        ``response to a pulse``: row ``v`` after a pulse, against what `eprop.models.Eligibility` says. ``own spike``:
        the surrogate gradient in the steps after a spike of the neuron itself, with the reset of the voltage undone,
        against ``output``, ``decay`` and ``spike``. ``e-prop`` and ``e-prop+``: what weights learn in the engine, in 1,
        2 and 5 partitions and with delays of several steps, against `eprop.reference.TimeDriven`, which keeps every
        trace of every synapse. ``backpropagation``: the gradient by the eligibility and the total derivative, against
        backpropagation through time.

        The response is compared until the first spike, if the neuron spikes in this test; a warning says so. By e-prop+ there is
        no number if the eligibility has more components than `EPropPlus` takes, for the own spike none if a pulse cannot show it;
        a warning says so and why.

    Raises
    ------
    NetworkError
        If one of them is more than rounding, if the neuron does not spike whatever the input, if its surrogate gradient is
        larger than `largest_psi` says, or if the surrogate gradient jumps at the threshold, as one taken after the reset does.
    ParameterError
        If ``neuron`` is no neuron model, or has no such receptor.
    """
    if not isinstance(neuron, Neuron):
        hint = f"; call it: {neuron.__name__}()" if isinstance(neuron, type) else ""
        raise ParameterError(f"check_neuron needs a neuron model, got {neuron!r:.80}{hint}")
    if receptor not in RECEPTORS or (receptor == INHIBITORY and neuron.inhibitory_row is None):
        raise ParameterError(f"check_neuron: {type(neuron).__name__} has no receptor {receptor!r}")
    found = NeuronCheck()
    if "v" in neuron.state_rows:
        _add_response(neuron, receptor, dt, found)
    gain, too_many = _gain(neuron, receptor, dt, steps), _too_many(neuron, receptor, dt)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SilenceWarning)
        for name, deviation in (("e-prop", _samples), *([("e-prop+", _plus)] if not too_many else [])):
            found[name] = deviation(neuron, receptor, gain, dt, steps)
            _judge(neuron, found, "the engine and the time-driven rule disagree")
        found["backpropagation"] = _factorisation(neuron, receptor, gain, dt, steps)
        _judge(neuron, found, "eligibility() does not factorise the gradient")
    if too_many:
        warn(f"e-prop+ was left out: {too_many}")
    if "v" in neuron.state_rows:
        _add_own_spike(neuron, dt, found)
    else:
        warn("the response to a pulse and an own spike were left out: no row of the state is called v")
    return found


def _add_own_spike(neuron: Neuron, dt: float, found: NeuronCheck) -> None:
    """What a spike of the neuron does to itself, and the surrogate gradient about the threshold."""
    measured = check_spike(neuron, dt)
    found.surrogacy = measured.surrogacy
    if measured.deviation is None:
        warn(f"Eligibility.spike is taken on trust: {measured.unknown}")
        return
    found["own spike"] = measured.deviation
    _judge(neuron, found, "Eligibility.spike, or decay and output of what it reaches, is not what a spike does")


def _too_many(neuron: Neuron, receptor: str, dt: float) -> str:
    """Why `EPropPlus` does not take a neuron; nothing if it does."""
    net = _network(neuron, receptor, EProp(), 1.0, dt)
    members = neurons_of(net, net.population("rec"))
    declared = [m.eligibility(dt) for m in members]
    try:
        check_components(type(neuron).__name__, sort_components("rec", declared, receptor))
    except NetworkError as error:
        return str(error)
    return ""


def _judge(neuron: Neuron, found: dict[str, float], what: str) -> None:
    name, deviation = list(found.items())[-1]
    if not deviation < TOLERANCE:
        raise NetworkError(f"{type(neuron).__name__}, {name}: {what}; largest deviation {deviation:.2g}")


def _add_response(neuron: Neuron, receptor: str, dt: float, found: NeuronCheck, steps: int = 40) -> None:
    """Deviation of the voltage after a small pulse, against a run without, from ``output . decay^n arrival``.

    Only steps before the first spike count: the eligibility does not describe the reset.
    """
    net = Network(dt=dt)
    x, rec = net.add(EventSource(), 1, "in"), net.add(neuron, 1, "rec")
    declared = effect(neurons_of(net, rec)[0], dt, steps - 2, "arrival_in" if receptor == INHIBITORY else "arrival")
    size = 1e-3 / (np.abs(declared).max() or 1.0)
    net.connect(x, rec, weight=size, receptor=_receptor_of(neuron, receptor))
    pulse = np.zeros((steps, 1))
    pulse[0] = 1.0
    stepped = time_driven(net)
    runs = [stepped.predict(Stimulus(steps, {"in": spikes})) for spikes in (pulse, 0 * pulse)]
    spiking = [int(np.argmax(run.spikes[:, 1])) if run.spikes[:, 1].any() else steps for run in runs]
    before = min(spiking)
    wanted = np.append(0.0, size * declared)
    if before < steps:
        cause = "without input" if spiking[1] <= before else f"by a pulse of {size:.3g} {neuron.input_unit}"
        compared = (
            "only the steps before were compared" if wanted[:before].any() else "no step before could be compared"
        )
        warn(
            f"{type(neuron).__name__} spiked {cause} in step {before} of the test of its response to a pulse: {compared}",
        )
    if not wanted[:before].any():
        return
    difference = runs[0].v[:before, 0] - runs[1].v[:before, 0]
    found["response to a pulse"] = _deviation(difference, wanted[:before])
    _judge(neuron, found, "update() and eligibility() do not describe the same neuron")


def _network(neuron: Neuron, receptor: str, rule: Rule, gain: float, dt: float) -> Network:
    """Everything learns, with delays of their own for spikes and learning signals."""
    net = Network(dt=dt, seed=1)
    x, rec = net.add(EventSource(), INPUTS, "in"), net.add(neuron, NEURONS, "rec")
    out = net.add(Readout(tau_m=20.0 * dt), READOUTS, "out")
    some, at = Uniform(0.6 * dt, 5.4 * dt), _receptor_of(neuron, receptor)
    net.connect(x, rec, Bernoulli(0.8), weight=Uniform(-0.2 * gain, gain), rule=rule, delay=some, receptor=at)
    net.connect(rec, rec, FixedIndegree(3), weight=Uniform(-0.5 * gain, 0.5 * gain), rule=rule, delay=some, receptor=at)
    net.connect(rec, out, weight=Uniform(-1.0, 1.0), rule=rule, delay=some)
    net.feedback(out, rec, Symmetric(), delay=3.0 * dt)
    return net


def _receptor_of(neuron: Neuron, receptor: str) -> str | None:
    """``receptor`` as an argument of `Network.connect`."""
    return None if neuron.inhibitory_row is None else receptor


def _stimulus(steps: int) -> Stimulus:
    rng = np.random.default_rng(1)
    return Stimulus(steps, {"in": rng.random((steps, INPUTS)) < 0.1}, {"out": rng.normal(size=(steps, READOUTS))})


def _samples_of(sim: Simulator, steps: int) -> Samples:
    given = _stimulus(steps)
    inputs, targets = (
        {name: np.asarray(values)[None] for name, values in part.items()} for part in (given.spikes, given.targets)
    )
    return sim.samples(1, steps, inputs, targets)


def _gain(neuron: Neuron, receptor: str, dt: float, steps: int) -> float:
    """Weights at which every neuron spikes in about every tenth step; if none does so, those at which they spike most."""
    most, best = 0, 0.0
    for gain in 2.0 ** np.arange(-12, 21):
        sim = Simulator(_network(neuron, receptor, EProp(), gain, dt), threads=1)
        spikes = sim.evaluate(_samples_of(sim, steps)).spikes
        if spikes is not None and spikes.sum() > most:
            most, best = int(spikes.sum()), float(gain)
        if most > 0.05 * steps * NEURONS:
            break
    if not most:
        raise NetworkError(f"{type(neuron).__name__} does not spike, whatever its input: update() never returns True")
    return best


def _plus(neuron: Neuron, receptor: str, gain: float, dt: float, steps: int) -> float:
    """Largest deviation of the weights with which spikes arrive, in any partitions, from the time-driven e-prop+."""
    net, given = _network(neuron, receptor, RULES["e-prop+"], gain, dt), _stimulus(steps)
    stepped = time_driven(net)
    first = stepped.weight.copy()
    wanted = stepped.run(given, record_weights=True)
    check_psi(type(neuron).__name__, wanted.psi, [m.largest_psi(dt) for m in neurons_of(net, net.population("rec"))])
    arriving = np.stack([stepped.synapses.arriving(wanted.spikes, t) for t in range(steps)])
    change, worst = np.abs(wanted.weights - first).max(), 0.0
    record = [(p.name, "weight") for p in net.projections]
    for partitions in PARTITIONS:
        sim = Simulator(net, threads=1, partitions=partitions)
        run = sim.run(steps * dt, given.spikes, given.targets, record=record)
        found = np.concatenate([run[probe] for probe in record], axis=1)
        worst = max(worst, np.abs(found - wanted.weights)[arriving].max(initial=0.0) / change)
    return float(worst)


def _samples(neuron: Neuron, receptor: str, gain: float, dt: float, steps: int) -> float:
    """Largest deviation of the weights after two batches, in any partitions, from the time-driven e-prop."""
    net = _network(neuron, receptor, RULES["e-prop"], gain, dt)
    stepped = time_driven(net)
    first = stepped.weight.copy()
    for _ in range(2):
        stepped.train([_stimulus(steps)])
    worst = 0.0
    for partitions in PARTITIONS:
        sim = Simulator(net, threads=1, partitions=partitions)
        for _ in range(2):
            sim.train(_samples_of(sim, steps))
        weights = np.concatenate([sim.connections(p.name)[2] for p in net.projections])
        worst = max(worst, _deviation(weights - first, stepped.weight - first))
    return worst


def _factorisation(neuron: Neuron, receptor: str, gain: float, dt: float, steps: int) -> float:
    found = backpropagate(time_driven(_network(neuron, receptor, EProp(), gain, dt)), _stimulus(steps))
    return _deviation(found.factorised, found.gradient)


def _deviation(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.abs(found - wanted).max(initial=0.0) / max(np.abs(wanted).max(initial=0.0), 1e-300))
