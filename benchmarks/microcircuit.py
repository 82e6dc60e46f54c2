"""The cortical microcircuit: build time, memory, real-time factor, and rates beside the reference.

    python benchmarks/microcircuit.py --scale 0.1 --figure microcircuit.png
    python benchmarks/microcircuit.py --scale 1 --threads 2 --duration 10000
    python benchmarks/microcircuit.py --rule eprop+ --json
    python benchmarks/microcircuit.py --rule stdp --compare nest
    python benchmarks/microcircuit.py --record
    python benchmarks/microcircuit.py --scale 1 --threads 2 --connections

The model of Potjans and Diesmann (2014) has 77,169 neurons in eight populations and 299 million synapses at full scale,
steps of 0.1 ms, drawn weights and delays, and Poisson background. The full network needs 4 GB and some minutes. The
real-time factor is the run time over the simulated time. The times leave out the first 500 ms. NEST runs in a process of
its own, and its number of events is the expected one. The figure shows spikes and rates. ``--record`` measures a tenth and
the full scale with three rules, each in a process of its own; the result is ``microcircuit.json``. ``--connections`` measures
how long all connections, and all delays, take to be read, in place of a run; the result is ``microcircuit-connections.json``.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import harness
import numpy as np

from eprop import STDP, EPropPlus, GradientDescent, Network, Normal, RandomFeedback, Readout, Simulator
from eprop.analysis import Spikes, statistics
from eprop.errors import ParameterError
from eprop.interop.nest_models import named
from eprop.networks import POPULATIONS, REFERENCE_RATES, Microcircuit, microcircuit
from eprop.networks.microcircuit import Background
from eprop.parameters import Description, param
from eprop.plot import check_picture, draw_spikes, save
from eprop.plot.style import drawing
from eprop.rules import Rule
from eprop.training.system_info import peak_memory

RULES = ("static", "stdp", "eprop+")
#: Largest weight with STDP, relative to the mean weight.
STDP_W_MAX = 15.0
#: Learning of e-prop+: far below a useful rate, so that the rates of the network stay comparable.
ETA, TAU_READOUT, CUTOFF = 1e-6, 20.0, 20.0
MEASURED = ("simulator", "build_seconds", "real_time_factor", "processor_seconds", "peak_memory_bytes")
#: Recorded scale, rule, threads, simulated ms, and whether NEST runs it too. On a busy machine, NEST's threads wait for each
#: other.
CASES = {
    "0.1 static": (0.1, "static", 1, 2000, True),
    "0.1 stdp": (0.1, "stdp", 1, 2000, True),
    "0.1 eprop+": (0.1, "eprop+", 1, 2000, False),
    "1 static": (1.0, "static", 2, 1000, False),
    "1 stdp": (1.0, "stdp", 2, 1000, False),
    "1 eprop+": (1.0, "eprop+", 2, 1000, False),
}


@dataclass(frozen=True)
class MicrocircuitConfig(Description):
    """Parameters of the microcircuit benchmark; the field names are options."""

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

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary for JSON."""
        shown = dataclasses.replace(self, spikes={})
        return {name: value for name, value in dataclasses.asdict(shown).items() if name != "spikes"}


def main() -> None:
    """Measure one network, print and draw; or measure the recorded cases."""
    parser = harness.parser(__doc__)
    harness.add_options(parser, MicrocircuitConfig)
    harness.add_result_options(parser, figure=True)
    parser.add_argument("--record", action="store_true", help="measure all cases and write them")
    parser.add_argument(
        "--connections", action="store_true", help="measure how long connections take to be read, and write it"
    )
    given = parser.parse_args()
    with harness.refusals(parser):
        if given.figure:
            check_picture(given.figure)
        if given.record:
            _record()
        elif given.connections:
            _read_connections(harness.described(MicrocircuitConfig, given))
        else:
            _measure(harness.described(MicrocircuitConfig, given), given)


def _measure(config: MicrocircuitConfig, given: argparse.Namespace) -> None:
    ours = run_microcircuit(config)
    if given.figure:  # before NEST, which may lack memory
        sizes = dict(zip(ours.rates, config.numbers.sizes.tolist(), strict=True))
        reference = list(ours.rates_reference.values())
        with drawing(given.figure):
            shown = draw_spikes(ours.spikes, sizes, start=config.warm_up, duration=config.duration, reference=reference)
            save(shown, given.figure)
    report = {"config": config.to_dict(), **ours.to_dict()}
    if given.compare:
        report["nest"] = compare_microcircuit(config).to_dict()
    print(json.dumps(report)) if given.json else _print(report, config.numbers.sizes.tolist())


def _record() -> None:
    """Measure each case in a process of its own, print and write."""
    found = {}
    for name, (scale, rule, threads, duration, nest) in CASES.items():
        words = f"--scale {scale} --rule {rule} --threads {threads} --duration {duration} --json".split()
        command = [sys.executable, __file__, *words, *(["--compare", "nest"] if nest else [])]
        found[name] = harness.printed_by(command, name)
        for side in [found[name], *([found[name]["nest"]] if nest else [])]:
            print(name, *(f"{key}={side[key]}" for key in MEASURED), flush=True)
    print(harness.write("microcircuit", found))


def _read_connections(config: MicrocircuitConfig) -> None:
    """Build the network, read all projections one after the other, print and write."""
    network, began = network_of(config), time.perf_counter()
    sim = Simulator(network, threads=config.threads, precision=config.precision, progress=True)
    found: dict[str, Any] = {"config": config.to_dict(), "synapses": sim.n_synapses()}
    found["build_seconds"] = time.perf_counter() - began
    for what, read in (("connections", sim.connections), ("delays", sim.delays)):
        began, processor = time.perf_counter(), time.process_time()
        for projection in network.projections:
            read(projection)
        found[f"{what}_seconds"] = time.perf_counter() - began
        found[f"{what}_processor_seconds"] = time.process_time() - processor
    found["peak_memory_bytes"] = peak_memory() or 0
    print(json.dumps(found))
    print(harness.write("microcircuit-connections", found))


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
    """Build and run the network."""
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
        simulator="eprop", neurons=int(config.numbers.sizes.sum()), synapses=sim.n_synapses(),
        plastic_synapses=sum(sim.n_synapses(p.name) for p in network.projections if p.rule.plastic),
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
    """Run the same network in NEST, in a process of its own; it needs about 50 bytes for a synapse."""
    rule = _rule(config)
    if isinstance(rule, EPropPlus):
        raise ParameterError("NEST has no e-prop for neurons with synaptic currents: compare --rule static or stdp")
    given = {**config.to_dict(), "k_scale": config.numbers.k_scale}
    if rule is not None:
        given["stdp"] = named(rule)
        del given["stdp"]["tau_minus"]  # belongs to NEST's neurons, with the same default
    found = harness.in_nest("nest_microcircuit.py", given)
    return MicrocircuitResult(**found | _rates_and_cv(found.pop("summary")))


def _rates_and_cv(found: dict[str, dict[str, float]]) -> dict[str, dict[str, Any]]:
    """Rates and CV by population, from a summary."""
    irregular = {name: None if np.isnan(each["cv"]) else each["cv"] for name, each in found.items()}
    return {"rates": {name: each["rate"] for name, each in found.items()}, "cv": irregular}


def _print(report: dict[str, Any], sizes: list[int]) -> None:
    sides = [report, *([report["nest"]] if "nest" in report else [])]
    names = [side["simulator"] for side in sides]
    rows: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
        ("real-time factor", "real_time_factor", "{:.2f}".format),
        ("building", "build_seconds", "{:.1f} s".format),
        ("running", "run_seconds", "{:.2f} s".format),
        ("processor time of the run", "processor_seconds", "{:.2f} s".format),
        ("synaptic events, for NEST expected ones", "synaptic_events", "{:,}".format),
        ("peak memory", "peak_memory_bytes", harness.mebibytes),
    )
    title = f"{report['neurons']:,} neurons, {report['synapses']:,} synapses"
    cells = [[label, *(form(side[key]) for side in sides)] for label, key, form in rows]
    harness.print_table(title, ["", *names], cells)
    spikes = []
    for (name, reference), count in zip(report["rates_reference"].items(), sizes, strict=True):
        found = [side[key][name] for side in sides for key in ("rates", "cv")]
        spikes.append([name, f"{count:,}", f"{reference:.2f}", *("-" if x is None else f"{x:.2f}" for x in found)])
    headings = [f"{name}{what}" for name in names for what in ("", ", CV")]
    harness.print_table("rates, Hz", ["", "neurons", "reference", *headings], spikes)
    print("phases: " + ", ".join(f"{name} {took:.2f} s" for name, took in report["phases"].items()))


if __name__ == "__main__":
    main()
