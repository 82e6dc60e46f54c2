"""What tasks with reward share: settings, and the network of actor and critic."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypedDict

from annotated_doc import Doc

from eprop.errors import ParameterError
from eprop.models import EventSource, Readout
from eprop.network import AllToAll, Bernoulli, Glorot, Network, Normal
from eprop.rules import Adam, EProp, Rule
from eprop.tasks.settings import DATA, LEARNING, Chosen
from eprop.training import Control, Experiment

#: In the help of settings that a task chooses.
CHOSEN = "the task chooses the default, eprop info RUN shows it"


class ControlSettings(TypedDict, total=False):
    """Settings of training, test and network; see `eprop.training.Control`."""

    eta: Annotated[float, Doc(f"learning rate of input and recurrent weights; {CHOSEN}"), LEARNING]
    eta_out: Annotated[float, Doc(f"learning rate of the policy's weights; {CHOSEN}"), LEARNING]
    eta_value: Annotated[float, Doc(f"learning rate of the value's weights; {CHOSEN}"), LEARNING]
    steps: Annotated[int, Doc("steps of the environments, all together"), LEARNING]
    environments: Annotated[int, Doc("parallel environments, each with a copy of the network's state"), LEARNING]
    rollout: Annotated[int, Doc("steps of each environment from one update to the next"), LEARNING]
    passes: Annotated[int, Doc("how often each rollout is learned from; more than once: set a clip"), LEARNING]
    clip: Annotated[float | None, Doc("largest deviation of the ratio of probabilities from 1"), LEARNING]
    gamma: Annotated[float, Doc("discount of a step of the environment"), LEARNING]
    entropy: Annotated[float, Doc("weight of the entropy, a bonus for exploration"), LEARNING]
    episodes: Annotated[int, Doc("episodes of the test"), DATA]
    greedy: Annotated[bool, Doc("take the most probable action in a test"), DATA]
    longest: Annotated[int, Doc("steps after which an episode is cut"), DATA]
    lam: float
    entropy_final: float
    value_weight: float
    value_scale: float
    scale_rewards: bool
    schedule: Literal["constant", "linear", "exponential", "cosine", "step"]
    eta_final: float
    reports: int
    substeps: int
    precision: Literal["single", "double"]
    dt: float
    tau_m: float
    tau_out: float
    beta: float
    tau_adapt: float
    connectivity: float
    active: float
    w_in: float
    w_rec: float
    w_out: float
    c_reg: float
    f_target: float
    feedback: Literal["symmetric", "random"]


#: Values of settings that a task does not choose; settings of the training have the defaults of `Control`.
USUAL: dict[str, Any] = {
    "eta": 4e-3, "eta_out": 2e-2, "eta_value": 5e-2, "substeps": 6, "dt": 1.0, "tau_m": 5.0, "tau_out": 5.0,
    "connectivity": 0.2, "w_in": 1.2, "active": 0.15, "w_rec": 0.3, "w_out": 0.5, "c_reg": 0.0, "f_target": 20.0,
}  # fmt: skip


class ActorCritic(Chosen):
    """Settings of a task with reward, and the network that they make.

    Parameters
    ----------
    chosen : dict
        Values that the task has chosen. ``connectivity`` is the probability of a recurrent connection, ``active`` about the
        fraction of the inputs that are active in a step. ``w_in`` and ``w_rec`` are standard deviations of the weights (mV),
        times the square root of the active inputs, and of the connected neurons. ``w_out`` is a factor of Glorot's rule.
    given : dict
        Values that the user has given; None stands for the chosen one.
    """

    def __init__(self, chosen: Mapping[str, Any], given: Mapping[str, Any]):
        super().__init__("eprop", {**USUAL, **chosen}, given)
        if not self["dt"] > 0.0:
            raise ParameterError(f"dt must be > 0 ms, got {self['dt']:g}")
        for name in ("connectivity", "active"):
            check_fraction(name, self[name])

    @property
    def control(self) -> dict[str, Any]:
        """The settings of training and test, for `Control`."""
        names = [*Control.settings_names(), "substeps", "greedy", "longest"]
        return {name: self.values[name] for name in names if name in self.values}

    def experiment(self, control: Control, seed: int, lif: int, alif: int, name: str = "") -> Experiment:
        """The experiment: populations ``in``, ``lif`` and ``alif`` (if not empty), ``policy`` and ``value``, all plastic.

        Parameters
        ----------
        control : Control
        seed : int
        lif, alif : int
            Number of neurons.
        name : str
            Begin of the names of run folders, by default the name of the task.
        """
        p = self["connectivity"]
        if lif + alif == 0 or min(lif, alif) < 0:
            raise ParameterError(f"lif and alif must be >= 0 and not both 0, got {lif} and {alif}")
        shape, actions = control.spaces
        net = Network(dt=self["dt"], seed=seed)
        x = net.add(EventSource(), control.encoder.channels(shape), name="in")
        hidden = [net.add(self.neuron(kind), n, name=kind) for kind, n in (("lif", lif), ("alif", alif)) if n]
        readout = Readout(tau_m=self["tau_out"], scale_input=True)
        policy = net.add(readout, control.policy_for(actions).readouts(actions), name="policy")
        value = net.add(readout, 1, name="value")
        w_in = Normal(0.0, self["w_in"] / math.sqrt(self["active"] * x.size))
        w_rec = Normal(0.0, self["w_rec"] / math.sqrt(p * (lif + alif)))
        for post in hidden:
            net.connect(x, post, AllToAll(), weight=w_in, rule=self.rule("eta"))
            for pre in hidden:
                who = AllToAll() if p == 1.0 else Bernoulli(p)
                net.connect(pre, post, who, weight=w_rec, rule=self.rule("eta"))
            for out, eta in ((policy, "eta_out"), (value, "eta_value")):
                net.connect(post, out, AllToAll(), weight=Glorot(self["w_out"]), rule=self.rule(eta))
                net.feedback(out, post, self.feedback())
        return Experiment(net, environments=control, name=name, precision=self["precision"])

    def rule(self, eta: str) -> Rule:
        """The rule, with the learning rate of this name."""
        return EProp(optimizer=Adam(eta=self[eta], epsilon=1e-6), c_reg=self["c_reg"], f_target=self["f_target"])


def check_fraction(name: str, value: float) -> None:
    """Raise `ParameterError` unless a number is above 0 and at most 1."""
    if not 0.0 < value <= 1.0:
        raise ParameterError(f"{name} must be > 0 and <= 1, got {value:g}")
