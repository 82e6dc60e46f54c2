"""The network of the scaling benchmark: sparse and recurrent, with forced spikes at fixed intervals. This file is no script.

The shape follows the benchmark of Korcsak-Gorzo et al. 2025 (arXiv 2511.21674): plastic recurrent connections with
a fixed in-degree, static connections from Poisson inputs and to readouts, sparse random feedback; dt and all delays are
1 ms. Spikes are forced with a fixed interval and random phases; membranes are integrated nevertheless.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from eprop import (
    STDP,
    EProp,
    EPropPlus,
    FixedIndegree,
    FixedOutdegree,
    FixedPoint,
    Network,
    Normal,
    PiecewiseLinear,
    PoissonSource,
    RandomFeedback,
    Readout,
    Simulator,
    Static,
    Uniform,
)
from eprop.errors import ParameterError
from eprop.models import ForcedLIF
from eprop.network import Distribution
from eprop.parallel import Communicator
from eprop.parameters import Description, param
from eprop.rules import Rule
from eprop.rules.optimizers import BY_NAME

MODES = ("static", "eprop", "eprop+", "stdp")
# Largest recurrent weight with STDP, mV; initial weights are uniform below.
STDP_W_MAX = 0.01
SHORTEST_WARM_UP = 20
#: Options that have an effect in some modes only.
NEEDED = {
    "cutoff": ("eprop+",), "sample": ("eprop",), "mu": ("stdp",), "each_step": ("eprop+",), "optimizer": ("eprop", "eprop+"),
}  # fmt: skip


@dataclass(frozen=True)
class NetworkConfig(Description):
    """Parameters of the network that all benchmarks share; the field names are options."""

    neurons: int = param(1000, kind=int, at_least=2, doc="recurrent neurons")
    indegree: int = param(1000, kind=int, at_least=1, doc="recurrent connections into each neuron")
    mode: str = param("eprop+", kind=str, doc="static, eprop (per sample), eprop+ (per spike) or stdp")
    threads: int = param(1, kind=int, at_least=1, doc="threads")
    precision: Literal["double", "single"] = param("single", kind=str, doc="numbers per synapse: single or double")
    cutoff: float = param(100.0, unit="ms", above=0.0, doc="trace cutoff of e-prop+")
    seed: int = param(1, kind=int, at_least=0, doc="seed")

    modes: ClassVar[tuple[str, ...]] = MODES

    def validate(self) -> None:
        """Check the mode."""
        if self.mode not in self.modes:
            raise ParameterError(f"mode must be one of {', '.join(self.modes)}, got {self.mode!r}")

    def unused_options(self) -> list[str]:
        """Options that were changed although they have no effect in the mode."""
        return [
            field.name for field in dataclasses.fields(self)
            if self.mode not in NEEDED.get(field.name, MODES) and getattr(self, field.name) != field.default
        ]  # fmt: skip


@dataclass(frozen=True)
class ScalingConfig(NetworkConfig):
    """Parameters of the scaling benchmark."""

    rate: float = param(10.0, unit="Hz", above=0.0, doc="rate of the forced spikes")
    steps: int = param(1000, kind=int, at_least=1, doc="timed steps of 1 ms")
    sample: int = param(1000, kind=int, at_least=2, doc="steps of a sample of e-prop, and of NEST's update interval")
    mu: float = param(0.0, at_least=0.0, doc="exponents of STDP: 0 additive, 1 multiplicative")
    optimizer: str = param("gradient_descent", kind=str, doc=f"of eprop and eprop+: {', '.join(BY_NAME)}")
    each_step: bool = param(False, kind=bool, doc="eprop+: one optimiser step for every time step, not for every spike")
    inputs: int = param(100, kind=int, at_least=1, doc="Poisson inputs of 5 Hz; each neuron receives up to 100")
    readouts: int = param(2, kind=int, at_least=1, doc="readouts; each receives up to 1000 neurons")
    bits: int | None = param(
        None, kind=int, optional=True, at_least=2, at_most=16, doc="bits of all weights, 2 to 16, rounded stochastically; "
        "the default is those of the precision",
    )  # fmt: skip
    timers: bool = param(False, kind=bool, doc="measure the phases of a step")

    def validate(self) -> None:
        """Check mode and optimiser, and that the rate is at most one spike per step."""
        super().validate()
        if self.optimizer not in BY_NAME:
            raise ParameterError(f"optimizer must be one of {', '.join(BY_NAME)}, got {self.optimizer!r}")
        if self.rate > 1000.0:
            raise ParameterError(f"rate must be at most 1000 Hz, one spike per step, got {self.rate:g}")

    @property
    def sample_steps(self) -> int:
        """Steps of a sample, at most ``steps``."""
        return min(self.sample, self.steps)

    @property
    def timed_steps(self) -> int:
        """Timed steps; with e-prop a multiple of the sample."""
        return self.steps // self.sample_steps * self.sample_steps if self.mode == "eprop" else self.steps

    @property
    def warm_up(self) -> int:
        """Steps before the timed ones, until every neuron has spiked: the first spike of a synapse costs less than others."""
        return self.sample_steps if self.mode == "eprop" else max(SHORTEST_WARM_UP, math.ceil(1000.0 / self.rate) + 1)


def network_of(config: ScalingConfig) -> Network:
    """Describe the benchmark's network."""
    net = Network(dt=1.0, seed=config.seed)
    neuron = ForcedLIF(tau_m=30.0, v_th=0.6, surrogate=PiecewiseLinear(0.5, 1.0 / 1.7), interval=1000.0 / config.rate)
    inputs = net.add(PoissonSource(rate=5.0), config.inputs, "in")
    recurrent = net.add(neuron, config.neurons, "rec")
    readouts = net.add(Readout(tau_m=100.0), config.readouts, "out")
    into, out = min(100, config.inputs), min(1000, config.neurons)
    net.connect(inputs, recurrent, FixedIndegree(into, multapses=True), weight=Normal(0.0, 0.1 / np.sqrt(into)))
    net.connect(
        recurrent, recurrent, FixedIndegree(config.indegree, multapses=True, autapses=True),
        weight=_recurrent_weight(config), rule=_rule(config),
    )  # fmt: skip
    net.connect(recurrent, readouts, FixedIndegree(out, multapses=True), weight=Normal(0.0, 0.1 / np.sqrt(out)))
    feedback = FixedOutdegree(min(100, config.neurons), multapses=False)
    net.feedback(readouts, recurrent, RandomFeedback(Normal(0.0, 1.0), feedback))
    return net if config.bits is None else net.with_precision(FixedPoint(config.bits))


def _recurrent_weight(config: ScalingConfig) -> Distribution:
    if config.mode == "stdp":
        return Uniform(0.0, STDP_W_MAX)
    return Normal(0.0, 0.1 / np.sqrt(config.indegree))


def _rule(config: ScalingConfig) -> Rule:
    optimizer = BY_NAME[config.optimizer](eta=1e-4, w_min=-100.0, w_max=100.0)
    if config.mode == "eprop+":
        return EPropPlus(
            optimizer=optimizer, kappa=0.97, c_reg=0.1, f_target=10.0, cutoff=config.cutoff, each_step=config.each_step
        )
    if config.mode == "eprop":
        return EProp(optimizer=optimizer, kappa=0.97, c_reg=0.1, f_target=10.0)
    if config.mode == "stdp":
        return STDP(rate=0.01, alpha=1.05, mu_plus=config.mu, mu_minus=config.mu, w_max=STDP_W_MAX)
    return Static()


def simulator_of(config: ScalingConfig, network: Network | None = None, comm: Communicator | None = None) -> Simulator:
    """Build the simulator of a configuration."""
    network = network or network_of(config)
    return Simulator(network, comm=comm, threads=config.threads, precision=config.precision, timers=config.timers)


def run_timed(sim: Simulator, config: ScalingConfig) -> None:
    """Run the timed steps; e-prop runs them in samples."""
    for _ in range(config.timed_steps // config.sample_steps if config.mode == "eprop" else 1):
        run_steps(sim, config, config.sample_steps if config.mode == "eprop" else config.steps)


def run_steps(sim: Simulator, config: ScalingConfig, steps: int) -> None:
    """Run some steps; e-prop per sample runs them as one sample, forward, backward and update."""
    target = np.ones((1, 1, sim.network.population("out").size))
    if config.mode == "eprop":
        sim.train(sim.samples(1, steps, targets={"out": target}))
    else:
        sim.run(float(steps), targets={"out": target[0]})
