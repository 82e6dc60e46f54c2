"""Any environment of Gymnasium, by its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from eprop.errors import ParameterError
from eprop.parameters import param
from eprop.rl import (
    Encoder,
    Environments,
    GymnasiumEnvironments,
    LatencyCode,
    PixelEvents,
    PopulationCode,
    RateCode,
)
from eprop.tasks.base import check_choice
from eprop.tasks.control import Control, spaces

ENCODERS = ("auto", "population", "rate", "latency", "pixels")


@dataclass(frozen=True, kw_only=True)
class GymnasiumTask(Control):
    """An environment of Gymnasium. Its name says which; the encoder follows from its observations unless one is named."""

    env: str = param("CartPole-v1", kind=str, doc="name of the environment, as gymnasium.make takes it")
    encoder: str = param(
        "auto", kind=str, doc="auto (pixels for pictures, else population), population, rate, latency, pixels"
    )
    scale: tuple[float, ...] = param(
        (),
        kind=(tuple, list),
        doc="what observations are divided by, before tanh; empty: 0.7 of half the range, or 1 without bounds",
    )
    fields: int = param(12, kind=int, at_least=2, doc="population: inputs for each entry of an observation")
    width: float = param(0.2, above=0.0, doc="population: width of a receptive field, of the scaled entry")
    group: int = param(5, kind=int, at_least=1, doc="rate: inputs of a group, two groups for each entry")
    probability: float = param(0.5, above=0.0, at_most=1.0, doc="that the best input is active in a step")
    block: int = param(
        4, kind=int, at_least=1, doc="pixels: side of the block of the picture that makes a pixel of the camera"
    )
    sustained: float = param(0.25, at_least=0.0, at_most=1.0, doc="pixels: events of pixels that stand out, in a step")

    name: ClassVar[str] = "gymnasium"

    def validate(self) -> None:
        """An encoder that exists, and a name."""
        super().validate()
        check_choice("GymnasiumTask.encoder", self.encoder, ENCODERS)
        object.__setattr__(self, "scale", tuple(self.scale))
        if not self.env.strip():
            raise ParameterError("GymnasiumTask.env must name an environment, such as Acrobot-v1")
        if ":" in self.env:  # a configuration may come from anywhere, and to import a module is to run it
            raise ParameterError(
                f"GymnasiumTask.env = {self.env!r:.80} would import a module, which a configuration cannot; import it in a "
                "file of your own, which defines a task derived from GymnasiumTask"
            )

    @property
    def variant(self) -> str:
        """Name of the environment, as a folder can have it."""
        return self.env.replace("/", "-").lower()

    def make_environments(self, n: int, *, render: bool = False) -> Environments:
        """See `Control.make_environments`."""
        return GymnasiumEnvironments(self.env, n, render=render)

    def make_encoder(self) -> Encoder:
        """The encoder that was named, or that suits the observations."""
        shape, _ = spaces(self)
        kind = self.encoder
        if kind == "auto":
            kind = "pixels" if len(shape) in (2, 3) and min(shape[:2]) >= 16 else "population"
        if kind == "pixels":
            return PixelEvents(block=self.block, sustained=self.sustained)
        centre, scale = self._range(shape)
        common: dict[str, Any] = {"scale": scale, "centre": centre}
        if kind == "population":
            return PopulationCode(**common, fields=self.fields, width=self.width, probability=self.probability)
        if kind == "rate":
            return RateCode(**common, group=self.group, probability=self.probability)
        return LatencyCode(**common)

    def _range(self, shape: tuple[int, ...]) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Centre and scale of each entry of an observation, from the bounds that the environment tells."""
        if self.scale:
            return (0.0,), self.scale
        environments = GymnasiumEnvironments(self.env)
        low, high = (np.ravel(bound).astype(float) for bound in environments.bounds)
        environments.close()
        bounded = (high - low < 1e3) & np.isfinite(high - low)
        centre = np.where(bounded, (low + np.where(bounded, high - low, 0.0) / 2.0), 0.0)
        scale = np.where(bounded, 0.35 * np.where(bounded, high - low, 1.0), 1.0)
        return tuple(centre.tolist()), tuple(scale.tolist())
