"""The microcircuit benchmark: build time, memory, speed and rates of the network of Potjans and Diesmann (2014)."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from eprop.analysis import Spikes, statistics
from eprop.bench.in_subprocess import in_nest
from eprop.engine import Simulator
from eprop.errors import ParameterError
from eprop.files import JsonObject
from eprop.interop.nest_models import named
from eprop.models import Readout
from eprop.network import Network, Normal, RandomFeedback
from eprop.networks import POPULATIONS, REFERENCE_RATES, Microcircuit, microcircuit
from eprop.networks.microcircuit import Background
from eprop.parameters import Description, param
from eprop.rules import STDP, EPropPlus, GradientDescent, Rule
from eprop.training.system_info import peak_memory

RULES = ("static", "stdp", "eprop+")
#: Largest weight with STDP, relative to the mean weight.
STDP_W_MAX = 15.0
#: Learning of e-prop+: far below a useful rate, so that the rates of the network stay comparable.
ETA, TAU_READOUT, CUTOFF = 1e-6, 20.0, 20.0


@dataclass(frozen=True)
class MicrocircuitConfig(Description):
    """Parameters of the microcircuit benchmark; the field names are options of ``eprop bench microcircuit``."""

    scale: float = param(0.1, doc="share of the neurons; 1 is the full network")
    k_scale: float | None = param(None, optional=True, doc="share of the in-degrees.  [default: scale]")
    rule: str = param("static", kind=str, doc="rule from E to E: static, stdp or eprop+ (with a readout)")
    drive: Background = param("poisson", kind=str, doc="background: poisson or dc")
    duration: float = param(1000.0, unit="ms", above=0.0, doc="timed part of the run")
    warm_up: float = param(500.0, unit="ms", at_least=0.0, doc="part of the run before, which counts nowhere")
    threads: int = param(1, kind=int, at_least=1, doc="threads")
    precision: Literal["double", "single"] = param("single", kind=str, doc="numbers per synapse: single or double")
    seed: int = param(1, kind=int, at_least=0, doc="seed")

    def validate(self) -> None:
        """Check rule and scale."""
        if self.rule not in RULES:
            raise ParameterError(f"rule must be one of {', '.join(RULES)}, got {self.rule!r}")
        _ = self.numbers

    @property
    def numbers(self) -> Microcircuit:
        """Sizes, weights and so on."""
        return Microcircuit(self.scale, self.scale if self.k_scale is None else self.k_scale, self.drive)


@dataclass
class MicrocircuitResult:
    """Measurements of one simulator.

    Times are in s, rates in Hz. ``cv`` is the mean coefficient of variation of intervals, None without intervals.
    ``real_time_factor`` is the run time over the simulated time, ``processor_seconds`` is the sum over all threads.
    ``synaptic_events`` is the expected number for NEST, which does not count them. ``spikes`` is not part of `to_dict`.
    """

    simulator: str
    neurons: int
    synapses: int
    plastic_synapses: int
    build_seconds: float
    run_seconds: float
    processor_seconds: float
    real_time_factor: float
    synaptic_events: int
    peak_memory_bytes: int
    rates: dict[str, float]
    cv: dict[str, float | None]
    rates_reference: dict[str, float] = field(default_factory=lambda: dict(REFERENCE_RATES))
    phases: dict[str, float] = field(default_factory=dict)
    spikes: dict[str, Spikes] = field(default_factory=dict, repr=False)

    def to_dict(self) -> JsonObject:
        """Plain dictionary for JSON."""
        shown = dataclasses.replace(self, spikes={})
        return {name: value for name, value in dataclasses.asdict(shown).items() if name != "spikes"}


def network_of(config: MicrocircuitConfig) -> Network:
    """Describe the network; with e-prop+ all excitatory populations send to a readout and receive its error."""
    rule = _rule(config)
    net = microcircuit(config.scale, config.k_scale, rule=rule, drive=config.drive, seed=config.seed)
    if isinstance(rule, EPropPlus):
        readout = net.add(Readout(tau_m=TAU_READOUT), 1, "readout")
        for name in POPULATIONS[::2]:
            net.connect(name, readout, weight=Normal(0.0, 0.02), rule=_eprop_plus())
            net.feedback(readout, name, RandomFeedback())
    return net


def _rule(config: MicrocircuitConfig) -> Rule | None:
    if config.rule == "stdp":
        return STDP(rate=0.001, w_max=STDP_W_MAX * config.numbers.background_weight)
    return _eprop_plus(w_min=0.0) if config.rule == "eprop+" else None


def _eprop_plus(w_min: float = -np.inf) -> EPropPlus:
    kappa = float(np.exp(-0.1 / TAU_READOUT))
    return EPropPlus(optimizer=GradientDescent(eta=ETA, w_min=w_min), kappa=kappa, cutoff=CUTOFF)


def run_microcircuit(config: MicrocircuitConfig) -> MicrocircuitResult:
    """Build and run the network.

    Raises
    ------
    MemoryLimitError
        If the network does not fit into the available memory.
    InputError
        If a duration is not a multiple of 0.1 ms.
    """
    network, began = network_of(config), time.perf_counter()
    sim = Simulator(network, threads=config.threads, precision=config.precision, timers=True, progress=True)
    built = time.perf_counter() - began
    if config.warm_up:
        _run(sim, config.warm_up)
    events, phases, start = sim.events, sim.phases, sim.time
    began, processor = time.perf_counter(), time.process_time()
    spikes = _run(sim, config.duration)
    seconds, processor = time.perf_counter() - began, time.process_time() - processor
    sizes = {p.name: p.size for p in network.populations}
    measured: dict[str, Any] = _rates_and_cv(statistics(spikes, sizes, start=start, stop=sim.time)[0])
    return MicrocircuitResult(
        simulator="eprop", neurons=int(config.numbers.sizes.sum()), synapses=sim.n_synapses,
        plastic_synapses=sum(sim.connection_count(p.name) for p in network.projections if p.rule.plastic),
        build_seconds=built, run_seconds=seconds, processor_seconds=processor,
        real_time_factor=seconds / (1e-3 * config.duration), synaptic_events=sim.events - events,
        peak_memory_bytes=peak_memory() or 0, spikes=spikes,
        phases={name: s - phases.get(name, 0.0) for name, s in sim.phases.items()}, **measured,
    )  # fmt: skip


def _run(sim: Simulator, duration: float) -> dict[str, Spikes]:
    """Run, with a target that swings once a second if there is a readout."""
    targets = None
    if any(p.name == "readout" for p in sim.network.populations):
        times = sim.time + sim.network.dt * np.arange(round(duration / sim.network.dt))
        targets = {"readout": np.sin(2e-3 * np.pi * times)[:, None]}
    return dict(sim.run(duration, targets=targets, spikes=POPULATIONS).spikes)


def compare_microcircuit(config: MicrocircuitConfig) -> MicrocircuitResult:
    """Run the same network in NEST, in a process of its own.

    Raises
    ------
    MissingExtraError
        If NEST is not installed.
    ParameterError
        If NEST does not have the rule.
    EPropError
        If the process fails, for example for lack of memory: NEST needs about 50 bytes for a synapse.
    """
    rule = _rule(config)
    if isinstance(rule, EPropPlus):
        raise ParameterError("NEST has no e-prop for neurons with synaptic currents: compare --rule static or stdp")
    given = {**config.to_dict(), "k_scale": config.numbers.k_scale}
    if rule is not None:
        given["stdp"] = named(rule)
        del given["stdp"]["tau_minus"]  # belongs to NEST's neurons, with the same default
    found = in_nest("eprop.interop.nest_microcircuit", given)
    return MicrocircuitResult(**found | _rates_and_cv(found.pop("summary")))


def _rates_and_cv(found: dict[str, dict[str, float]]) -> dict[str, dict[str, Any]]:
    """Rates and CV by population, from a summary."""
    irregular = {name: None if np.isnan(each["cv"]) else each["cv"] for name, each in found.items()}
    return {"rates": {name: each["rate"] for name, each in found.items()}, "cv": irregular}
