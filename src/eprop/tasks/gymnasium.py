"""CartPole, and any environment of Gymnasium by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from eprop.encoders import Encoder, LatencyCode, PopulationCode, RateCode
from eprop.errors import ParameterError
from eprop.parameters import inherited, param
from eprop.rl import Environments, GymnasiumEnvironments, PixelEvents
from eprop.tasks.base import check_choice
from eprop.tasks.control import Control, spaces

#: Running standard deviations that are scaled to 1, before tanh.
DEVIATIONS = 1.5
#: Encoders by name, with the parameters of the task that each has.
KINDS: dict[str, tuple[type[Encoder], tuple[str, ...]]] = {
    "population": (PopulationCode, ("scale", "fields", "width", "probability")),
    "rate": (RateCode, ("scale", "group", "probability")),
    "latency": (LatencyCode, ("scale",)),
    "pixels": (PixelEvents, ("block", "sustained")),
}


@dataclass(frozen=True, kw_only=True)
class GymnasiumTask(Control):
    """An environment of Gymnasium by name; the default encoder depends on its observations."""

    env: str = param(
        "CartPole-v1", kind=str, doc="name of the environment, as gymnasium.make takes it", main=True, metavar="NAME"
    )
    encoder: str = param(
        "auto", kind=str, doc="auto (pixels for pictures, else population), population, rate, latency, pixels"
    )
    scale: tuple[float, ...] = param(
        (),
        kind=(tuple, list),
        doc="divisor of observations, before tanh; empty: 1.5 running standard deviations around the running mean",
    )
    repeat: int = param(1, kind=int, at_least=1, doc="steps of the environment for each action; rewards are summed")
    fields: int = param(12, kind=int, at_least=2, doc="population: inputs for each entry of an observation")
    width: float = param(0.2, above=0.0, doc="population: width of a receptive field, of the scaled entry")
    group: int = param(5, kind=int, at_least=1, doc="rate: inputs of a group, two groups for each entry")
    probability: float = param(1.0, above=0.0, at_most=1.0, doc="probability that the best input is active in a step")
    active: float = inherited(Control, "active", 0.3)
    block: int = param(
        4, kind=int, at_least=1, doc="pixels: side of the block of the picture that makes a pixel of the camera"
    )
    sustained: float = param(0.25, at_least=0.0, at_most=1.0, doc="pixels: events of pixels that stand out, in a step")

    name: ClassVar[str] = "gymnasium"

    def validate(self) -> None:
        """Check the encoder and the name of the environment."""
        super().validate()
        check_choice("GymnasiumTask.encoder", self.encoder, ("auto", *KINDS))
        object.__setattr__(self, "scale", tuple(self.scale))
        if not self.env.strip():
            raise ParameterError("GymnasiumTask.env must name an environment, such as Acrobot-v1")
        if ":" in self.env:  # a configuration may come from anywhere, and to import a module is to run it
            raise ParameterError(
                f"GymnasiumTask.env = {self.env!r:.80} would import a module, which a configuration cannot; import it in a "
                "file of your own, which defines a task derived from GymnasiumTask"
            )

    def unused_reason(self, name: str) -> str | None:
        """See `Task.unused_reason`."""
        if any(name in names for _, names in KINDS.values()) and name not in KINDS[self._encoder][1]:
            return f"the encoder is {self._encoder}"
        return super().unused_reason(name)

    @property
    def variant(self) -> str:
        """Name of the environment as part of the name of a folder."""
        return self.env.replace("/", "-").lower()

    def make_environments(self, n: int, *, render: bool = False) -> Environments:
        """See `Control.make_environments`."""
        return GymnasiumEnvironments(self.env, n, render=render, repeat=self.repeat)

    def default_training(self, data: Any) -> dict[str, Any]:
        """Settings for rewards of any size: rewards are scaled, and each rollout is used three times."""
        return {
            "steps": 500_000, "scale_rewards": True, "value_scale": 1.0, "entropy": 0.03, "entropy_final": 0.1,
            "clip": 0.2, "passes": 3,
        }  # fmt: skip

    @property
    def scales_observations(self) -> bool:
        """See `Control.scales_observations`: True for vectors, unless ``scale`` is given."""
        return not self.scale and self._encoder != "pixels"

    def make_encoder(self) -> Encoder:
        """The given encoder, or the default for the observations."""
        kind, names = KINDS[self._encoder]
        given = {name: getattr(self, name) for name in names}
        if not given.get("scale", True):
            given["scale"] = (DEVIATIONS,)
        if "probability" in given:
            given |= {"rate": given.pop("probability") * 1000.0 / self.dt, "dt": self.dt}
        return kind(**given)

    @property
    def _encoder(self) -> str:
        """Name of the encoder."""
        if self.encoder != "auto":
            return self.encoder
        shape, _ = spaces(self)
        return "pixels" if len(shape) in (2, 3) and min(shape[:2]) >= 16 else "population"


@dataclass(frozen=True, kw_only=True)
class CartPole(Control):
    """Push a cart left or right so that the pole on it stays upright (Barto, Sutton and Anderson 1983).

    The environment is ``CartPole-v1``: a reward of 1 in each step, an end when the pole leans too far or the cart leaves the
    track, 500 steps at the most. The network has 100 neurons, 48 inputs, two readouts for the policy, one for the value.
    """

    fields: int = param(12, kind=int, at_least=2, doc="inputs for each of position, speed, angle and its speed")
    width: float = param(0.2, above=0.0, doc="width of a receptive field, of the scaled observation")
    probability: float = param(0.5, above=0.0, at_most=1.0, doc="that the best input is active in a step")

    name: ClassVar[str] = "cartpole"
    reward_range: ClassVar[str] = "steps that the pole stands, 500 at the most"

    def default_training(self, data: Any) -> dict[str, Any]:
        """See `Control.default_training`."""
        return {"steps": 500_000}

    def make_environments(self, n: int, *, render: bool = False) -> Environments:
        """See `Control.make_environments`."""
        return GymnasiumEnvironments("CartPole-v1", n, render=render)

    def make_encoder(self) -> Encoder:
        """Scales in m, m/s, rad, rad/s: about what a pole that stands does not exceed."""
        return PopulationCode(
            scale=(2.0, 2.1, 0.175, 2.1), fields=self.fields, width=self.width,
            rate=self.probability * 1000.0 / self.dt, dt=self.dt,
        )  # fmt: skip
