"""Neurons, and readouts with their losses, one step at a time.

Sources: Bellec et al. 2020, Nat. Commun. 11:3625 (original rule); Korcsak-Gorzo et al. 2025, arXiv 2511.21674 (e-prop+). The
order of operations within a step is that of NEST 3.10, found by experiment.

A class has the parameters of a population, arrays (neurons,) or (1,). Voltages are relative to the leak potential.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from eprop import models
from eprop.errors import NetworkError
from eprop.models.base import has_eligibility
from eprop.network import Population
from eprop.parameters import varies

Array = npt.NDArray[np.float64]
#: Models of the neurons of a population: one of each, or one of all, without lists and distributions.
Members = Sequence[Any]
OneOrEach = Array | float


@dataclass
class NeuronState:
    """Arrays (neurons,): voltage, adaptation, refractory steps left, spike of the last step, input held back, currents (pA).

    Voltages are in mV. ``inhibition`` is the current of the inhibitory receptor.
    """

    v: Array
    a: Array
    r: Array
    z: Array
    held: Array
    current: Array
    inhibition: Array


@dataclass(frozen=True)
class EligibilityTerms:
    """`eprop.models.Eligibility` of each neuron: decay (neurons, d, d); arrival, output, spike and arrival_in (neurons, d)."""

    decay: Array
    arrival: Array
    output: Array
    spike: Array
    arrival_in: Array


class Neurons(Protocol):
    """Neurons of one population."""

    e_l: Array
    """Leak potential, mV."""

    def rest(self) -> Any:
        """State before the first step; it has arrays ``v`` and ``z``."""

    def step(self, state: Any, x: Array, current: OneOrEach = 0.0, inhibition: OneOrEach = 0.0) -> Array:
        """Advance the state by one step, in place; return the surrogate gradients.

        ``x`` is the synaptic input, ``current`` a constant current in this step, pA; ``inhibition`` is the input of the
        inhibitory receptor, of neurons that have one.
        """

    def eligibility(self) -> EligibilityTerms:
        """How spikes that arrive, and spikes of a neuron, act on the distance from its threshold."""

    def direct(self, name: str, before: Any) -> tuple[Array, Array]:
        """Effects of a constant in one step, see `LeakyNeurons.direct`."""


def surrogate_gradient(surrogate: models.Surrogate, u: Array, height: OneOrEach, width: OneOrEach) -> Array:
    """Replace the derivative of a spike; ``u`` is the distance from the threshold, mV."""
    s = np.abs(u) / width
    match surrogate if surrogate.code >= 0 else None:  # a derived class may have a function of its own
        case models.PiecewiseLinear():
            return np.asarray(height * np.maximum(0.0, 1.0 - s))
        case models.Exponential():
            return np.asarray(height * np.exp(-s))
        case models.FastSigmoid():
            return np.asarray(height / (1.0 + s) ** 2)
        case models.Arctan():
            return np.asarray(height / (1.0 + s**2))
    # A user-defined one is a function of numbers.
    return np.asarray(np.vectorize(type(surrogate).gradient, otypes=[float])(u, height, width))


class LeakyNeurons:
    """`eprop.LIF` and `eprop.ALIF`: a spike lowers the voltage by the resting threshold."""

    def __init__(self, members: Members, size: int, dt: float):
        self.model: Any = members[0]
        self.size, self.e_l = size, each(members, "e_l")
        #: Eligibility of a class that derives from a model of the package and declares its own.
        self.declared: EligibilityTerms | None = None
        self._dt, self.tau_m, self.c_m = dt, each(members, "tau_m"), each(members, "c_m")
        self.alpha = np.exp(-dt / self.tau_m)
        self.zeta: OneOrEach = 1.0 - self.alpha if getattr(self.model, "scale_input", False) else 1.0
        #: Voltage after a step by a constant current of 1 pA; the neuron's own current.
        self.per_current = each(members, "tau_m") / each(members, "c_m") * (1.0 - self.alpha)
        self.i_e = each(members, "i_e")
        self.v_th, self.v_min = each(members, "v_th") - self.e_l, each(members, "v_min") - self.e_l
        self.v_start = start_of(members)
        self.refractory = np.rint(each(members, "t_ref") / dt)
        self.height, self.width = each(members, "surrogate.height"), each(members, "surrogate.width")
        self.adapts = hasattr(self.model, "beta")
        self.beta: OneOrEach = each(members, "beta") if self.adapts else 0.0
        self.a_start: OneOrEach = each(members, "adaptation") if self.adapts else 0.0
        self.tau_adapt: OneOrEach = each(members, "tau_adapt") if self.adapts else 1.0
        self.rho: OneOrEach = np.exp(-dt / self.tau_adapt) if self.adapts else 0.0

    def rest(self) -> NeuronState:
        """State before the first step."""
        starts = (self.v_start, self.a_start, 0.0, 0.0, 0.0, 0.0, 0.0)
        return NeuronState(*(np.full(self.size, start, float) for start in starts))

    def step(self, state: NeuronState, x: Array, current: OneOrEach = 0.0, inhibition: OneOrEach = 0.0) -> Array:
        """Advance by one step; the surrogate gradient is taken before the reset, and is 0 while a neuron is refractory."""
        late = self.model.delayed_reset
        r = np.maximum(state.r - 1, 0)
        a = self.rho * state.a + state.z
        v = self.alpha * state.v + self.zeta * x + self.per_current * (self.i_e + current)
        v = np.maximum(v - self.v_th * state.z if late else v, self.v_min)
        psi, z = self._threshold(v, a, r == 0)
        state.v, state.a, state.z = v if late else v - self.v_th * z, a, z
        state.r = np.where(z > 0.0, self.refractory, r)
        return psi

    def _threshold(self, v: Array, a: Array, free: npt.NDArray[np.bool_]) -> tuple[Array, Array]:
        """Surrogate gradients and spikes at the voltage ``v`` and the adaptation ``a``; 0 where neurons are not ``free``."""
        u = v - (self.v_th + self.beta * a)
        psi = surrogate_gradient(self.model.surrogate, u, self.height, self.width)
        return np.where(free, psi, 0.0), ((u >= 0.0) & free).astype(float)

    def eligibility(self) -> EligibilityTerms:
        """``eps_v = alpha eps_v + zeta z_in``, ``eps_a = rho eps_a + e`` and ``e = psi (eps_v - beta eps_a)``."""
        if self.declared is not None:
            return self.declared
        d = 2 if self.adapts else 1
        decay, (arrival, output, spike) = np.zeros((self.size, d, d)), np.zeros((3, self.size, d))
        decay[:, 0, 0], arrival[:, 0], output[:, 0] = self.alpha, self.zeta, 1.0
        if self.adapts:
            decay[:, 1, 1], output[:, 1], spike[:, 1] = self.rho, -np.asarray(self.beta), 1.0
        return EligibilityTerms(decay, arrival, output, spike, arrival)

    def direct(self, name: str, before: NeuronState) -> tuple[Array, Array]:
        """Derivatives of the hidden state (neurons, d), and of the distance from the threshold, by a constant in one step.

        Given the state before the step and its spikes; a lower bound of the voltage and a clamp are ignored.
        """
        onto, distance = np.zeros(self.eligibility().arrival.shape), np.zeros(self.size)
        if name == "tau_m":
            onto[:, 0] = slope(lambda tau: self._voltage(tau, before), self.tau_m)
        elif name == "i_e":
            onto[:, 0] = self.per_current
        elif name == "tau_adapt":
            onto[:, -1] = slope(lambda tau: np.exp(-self._dt / tau) * before.a, self.tau_adapt)
        elif name == "beta":
            distance -= self.rho * before.a + before.z
        elif name == "v_th":
            distance -= 1.0
            onto[:, 0] = -self._lowered(before.z)
        return onto, distance

    def _voltage(self, tau: Array, before: NeuronState) -> Array:
        """Voltage after a step without input, for a time constant that may be complex."""
        alpha = np.exp(-self._dt / tau)
        return np.asarray(alpha * before.v + tau / self.c_m * (1.0 - alpha) * self.i_e)

    def _lowered(self, z: Array) -> Array:
        """How much a step's voltage falls with the height of the reset, after spikes ``z`` in the step before."""
        return z if self.model.delayed_reset else self.alpha * z


class ClampedNeurons(LeakyNeurons):
    """`eprop.DeltaLIF` and `eprop.DeltaALIF`: a spike sets the voltage and clamps it for the refractory time."""

    def __init__(self, members: Members, size: int, dt: float):
        super().__init__(members, size, dt)
        self.v_reset = each(members, "v_reset") - self.e_l
        self.pauses = getattr(self.model, "pause_adaptation", False)

    def step(self, state: NeuronState, x: Array, current: OneOrEach = 0.0, inhibition: OneOrEach = 0.0) -> Array:
        """Advance by one step; the step in which the counter reaches 0 is still clamped, but has a surrogate gradient."""
        clamped = state.r > 0
        v = self.alpha * state.v + self.zeta * x + self.per_current * (self.i_e + current) + state.held
        v = np.where(clamped, state.v, np.maximum(v, self.v_min))
        a = self.rho * state.a + state.z
        a = np.where(clamped, state.a, a) if self.pauses else a
        kept = self.zeta * x * self.alpha**state.r if self.model.ref_input else 0.0
        state.held = np.where(clamped, state.held + kept, 0.0)
        r = np.maximum(state.r - 1, 0)
        psi, z = self._threshold(v, a, r == 0)
        state.v, state.a, state.z = np.where(z > 0.0, self.v_reset, v), a, z
        state.r = np.where(z > 0.0, self.refractory, r)
        return psi

    def _lowered(self, z: Array) -> Array:
        """The reset does not depend on the threshold."""
        return np.zeros_like(z)


class CurrentNeurons(LeakyNeurons):
    """`eprop.CurrentLIF` and `eprop.CurrentALIF`: exponentially decaying currents drive the voltage, one for each receptor."""

    def __init__(self, members: Members, size: int, dt: float):
        super().__init__(members, size, dt)
        self.subtracts = self.model.v_reset is None
        self.v_reset = each(members, "v_reset") - self.e_l
        tau_syn = each(members, "tau_syn")
        self.has_two, self.tau_syn = self.model.tau_syn_in is not None, tau_syn
        tau_in = each(members, "tau_syn_in") if self.has_two else tau_syn
        self.alpha_syn, self.alpha_in = np.exp(-dt / tau_syn), np.exp(-dt / tau_in)
        self._tau_in = tau_in
        self.zeta, self.zeta_in = (self._voltage_of_current(self.tau_m, tau) for tau in (tau_syn, tau_in))

    def _voltage_of_current(self, tau_m: Array, tau_syn: Array) -> Array:
        """Voltage after a step by a current of 1 at its start: an entry of a matrix exponential."""
        from scipy.linalg import expm  # a tenth of the time in which the command starts

        rates = np.zeros((*np.broadcast_shapes(tau_m.shape, tau_syn.shape), 2, 2), np.result_type(tau_m, tau_syn))
        rates[..., 0, 0], rates[..., 0, 1], rates[..., 1, 1] = -1.0 / tau_m, 1.0 / self.c_m, -1.0 / tau_syn
        return np.asarray(expm(self._dt * rates)[..., 0, 1])

    def direct(self, name: str, before: NeuronState) -> tuple[Array, Array]:
        """As for other neurons, with the time constant of the current."""
        onto, distance = super().direct(name, before)
        if name == "tau_syn":
            onto[:, 0] = slope(lambda tau: self._voltage_of_current(self.tau_m, tau), self.tau_syn) * before.current
            onto[:, 1] = slope(lambda tau: np.exp(-self._dt / tau), self.tau_syn) * before.current
        return onto, distance

    def _voltage(self, tau: Array, before: NeuronState) -> Array:
        by_current = self._voltage_of_current(tau, self.tau_syn) * before.current
        by_current = by_current + self.has_two * self._voltage_of_current(tau, self._tau_in) * before.inhibition
        return super()._voltage(tau, before) + by_current

    def _lowered(self, z: Array) -> Array:
        return self.alpha * z if self.subtracts else np.zeros_like(z)

    def step(self, state: NeuronState, x: Array, current: OneOrEach = 0.0, inhibition: OneOrEach = 0.0) -> Array:
        """Advance by one step; the voltage integrates the current before the input enters it."""
        free = state.r == 0
        a = self.rho * state.a + state.z
        by_currents = self.zeta * state.current + self.zeta_in * state.inhibition
        v = np.maximum(self.alpha * state.v + by_currents + self.per_current * (self.i_e + current), self.v_min)
        v = np.where(free | self.subtracts, v, state.v)
        psi, z = self._threshold(v, a, free)
        after = v - self.v_th if self.subtracts else self.v_reset
        state.v, state.a, state.z = np.where(z > 0.0, after, v), a, z
        state.r = np.where(z > 0.0, self.refractory, np.maximum(state.r - 1, 0))
        state.current = self.alpha_syn * state.current + x
        state.inhibition = self.alpha_in * state.inhibition + inhibition
        return psi

    def eligibility(self) -> EligibilityTerms:
        """``eps_v = alpha eps_v + zeta eps_i + zeta_in eps_in``, and each ``eps_i = alpha_i eps_i + z_in`` of its receptor.

        Adaptation is as in `LeakyNeurons`.
        """
        if self.declared is not None:
            return self.declared
        d = 2 + self.has_two + self.adapts
        decay, (arrival, output, spike, arrival_in) = np.zeros((self.size, d, d)), np.zeros((4, self.size, d))
        decay[:, 0, 0], decay[:, 0, 1], decay[:, 1, 1] = self.alpha, self.zeta, self.alpha_syn
        if self.has_two:
            decay[:, 0, 2], decay[:, 2, 2] = self.zeta_in, self.alpha_in
        arrival[:, 1], arrival_in[:, 1 + self.has_two], output[:, 0] = 1.0, 1.0, 1.0
        if self.adapts:
            decay[:, -1, -1], output[:, -1], spike[:, -1] = self.rho, -np.asarray(self.beta), 1.0
        return EligibilityTerms(decay, arrival, output, spike, arrival_in)


@dataclass
class CustomState:
    """Rows of state of a user-defined model, (rows, neurons); voltages and spikes of the last step."""

    rows: Array
    v: Array
    z: Array


class CustomNeurons:
    """Neurons of another model, stepped by its ``update`` as plain Python.

    Raises
    ------
    NetworkError
        If the initial state is drawn.
    """

    def __init__(self, members: Members, size: int, dt: float, step: Any):
        self.members, self._dt, model = one_each(members, size), dt, members[0]
        self.e_l: Array = np.array([getattr(member, "e_l", 0.0) for member in self.members])
        derived = [member.derived(dt) for member in self.members]
        self._params = np.array([[float(values[name]) for values in derived] for name in model.parameter_rows])
        self._initial = np.zeros((len(model.state_rows), size))
        for j, member in enumerate(self.members):
            start, other = (member.initial(dt, range(1), seed) for seed in (0, 1))
            for name, value in start.items():
                if np.any(value != other[name]):
                    raise NetworkError(
                        f"the reference cannot know the initial {name} of {type(model).__name__}: it is drawn"
                    )
                self._initial[model.state_rows.index(name), j] = np.ravel(value)[0]
        self._step = step
        self._v = model.state_rows.index("v") if "v" in model.state_rows else 0
        self._inhibition = None if model.inhibitory_row is None else model.state_rows.index(model.inhibitory_row)

    def rest(self) -> CustomState:
        """State before the first step."""
        return CustomState(self._initial.copy(), self._initial[self._v].copy(), np.zeros(len(self.members)))

    def step(self, state: CustomState, x: Array, current: OneOrEach = 0.0, inhibition: OneOrEach = 0.0) -> Array:
        """Advance by one step.

        Raises
        ------
        NetworkError
            If there is a current: the reference cannot know how it acts.
        """
        if np.any(current):
            raise NetworkError("the reference has no equations for a current into a user-defined neuron")
        state.z, psi = np.zeros((2, x.size))
        for j, input_of_neuron in enumerate(x.tolist()):
            state.z[j], psi[j] = self._step(state.rows, self._params, j, input_of_neuron)
        if self._inhibition is not None:
            state.rows[self._inhibition] += inhibition
        state.v = state.rows[self._v].copy()
        return psi

    def eligibility(self) -> EligibilityTerms:
        """What the model declares."""
        return declared_eligibility(self.members, self._dt)

    def direct(self, name: str, before: CustomState) -> tuple[Array, Array]:
        """What the model declares as its `eprop.models.base.Effect`."""
        found = [member.effects(self._dt)[name] for member in self.members]
        onto, distance = np.zeros(self.eligibility().arrival.shape), np.zeros(len(self.members))
        for j, effects in enumerate(found):
            for component, row, factor in effects:
                value = factor * (1.0 if row is None else before.rows[self.members[0].state_rows.index(row), j])
                if component < 0:
                    distance[j] += value
                else:
                    onto[j, component] += value
        return onto, distance


class Readouts:
    """Readouts of one population: leaky integrators without spikes.

    Attributes
    ----------
    alpha, zeta, e_l : arrays (size,)
    start : array (size,)
        Outputs before the first step, relative to the leak potential, mV.
    loss : Loss
    """

    def __init__(self, members: Members, size: int, dt: float):
        model: Any = members[0]
        tau_m, e_l = each(members, "tau_m"), each(members, "e_l")
        drive = tau_m / each(members, "c_m") * each(members, "i_e")
        self.alpha, self.e_l, self._v_min, drive, self.start = (
            np.full(size, value)
            for value in (np.exp(-dt / tau_m), e_l, each(members, "v_min") - e_l, drive, start_of(members))
        )
        self._dt, self._tau_m, self._i_e = dt, np.full(size, tau_m), np.full(size, each(members, "i_e"))
        self._c_m = np.full(size, each(members, "c_m"))
        self._drive = drive * (1.0 - self.alpha)
        self.zeta = 1.0 - self.alpha if model.scale_input else np.ones(size)
        self.loss = model.loss

    def step(self, y: Array, x: Array) -> Array:
        """Outputs one step later, relative to the leak potential, with the input ``x``, mV."""
        return np.maximum(self.alpha * y + self.zeta * x + self._drive, self._v_min)

    def direct(self, name: str, before: Array) -> Array:
        """Derivatives of the outputs by a constant in one step, for the outputs ``before`` it."""

        def output(tau: Any, i_e: Any) -> Any:
            alpha = np.exp(-self._dt / tau)
            return alpha * before + tau / self._c_m * (1.0 - alpha) * i_e

        if name == "tau_m":
            return slope(lambda tau: output(tau, self._i_e), self._tau_m)
        return slope(lambda i_e: output(self._tau_m, i_e), self._i_e)


def slope(f: Callable[[Any], Any], x: OneOrEach) -> Array:
    """Derivative of an analytic function by a complex step: exact but for rounding."""
    return np.asarray(np.imag(f(np.asarray(x) + 1e-30j)) / 1e-30)


def softmax(y: Array) -> Array:
    """Softmax over the last axis."""
    p = np.exp(y - y.max(axis=-1, keepdims=True))
    return np.asarray(p / p.sum(axis=-1, keepdims=True))


def compare(loss: models.Loss, y: Array, target: Array) -> tuple[Array, float]:
    """Error signals of one step, which are the derivative of the loss with respect to the outputs, and the loss.

    ``y - target`` and ``0.5 sum_k (y_k - y*_k)^2``, or ``softmax(y) - target`` and ``-sum_k y*_k log softmax(y)_k``.
    """
    match None if loss.in_python else loss:  # a derived class may have a method of its own
        case models.SquaredError():
            return y - target, float(0.5 * np.sum((y - target) ** 2))
        case models.CrossEntropy():
            shifted, best = y - np.max(y), int(np.argmax(y))
            others = np.delete(np.exp(shifted), best).sum()  # beside exp(0) = 1
            return softmax(y) - target, float(np.sum(target * (np.log1p(others) - shifted)))
    errors, value = loss.compare(y, target)
    return np.asarray(errors), float(value)


#: Models with equations here. Other models need an ``update``.
EQUATIONS: dict[type, type[LeakyNeurons]] = {
    models.LIF: LeakyNeurons, models.ALIF: LeakyNeurons, models.DeltaLIF: ClampedNeurons, models.DeltaALIF: ClampedNeurons,
    models.CurrentLIF: CurrentNeurons, models.CurrentALIF: CurrentNeurons,
}  # fmt: skip


def neurons_of(members: Members, size: int, dt: float) -> Neurons:
    """The neurons of a population.

    Parameters
    ----------
    members : sequence of models
        Of each neuron, or one of all.
    size : int
    dt : float
        ms.

    Raises
    ------
    NetworkError
        If the model has no equations here and no ``update``.
    """
    model: Any = members[0]
    # A class that derives from a model of the package is stepped by its update(), or has the equations of that model.
    kinds = (kind for kind in type(model).__mro__ if kind in EQUATIONS or {"update", "core"} & vars(kind).keys())
    kind: Any = next(kinds, None)
    if kind in EQUATIONS:
        neurons = EQUATIONS[kind](members, size, dt)
        if type(model).eligibility is not kind.eligibility:
            neurons.declared = declared_eligibility(one_each(members, size), dt)
        return neurons
    if kind is not None and "update" in vars(kind):
        return CustomNeurons(members, size, dt, kind.update)
    raise NetworkError(f"the reference has no equations of {type(model).__name__}, and the class has no update")


def declared_eligibility(members: Members, dt: float) -> EligibilityTerms:
    """What models of neurons declare as their `eprop.models.Eligibility`; without one, no spike leaves a trace."""
    silent = models.Eligibility.leaky(0.0, 0.0)
    declared = [member.eligibility(dt) if has_eligibility(member) else silent for member in members]
    parts = [(e.decay, e.arrival, e.output, e.spike, e.arrival_in or e.arrival) for e in declared]
    return EligibilityTerms(*(np.array(part, float) for part in zip(*parts, strict=True)))


def members_of(population: Population, members: Members | None) -> Members:
    """The model of each neuron or readout, or one of all.

    Raises
    ------
    NetworkError
        If parameters differ or are drawn, and the ``members`` are not given.
    """
    found = members or [population.model]
    if any(varies(member) for member in found):
        raise NetworkError(f"parameters of {population.name} differ or are drawn: give its `members`, one model each")
    return found


def one_each(members: Members, size: int) -> Members:
    """As many models as neurons."""
    return list(members) * size if len(members) == 1 else members


def each(members: Members, name: str) -> Array:
    """A parameter of the models, that of a part as ``part.name``; NaN for None."""
    return np.array([operator.attrgetter(name)(member) for member in members], float)


def start_of(members: Members) -> Array:
    """Initial voltages or outputs, relative to the leak potential."""
    return np.nan_to_num(each(members, "v_init") - each(members, "e_l"))
