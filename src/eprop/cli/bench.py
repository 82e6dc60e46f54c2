"""``eprop bench``: measure speed and memory."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from eprop.cli.guard import Debug, Json, guarded

app = typer.Typer(help="Measure speed and memory.", no_args_is_help=True)


@app.callback()
def bench() -> None:
    """Measure speed and memory."""


@app.command("scaling")
@guarded
def scaling(
    neurons: Annotated[int, typer.Option(help="Recurrent neurons.")] = 1000,
    indegree: Annotated[int, typer.Option(help="Recurrent connections into each neuron.")] = 1000,
    rate: Annotated[float, typer.Option(help="Rate of the forced spikes, Hz.")] = 10.0,
    steps: Annotated[int, typer.Option(help="Steps of 1 ms that are timed.")] = 1000,
    mode: Annotated[str, typer.Option(help="static, eprop (per sample), eprop+ (per spike) or stdp.")] = "eprop+",
    threads: Annotated[int, typer.Option(help="Threads.")] = 1,
    precision: Annotated[str, typer.Option(help="single or double: what is stored per synapse.")] = "single",
    cutoff: Annotated[float, typer.Option(help="Trace cutoff of e-prop+, ms.")] = 100.0,
    mu: Annotated[float, typer.Option(help="Exponents of STDP: 0 additive, 1 multiplicative.")] = 0.0,
    inputs: Annotated[int, typer.Option(help="Poisson inputs of 5 Hz.")] = 100,
    readouts: Annotated[int, typer.Option(help="Readouts.")] = 2,
    seed: Annotated[int, typer.Option(help="Seed.")] = 1,
    compare: Annotated[str | None, typer.Option(help="nest: run the same network in NEST as well.")] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Time a sparse recurrent network whose neurons spike by the clock.

    An event is a spike that arrives at a synapse. Compiling and building are not part of the time. The memory per
    synapse counts the arrays that have one entry per synapse; maps belong to neurons and are given apart. NEST runs in
    a process of its own; its memory is the growth of that process.

    [bold]Examples[/bold]

      eprop bench scaling --neurons 1000 --indegree 1000 --mode eprop+

      eprop bench scaling --neurons 10000 --threads 2 --compare nest --json
    """
    from eprop.bench import ScalingConfig, compare_with_nest, run_scaling
    from eprop.errors import ParameterError

    if compare not in (None, "nest"):
        raise ParameterError(f'--compare takes "nest", got {compare!r}')
    config = ScalingConfig(
        neurons=neurons, indegree=indegree, rate=rate, steps=steps, mode=mode, threads=threads, precision=precision,
        cutoff=cutoff, mu=mu, inputs=inputs, readouts=readouts, seed=seed,
    )  # fmt: skip
    ours = run_scaling(config)
    report: dict[str, Any] = ours.to_dict()
    if compare:
        theirs = compare_with_nest(config)
        report["nest"] = theirs.to_dict()
        report["ratios"] = {
            name: getattr(theirs, name) / getattr(ours, name)
            for name in ("ns_per_synaptic_event", "bytes_per_synapse", "real_time_factor")
        }
    if as_json:
        print(json.dumps(report))
    else:
        _print_table(report)


def _print_table(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{report['mode']}, {report['neurons']:,} neurons, {report['synapses']:,} synapses")
    table.add_column("")
    sides = [report, *([report["nest"]] if "nest" in report else [])]
    for side in sides:
        table.add_column(side["simulator"], justify="right")
    if "nest" in report:
        table.add_column("ratio", justify="right")
    rows = (
        ("time per synaptic event", "ns_per_synaptic_event", "{:.2f} ns"),
        ("memory per synapse", "bytes_per_synapse", "{:.1f} B"),
        ("real-time factor", "real_time_factor", "{:.3f}"),
        ("synaptic events", "synaptic_events", "{:,}"),
        ("building", "build_seconds", "{:.2f} s"),
        ("running", "run_seconds", "{:.3f} s"),
    )
    for label, key, form in rows:
        ratio = [f"{report['ratios'][key]:.1f}" if key in report["ratios"] else ""] if "nest" in report else []
        table.add_row(label, *(form.format(side[key]) for side in sides), *ratio)
    Console().print(table)
