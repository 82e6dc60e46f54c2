"""Check a user's own neuron model or surrogate gradient by running it as Python, which checks indices; compiled code does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from eprop.core import lib
from eprop.engine.own_neuron import MarkedCopies, loop_of
from eprop.errors import NetworkError
from eprop.models import Neuron, Surrogate
from eprop.models.base import core_model

#: Synaptic inputs of the test steps, mV: zero, small values of both signs, and values that make any neuron spike.
INPUTS = (0.0, 0.1, -0.1, 10.0, 1e4, 1e4, -1e4, 0.0)
#: Above this input an exponential may overflow.
LARGE = 1e3
#: Distances of the voltage from the threshold at which a surrogate gradient is tried, mV.
DISTANCES = (0.0, 0.1, -0.1, 1.0, -1.0, 10.0, -10.0)


def validate_user_model(neuron: Neuron, dt: float) -> None:
    """Run some steps of one neuron of a user's own model with index checks, and a user's surrogate gradient.

    Raises
    ------
    NetworkError
        If rows are missing or unknown, or `update` is not marked for compilation, fails, uses an index outside its rows, does
        not return two numbers, or returns a surrogate gradient above the declared bound. If the function of the surrogate
        gradient is not marked, fails, or does not return a finite number.
    """
    kind = type(neuron)
    surrogate = getattr(neuron, "surrogate", None)
    if surrogate is not None and surrogate.code < 0:
        _check_gradient(surrogate)
    if in_package(kind):
        return
    label = kind.__name__
    built_in = core_model(kind)
    if built_in is None and not hasattr(kind, "update"):
        raise NetworkError(
            f"{label} has no update: write update = staticmethod(...), the function of one step, in the class"
        )
    if built_in is None and not hasattr(kind.update, "py_func"):
        raise NetworkError(f"{label}.update is not compiled: write @inline (from eprop.models) above the function")
    derived = neuron.derived(dt)
    if missing := [name for name in kind.parameter_rows if name not in derived]:
        raise NetworkError(f"{label}.derived() has no value for {', '.join(missing)}, named in parameter_rows")
    if surplus := sorted(set(neuron.initial(dt, range(1), 0)) - set(kind.state_rows)):
        raise NetworkError(
            f"{label}.initial() has values for {', '.join(map(str, surplus))}, which state_rows = {kind.state_rows} does not name"
        )
    if neuron.inhibitory_row is not None:
        _check_receptors(neuron, dt)
    params = np.array([np.ravel(derived[name])[:1] for name in kind.parameter_rows], dtype=np.float64).reshape(-1, 1)
    first = neuron.initial(dt, range(1), 0)
    state = np.array([np.ravel(first.get(name, 0.0))[:1] for name in kind.state_rows], np.float64).reshape(-1, 1)
    gradient = getattr(surrogate, "gradient", None)
    update = MarkedCopies(gradient).copy(kind.update) if built_in is None else _update_of_core(neuron)
    largest = _largest_psi(neuron, dt)
    with np.errstate(all="ignore"):
        for x in INPUTS:
            result = _step(neuron, update, state, params, x)
            _check_result(label, result, largest)
            if abs(x) < LARGE and not np.isfinite(result[1]):
                raise NetworkError(
                    f"{label}.update returned psi = {result[1]} for an input of {x:g} mV; it must be finite"
                )


def _check_gradient(surrogate: Surrogate) -> None:
    """Try a user's surrogate gradient at some distances from the threshold."""
    label = f"{type(surrogate).__name__}.gradient"
    gradient: Any = type(surrogate).gradient
    if not hasattr(gradient, "py_func"):
        raise NetworkError(f"{label} is not compiled: write @inline (from eprop.models) above the function")
    for u in DISTANCES:
        try:
            with np.errstate(all="ignore"):
                psi = gradient(np.float64(u), surrogate.height, surrogate.width)
        except Exception as error:
            raise NetworkError(f"{label} fails: {type(error).__name__}: {error}") from error
        if not isinstance(psi, (int, float, np.number)) or not np.isfinite(psi):
            raise NetworkError(
                f"{label} must return a finite number; {u:g} mV from the threshold it returned {psi!r:.80}"
            )


def _check_receptors(neuron: Neuron, dt: float) -> None:
    """Check what a neuron says of its inhibitory receptor."""
    label, row = type(neuron).__name__, neuron.inhibitory_row
    if row not in neuron.state_rows:
        raise NetworkError(f"{label}.inhibitory_row is {row!r}, which state_rows = {neuron.state_rows} does not name")
    if getattr(neuron.eligibility(dt), "arrival_in", None) is None:
        raise NetworkError(f"{label} has an inhibitory receptor, so eligibility(dt) needs arrival_in as well")


def in_package(thing: type) -> bool:
    """Whether a class belongs to the package."""
    return thing.__module__.split(".")[0] == "eprop"


def _update_of_core(neuron: Neuron) -> Callable[..., Any]:
    """One step of one neuron of a built-in model, for a model that derives from it without its own `update`."""
    model, function = loop_of(neuron, shared=False)

    def update(state: np.ndarray, params: np.ndarray, j: int, x: float) -> tuple[bool, float]:
        psi = np.zeros(1)
        spikes = lib.advance(model, state, params, 0, 1, np.array([x], float), psi, function)
        return spikes.size > 0, psi[0]

    return update


def _step(neuron: Neuron, update: Callable[..., Any], state: np.ndarray, params: np.ndarray, x: float) -> Any:
    label, rows = type(neuron).__name__, f"state_rows = {neuron.state_rows}, parameter_rows = {neuron.parameter_rows}"
    try:
        return update(state, params, 0, np.float64(x))
    except IndexError as error:
        raise NetworkError(f"{label}.update uses a row that does not exist ({error}): {rows}") from error
    except Exception as error:
        raise NetworkError(f"{label}.update fails: {type(error).__name__}: {error}") from error


def _largest_psi(neuron: Neuron, dt: float) -> float:
    label = type(neuron).__name__
    try:
        largest = float(neuron.largest_psi(dt))
    except Exception as error:
        raise NetworkError(f"{label}.largest_psi(dt) fails: {type(error).__name__}: {error}") from error
    if not largest >= 0.0:
        raise NetworkError(f"{label}.largest_psi(dt) must be a non-negative number, got {largest}")
    return largest


def _check_result(label: str, result: Any, largest: float) -> None:
    two = isinstance(result, tuple) and len(result) == 2 and all(np.ndim(value) == 0 for value in result)
    if not two or not isinstance(result[1], (int, float, np.number)):
        raise NetworkError(f"{label}.update must return whether the neuron spikes, and psi; it returned {result!r:.80}")
    check_psi(label, result[1], largest)


def check_psi(label: str, psi: object, largest: object) -> None:
    """Check surrogate gradients against `Neuron.largest_psi`, if it is finite.

    Raises
    ------
    NetworkError
        If a value is negative, or larger than the bound.
    """
    psi, largest = np.broadcast_arrays(np.asarray(psi), np.asarray(largest))
    broken = np.isfinite(largest) & ~((psi >= 0.0) & (psi <= largest * (1.0 + 1e-12)))
    if broken.any():
        raise NetworkError(
            f"{label}.update returned psi = {psi[broken][0]:.6g}, but {label}.largest_psi() allows only 0 to "
            f"{largest[broken][0]:.6g}; correct largest_psi(), or return math.inf if no bound is known"
        )
