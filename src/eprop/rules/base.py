"""Plasticity rules as descriptions: how a synapse changes its weight."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from eprop.errors import ParameterError
from eprop.parameters import Description, param, require_member
from eprop.rules.optimizers import Adam, GradientDescent, Optimizer
from eprop.rules.reward import RewardTrace


@dataclass(frozen=True)
class Rule(Description):
    """Base of all plasticity rules. A rule runs in the core, so a subclass outside the package derives from one of them."""

    code: ClassVar[int]
    plastic: ClassVar[bool] = True

    def __init_subclass__(cls, **options: Any) -> None:
        """Refuse a rule that the core does not have."""
        super().__init_subclass__(**options)
        require_member(
            cls, "code", "cannot be a rule of its own, because rules run in the core: docs/project/adding.md"
        )

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest weight: the bounds of the optimiser, if there is one."""
        optimizer = getattr(self, "optimizer", None)
        return (-math.inf, math.inf) if optimizer is None else (optimizer.w_min, optimizer.w_max)

    @property
    def regulates_rates(self) -> bool:
        """Whether rate regularisation acts."""
        c_reg = getattr(self, "c_reg", None)
        return (getattr(self, "rate_reg", 0.0) if c_reg is None else c_reg) > 0.0

    @property
    def learning_rate(self) -> float:
        """Rate that `Simulator.scale_learning_rates` scales: ``eta`` of the optimiser, if there is one."""
        optimizer = getattr(self, "optimizer", None)
        return 0.0 if optimizer is None else float(optimizer.eta)


@dataclass(frozen=True)
class Static(Rule):
    """The weight is constant."""

    code: ClassVar[int] = 0
    plastic: ClassVar[bool] = False


# The parameters of rate regularisation that both rules share.
_NEST_STRENGTH: Any = param(
    None, at_least=0.0, optional=True, nest="c_reg",
    doc="strength of NEST's rate regularisation, in place of rate_reg; 0: none",
)  # fmt: skip
_TARGET: Any = param(10.0, unit="Hz", at_least=0.0, nest="f_target", doc="target rate of rate regularisation")


@dataclass(frozen=True)
class EProp(Rule):
    """e-prop of Bellec et al. 2020: weights change once per mini-batch, and traces restart at each sample.

    The gradient of a sample is ``sum_t (L_t e_bar_t + rate_reg (f_mean - f_target) e_t)`` with
    ``e_bar = kappa e_bar + (1 - kappa) e`` and the mean rate ``f_mean`` of the sample. One pass backward in time per neuron
    computes the same sum as traces per synapse would. ``c_reg`` takes the place of ``rate_reg`` as in NEST
    (``eprop_synapse_bsshslm_2020``): ``c_reg (f_mean - f_target) / T`` with rates in spikes per step, ``T`` steps in a sample.
    """

    optimizer: Optimizer = param(Adam(), kind=Optimizer, doc="turns the gradient of a mini-batch into new weights")
    kappa: float | None = param(
        None, at_least=0.0, below=1.0, optional=True, nest="kappa",
        doc="filter of the eligibility trace; None takes the readout's alpha, 0 without readouts",
    )  # fmt: skip
    rate_reg: float = param(
        0.0, unit="mV/Hz", at_least=0.0,
        doc="rate regularisation: learning signal per Hz that the mean rate is above f_target",
    )  # fmt: skip
    c_reg: float | None = _NEST_STRENGTH
    f_target: float = _TARGET
    average_gradient: bool = param(
        False, kind=bool, nest="average_gradient", doc="divide the gradient by the sum of the window's absolute weights"
    )
    clip_norm: float | None = param(
        None, above=0.0, optional=True,
        doc="largest norm of a projection's gradient in a mini-batch: a longer one is scaled down to it",
    )  # fmt: skip

    code: ClassVar[int] = 1


@dataclass(frozen=True)
class EPropPlus(Rule):
    """e-prop+ of Korcsak-Gorzo et al. 2025: weights change at every presynaptic spike, and traces never restart.

    The gradient of the interval between two spikes is ``sum_t (L_t + rate_reg (f_t - f_target)) e_bar_t`` with
    ``e_bar = kappa e_bar + e`` and ``f`` a running rate over ``tau_reg``. After ``cutoff`` ms without a presynaptic spike the
    accumulation stops (NEST: ``eprop_synapse`` with ``eprop_iaf``). ``c_reg`` takes the place of ``rate_reg`` as in NEST: the
    gradient has ``c_reg (f_t - f_target) e_bar_reg_t`` with rates in spikes per step, and ``kappa_reg`` filters both ``f`` and
    ``e_bar_reg``.

    Without rate regularisation a group of neurons can come to fire in almost every step, where nothing can teach them any more
    (docs/howto/practice.md).

    With ``each_step`` the optimiser takes a step at every time step, with that step's part of the gradient. For gradient descent
    without decay this makes a difference only to a synapse that touches a bound. A synapse that might touch a bound, and those of
    all other optimisers, must replay the steps, so the cost of a spike grows with the interval before it.

    With a ``reward`` trace, the product of learning signal and eligibility waits for reward, see `RewardTrace`.
    """

    optimizer: Optimizer = param(
        GradientDescent(eta=2e-4), kind=Optimizer, doc="turns the gradient of an interval into a weight"
    )
    kappa: float | None = param(
        None, at_least=0.0, below=1.0, optional=True, nest="kappa",
        doc="filter of the eligibility trace, per step; None takes the readout's alpha, the largest if they differ, 0.97 without "
        "readouts",
    )  # fmt: skip
    kappa_reg: float | None = param(
        None, at_least=0.0, below=1.0, optional=True, nest="kappa_reg",
        doc="with c_reg: filter of the running rate and of regularisation, per step; None takes kappa",
    )  # fmt: skip
    rate_reg: float = param(
        1e-3, unit="mV/Hz", at_least=0.0,
        doc="rate regularisation: part of the learning signal, per Hz that the running rate is above f_target",
    )  # fmt: skip
    tau_reg: float = param(500.0, unit="ms", above=0.0, doc="with rate_reg: time constant of the running rate")
    c_reg: float | None = _NEST_STRENGTH
    f_target: float = _TARGET
    cutoff: float = param(
        100.0,
        unit="ms",
        above=0.0,
        in_steps=True,
        nest="eprop_isi_trace_cutoff",
        doc="longest interval of accumulation, a multiple of dt",
    )
    each_step: bool = param(
        False, kind=bool, nest="optimize_each_step", doc="one optimiser step at every time step, not at every spike"
    )
    reward: RewardTrace | None = param(
        None, kind=RewardTrace, optional=True, doc="trace that waits for reward; None: learning signals act at once"
    )

    code: ClassVar[int] = 2

    def validate(self) -> None:
        """Refuse an optimiser in Python, since steps are taken inside the core, and a filter without its regularisation."""
        if self.c_reg is None and self.kappa_reg is not None:
            raise ParameterError(
                f"EPropPlus.kappa_reg = {self.kappa_reg:g} belongs to NEST's rate regularisation: give c_reg as well, or, with "
                "rate_reg, tau_reg in ms"
            )
        if self.optimizer.in_python:
            raise ParameterError(
                f"EPropPlus.optimizer = {type(self.optimizer).__name__}() runs in Python, but EPropPlus changes weights at every "
                "spike, in the core: take one of the package's optimisers, or the rule EProp (docs/howto/own_loss.md)"
            )

    @property
    def descends_each_step(self) -> bool:
        """Whether the optimiser is gradient descent at each step: one step with the sum of an interval, unless a bound acts."""
        descent = self.optimizer.code == GradientDescent.code and self.optimizer.decay == 0.0
        return self.each_step and descent and self.reward is None

    @property
    def keeps_gradients(self) -> bool:
        """Whether the gradient of an interval waits for the next spike, because its step depends on the time or on rewards."""
        return self.optimizer.decay > 0.0 or self.reward is not None or any(self.optimizer.moments)

    @property
    def kappa_regularisation(self) -> float | None:
        """``kappa_reg``, or ``kappa`` if ``kappa_reg`` is None; None if both are."""
        return self.kappa if self.kappa_reg is None else self.kappa_reg
