"""``eprop train``: train a network on a task. Tasks, packaged or in a file, become commands; their arguments are options."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup

from eprop.cli.guard import path_of
from eprop.cli.options import RunOptions, help_of_default, task_options

if TYPE_CHECKING:
    from eprop.cli.report import Reporter
    from eprop.runs import Trials
    from eprop.training import Experiment

HELP = """Train a network on a task, test it, and leave a run folder.

A task of your own is a Python file: eprop new-task writes one, and eprop train
my_task.py runs it. To continue a stopped run: eprop train --resume RUN. To repeat
a run with changes: eprop train --like RUN --eta 0.002
"""
FOLDER = """The folder of the run, in runs/, has configuration, metrics, checkpoint, summary and
pictures. Rare settings are arguments of the Python function:
{python}
"""


class _Tasks(TyperGroup):
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
    for arg, following in zip(args, [*args[1:], ""], strict=True):
        name, equals, value = arg.partition("=")
        if name == option:
            return value if equals else following
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


class _TaskCommand(TyperCommand):
    """A command that trains a task; its help looks up what the experiment knows."""

    function: Callable[..., Experiment] | None = None

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Add the defaults of the training, which a task of the package chooses when it makes its experiment."""
        from eprop.errors import MissingExtraError
        from eprop.runs import RunRecord

        if self.function is not None and inspect.unwrap(self.function).__module__.startswith("eprop."):
            try:
                settings, arguments = (
                    RunRecord.of(self.function()).settings,
                    inspect.signature(self.function).parameters,
                )
                options: dict[str, Any] = {str(each.name): each for each in self.params}
                for name in options.keys() & (settings.keys() - arguments.keys()):
                    options[name].help += help_of_default(settings[name])
            except MissingExtraError as error:
                self.help = f"{self.help}\n\nSome defaults are not shown: {error}.".replace("[", "\\[")
        super().format_help(ctx, formatter)


def command_for(task: str) -> Any:
    """Make the command that trains a task, by its name or file. This executes the file, and makes no experiment."""
    function = _loaded(task)
    options = {} if function is None else task_options(task, function)
    run_options = inspect.signature(RunOptions, eval_str=True).parameters

    def command(**values: Any) -> None:
        given = {key: value for key in options if (value := values.pop(key)) not in (None, [])}
        carry_out(task, given, RunOptions(**values))

    parameters = [each.replace(kind=each.KEYWORD_ONLY) for each in (*options.values(), *run_options.values())]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    # The command itself reports what is wrong with a file that cannot be loaded.
    settings = {} if function is not None else {"ignore_unknown_options": True, "allow_extra_args": True}
    app = typer.Typer(rich_markup_mode="rich", add_completion=False, pretty_exceptions_enable=False)
    context = {"help_option_names": ["-h", "--help"], **settings}
    app.command(task, cls=_TaskCommand, help=help_of(function, task), context_settings=context)(command)
    made: Any = typer.main.get_command(app)
    made.function = function
    return made


def _loaded(task: str) -> Callable[..., Experiment] | None:
    """The function of a task, or None if its file is missing or broken."""
    from eprop.errors import EPropError
    from eprop.tasks import task_named

    try:
        return task_named(task)
    except EPropError:
        return None


def help_of(function: Callable[..., Experiment] | None, task: str) -> str:
    """Help of the command of a task: the first part of its docstring."""
    if function is None:
        return f"Train the task in {task}, which cannot be read."
    described = inspect.cleandoc(function.__doc__ or f"The task in {task}.").partition("\nParameters\n---")[0].strip()
    python = f"help(eprop.tasks.{function.__name__})" if not task.endswith(".py") else f"see {task}"
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
    execution = Execution(asked.threads, comm, asked.kinds_of_figures())
    reporter, done = Reporter(quiet=asked.quiet, silent=comm.rank > 0), None
    with reporter:
        function = task_named(task)
        if asked.jobs is not None and asked.seeds is None:
            raise ParameterError("--jobs is the number of processes for --seeds: give --seeds as well")
        if asked.resume is not None:
            _refuse_beside_resume(asked)
            done = resume_run(asked.resume, function, execution=execution, watcher=reporter, **given)
        else:
            experiment = like(asked.like, function, **given) if asked.like else function(**given)
            if asked.seeds is not None:
                trials = _several(experiment, asked, reporter)
            else:
                done = run_in_folder(experiment, asked.out, reporter, execution, force=asked.force)
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
    trials: Trials = fit(
        experiment, folder=asked.out, force=asked.force, seeds=asked.seeds, jobs=asked.jobs, progress=reporter,
        threads=asked.threads, formats=asked.kinds_of_figures(),
    )  # fmt: skip
    return trials


def _refuse_beside_resume(asked: RunOptions) -> None:
    """Refuse options that mean another run; the run compares those of its task."""
    from eprop.errors import ParameterError

    names = [name for name in ("like", "out", "force", "seeds") if getattr(asked, name)]
    if names:
        listed = ", ".join("--" + name.replace("_", "-") for name in names)
        raise ParameterError(
            f"--resume takes all settings from the run: leave out {listed}, or repeat the run with changes by --like"
        )


app = typer.Typer(help=HELP, no_args_is_help=True, cls=_Tasks)


@app.callback(help=HELP)
def train() -> None:
    """Train a network on a task."""
