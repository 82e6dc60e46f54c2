"""``eprop bench``: measure speed and memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eprop.cli.guard import Group, Json, path_of, single_process
from eprop.cli.output import written
from eprop.cli.parameter_options import options_from, single_command, with_options
from eprop.errors import warn
from eprop.files import JsonObject

if TYPE_CHECKING:
    from eprop.bench import EventCost
    from eprop.bench.scaling import NetworkConfig

Compare = Annotated[str | None, typer.Option(help="nest: also measure the same network in NEST.")]
Figure = Annotated[
    Path | None, typer.Option(parser=path_of, metavar="FILE", help="Draw the result into a PNG or PDF file.")
]


class _Benchmarks(Group):
    """The benchmarks, each made on request: its options come from a class that takes a second to import."""

    def list_commands(self, ctx: Any) -> list[str]:
        return ["scaling", "event-cost", "microcircuit"]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        from eprop.bench import EventCostConfig, MicrocircuitConfig, ScalingConfig

        if cmd_name == "scaling":
            return single_command(cmd_name, with_options(options_from(ScalingConfig), scaling))
        if cmd_name == "event-cost":
            return single_command(cmd_name, single_process(with_options(options_from(EventCostConfig), event_cost)))
        if cmd_name == "microcircuit":
            return single_command(
                cmd_name, single_process(with_options(options_from(MicrocircuitConfig), microcircuit))
            )
        return None


app = typer.Typer(help="Measure speed and memory.", no_args_is_help=True, cls=_Benchmarks)


@app.callback()
def bench() -> None:
    """Measure speed and memory."""


def scaling(given: dict[str, Any], compare: Compare = None, as_json: Json = False) -> None:
    """Time a sparse recurrent network whose neurons spike at fixed intervals.

    An event is a spike that arrives at a synapse. The time leaves out the
    building of the network and the steps until all neurons have spiked once.
    The memory per synapse counts the arrays that have one entry per synapse;
    propagators belong to neurons and are listed separately. Memory is the sum
    over all ranks, threads are per rank. NEST runs in a process of its own.
    The memory of NEST is the growth of that process, and the events of NEST
    are the expected number.

    [bold]Examples[/bold]

      eprop bench scaling --neurons 1000 --indegree 1000 --mode eprop+

      eprop bench scaling --neurons 10000 --threads 2 --timers --compare nest

      eprop bench scaling --indegree 500 --optimizer adam --each-step --compare nest

      eprop bench scaling --neurons 12800 --rate 5 --inputs 1000 --readouts 10 --json

      mpiexec -n 4 eprop bench scaling --neurons 4000 --timers
    """
    from eprop.bench import ScalingConfig, compare_with_nest, run_scaling
    from eprop.errors import ParameterError
    from eprop.parallel import find_communicator

    _check_compare(compare)
    comm = find_communicator()
    if compare and comm.size > 1:
        raise ParameterError("--compare nest runs in one process: leave out --compare, or mpiexec")
    config = ScalingConfig(**given)
    _warn_unused(config, silent=comm.rank > 0)
    ours = run_scaling(config, comm)
    if comm.rank > 0:
        return
    report: JsonObject = ours.to_dict()
    if compare:
        theirs = compare_with_nest(config)
        report["nest"] = theirs.to_dict()
        report["ratios"] = {
            name: getattr(theirs, name) / getattr(ours, name)
            for name in ("ns_per_synaptic_event", "bytes_per_synapse", "resident_bytes_per_synapse", "real_time_factor")
            if getattr(ours, name)
        }
    with written():
        if as_json:
            print(json.dumps(report))
        else:
            _print_table(report)


def event_cost(
    given: dict[str, Any],
    quantity: Annotated[
        list[str] | None,
        typer.Option(
            help="Quantity to vary: interval, cutoff (of e-prop+), neurons or indegree. May be given more than once.  "
            "\\[default: all]"
        ),
    ] = None,
    compare: Compare = None,
    figure: Figure = None,
    as_json: Json = False,
) -> None:
    """Measure the cost of one event as interval, cutoff and network size vary.

    The command varies one quantity at a time. The cost is the time of a run
    divided by its events; it includes neurons and propagators. For eprop, a
    second column gives the part of the cost that is delivery.

    [bold]Examples[/bold]

      eprop bench event-cost --quantity interval --compare nest

      eprop bench event-cost --figure event-cost.png --json
    """
    import dataclasses

    from eprop.bench import EventCostConfig
    from eprop.bench import event_cost as measure

    _check_compare(compare)
    config = EventCostConfig(**given)
    names = tuple(quantity or config.quantities)
    _warn_unused(config)
    if figure is not None:
        from eprop.plot import check_picture, draw_event_cost, save
        from eprop.plot.style import drawing

        check_picture(figure)
    points = measure(config, names, compare is not None)
    try:
        with written():
            if as_json:
                # Write null for a missing measurement: JSON has no NaN.
                rows = [{k: None if v != v else v for k, v in dataclasses.asdict(p).items()} for p in points]
                print(json.dumps({"config": config.to_dict(), "points": rows}))
            else:
                _print_costs(points)
    finally:  # draw the figure even if the text could not be written
        if figure is not None:
            with drawing(str(figure)):
                save(draw_event_cost({name: [p for p in points if p.quantity == name] for name in names}), figure)


def microcircuit(given: dict[str, Any], compare: Compare = None, figure: Figure = None, as_json: Json = False) -> None:
    """Time a model of 1 mm^2 of cortex, and compare its rates with the reference.

    The model of Potjans and Diesmann (2014) has 77,169 neurons in eight
    populations and 299 million synapses at full scale, steps of 0.1 ms, drawn
    weights and delays, and Poisson background. The full network needs 4 GB and
    some minutes. The real-time factor is the run time over the simulated time.
    The times leave out the first 500 ms. NEST runs in a process of its own,
    and its number of events is the expected one. The figure shows spikes and
    rates.

    [bold]Examples[/bold]

      eprop bench microcircuit --scale 0.1 --figure microcircuit.png

      eprop bench microcircuit --scale 1 --threads 2 --duration 10000

      eprop bench microcircuit --rule eprop+ --json

      eprop bench microcircuit --rule stdp --compare nest
    """
    from eprop.bench import MicrocircuitConfig, compare_microcircuit, run_microcircuit

    _check_compare(compare)
    if figure is not None:
        from eprop.plot import check_picture

        check_picture(figure)
    config = MicrocircuitConfig(**given)
    ours = run_microcircuit(config)
    report: JsonObject = {"config": config.to_dict(), **ours.to_dict()}
    try:
        if compare:
            report["nest"] = compare_microcircuit(config).to_dict()
        with written():
            if as_json:
                print(json.dumps(report))
            else:
                _print_microcircuit(report, config.numbers.sizes.tolist())
    finally:  # draw the figure even if NEST failed, or the text could not be written
        if figure is not None:
            from eprop.plot import draw_spikes, save
            from eprop.plot.style import drawing

            sizes = dict(zip(ours.rates, config.numbers.sizes.tolist(), strict=True))
            reference = list(ours.rates_reference.values())
            with drawing(str(figure)):
                shown = draw_spikes(
                    ours.spikes, sizes, start=config.warm_up, duration=config.duration, reference=reference
                )
                save(shown, figure)


def _check_compare(compare: str | None) -> None:
    from eprop.errors import ParameterError

    if compare not in (None, "nest"):
        raise ParameterError(f'--compare takes "nest", got {compare!r}')


def _warn_unused(config: NetworkConfig, *, silent: bool = False) -> None:
    """Warn of options that have no effect in this mode."""
    from eprop.cli.report import Reporter
    from eprop.training import UnusedParameterWarning

    with Reporter(silent=silent):
        for name in config.unused_options():
            warn(f"{name} changes nothing: mode is {config.mode}", UnusedParameterWarning)


def _print_table(report: JsonObject) -> None:
    from rich.console import Console
    from rich.table import Column, Table

    from eprop.training.number_text import counted, size

    sides = [report, *([report["nest"]] if "nest" in report else [])]
    of = " of rank 0" if report["ranks"] > 1 else ""
    title = f"{report['mode']}, {report['neurons']:,} neurons, {report['synapses']:,} synapses"
    if of:
        title += f", {report['ranks']} ranks of {counted(report['threads'], 'thread')}"
    headings = [*(side["simulator"] for side in sides), *["ratio"] * (len(sides) - 1)]
    table = Table("", *(Column(heading, justify="right") for heading in headings), title=title)
    rows: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
        ("time per synaptic event", "ns_per_synaptic_event", "{:.2f} ns".format),
        ("memory per synapse", "bytes_per_synapse", "{:.1f} B".format),
        ("growth of the process per synapse", "resident_bytes_per_synapse", "{:.1f} B".format),
        ("real-time factor", "real_time_factor", "{:.3f}".format),
        ("synaptic events", "synaptic_events", "{:,}".format),
        ("building", "build_seconds", "{:.2f} s".format),
        ("running", "run_seconds", "{:.3f} s".format),
        ("peak memory", "peak_memory_bytes", size),
    )
    for label, key, form in rows:
        cells = ["-" if side[key] is None else form(side[key]) for side in sides]
        if "nest" in report:
            cells[1] += " expected" * (key == "synaptic_events")  # NEST does not count events
            cells.append(f"{report['ratios'][key]:.1f}" if key in report["ratios"] else "")
        table.add_row(label, *cells)
    console = Console()
    console.print(table)
    if "nest" in report:
        console.print("memory per synapse: for eprop the bytes of its arrays, for NEST the growth of its process")
    if report["resident_bytes_per_synapse"] is None:
        console.print("the process of eprop grew by less than the size of its arrays: it reused freed memory")
    triad, share = report["triad_bytes_per_second"], report["bandwidth_fraction"]
    console.print(
        f"memory: the triad{of} runs at {triad / 1e9:.1f} GB/s; the events alone move {100 * share:.0f} % of that rate"
    )
    if report["phases"]:
        console.print(f"phases{of}: " + ", ".join(f"{name} {took:.3f} s" for name, took in report["phases"].items()))


def _print_microcircuit(report: JsonObject, sizes: list[int]) -> None:
    from rich.console import Console
    from rich.table import Column, Table

    from eprop.training.number_text import size

    sides = [report, *([report["nest"]] if "nest" in report else [])]
    title = f"{report['neurons']:,} neurons, {report['synapses']:,} synapses"
    table = Table("", *(Column(side["simulator"], justify="right") for side in sides), title=title)
    rows: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
        ("real-time factor", "real_time_factor", "{:.2f}".format),
        ("building", "build_seconds", "{:.1f} s".format),
        ("running", "run_seconds", "{:.2f} s".format),
        ("processor time of the run", "processor_seconds", "{:.2f} s".format),
        ("synaptic events", "synaptic_events", "{:,}".format),
        ("peak memory", "peak_memory_bytes", size),
    )
    for label, key, form in rows:
        table.add_row(label, *(form(side[key]) for side in sides))
    headings = ["neurons", "reference", *(f"{side['simulator']}{what}" for side in sides for what in ("", ", CV"))]
    spikes = Table("rate, Hz", *(Column(heading, justify="right") for heading in headings))
    for (name, reference), count in zip(report["rates_reference"].items(), sizes, strict=True):
        cells = [
            f"{side[key][name]:.2f}" if side[key][name] is not None else "-"
            for side in sides
            for key in ("rates", "cv")
        ]
        spikes.add_row(name, f"{count:,}", f"{reference:.2f}", *cells)
    console = Console()
    console.print(table)
    console.print(spikes)
    console.print("phases: " + ", ".join(f"{name} {took:.2f} s" for name, took in report["phases"].items()))


def _print_costs(points: list[EventCost]) -> None:
    from rich.console import Console
    from rich.table import Column, Table

    headings = ("value", "eprop", "delivery", "NEST", "ratio")
    title = "time per synaptic event, ns: median (lowest-highest)"
    table = Table("varied", *(Column(heading, justify="right") for heading in headings), title=title)
    last = ""
    for p in points:
        ours, theirs = _with_span(p.ns_per_event, p.ns_lowest, p.ns_highest, 2), ["", ""]
        if p.nest_ns_per_event == p.nest_ns_per_event:  # else NaN: not measured
            ratio = f"{p.nest_ns_per_event / p.ns_per_event:.0f}"
            theirs = [_with_span(p.nest_ns_per_event, p.nest_ns_lowest, p.nest_ns_highest, 0), ratio]
        name, last = p.quantity if p.quantity != last else "", p.quantity
        table.add_row(name, f"{p.value:g}", ours, f"{p.deliver_ns_per_event:.2f}", *theirs)
    Console().print(table)


def _with_span(value: float, low: float, high: float, digits: int) -> str:
    """Format as ``5.03 (4.97-5.12)``, or the number alone for a single measurement."""
    return f"{value:.{digits}f}" + (f" ({low:.{digits}f}-{high:.{digits}f})" if low == low else "")
