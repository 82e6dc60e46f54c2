"""Environments in which a network acts, and the settings of a training from their rewards."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property

from eprop.encoders import Encoder
from eprop.errors import InputError, ParameterError
from eprop.parameters import inherited, param
from eprop.rl import Actions, ContinuousActions, Environments, GaussianPolicy, Objective, Policy, SoftmaxPolicy
from eprop.rl.environments import LONGEST
from eprop.training.settings import SCHEDULES, Training, check_schedule


@dataclass(frozen=True, kw_only=True)
class PolicyTraining(Objective):
    """Duration, learning rates and objective of a training from rewards; see `eprop.rl.Objective`."""

    steps: int = param(500_000, kind=int, at_least=1, doc="steps of the environments, all together")
    environments: int = param(
        32, kind=int, at_least=1, doc="parallel environments, each with a copy of the network's state"
    )
    rollout: int = param(64, kind=int, at_least=1, doc="steps of each environment from one update to the next")
    passes: int = param(
        1, kind=int, at_least=1, doc="how often each rollout is learned from; more than once: set a clip"
    )
    schedule: str = inherited(Training, "schedule", "linear")
    eta_final: float = inherited(Training, "eta_final", 0.01)
    entropy_final: float = param(
        1.0, at_least=0.0, at_most=1.0, doc="final weight of the entropy, as a fraction of the initial one; linear"
    )
    reports: int = param(200, kind=int, at_least=1, doc="lines of metrics, at most one per update")
    episodes: int = param(100, kind=int, at_least=1, doc="episodes of the test")
    test_seed: int = param(0, kind=int, at_least=0, doc="seed of these episodes, the same for every seed of a task")

    def validate(self) -> None:
        """Check the schedule; several passes need a clip."""
        label = type(self).__name__
        check_schedule(label, self.schedule, self.eta_final)
        if self.passes > 1 and self.clip is None:
            raise ParameterError(
                f"{label}.passes = {self.passes} needs a clip, such as 0.2: without, nothing keeps the policy "
                "near the one that has acted"
            )

    def objective_at(self, done: float) -> Objective:
        """The objective after the fraction ``done`` (0 to 1) of the training."""
        values = {field.name: getattr(self, field.name) for field in fields(Objective)}
        return Objective(**{**values, "entropy": self.entropy * SCHEDULES["linear"](done, self.entropy_final)})

    @property
    def updates(self) -> int:
        """Number of rollouts that gives at least ``steps`` steps."""
        return math.ceil(self.steps / (self.environments * self.rollout))


@dataclass(frozen=True, eq=False)
class Control(PolicyTraining):
    """Environments for an `Experiment` whose network acts and learns from reward, by e-prop with an actor and a critic.

    The network has an event source ``in``, recurrent neurons, readouts ``policy`` and one readout ``value``.

    Parameters
    ----------
    make : callable of (n, render) that returns Environments
        Makes ``n`` parallel environments; with ``render=True`` they return pictures.
    encoder : Encoder
        Turns observations into spikes.
    policy : Policy, optional
        By default a softmax, or a Gaussian for continuous actions.
    meaning : str
        Meaning of a return, for figures and tables, such as "steps that the pole stands".
    label : str
        Name of the environment.
    """

    make: Callable[..., Environments]
    encoder: Encoder
    policy: Policy | None = None
    substeps: int = param(1, kind=int, at_least=1, doc="steps of the network for each step of the environment")
    scale_observations: bool = param(
        False,
        kind=bool,
        doc="whether the encoder gets observations minus their running mean, in units of their running standard deviation",
    )
    greedy: bool = param(True, kind=bool, doc="whether a test takes the most probable action")
    longest: int = param(LONGEST, kind=int, at_least=1, doc="steps after which an episode is cut, in training and test")
    meaning: str = ""
    label: str = ""

    def validate(self) -> None:
        """Check what makes environments, and the encoder."""
        super().validate()
        if not callable(self.make):
            raise InputError(
                f"Control.make must be a function of (n, render) that makes environments, got {self.make!r:.80}"
            )
        if not isinstance(self.encoder, Encoder):
            raise InputError(f"Control.encoder must be an Encoder, got {self.encoder!r:.80}")

    @staticmethod
    def settings_names() -> list[str]:
        """Names of the settings of the training."""
        return [each.name for each in fields(PolicyTraining)]

    def make_environments(self, n: int, *, render: bool = False) -> Environments:
        """``n`` parallel environments."""
        return self.make(n, render=render)

    def policy_for(self, actions: Actions) -> Policy:
        """The policy, or the default for the actions."""
        if self.policy is not None:
            return self.policy
        return GaussianPolicy() if isinstance(actions, ContinuousActions) else SoftmaxPolicy()

    @cached_property
    def spaces(self) -> tuple[tuple[int, ...], Actions]:
        """Shape of the observations, and the actions."""
        return spaces_of(self.make)


def spaces_of(make: Callable[..., Environments]) -> tuple[tuple[int, ...], Actions]:
    """Shape of the observations, and the actions, of what makes environments (see `Control`)."""
    environments = make(1, render=False)
    try:
        return environments.shape, environments.actions
    finally:
        environments.close()
