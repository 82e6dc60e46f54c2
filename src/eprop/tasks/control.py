"""Base of tasks whose network acts in an environment and learns from reward."""

from __future__ import annotations

import functools
import hashlib
import math
from dataclasses import dataclass
from typing import Any, ClassVar

from eprop.errors import ParameterError
from eprop.models import EventSource, Readout
from eprop.network import AllToAll, Bernoulli, Glorot, Network, Normal, RandomFeedback, Symmetric
from eprop.parameters import param
from eprop.rl import Actions, ContinuousActions, Encoder, Environments, GaussianPolicy, Policy, SoftmaxPolicy
from eprop.rules import Adam, EProp
from eprop.tasks.base import Task, check_choice
from eprop.tasks.learning_task import neuron_of
from eprop.tasks.trials import DataChoice

FEEDBACKS = ("symmetric", "random")


@dataclass(frozen=True)
class EpisodeChoice(DataChoice):
    """Episodes of the evaluation: the same for every seed of a task, and different from those of training."""

    episodes: int = param(100, kind=int, at_least=1, doc="episodes of the test", main=True)
    seed: int = param(0, kind=int, at_least=0, doc="seed of these episodes")

    def fingerprint(self, task: Any, trials: Any) -> str:
        """A digest of the task, which alone determines what a network learns from."""
        return hashlib.sha256(repr(task).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Control(Task):
    """Base of tasks whose network acts in an environment and learns from reward, by e-prop with an actor and a critic.

    A subclass defines `make_environments` and `make_encoder`. The network has recurrent neurons, readouts ``policy`` and one
    readout ``value``; all weights are plastic.
    """

    data: ClassVar[Any] = EpisodeChoice
    score_name: ClassVar[str] = "mean return"
    rule: ClassVar[str] = "eprop"
    reward_range: ClassVar[str] = ""
    """Meaning of a return, for figures and tables, such as "steps that the pole stands"."""

    dt: float = param(1.0, unit="ms", above=0.0, doc="length of a step of the network")
    substeps: int = param(6, kind=int, at_least=1, doc="steps of the network for each step of the environment")

    lif: int = param(100, kind=int, at_least=0, doc="neurons without adaptation", main=True)
    alif: int = param(0, kind=int, at_least=0, doc="neurons with adaptation", main=True)
    tau_m: float = param(5.0, unit="ms", above=0.0, doc="membrane time constant of the neurons")
    tau_out: float = param(5.0, unit="ms", above=0.0, doc="time constant of the readouts")
    v_th: float = param(1.0, unit="mV", above=0.0, doc="threshold")
    t_ref: float = param(0.0, unit="ms", at_least=0.0, doc="refractory time")
    beta: float = param(0.1, unit="mV", at_least=0.0, doc="alif: rise of the threshold per spike")
    tau_adapt: float = param(200.0, unit="ms", above=0.0, doc="alif: time constant of the threshold")
    surrogate_height: float = param(0.3, above=0.0, doc="height of the piecewise linear surrogate gradient, in 1/mV")
    surrogate_width: float = param(1.0, unit="mV", above=0.0, doc="half width of the surrogate gradient")

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
    feedback: str = param("symmetric", kind=str, doc="symmetric or random")
    w_feedback: float = param(1.0, unit="mV", at_least=0.0, doc="sd of random feedback weights")
    c_reg: float = param(0.0, at_least=0.0, doc="strength of rate regularisation")
    f_target: float = param(20.0, unit="Hz", at_least=0.0, doc="target rate of the rate regularisation")

    sd: float = param(0.5, above=0.0, doc="continuous actions: standard deviation, of half the range, at first")
    learned_sd: bool = param(True, kind=bool, doc="continuous actions: readouts set the standard deviation")
    greedy: bool = param(True, kind=bool, doc="take the most probable action in an evaluation")

    def validate(self) -> None:
        """Check names and the number of neurons; replace None by the values of `suited`."""
        self._take_suited()
        check_choice(f"{type(self).__name__}.feedback", self.feedback, FEEDBACKS)
        if self.neurons == 0:
            raise ParameterError(f"{type(self).__name__}.lif and alif must not both be 0")

    def unused_reason(self, name: str) -> str | None:
        """See `Task.unused_reason`."""
        if name in ("beta", "tau_adapt") and not self.alif:
            return "no neuron has an adaptive threshold"
        if name == "f_target" and self.c_reg == 0.0:
            return "c_reg is 0"
        if name in ("sd", "learned_sd") and not isinstance(spaces(self)[1], ContinuousActions):
            return "actions are discrete"
        if name == "w_feedback" and self.feedback == "symmetric":
            return "feedback is symmetric"
        return None

    @property
    def neurons(self) -> int:
        """Recurrent neurons of both kinds."""
        return self.lif + self.alif

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
        sizes = {"lif": self.lif, "alif": self.alif}
        hidden = [net.add(neuron_of(self, kind), size, name=kind) for kind, size in sizes.items() if size]
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
                net.feedback(out, post, self._feedback())
        return net

    def _rule(self, eta: float) -> EProp:
        return EProp(optimizer=Adam(eta=eta, epsilon=1e-6), c_reg=self.c_reg, f_target=self.f_target)

    def _feedback(self) -> Any:
        return Symmetric() if self.feedback == "symmetric" else RandomFeedback(Normal(0.0, self.w_feedback))


@functools.lru_cache(maxsize=16)
def spaces(task: Control) -> tuple[tuple[int, ...], Actions]:
    """Shape of a task's observations, and its actions."""
    environments = task.make_environments(1)
    try:
        return environments.shape, environments.actions
    finally:
        environments.close()
