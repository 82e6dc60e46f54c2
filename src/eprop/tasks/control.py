"""Base of tasks whose network acts in an environment and learns from reward."""

from __future__ import annotations

import functools
import hashlib
import math
from dataclasses import dataclass
from typing import Any, ClassVar

from eprop.encoders import Encoder
from eprop.models import EventSource, Readout
from eprop.network import AllToAll, Bernoulli, Glorot, Network, Normal
from eprop.parameters import inherited, param
from eprop.rl import Actions, ContinuousActions, Environments, GaussianPolicy, Policy, SoftmaxPolicy
from eprop.rl.environments import LONGEST
from eprop.rules import Adam, EProp
from eprop.tasks.base import check_choice
from eprop.tasks.datasets import DataChoice
from eprop.tasks.recurrent import MixedTask, RecurrentTask

FEEDBACKS = ("symmetric", "random")


@dataclass(frozen=True)
class EpisodeChoice(DataChoice):
    """Episodes of the evaluation: the same for every seed of a task, and different from those of training."""

    episodes: int = param(100, kind=int, at_least=1, doc="episodes of the test", main=True)
    seed: int = param(0, kind=int, at_least=0, doc="seed of these episodes")

    def fingerprint(self, task: Any, dataset: Any) -> str:
        """A digest of the task, which alone determines what a network learns from."""
        return hashlib.sha256(repr(task).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Control(MixedTask, RecurrentTask):
    """Base of tasks whose network acts in an environment and learns from reward, by e-prop with an actor and a critic.

    A subclass defines `make_environments` and `make_encoder`. The network has recurrent neurons, readouts ``policy`` and one
    readout ``value``; all weights are plastic.
    """

    data: ClassVar[Any] = EpisodeChoice
    score_name: ClassVar[str] = "mean return"
    rule: ClassVar[str] = "eprop"
    reward_range: ClassVar[str] = ""
    """Meaning of a return, for figures and tables, such as "steps that the pole stands"."""

    substeps: int = param(6, kind=int, at_least=1, doc="steps of the network for each step of the environment")
    tau_m: float = inherited(RecurrentTask, "tau_m", 5.0)
    tau_out: float = inherited(RecurrentTask, "tau_out", 5.0)

    connectivity: float = param(0.2, above=0.0, at_most=1.0, doc="probability of a recurrent connection")
    w_in: float = param(1.2, unit="mV", at_least=0.0, doc="sd of the input weights times sqrt(active inputs of a step)")
    active: float = param(
        0.15, above=0.0, at_most=1.0, doc="approximate fraction of the inputs that are active in a step"
    )
    w_rec: float = param(0.3, unit="mV", at_least=0.0, doc="sd of the recurrent weights times sqrt(connected neurons)")
    w_out: float = param(0.5, unit="mV", at_least=0.0, doc="factor of the readout weights, by Glorot's rule at 1")

    eta: float = param(4e-3, at_least=0.0, doc="learning rate of input and recurrent weights (Adam)")
    eta_out: float = param(2e-2, at_least=0.0, doc="learning rate of the policy's weights")
    eta_value: float = param(5e-2, at_least=0.0, doc="learning rate of the value's weights")

    sd: float = param(0.5, above=0.0, doc="continuous actions: standard deviation, of half the range, at first")
    learned_sd: bool = param(True, kind=bool, doc="continuous actions: readouts set the standard deviation")
    greedy: bool = param(True, kind=bool, doc="take the most probable action in an evaluation")
    longest: int = param(LONGEST, kind=int, at_least=1, doc="steps after which an episode is cut, in training and test")

    def validate(self) -> None:
        """Check names and the number of neurons; replace None by the values of `suited`."""
        self._take_suited()
        check_choice(f"{type(self).__name__}.feedback", self.feedback, FEEDBACKS)
        super().validate()

    def unused_reason(self, name: str) -> str | None:
        """See `Task.unused_reason`."""
        if name in ("sd", "learned_sd") and not isinstance(spaces(self)[1], ContinuousActions):
            return "actions are discrete"
        return super().unused_reason(name)

    def make_environments(self, n: int, *, render: bool = False) -> Environments:
        """Make ``n`` parallel environments.

        Parameters
        ----------
        n : int
        render : bool
            Whether the environments return pictures.
        """
        raise TypeError(f"{type(self).__name__} does not define make_environments()")

    def make_encoder(self) -> Encoder:
        """Make the encoder of observations."""
        raise TypeError(f"{type(self).__name__} does not define make_encoder()")

    @property
    def scales_observations(self) -> bool:
        """Whether the encoder gets observations minus their running mean, in units of their running standard deviation."""
        return False

    def make_policy(self, actions: Actions) -> Policy:
        """Make the policy: a softmax, or a Gaussian for continuous actions."""
        if isinstance(actions, ContinuousActions):
            return GaussianPolicy(sd=self.sd, learned_sd=self.learned_sd)
        return SoftmaxPolicy()

    def default_training(self, data: Any) -> dict[str, Any]:
        """Defaults of the section ``[training]``, an `eprop.training.PolicyTraining`, for this task."""
        return {}

    def build_network(self) -> Network:
        """Populations ``in``, ``lif`` and ``alif`` (if not empty), ``policy`` and ``value``; all projections are plastic."""
        shape, actions = spaces(self)
        net = Network(dt=self.dt, seed=self.seed)
        x = net.add(EventSource(), self.make_encoder().channels(shape), name="in")
        hidden = self.add_neurons(net)
        readout = Readout(tau_m=self.tau_out, scale_input=True)
        policy = net.add(readout, self.make_policy(actions).readouts(actions), name="policy")
        value = net.add(readout, 1, name="value")
        p = self.connectivity
        w_in = Normal(0.0, self.w_in / math.sqrt(self.active * x.size))
        w_rec = Normal(0.0, self.w_rec / math.sqrt(p * self.neurons))
        for post in hidden:
            net.connect(x, post, AllToAll(), weight=w_in, rule=self._rule(self.eta))
            for pre in hidden:
                who = AllToAll() if p == 1.0 else Bernoulli(p)
                net.connect(pre, post, who, weight=w_rec, rule=self._rule(self.eta))
            for out, eta in ((policy, self.eta_out), (value, self.eta_value)):
                net.connect(post, out, AllToAll(), weight=Glorot(self.w_out), rule=self._rule(eta))
                net.feedback(out, post, self.make_feedback())
        return net

    def _rule(self, eta: float) -> EProp:
        return EProp(optimizer=Adam(eta=eta, epsilon=1e-6), c_reg=self.c_reg, f_target=self.f_target)


@functools.lru_cache(maxsize=16)
def spaces(task: Control) -> tuple[tuple[int, ...], Actions]:
    """Shape of a task's observations, and its actions."""
    environments = task.make_environments(1)
    try:
        return environments.shape, environments.actions
    finally:
        environments.close()
