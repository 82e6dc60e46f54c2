"""All errors that the package raises on purpose, under one root.

Each class is also the built-in error that a caller would expect (`ValueError`, `RuntimeError`, `OSError`), so that
ordinary ``except`` clauses work. A message says what is wrong, where, and what to do.

The core does not raise such objects. The engine turns what the core returns into a `Status`, and `check_status` turns the
status into an error or a warning with advice.
"""

from __future__ import annotations

import enum
import importlib
import inspect
import warnings
from types import ModuleType
from typing import Any


class EPropError(Exception):
    """Root of all errors raised by this package."""


class ParameterError(EPropError, ValueError):
    """A parameter has a wrong type or lies outside its bounds."""


class NetworkError(EPropError, ValueError):
    """Populations and projections do not fit together."""


class InputError(EPropError, ValueError):
    """Inputs, targets or samples given to a run do not fit the network."""


class DataError(EPropError, ValueError):
    """A data file or data set is missing, damaged or empty."""


class CheckpointError(EPropError, ValueError):
    """A checkpoint is damaged or belongs to another network."""


class OutputError(EPropError, OSError):
    """A result could not be written: the disk is full or read-only, or the folder holds other files or another run."""


class MemoryLimitError(EPropError, MemoryError):
    """A network, or a call, needs more memory than is available."""


class DivergenceError(EPropError, RuntimeError):
    """A voltage, weight or loss is no longer finite."""


class MissingExtraError(EPropError, ImportError):
    """An optional dependency is not installed; the message names it, and the extra that has its version."""

    def __init__(self, module: str, extra: str, purpose: str):
        super().__init__(
            f'{purpose} needs the package "{module}": pip install {module} (or the extra "{extra}" of eprop)'
        )
        self._given = module, extra, purpose

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickling an error passes its text as the only argument, so rebuild it from the three arguments.
        return type(self), self._given, self.__dict__


def optional_module(name: str, extra: str, purpose: str, package: str | None = None) -> ModuleType:
    """Import a module that an extra installs; ``package`` is its name in registries, if another.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError(package or name, extra, purpose) from error


def warn(text: str, category: type[Warning] = UserWarning) -> None:
    """Warn about the line outside the package that has called it, so that a user sees a line of their own."""
    level, frame = 1, inspect.currentframe()
    while frame is not None and f"{frame.f_globals.get('__name__')}.".startswith("eprop."):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, category, stacklevel=level)


class CacheWarning(UserWarning):
    """A cached item, such as a data set, was damaged or could not be stored."""


class LostEventsWarning(UserWarning):
    """Live events came too late, or found no room in the queue."""


class SilenceWarning(UserWarning):
    """No input or no neuron spikes, or a population that learns stays below 0.5 Hz and the loss like that of silent readouts."""


class FiguresWarning(UserWarning):
    """A figure could not be drawn; what it shows is complete and kept."""


class InstabilityWarning(UserWarning):
    """A network may run away, or its loss explodes. A simulator warns once of each cause.

    It looks at windows of a second of network time, or a longer mini-batch of e-prop: a population that does not learn fires at
    more than 100 Hz on average (also in a run of 200 ms); or in two windows in a row the loss is more than three times that of
    outputs at zero and that of the best window; or the former in ten windows, and it does not halve. Windows of the loss last
    until errors have counted for a second.
    """


class SaturationWarning(InstabilityWarning):
    """A population has collapsed, and can no longer learn.

    In two windows in a row two or more of its neurons, and at least 2 %, wait on average less than ``t_ref`` and two steps
    between spikes: without ``t_ref`` they fire above half of the possible rate. Or all fire on average above 100 Hz and a quarter
    of the possible rate, ``1 / (t_ref + dt)``. A step of less than 1 ms counts as 1 ms.
    """


class NoFeedbackWarning(UserWarning):
    """Weights should learn, but no learning signal reaches them."""


class FilterWarning(UserWarning):
    """`EPropPlus.kappa` filters the eligibility over a much longer or shorter time than readouts filter their input."""


class Status(enum.IntEnum):
    """How a run ended."""

    OK = 0
    NOT_FINITE = 1
    WEIGHT_NOT_FINITE = 2
    SILENT = 3
    EXPLODED = 4
    NO_INPUT = 5


_ADVICE = {
    Status.NOT_FINITE: "a membrane voltage became infinite or NaN",
    Status.WEIGHT_NOT_FINITE: "a weight became infinite or NaN",
    Status.EXPLODED: "a membrane voltage exploded, beyond 1e9 mV",
}


def check_status(status: Status, where: str) -> None:
    """Raise or warn for the status of a run.

    Raises
    ------
    DivergenceError
        If a voltage or weight is no longer finite.
    """
    if status is Status.NO_INPUT:
        warn(
            f"{where}: no input spike arrived and every recurrent neuron stayed silent, so no weight can learn. Look at the "
            "inputs: they hold no events, or those of channels without a connection.",
            SilenceWarning,
        )
    elif status is Status.SILENT:
        warn(
            f"{where}: every recurrent neuron stayed silent, so no weight can learn. "
            "Raise the input weights, lower v_th, or give rate regularisation (rate_reg=1e-3).",
            SilenceWarning,
        )
    elif status is not Status.OK:
        raise DivergenceError(
            f"{where}: {_ADVICE[status]}. Lower the learning rates (eta), bound the weights (w_min, w_max of an optimiser), "
            "or scale down the initial weights."
        )
