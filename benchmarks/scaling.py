"""The scaling benchmark: time and memory of a sparse recurrent network whose neurons spike at fixed intervals.

    python benchmarks/scaling.py --neurons 1000 --indegree 1000 --mode eprop+
    python benchmarks/scaling.py --neurons 10000 --threads 2 --timers --compare nest
    python benchmarks/scaling.py --indegree 500 --optimizer adam --each-step --compare nest
    python benchmarks/scaling.py --neurons 12800 --rate 5 --inputs 1000 --readouts 10 --json
    mpiexec -n 4 python benchmarks/scaling.py --neurons 4000 --timers

An event is a spike that arrives at a synapse. The time leaves out the building of the network and the steps until all
neurons have spiked once. The memory per synapse counts the arrays that have one entry per synapse; propagators belong to
neurons and are listed separately. Memory is the sum over all ranks, threads are per rank. NEST runs in a process of its
own. The memory of NEST is the growth of that process, and the events of NEST are the expected number.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import harness
import numpy as np
from scaling_network import NetworkConfig, ScalingConfig, network_of, run_steps, run_timed, simulator_of

from eprop.errors import ParameterError
from eprop.parallel import Communicator, Serial, find_communicator
from eprop.rules.optimizers import BY_NAME
from eprop.training.system_info import peak_memory, resident_memory

#: Optimisers of NEST.
IN_NEST = ("gradient_descent", "adam")
#: Bytes of an index, and of a weight or trace.
INDEX, VALUE_BYTES = 4, {"single": 4, "double": 8}
RATIOS = ("ns_per_synaptic_event", "bytes_per_synapse", "resident_bytes_per_synapse", "real_time_factor")


def main() -> None:
    """Measure one network, perhaps in NEST as well, and print."""
    parser = harness.parser(__doc__)
    harness.add_options(parser, ScalingConfig)
    harness.add_result_options(parser)
    given, comm = parser.parse_args(), find_communicator()
    with harness.refusals(parser):
        if given.compare and comm.size > 1:
            raise ParameterError("--compare nest runs in one process: leave out --compare, or mpiexec")
        config = harness.described(ScalingConfig, given)
        if comm.rank == 0:
            warn_unused(config)
        ours = run_scaling(config, comm)
        theirs = compare_with_nest(config) if given.compare else None
    if comm.rank == 0:
        report = ours.to_dict() | (
            {} if theirs is None else {"nest": theirs.to_dict(), "ratios": _ratios(ours, theirs)}
        )
        print(json.dumps(report), flush=True) if given.json else _print(report)


def warn_unused(config: NetworkConfig) -> None:
    """Name the options that have no effect in the mode."""
    for name in config.unused_options():
        print(f"warning: {name} changes nothing: mode is {config.mode}", file=sys.stderr)


@dataclass
class ScalingResult:
    """Measurements of one simulator; times in s, memory in bytes.

    ``bytes_per_synapse`` counts the arrays with one entry per synapse; for NEST it is the growth of the process.
    ``resident_bytes_per_synapse`` is the growth of the process for both simulators. It is None if the process grew by less
    than the size of its arrays, because it reused freed memory. ``synaptic_events`` are counted; for NEST they are the
    expected number. ``phases`` are seconds of the run, if measured. ``bandwidth_fraction`` is the rate of the bytes that
    events must move, divided by the bandwidth of the triad; None for NEST.
    """

    simulator: str
    mode: str
    neurons: int
    synapses: int
    plastic_synapses: int
    threads: int
    precision: str
    steps: int
    build_seconds: float
    run_seconds: float
    synaptic_events: int
    ns_per_synaptic_event: float
    real_time_factor: float
    bytes_per_synapse: float
    resident_bytes_per_synapse: float | None
    propagator_bytes: int
    peak_memory_bytes: int
    triad_bytes_per_second: float | None = None
    bandwidth_fraction: float | None = None
    phases: dict[str, float] = field(default_factory=dict)
    ranks: int = 1
    bits: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary for JSON."""
        return dataclasses.asdict(self)


def run_scaling(config: ScalingConfig, comm: Communicator | None = None) -> ScalingResult:
    """Build and run the network, on all ranks together; the run time leaves out the building and the warm-up.

    Memory is the sum over all ranks, times and phases belong to this rank.
    """
    comm = comm or Serial()
    network, before = network_of(config), resident_memory() or 0
    began = time.perf_counter()
    sim = simulator_of(config, network, comm)
    built = time.perf_counter() - began
    run_steps(sim, config, config.warm_up)
    events, phases = sim.events, sim.phases
    comm.gather(None)  # start all ranks together
    began = time.perf_counter()
    run_timed(sim, config)
    seconds, after = time.perf_counter() - began, resident_memory() or 0
    events = sim.events - events
    plastic = sum(sim.n_synapses(p.name) for p in network.projections if p.rule.plastic)
    memory, peak = sim.memory(), peak_memory() or 0
    held = comm.sum(np.array([memory["synapses"], memory["propagators"], peak, after - before]))
    bandwidth = harness.triad(config.threads)
    grown = held[3] / sim.n_synapses() if held[3] >= held[0] else None
    moved = _moved(config, events, sim.n_synapses())
    return ScalingResult(
        "eprop", config.mode, config.neurons, sim.n_synapses(), plastic, config.threads, config.precision, config.timed_steps,
        built, seconds, events, 1e9 * seconds / max(events, 1), seconds / (config.timed_steps * 1e-3),
        held[0] / sim.n_synapses(), grown, int(held[1]), int(held[2]),
        bandwidth, moved / comm.size / seconds / bandwidth,
        {"build": built, **{name: s - phases.get(name, 0.0) for name, s in sim.phases.items()}} if config.timers else {},
        comm.size, config.bits,
    )  # fmt: skip


def _moved(config: ScalingConfig, events: int, synapses: int) -> float:
    """Bytes of synapse arrays that the events move at least."""
    value = VALUE_BYTES[config.precision]
    if config.bits is not None and config.mode in ("static", "stdp"):
        value = 1 if config.bits <= 8 else 2
    per_sample = bytes_per_sample(config.mode, value) * synapses * (config.timed_steps / config.sample_steps)
    moments = sum(BY_NAME[config.optimizer].moments)
    waits = moments > 0 or config.each_step  # the gradient
    more = moments + waits
    return bytes_per_event(config.mode, value, more) * events + per_sample


def bytes_per_event(mode: str, value: int, more: int = 0) -> float:
    """Bytes of synapse arrays that one event must read and write, with ``value`` bytes for a weight or trace.

    Every mode reads the index of the target. Static also reads the weight, STDP reads and writes the weight, e-prop+ reads
    and writes weight and trace. e-prop per sample reads the weight when the spike arrives; `bytes_per_sample` counts its
    work once per synapse and sample. With e-prop+ an event reads and writes ``more`` numbers: gradients that wait, moments.
    """
    return INDEX + value * {"static": 1, "stdp": 2, "eprop": 1, "eprop+": 4 + 2 * more}[mode]


def bytes_per_sample(mode: str, value: int) -> float:
    """Bytes that each synapse moves once per sample: e-prop adds to its gradient, then takes an optimiser step."""
    return INDEX + 6.0 * value if mode == "eprop" else 0.0


def measure_in_subprocess(config: ScalingConfig, *, ranks: int = 1, nest: bool = False) -> dict[str, Any]:
    """Fields of `ScalingResult`, of eprop or NEST, measured in a process of its own or on several ranks.

    Threads, ranks and memory then do not depend on earlier work.
    """
    if nest:
        return compare_with_nest(config).to_dict()
    options: list[str] = []
    for name, value in config.to_dict().items():
        if isinstance(value, bool):
            options += [f"--{name.replace('_', '-')}"] if value else []
        elif name != "type" and value is not None:
            options.append(f"--{name}={value}")
    # The environment may set one thread: a process that computes a figure does.
    environment = {**os.environ, "EPROP_NUM_THREADS": str(config.threads)}
    environment.pop("OMP_NUM_THREADS", None)
    command = [*harness.launcher(ranks), sys.executable, __file__, "--json", *options]
    return harness.printed_by(command, "the benchmark", environment)


def compare_with_nest(config: ScalingConfig) -> ScalingResult:
    """Run the same network in NEST, in a process of its own so that its growth is the memory of NEST alone."""
    if config.optimizer not in IN_NEST:
        raise ParameterError(f"NEST has no optimizer {config.optimizer!r}: compare {' or '.join(IN_NEST)}")
    given = {**config.to_dict(), "warm_up": config.warm_up, "sample": config.sample_steps, "steps": config.timed_steps}
    return ScalingResult(**harness.in_nest("nest_scaling.py", given))


def _ratios(ours: ScalingResult, theirs: ScalingResult) -> dict[str, float]:
    return {name: getattr(theirs, name) / getattr(ours, name) for name in RATIOS if getattr(ours, name)}


def _print(report: dict[str, Any]) -> None:
    sides = [report, *([report["nest"]] if "nest" in report else [])]
    ratios, of = report.get("ratios", {}), " of rank 0" if report["ranks"] > 1 else ""
    rows: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
        ("time per synaptic event", "ns_per_synaptic_event", "{:.2f} ns".format),
        ("memory per synapse", "bytes_per_synapse", "{:.1f} B".format),
        ("growth of the process per synapse", "resident_bytes_per_synapse", "{:.1f} B".format),
        ("real-time factor", "real_time_factor", "{:.3f}".format),
        ("synaptic events, for NEST expected ones", "synaptic_events", "{:,}".format),
        ("building", "build_seconds", "{:.2f} s".format),
        ("running", "run_seconds", "{:.3f} s".format),
        ("peak memory", "peak_memory_bytes", harness.mebibytes),
    )
    cells = []
    for label, key, form in rows:
        row = ["-" if side[key] is None else form(side[key]) for side in sides]
        cells.append([label, *row, *([f"{ratios[key]:.1f}" if key in ratios else ""] * (len(sides) - 1))])
    title = f"{report['mode']}, {report['neurons']:,} neurons, {report['synapses']:,} synapses"
    title += f", {report['ranks']} ranks of {report['threads']} threads" if of else ""
    harness.print_table(title, ["", *(side["simulator"] for side in sides), *["ratio"] * (len(sides) - 1)], cells)
    if "nest" in report:
        print("memory per synapse: for eprop the bytes of its arrays, for NEST the growth of its process")
    if report["resident_bytes_per_synapse"] is None:
        print("the process of eprop grew by less than the size of its arrays: it reused freed memory")
    bandwidth, share = report["triad_bytes_per_second"] / 1e9, 100 * report["bandwidth_fraction"]
    print(f"memory: the triad{of} runs at {bandwidth:.1f} GB/s; the events alone move {share:.0f} % of that rate")
    if report["phases"]:
        print(f"phases{of}: " + ", ".join(f"{name} {took:.3f} s" for name, took in report["phases"].items()))


if __name__ == "__main__":
    main()
