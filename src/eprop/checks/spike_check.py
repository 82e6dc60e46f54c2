"""Measure the effect of a spike on its own neuron, and the surrogate gradient near the threshold, step by step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from eprop.engine.build.neurons import neurons_of
from eprop.errors import NetworkError
from eprop.models import Neuron
from eprop.network import Network
from eprop.reference.neurons import neurons_of as stepped_neurons

#: Steps after the spike that are looked at, and steps in which a pulse may make the neuron spike.
AFTER, WITHIN = 64, 40
#: Copies that are stepped side by side, and rounds in which the pulse that just suffices is narrowed down.
COPIES, ROUNDS = 64, 12
#: A jump of the surrogate gradient at the threshold, relative to its largest value.
JUMP = 1e-6
#: Where the second pulse takes the voltage: this share of the way from rest to the threshold.
NEAR = 0.95


@dataclass(frozen=True)
class Surrogacy:
    """How the surrogate gradient of a neuron lies to its threshold.

    Attributes
    ----------
    at_threshold, largest : float
        1/mV.
    peak : float
        Where it is largest: voltage above the threshold, mV.
    half_below, half_above : float
        From the threshold to where the surrogate gradient is half of ``at_threshold``, mV; infinite where it is not seen.
    """

    at_threshold: float
    largest: float
    peak: float
    half_below: float
    half_above: float

    def __str__(self) -> str:
        if self.largest == 0.0:
            return "surrogate gradient: 0 near the threshold; nothing is learned"
        if self.at_threshold >= 0.999 * self.largest:
            where = "its largest value"
        else:
            side = "above" if self.peak > 0.0 else "below"
            where = f"largest, {self.largest:.3g}, {abs(self.peak):.3g} mV {side} it"
        return (
            f"surrogate gradient: {self.at_threshold:.3g} per mV at the threshold, {where}; half of that "
            f"{self.half_below:.3g} mV below and {self.half_above:.3g} mV above"
        )


@dataclass(frozen=True)
class SpikeCheck:
    """What was measured; ``deviation`` is None, with a reason in ``unknown``, where it could not be."""

    deviation: float | None
    surrogacy: Surrogacy | None
    unknown: str = ""


class _Copies:
    """Copies of one neuron that are stepped with different inputs."""

    def __init__(self, neuron: Any, dt: float, count: int):
        self.one, self.dt, self._neurons = neuron, dt, stepped_neurons([neuron], count, dt)
        self.restart()

    def restart(self) -> None:
        """To the state before the first step."""
        self._state = self._neurons.rest()

    @property
    def v(self) -> np.ndarray:
        """Voltages, mV; to be changed in place."""
        state: Any = self._state
        return state.rows[self.one.state_rows.index("v")] if hasattr(state, "rows") else state.v

    def step(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """One step with the inputs ``x``, mV: which of them spike, and the surrogate gradients."""
        psi = self._neurons.step(self._state, np.asarray(x, float))
        return self._state.z > 0.0, psi


def check_spike(neuron: Neuron, dt: float) -> SpikeCheck:
    """Compare the effect of a spike on its own neuron with the declared eligibility; measure the surrogate gradient.

    A pulse that just suffices for a spike and one that just does not give the same states, but for the spike. The surrogate
    gradients of that step must agree. Then the reset of the voltage is undone. What remains of the spike is a shift of the
    voltage from the threshold, ``output decay^(s-1) spike`` after ``s`` steps: the neuron without a spike gets that much input,
    and both must have the same surrogate gradient. The first step is left out, since a reset may still be under way, and as many
    steps as input needs to reach the voltage.

    Raises
    ------
    NetworkError
        If the surrogate gradient jumps at the threshold.
    """
    net = Network(dt=dt)
    # Of a population whose neurons differ, all are as the first one.
    one = neurons_of(net, net.add(neuron, 1))[0]
    found = _threshold_pulse(one, dt)
    if found is None:
        return SpikeCheck(None, None, "no pulse from rest makes the difference between a spike and none")
    after_pulse = effect(one, dt, found[2] + AFTER)
    if not after_pulse[: found[2] + 1].any():
        return SpikeCheck(None, None, "by the eligibility, no input reaches the voltage before the spike")
    surrogacy, jump = _surrogacy(one, dt, found, after_pulse)
    if jump > JUMP * surrogacy.largest:
        raise NetworkError(
            f"{type(neuron).__name__}: psi jumps at the threshold, by {jump:.3g} per mV: update() must take psi of the "
            "voltage before the reset, whether the neuron spikes or not"
        )
    if surrogacy.largest == 0.0:
        return SpikeCheck(None, surrogacy, "the surrogate gradient is 0 wherever it was looked at")
    deviation = _after_spike(one, dt, found, after_pulse)
    if deviation is None:
        return SpikeCheck(None, surrogacy, f"the neuron is refractory for {AFTER} steps and more")
    return SpikeCheck(deviation / surrogacy.largest, surrogacy)


def effect(neuron: Any, dt: float, steps: int, of: str = "arrival") -> np.ndarray:
    """How far the voltage moves away from the threshold 0, 1, ... ``steps`` steps after an input of 1 mV or an own spike, mV.

    By the eligibility: ``output decay^s arrival``, or ``output decay^s spike`` with ``of="spike"``.
    """
    e = neuron.eligibility(dt)
    decay, output, eps = (np.array(part, float) for part in (e.decay, e.output, getattr(e, of)))
    out = np.zeros(steps + 1)
    for t in range(steps + 1):
        out[t] = output @ eps
        eps = decay @ eps
    return out


def _threshold_pulse(neuron: Neuron, dt: float) -> tuple[float, float, int] | None:
    """The largest pulse without a spike, the smallest with one (mV), and the step of that spike; None if there are none."""
    weights, copies = 2.0 ** np.linspace(-24.0, 40.0, COPIES), _Copies(neuron, dt, COPIES)
    for _ in range(ROUNDS):
        copies.restart()
        first = np.full(COPIES, -1)
        for t in range(WITHIN):
            spikes, _ = copies.step(weights if t == 0 else np.zeros(COPIES))
            first[spikes & (first < 0)] = t
        spiking = np.flatnonzero(first >= 0)
        if not spiking.size or spiking[0] == 0:
            return None
        low, high, when = weights[spiking[0] - 1], weights[spiking[0]], int(first[spiking[0]])
        if np.nextafter(low, high) >= high:
            break
        weights = np.linspace(low, high, COPIES)
    return float(low), float(high), when


def _surrogacy(
    neuron: Neuron, dt: float, pulses: tuple[float, float, int], response: np.ndarray
) -> tuple[Surrogacy, float]:
    """The surrogate gradient about the threshold, and by how much it jumps there.

    A second pulse, which reaches the voltage in the step of the spike, takes the voltage as far below and above the threshold as
    rest is from it, and twice as far.
    """
    below, above, when = pulses
    u = below * response[when] * np.linspace(-2.0, 2.0, 401)
    lag = _lag(response)
    first, second = np.full(2 + u.size, below), np.concatenate([[0.0, 0.0], u / response[lag]])
    first[1] = above
    copies, quiet = _Copies(neuron, dt, first.size), np.ones(first.size, bool)
    for t in range(when + 1):
        quiet_before = quiet
        spikes, psi = copies.step((first if t == 0 else 0.0) + (second if t == when - lag else np.zeros(first.size)))
        quiet = quiet & ~spikes
    at = float(psi[0])
    u, curve = u[quiet_before[2:]], psi[2:][quiet_before[2:]]
    peak = int(np.argmax(curve)) if curve.size else 0
    largest = max(at, float(curve[peak]) if curve.size else 0.0)
    halves = [_half_width(-u[u <= 0.0][::-1], curve[u <= 0.0][::-1], at), _half_width(u[u >= 0.0], curve[u >= 0.0], at)]
    place = 0.0 if at >= 0.999 * largest else float(u[peak])
    return Surrogacy(at, largest, place, *halves), abs(float(psi[1] - psi[0]))


def _lag(response: np.ndarray) -> int:
    """Steps until input reaches the voltage."""
    return int(np.flatnonzero(response)[0])


def _half_width(distance: np.ndarray, psi: np.ndarray, at: float) -> float:
    """Distance from the threshold at which ``psi`` falls to half of what it is there; infinite where it does not."""
    low = np.flatnonzero(psi <= 0.5 * at)
    if not low.size or low[0] == 0:
        return math.inf
    k = int(low[0])
    share = (psi[k - 1] - 0.5 * at) / (psi[k - 1] - psi[k])
    return float(distance[k - 1] + share * (distance[k] - distance[k - 1]))


def _after_spike(neuron: Neuron, dt: float, pulses: tuple[float, float, int], response: np.ndarray) -> float | None:
    """Largest difference of surrogate gradients after a spike from what the eligibility says, 1/mV; None if always refractory.

    The reset of the voltage is no part of the eligibility and is undone. It may come in the step of the spike, in the next one,
    or last for a refractory time; all other changes of the voltage must stay. So it is undone for the number of steps that fits
    best.
    """
    copies = _Copies(neuron, dt, 3 * (AFTER - 1 - _lag(response)))
    found = [_difference(copies, pulses, response, undone) for undone in (1, 2, AFTER)]
    known = [deviation for deviation in found if deviation is not None]
    return min(known, default=None)


def _difference(copies: _Copies, pulses: tuple[float, float, int], response: np.ndarray, undone: int) -> float | None:
    """As `_after_spike`, with the voltage after the spike that of the neuron without one, for so many steps."""
    (below, above, when), lag = pulses, _lag(response)
    later = np.arange(2 + lag, AFTER + 1)
    copies.restart()
    n = later.size
    shift = effect(copies.one, copies.dt, AFTER - 1, "spike")[later - 1]
    second = below * (NEAR * response[when] - response[when + later]) / response[lag]
    first = np.repeat([above, below, above], n)
    # With a spike; without, moved as far as the spike should have done; with a spike, and input that only refractoriness resists.
    pulse = np.concatenate([second, second + shift / response[lag], np.full(n, 1e3 * abs(above) + 1e3)])
    arrives, deviation = np.tile(when + later - lag, 3), None
    for t in range(when + AFTER + 1):
        spikes, psi = copies.step(np.where(t == 0, first, 0.0) + np.where(arrives == t, pulse, 0.0))
        judged = (later + when == t) & spikes[2 * n :]
        if judged.any():
            deviation = max(deviation or 0.0, float(np.abs(psi[:n] - psi[n : 2 * n])[judged].max()))
        if when <= t < when + undone:
            copies.v[:] = np.tile(copies.v[n : 2 * n], 3)
    return deviation
