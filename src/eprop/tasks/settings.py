"""What tasks share: settings of rule, neurons and training, and how they become objects.

Settings with `Doc` are options of ``eprop train``; the others are arguments of the Python functions only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypedDict, get_type_hints

from annotated_doc import Doc

from eprop.errors import ParameterError
from eprop.models import ALIF, LIF, DeltaLIF, Neuron, PiecewiseLinear
from eprop.network import Adaptive, Feedback, FixedPoint, Network, Normal, RandomFeedback, Symmetric
from eprop.rules import EProp, EPropPlus, Optimizer, Rule
from eprop.rules.optimizers import BY_NAME as OPTIMIZERS

#: In the help of settings that a task chooses.
BY_RULE = "the default depends on the rule, eprop info RUN shows it"
#: Groups of the options.
LEARNING, DATA = "Network and learning", "Data"

RuleName = Annotated[
    Literal["eprop", "eprop+"], Doc("eprop (by mini-batch, samples reset) or eprop+ (by spike, no reset)"), LEARNING
]
Seed = Annotated[int, Doc("seed of connections, weights and the order of samples"), LEARNING]
Neurons = Annotated[int, Doc("recurrent neurons"), LEARNING]
NeuronName = Annotated[
    Literal["lif", "alif", "delta"],
    Doc("lif, alif with an adaptive threshold, or delta with a reset to a voltage"),
    LEARNING,
]
LIFNeurons = Annotated[int, Doc("neurons without adaptation"), LEARNING]
ALIFNeurons = Annotated[int, Doc("neurons with adaptation"), LEARNING]
Bits = Annotated[int | None, Doc("bits of all weights, 2 to 16"), LEARNING]
Rounding = Literal["stochastic", "nearest"]
# Of samples that are made from a seed.
MadeSamples = Annotated[int, Doc("training samples of an epoch"), DATA]
MadeTestSamples = Annotated[int, Doc("test samples"), DATA]
Validation = Annotated[int, Doc("validation samples; never learned from"), DATA]


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

    eta: Annotated[float, Doc(f"learning rate of input and recurrent weights; {BY_RULE}"), LEARNING]
    eta_out: Annotated[float, Doc(f"learning rate of the readout weights; {BY_RULE}"), LEARNING]
    c_reg: Annotated[float, Doc(f"strength of rate regularisation; {BY_RULE}"), LEARNING]
    optimizer: Annotated[
        Literal["adam", "gradient_descent", "momentum", "rmsprop"],
        Doc(f"optimiser of all weights; {BY_RULE}"),
        LEARNING,
    ]
    f_target: float
    feedback: Literal["symmetric", "random", "adaptive"]
    kappa: float | None
    cutoff: float


class Settings(RuleSettings, TrainingSettings, total=False):
    """All settings that tasks share; ``tau_m`` to ``tau_adapt`` are those of `eprop.ALIF`, ``tau_out`` is the readouts'."""

    tau_m: float
    tau_out: float
    beta: float
    tau_adapt: float


#: Values of settings that a task does not choose; only the task chooses the last ones.
USUAL: dict[str, Any] = {
    "f_target": 10.0, "feedback": "symmetric", "kappa": None, "cutoff": 100.0, "tau_m": 20.0, "tau_out": 20.0, "beta": 0.1,
    "tau_adapt": 200.0, "precision": "single", "average_gradient": False, "v_th": 1.0, "t_ref": 0.0,
    "surrogate": PiecewiseLinear(height=0.3, width=1.0),
}  # fmt: skip


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
    >>> chosen.rule("eta")
    """

    def __init__(self, rule: str, chosen: Mapping[str, Any], given: Mapping[str, Any]):
        self.name = rule
        given = {name: value for name, value in given.items() if value is not None}
        if rule == "eprop" and (unused := given.keys() & {"kappa", "cutoff"}):
            raise ParameterError(f"{min(unused)} changes nothing: it belongs to eprop+, and the rule is eprop")
        self.values = {**USUAL, **chosen, **given}

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    @property
    def training(self) -> dict[str, Any]:
        """The settings of the training, for `Experiment`."""
        return {name: self.values[name] for name in get_type_hints(TrainingSettings) if name in self.values}

    def rule(self, eta: str) -> Rule:
        """The rule, with the learning rate of this name."""
        optimizer: Optimizer = OPTIMIZERS[self["optimizer"]](eta=self[eta])
        common: dict[str, Any] = {"optimizer": optimizer, "c_reg": self["c_reg"], "f_target": self["f_target"]}
        if self.name == "eprop":
            return EProp(**common, average_gradient=self["average_gradient"])
        return EPropPlus(**common, kappa=self["kappa"], cutoff=self["cutoff"])

    def neuron(self, kind: str) -> Neuron:
        """The neuron model of a `NeuronName`."""
        common: dict[str, Any] = {name: self[name] for name in ("tau_m", "v_th", "t_ref", "surrogate")}
        if kind == "alif":
            return ALIF(**common, beta=self["beta"], tau_adapt=self["tau_adapt"])
        return DeltaLIF(**common) if kind == "delta" else LIF(**common)

    def feedback(self) -> Feedback:
        """The kind of feedback."""
        if self["feedback"] == "symmetric":
            return Symmetric()
        return (Adaptive if self["feedback"] == "adaptive" else RandomFeedback)(Normal(0.0, 1.0))


def with_bits(network: Network, bits: int | None, rounding: str) -> Network:
    """The network with weights of few bits; without bits, itself."""
    return network if bits is None else network.with_precision(FixedPoint(bits, rounding=rounding))
