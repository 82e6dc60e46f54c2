"""A constant of a neuron or a readout that learns."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from eprop.errors import ParameterError
from eprop.parameters import NodeValue, ParameterInfo, Values, param, parameters_of


@dataclass(frozen=True)
class Learned(NodeValue):
    """Let a constant of a population learn by `EProp`: a time constant, a threshold, the strength of adaptation, a bias.

    It stands for the number in a model, such as ``ALIF(tau_adapt=Learned(200.0, low=20.0, high=5000.0, eta=0.05))``. Every
    neuron gets its own value, unless ``shared``. Each mini-batch moves the values by one optimiser step with the gradient of
    e-prop (docs/howto/learned_constants.md), and clips them. Time constants move by their logarithm, so that ``eta`` is
    a relative change; other constants move in their own unit. `Simulator.parameters` gives the present values.

    `LIF` and `ALIF` learn ``tau_m``, ``v_th``, ``i_e``, and ``tau_adapt``, ``beta``; `CurrentLIF` also ``tau_syn``; `Readout`
    ``tau_m``, ``i_e``.

    Examples
    --------
    >>> from eprop import ALIF, Learned, Uniform
    >>> neuron = ALIF(
    ...     tau_adapt=Learned(Uniform(40.0, 1000.0), low=20.0, high=5000.0), i_e=Learned(0.0, low=-1.0, high=1.0)
    ... )
    """

    start: float = param(doc="first value: a number, a list with a value for each node, or a distribution")
    low: float = param(doc="lowest value")
    high: float = param(doc="highest value")
    eta: float = param(
        0.01, at_least=0.0, symbol="eta", also=("lr", "learning_rate"),
        doc="learning rate; by Adam about the largest change in a mini-batch, of a time constant relative to it",
    )  # fmt: skip
    shared: bool = param(False, kind=bool, doc="one value for the population instead of one for each node")
    descent: bool = param(False, kind=bool, doc="take steps of plain gradient descent instead of Adam")

    def __post_init__(self) -> None:
        for name, info in parameters_of(type(self)):
            checked = info.check("Learned", name, getattr(self, name), per_node=name == "start")
            object.__setattr__(self, name, checked)
        if not self.low < self.high:
            raise ParameterError(f"Learned.low must be below high, got {self.low:g} and {self.high:g}")
        if self.shared and not isinstance(self.start, float):
            raise ParameterError("Learned.start must be a number with shared=True, because all nodes share one value")
        self.check_within("Learned.start", self.start.values if isinstance(self.start, Values) else self.start)

    def check_within(self, label: str, start: object) -> None:
        """Refuse first values outside the bounds; a distribution is checked when it is drawn."""
        if isinstance(start, (float, tuple, np.ndarray)):
            values: np.ndarray = np.asarray(start, np.float64)
            if np.any((values < self.low) | (values > self.high)):
                raise ParameterError(
                    f"{label} must lie in {self.low:g}..{self.high:g} (low..high), got {values.min():g}..{values.max():g}"
                )

    def checked_for(self, label: str, info: ParameterInfo) -> Self:
        """Return itself if the parameter can learn, and its bounds include ``low`` and ``high``."""
        if not info.learned:
            raise ParameterError(
                f"{label} cannot be learned. Constants that can: tau_m, v_th and i_e of neurons, tau_adapt and beta of adapting "
                "ones, tau_syn of those with a current, tau_m and i_e of readouts"
            )
        for end in ("low", "high"):
            info.check(f"{label}: Learned", end, getattr(self, end))
        return self


def learned_of(model: Any) -> dict[str, Learned]:
    """The constants of a model that learn, by name."""
    parts = {field.name: getattr(model, field.name) for field in dataclasses.fields(model)}
    return {name: part for name, part in parts.items() if isinstance(part, Learned)}
