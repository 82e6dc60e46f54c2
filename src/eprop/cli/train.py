"""``eprop train``: train a network on a task. Tasks, packaged or in a file, become commands; their arguments are options."""

from __future__ import annotations

import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eprop.cli.guard import Group, Json, Quiet, formats_option, path_of

if TYPE_CHECKING:
    from eprop.cli.report import Reporter
    from eprop.runs import Trials
    from eprop.training import Experiment
    from eprop.training.trainer import Callback

HELP = """Train a network on a task, test it, and leave a run folder.

A task of your own is a Python file: eprop new-task writes one, and eprop train
my_task.py runs it. To continue a stopped run: eprop train --resume RUN. To repeat
a run with changes: eprop train --like RUN --eta 0.002
"""
FOLDER = """The folder of the run, in runs/, has configuration, metrics, checkpoint, summary and
pictures. Rare settings are arguments of the Python function:
{python}
"""
NETWORK, DATA, RUN = "Network and learning", "Data", "Run"


def _option(text: str, metavar: str | None = None, *flags: str, parser: Callable[[str], Path] | None = None) -> Any:
    """An option of every run; without flags its flag is the name of its field."""
    return typer.Option(*flags, metavar=metavar, parser=parser, rich_help_panel=RUN, show_default=False, help=text)


@dataclass(frozen=True)
class RunOptions:
    """Options of every run, beside those of its task, in the order of the help."""

    seeds: Annotated[
        int | None,
        _option(
            "Train N times with the seeds S, S+1, ... in parallel processes; show mean and standard deviation; after a stop, "
            "the same command continues.",
            "N",
        ),
    ] = None
    jobs: Annotated[int | None, _option("Processes for --seeds, by default one for each core.", "N")] = None
    like: Annotated[
        Path | None, _option("Take the arguments of a run; options change some of them.", "RUN", parser=path_of)
    ] = None
    resume: Annotated[
        Path | None,
        _option("Continue a stopped run; the result has the bits of an uninterrupted run.", "RUN", parser=path_of),
    ] = None
    out: Annotated[
        Path | None,
        _option(
            "Folder for the run, by default runs/TASK-RULE-SEED-001 or the next free number; a stopped run of the same "
            "settings in it is continued.",
            "DIR",
            parser=path_of,
        ),
    ] = None
    force: Annotated[bool, _option("Replace the run in the folder.", None, "--force")] = False
    threads: Annotated[
        int | None,
        _option(
            "Threads; they do not change the result. By default all, and one for eprop+ with few neurons and --seeds.",
            "N",
        ),
    ] = None
    parallel: Annotated[
        str,
        _option("What is divided among ranks: model (neurons) or data (samples).  \\[default: model]", "model|data"),
    ] = "model"
    figures: Annotated[bool, _option("Draw figures at the end (the default).", None, "--figures/--no-figures")] = True
    formats: Annotated[list[str] | None, formats_option("png", RUN)] = None
    callbacks: Annotated[
        list[str] | None,
        _option(
            "Call this function of (trainer, line) after each line of metrics; the training ends if it returns True. "
            "May be given more than once.",
            "FILE.py:NAME",
            "--callback",
        ),
    ] = None
    as_json: Json = False
    quiet: Quiet = False

    def __post_init__(self) -> None:
        if not self.figures and self.formats:
            from eprop.errors import ParameterError

            raise ParameterError("--no-figures and --format contradict each other: leave out one")

    def kinds_of_figures(self) -> tuple[str, ...]:
        """Formats to draw, such as ``("png",)``; empty: no figures."""
        return tuple(self.formats or ("png",)) if self.figures else ()


class _Tasks(Group):
    """A command for each task; the name of a task file is a command as well."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse as the base class does; without a task, take the task of the run after ``--resume`` or ``--like``."""
        if args and args[0].startswith("-"):
            for option in ("--resume", "--like"):
                if (run := _value_of(option, args)) is not None:
                    args = [_task_of(option, run, ctx), *args]
                    break
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of the tasks of this package."""
        from eprop.tasks import TASKS

        return list(TASKS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command that trains a task, by its name or file."""
        return command_for(cmd_name) if cmd_name.endswith(".py") or cmd_name in self.list_commands(ctx) else None


def _value_of(option: str, args: list[str]) -> str | None:
    """Value of an option: empty if it is the last word, None without the option."""
    for arg, following in zip(args, [*args[1:], None], strict=True):
        name, equals, value = arg.partition("=")
        if name == option:
            return value if equals else following or ""
    return None


def _task_of(option: str, run: str, ctx: Any) -> str:
    """Return the command name of a run's task; refuse the file of a user's own task, which only the user may name."""
    from eprop.errors import EPropError
    from eprop.runs import arguments_of_run

    if not run:
        raise typer.BadParameter(f"give the folder of the run, as in {option} runs/nmnist-eprop-1-001", ctx=ctx)
    try:
        task, _ = arguments_of_run(path_of(run))
    except EPropError as error:
        raise typer.BadParameter(f"cannot read the task of the run: {error}", ctx=ctx, param_hint=option) from error
    if not task or task.endswith(".py"):
        what = f"is a run of {task}, a Python file, and eprop executes only files that you name: read the file, then"
        raise typer.BadParameter(
            f"{run}: {what if task else 'was made in Python:'} give the task, as in eprop train "
            f"{task or 'TASK.py'} {option} {run}", ctx=ctx,
        )  # fmt: skip
    return task


def command_for(task: str) -> Any:
    """Make the command that trains a task, by its name or file. This executes the file."""
    from eprop.cli.options import command_with

    function = _loaded(task)
    options = {} if function is None else task_options(function)
    run_options = inspect.signature(RunOptions, eval_str=True).parameters
    if clash := options.keys() & run_options.keys():
        raise typer.BadParameter(
            f"{task}: the parameter {min(clash)} has the name of an option of eprop train: rename it"
        )

    def command(given: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
        carry_out(task, given, RunOptions(**asked))

    command.__doc__ = help_of(function, task)
    # The command itself reports what is wrong with a file that cannot be loaded.
    settings = {} if function is not None else {"ignore_unknown_options": True, "allow_extra_args": True}
    return command_with(task, options, run_options, command, **settings)


def _loaded(task: str) -> Callable[..., Experiment] | None:
    """The function of a task, or None if its file is missing or broken."""
    from eprop.errors import EPropError
    from eprop.tasks import task_named

    try:
        return task_named(task)
    except EPropError:
        return None


def task_options(function: Callable[..., Experiment]) -> dict[str, inspect.Parameter]:
    """The arguments of a task that have a `Doc`, as options."""
    from eprop.cli.options import option_of
    from eprop.training.arguments import arguments_of

    known = {name: one for name, one in arguments_of(function).items() if one.doc}
    settings = _training_of(function) if any(one.default is inspect.Parameter.empty for one in known.values()) else {}
    found = {}
    for name, one in known.items():
        default = settings.get(name) if one.default is inspect.Parameter.empty else one.default
        found[name] = option_of(one, default, NETWORK)
    # The help has the groups in the order of their first options.
    return dict(sorted(found.items(), key=lambda item: known[item[0]].panel == DATA))


def _training_of(function: Callable[..., Experiment]) -> Mapping[str, Any]:
    """Settings of the training that a task of the package has without arguments, for the help."""
    from eprop.runs import RunRecord

    return RunRecord.of(function()).settings if inspect.unwrap(function).__module__.startswith("eprop.") else {}


def help_of(function: Callable[..., Experiment] | None, task: str) -> str:
    """Help of the command of a task: the first part of its docstring."""
    if function is None:
        return f"Train the task in {task}, which cannot be read."
    described = inspect.cleandoc(function.__doc__ or f"The task in {task}.").partition("\nParameters\n---")[0].strip()
    name = function.__name__
    python = f"help(eprop.tasks.{name})" if not task.endswith(".py") else f"see {task}"
    return f"{described}\n\n{FOLDER.format(python=python)}".replace("[", "\\[").replace("``", "").replace("`", "")


def carry_out(task: str, given: Mapping[str, Any], asked: RunOptions) -> None:
    """Start or resume a run of the task, or several; print the result, draw the figures."""
    from eprop.cli.output import print_result
    from eprop.cli.report import Reporter, print_finished, print_trials
    from eprop.errors import ParameterError
    from eprop.parallel import find_communicator
    from eprop.runs import Execution, like, resume_run
    from eprop.runs.fitting import run_in_folder
    from eprop.tasks import task_named
    from eprop.training.number_text import line_of

    comm = find_communicator()
    parallel: Any = asked.parallel
    execution = Execution(asked.threads, comm, parallel, asked.kinds_of_figures())
    reporter, done = Reporter(quiet=asked.quiet, silent=comm.rank > 0), None
    with reporter:
        function, callbacks = task_named(task), [_callback(text) for text in asked.callbacks or ()]
        if asked.jobs is not None and asked.seeds is None:
            raise ParameterError("--jobs is the number of processes for --seeds: give --seeds as well")
        if asked.resume is not None:
            _refuse_beside_resume(given, asked)
            done = resume_run(asked.resume, function, execution=execution, watcher=reporter, callbacks=callbacks)
        else:
            experiment = like(asked.like, function, **given) if asked.like else function(**given)
            if asked.seeds is not None:
                trials = _several(experiment, asked, reporter)
            else:
                done = run_in_folder(experiment, asked.out, reporter, execution, callbacks, force=asked.force)
    if comm.rank > 0:
        if done is not None:
            done.draw()  # all ranks draw
        return
    outcome = trials if done is None else done.history
    folder, summary = outcome.folder, outcome.summary
    show = partial(print_trials if done is None else print_finished, folder, summary)
    try:
        line = line_of(folder.path, summary) if asked.quiet else None
        print_result({"run": str(folder.path), **summary}, show, as_json=asked.as_json, line=line)
    finally:
        if done is not None:  # an error of the figures does not hide the result
            with reporter:
                done.draw()


def _several(experiment: Experiment, asked: RunOptions, reporter: Reporter) -> Trials:
    """Train with several seeds in parallel processes."""
    from eprop.errors import ParameterError
    from eprop.parallel import started_by_mpi
    from eprop.runs import fit

    if started_by_mpi():
        raise ParameterError("--seeds starts its own processes: leave out mpiexec")
    if asked.callbacks:
        raise ParameterError("--callback does not reach the processes of --seeds: leave out one of the two")
    trials: Trials = fit(
        experiment, folder=asked.out, force=asked.force, seeds=asked.seeds, jobs=asked.jobs, progress=reporter,
        threads=asked.threads, formats=asked.kinds_of_figures(),
    )  # fmt: skip
    return trials


def _refuse_beside_resume(given: Mapping[str, Any], asked: RunOptions) -> None:
    """Refuse options that would change a resumed run; only threads, figures and callbacks may change."""
    others = {"like": asked.like, "out": asked.out, "force": asked.force, "seeds": asked.seeds}
    names = [*given, *(name for name, value in others.items() if value)]
    if names:
        listed = ", ".join("--" + name.replace("_", "-") for name in names)
        from eprop.errors import ParameterError

        raise ParameterError(
            f"--resume takes all settings from the run: leave out {listed}, or repeat the run with changes by --like"
        )


def _callback(text: str) -> Callback:
    """Load the callback that ``FILE.py:NAME`` names. This executes the file.

    Raises
    ------
    ParameterError
        If the text or the name is wrong, the file does not exist or fails, or the name is not a function.
    """
    from eprop.errors import ParameterError

    file, colon, name = text.rpartition(":")
    if not colon or not file.endswith(".py") or not name.isidentifier():
        raise ParameterError(f"a callback must be given as FILE.py:NAME, such as callbacks.py:stop_early, got {text!r}")
    path = Path(os.path.expanduser(file))
    spec = importlib.util.spec_from_file_location(f"eprop_callbacks_{path.stem}", path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise ParameterError(f"{path}: no such file; a callback is given as FILE.py:NAME")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # dataclasses look for it there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ParameterError(f"{path}: cannot be loaded: {type(error).__name__}: {error}") from error
    found = vars(module).get(name)
    if not callable(found):
        raise ParameterError(f"{path}: {name!r} must be a function of (trainer, line), got {found!r:.60}")
    callback: Callback = found
    return callback


app = typer.Typer(help=HELP, no_args_is_help=True, cls=_Tasks)


@app.callback()
def train() -> None:
    """Train a network on a task."""


train.__doc__ = HELP
