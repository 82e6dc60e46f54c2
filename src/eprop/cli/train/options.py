"""Options that all commands of ``eprop train`` share, and the factory of these commands."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from eprop.cli.commands import Command, UsageError
from eprop.cli.guard import Debug, Json, Quiet, Trust, guarded, path_of

DATA, MODEL, RUN = "Data", "Network and learning", "Run"

Sections = dict[str, dict[str, Any]]


class TaskCommand(Command):
    """A command that trains a task; its errors explain parameters that have no option of their own."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse as the base class does; explain an unknown option that is a parameter of the configuration."""
        try:
            return super().parse_args(ctx, args)
        except UsageError as error:
            if hasattr(error, "possibilities"):  # an option that does not exist
                hint = _hint(self.name or "", str(error.option_name).lstrip("-").replace("-", "_"))
                if hint:
                    error.message, error.possibilities = error.message + hint, None
            raise


def _hint(task: str, name: str) -> str:
    """Say how to set a parameter that has no option of its own; empty if there is no such parameter."""
    from eprop.errors import EPropError
    from eprop.training.config import is_key

    try:
        known = is_key(task, name)
    except EPropError:  # the command itself reports a missing or broken file
        known = True
    return f"; this parameter is set with: --set {name}=VALUE" if known else ""


def option(panel: str, metavar: str, text: str, *names: str, parser: Callable[[str], Any] | None = None) -> Any:
    """Make an option of a panel; ``text`` gives the default if the default depends on other options."""
    return typer.Option(*names, metavar=metavar, rich_help_panel=panel, show_default=False, help=text, parser=parser)


def path_option(panel: str, metavar: str, text: str) -> Any:
    """Make an option whose value is a path."""
    return option(panel, metavar, text, parser=path_of)


Rule = Annotated[
    str | None,
    option(
        MODEL,
        "eprop|eprop+",
        "eprop: weights change after each mini-batch, each sample starts from rest. eprop+: weights change at "
        "every spike, samples follow each other without a reset.  \\[default: eprop]",
    ),
]


Epochs = Annotated[int | None, option(MODEL, "N", "Passes over the training data.")]
Seed = Annotated[
    int | None,
    option(
        MODEL,
        "S",
        "Seed of connections, weights and the order of samples. The same seed gives the same bits.  \\[default: 1]",
    ),
]
Settings = Annotated[
    list[str] | None,
    option(
        MODEL,
        "KEY=VALUE",
        "Set any other parameter of config.toml, such as eta=0.002 or training.schedule=cosine. May be given "
        "more than once.",
        "--set",
    ),
]
Engine = Annotated[
    str | None,
    option(
        RUN,
        "event|time",
        "event: the event-driven engine. time: the time-driven reference, slow and in double precision.  "
        "\\[default: event]",
    ),
]
TrialCount = Annotated[
    int | None,
    option(
        RUN,
        "N",
        "Train N times with the seeds S, S+1, ... in parallel processes, each with its own run folder; show "
        "mean and standard deviation.",
    ),
]
Jobs = Annotated[int | None, option(RUN, "J", "Processes for --trials.  \\[default: one for each core]")]
ConfigFile = Annotated[
    Path | None,
    path_option(
        RUN,
        "FILE",
        "Take all settings from a file such as the config.toml of a run; options win over the file.",
    ),
]
Resume = Annotated[
    Path | None,
    path_option(
        RUN, "RUN", "Continue a stopped run or stopped trials; the result has the bits of an uninterrupted run."
    ),
]
Out = Annotated[
    Path | None,
    path_option(RUN, "DIR", "Folder for the run.  \\[default: runs/TASK-RULE-SEED-001 or the next free number]"),
]
Force = Annotated[bool, typer.Option("--force", rich_help_panel=RUN, help="Replace the run in the folder.")]
Threads = Annotated[
    int | None,
    option(
        RUN,
        "N",
        "Threads; the result does not depend on their number.  \\[default: all; 1 for eprop+ with few neurons, and "
        "for --trials]",
    ),
]
Parallel = Annotated[
    str | None,
    option(
        RUN,
        "model|data",
        "What the ranks divide under mpiexec. model: the neurons, with the same result for any number of ranks. "
        "data: the samples of each mini-batch (rule eprop).  \\[default: model]",
    ),
]
Figures = Annotated[
    bool | None,
    typer.Option(
        "--figures/--no-figures",
        rich_help_panel=RUN,
        show_default=False,
        help="Draw figures at the end; --resume keeps the choice of the run.  \\[default: figures]",
    ),
]
Formats = Annotated[
    list[str] | None,
    option(RUN, "png|pdf|svg", "Format of the figures. May be given more than once.  \\[default: png]", "--format"),
]
ValidationInterval = Annotated[
    int | None,
    option(
        MODEL,
        "N",
        "Evaluate validation samples after every N samples.  \\[default: ten times, evenly spaced]",
        "--validation-interval",
    ),
]
Patience = Annotated[
    int | None,
    option(
        MODEL,
        "N",
        "Stop after N evaluations of validation samples without a lower error, and keep the network with the "
        "lowest error.  \\[default: never]",
    ),
]
Callbacks = Annotated[
    list[str] | None,
    option(
        RUN,
        "FILE.py:NAME",
        "Call this function of (trainer, line) after each line of metrics. Training ends if the function returns "
        "True. May be given more than once; give it again with --resume.",
        "--callback",
    ),
]
TensorBoard = Annotated[
    bool,
    typer.Option("--tensorboard", rich_help_panel=RUN, help="Also write metrics for TensorBoard into the run."),
]


def _common(
    epochs: Epochs = None,
    seed: Seed = None,
    settings: Settings = None,
    engine: Engine = None,
    trials: TrialCount = None,
    jobs: Jobs = None,
    config: ConfigFile = None,
    resume: Resume = None,
    out: Out = None,
    force: Force = False,
    threads: Threads = None,
    parallel: Parallel = None,
    figures: Figures = None,
    formats: Formats = None,
    validation_interval: ValidationInterval = None,
    patience: Patience = None,
    callbacks: Callbacks = None,
    tensorboard: TensorBoard = False,
    trust: Trust = False,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Declare the options that every command of ``eprop train`` has after its own."""


def trains(task: str, epochs: str) -> Callable[[Callable[..., Sections]], Callable[..., None]]:
    """Make a command that trains ``task`` from a function whose parameters are the task's own options.

    The function returns the sections of the configuration that its options change. Its docstring is the help.

    Parameters
    ----------
    task : str
        Name or file of the task.
    epochs : str
        Help of ``--epochs``.
    """
    return lambda own: command_of(task, epochs, own, _parameters(own))


def command_of(
    task: str, epochs: str, own: Callable[..., Sections], mine: Mapping[str, inspect.Parameter]
) -> Callable[..., None]:
    """Make a command as `trains` does, from the task's own options as parameters by name."""
    shared = _parameters(_common)
    shared["epochs"] = shared["epochs"].replace(annotation=Annotated[int | None, option(MODEL, "N", epochs)])
    return _command(task, own, mine, shared)


def trains_by_reward(task: str) -> Callable[[Callable[..., Sections]], Callable[..., None]]:
    """Make a command as `trains` does, for a task with reward: ``--steps`` replaces ``--epochs``."""
    shared = _parameters(_by_reward) | {
        name: p for name, p in _parameters(_common).items() if name not in NOT_BY_REWARD
    }
    return lambda own: _command(task, own, _parameters(own), shared)


def _by_reward(
    steps: Annotated[
        int | None, option(MODEL, "N", "Steps summed over all environments.  \\[default: depends on the task]")
    ] = None,
) -> None:
    """Declare the options of commands whose task has reward."""


#: Options that have no meaning for a task with reward.
NOT_BY_REWARD = ("epochs", "engine", "parallel", "validation_interval", "patience")


def _command(
    task: str,
    own: Callable[..., Sections],
    mine: Mapping[str, inspect.Parameter],
    others: Mapping[str, inspect.Parameter],
) -> Callable[..., None]:
    """Make a command with its own options first, then the shared ones."""
    shared = {name: p for name, p in others.items() if name not in mine}

    @functools.wraps(own)
    def command(**given: Any) -> None:
        from eprop.cli.train.run import TrainRequest, carry_out

        sections = own(**{name: given[name] for name in mine})
        carry_out(TrainRequest(task, sections, **{name: given[name] for name in shared if name != "debug"}))

    parameters = {**mine, **shared}
    command = guarded(command)
    command.__signature__ = inspect.Signature(list(parameters.values()))  # type: ignore[attr-defined]
    command.__annotations__ = {name: p.annotation for name, p in parameters.items()}
    return command


def common_names() -> set[str]:
    """Return the names of the options that every command has."""
    return {*_parameters(_common), "format", "callback", "set", "json"}


def _parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Return the parameters of a function, with evaluated annotations."""
    hints = get_type_hints(function, include_extras=True)
    given = inspect.signature(function).parameters
    return {name: p.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY) for name, p in given.items()}
