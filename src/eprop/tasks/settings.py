"""What tasks share: settings of rule, neurons and training, and how they become objects.

Settings with `Doc` are options of ``eprop train``; the others are arguments of the Python functions only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypedDict, get_type_hints

from annotated_doc import Doc

from eprop.errors import ParameterError
from eprop.models import ALIF, LIF, Neuron, PiecewiseLinear
from eprop.network import Adaptive, Feedback, FixedPoint, Normal, RandomFeedback, Symmetric
from eprop.parameters import check_choice
from eprop.rules import EProp, EPropPlus, Optimizer, RMSprop, Rule
from eprop.rules.optimizers import BY_NAME as OPTIMIZERS

#: Groups of the options.
LEARNING, DATA = "Network and learning", "Data"

RuleName = Annotated[
    Literal["eprop", "eprop+"], Doc("eprop (by mini-batch, samples reset) or eprop+ (by spike, no reset)"), LEARNING
]
Eta = Annotated[float | None, Doc("learning rate of input and recurrent weights"), LEARNING]
EtaOut = Annotated[float | None, Doc("learning rate of the readout weights"), LEARNING]
Seed = Annotated[int, Doc("seed of connections, weights and the order of samples"), LEARNING]
Samples = Annotated[int | None, Doc("largest number of training samples"), DATA]
TestSamples = Annotated[int | None, Doc("largest number of test samples"), DATA]
Bits = Annotated[int | None, Doc("bits of all weights but biases, 2 to 16"), LEARNING]


class TrainingSettings(TypedDict, total=False):
    """Settings of the training, see `eprop.training.Training`."""

    epochs: Annotated[int, Doc("passes over the training data"), LEARNING]
    batch_size: Annotated[int, Doc("samples per weight update (eprop+: per change of the learning rates)"), LEARNING]
    schedule: Annotated[
        Literal["constant", "linear", "exponential", "cosine", "step"], Doc("schedule of the learning rates"), LEARNING
    ]
    validation_interval: Annotated[int | None, Doc("training samples between two validations"), LEARNING]
    patience: Annotated[
        int, Doc("stop after this many validations without a lower error, with the best network"), LEARNING
    ]
    precision: Literal["single", "double"]
    eta_final: float
    reports: int
    validations: int
    keep_best: bool | None


class RuleSettings(TypedDict, total=False):
    """Settings of rule, optimiser and feedback; see `eprop.EProp`, `eprop.EPropPlus`."""

    c_reg: Annotated[float | None, Doc("strength of rate regularisation"), LEARNING]
    f_target: float
    feedback: Literal["symmetric", "random", "adaptive"]
    w_feedback: float
    optimizer: Annotated[
        Literal["adam", "gradient_descent", "momentum", "rmsprop"], Doc("optimiser of all weights"), LEARNING
    ]
    beta_square: float
    decay: float
    average_gradient: bool
    clip_norm: float | None
    kappa: float | None
    cutoff: float
    each_step: bool


class NeuronSettings(TypedDict, total=False):
    """Settings of neurons and readouts; see `eprop.LIF`, `eprop.ALIF`."""

    tau_m: float
    tau_out: float
    v_th: float
    t_ref: float
    beta: float
    tau_adapt: float
    surrogate_height: float
    surrogate_width: float


class Settings(TrainingSettings, RuleSettings, NeuronSettings, total=False):
    """All settings that tasks share."""


#: Values of settings that a task does not choose.
USUAL: dict[str, Any] = {
    "f_target": 10.0, "feedback": "symmetric", "w_feedback": 1.0, "beta_square": 0.9, "decay": 0.0, "average_gradient": False,
    "clip_norm": None, "kappa": None, "cutoff": 100.0, "each_step": False, "tau_m": 20.0, "tau_out": 20.0, "v_th": 1.0,
    "t_ref": 0.0, "beta": 0.1, "tau_adapt": 200.0, "surrogate_height": 0.3, "surrogate_width": 1.0, "precision": "single",
}  # fmt: skip
_TRAINING = tuple(get_type_hints(TrainingSettings))


class Chosen:
    """Settings of a task: the usual ones, those that the task has chosen, and those that are given.

    Parameters
    ----------
    rule : {"eprop", "eprop+"}
    chosen : dict
        Values that the task has chosen.
    given : dict
        Values that the user has given; None stands for the chosen one.

    Examples
    --------
    >>> chosen = Chosen("eprop", {"eta": 0.005, "optimizer": "adam", "c_reg": 10.0}, settings)
    >>> chosen.rule(chosen["eta"])
    """

    def __init__(self, rule: str, chosen: Mapping[str, Any], given: Mapping[str, Any]):
        check_choice("rule", rule, ("eprop", "eprop+"))
        self.name = rule
        self.values = {**USUAL, **chosen, **{name: value for name, value in given.items() if value is not None}}
        check_choice("optimizer", self["optimizer"], OPTIMIZERS)
        self._refuse_without_effect(given)

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    @property
    def training(self) -> dict[str, Any]:
        """The settings of the training, for `Experiment`."""
        return {name: self.values[name] for name in _TRAINING if name in self.values}

    def rule(self, eta: float) -> Rule:
        """The rule with the learning rate ``eta``."""
        kind = OPTIMIZERS[self["optimizer"]]
        more = {"beta": self["beta_square"]} if kind is RMSprop else {}
        optimizer: Optimizer = kind(eta=eta, decay=self["decay"], **more)
        common: dict[str, Any] = {"optimizer": optimizer, "c_reg": self["c_reg"], "f_target": self["f_target"]}
        if self.name == "eprop":
            return EProp(**common, average_gradient=self["average_gradient"], clip_norm=self["clip_norm"])
        return EPropPlus(**common, kappa=self["kappa"], cutoff=self["cutoff"], each_step=self["each_step"])

    def neuron(self, kind: str) -> Neuron:
        """The neuron model, with (``alif``) or without (``lif``) an adaptive threshold."""
        surrogate = PiecewiseLinear(height=self["surrogate_height"], width=self["surrogate_width"])
        common: dict[str, Any] = {name: self[name] for name in ("tau_m", "v_th", "t_ref")} | {"surrogate": surrogate}
        return LIF(**common) if kind == "lif" else ALIF(**common, beta=self["beta"], tau_adapt=self["tau_adapt"])

    def feedback(self) -> Feedback:
        """The kind of feedback."""
        if self["feedback"] == "symmetric":
            return Symmetric()
        return (Adaptive if self["feedback"] == "adaptive" else RandomFeedback)(Normal(0.0, self["w_feedback"]))

    def _refuse_without_effect(self, given: Mapping[str, Any]) -> None:
        """Refuse settings of the other rule, or of another optimiser."""
        others = {
            "average_gradient": "eprop",
            "clip_norm": "eprop",
            "kappa": "eprop+",
            "cutoff": "eprop+",
            "each_step": "eprop+",
        }
        for name, rule in others.items():
            if given.get(name) is not None and rule != self.name:
                raise ParameterError(f"{name} changes nothing: it belongs to {rule}, and the rule is {self.name}")
        if given.get("beta_square") is not None and self["optimizer"] != "rmsprop":
            raise ParameterError(f"beta_square changes nothing: the optimizer is {self['optimizer']}")


def few_bits(bits: int | None, rounding: str = "stochastic") -> FixedPoint | None:
    """Format of weights of few bits; None for single or double precision."""
    return None if bits is None else FixedPoint(bits, rounding=rounding)
