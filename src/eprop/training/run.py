"""A run: it drives a learner, and writes configuration, metrics, checkpoint and summary to its folder."""

from __future__ import annotations

import contextlib
import datetime
import pathlib
import shlex
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from eprop import core
from eprop.engine import Simulator
from eprop.errors import CheckpointError, DivergenceError, EPropError, OutputError
from eprop.files import JsonObject, output_errors, parsing, write_text
from eprop.markup import table
from eprop.parallel import Communicator, Serial
from eprop.parallel.interrupt import Interrupt, Stopped
from eprop.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from eprop.training.config import RunConfig, learner_of, make_simulator
from eprop.training.learner import Setup
from eprop.training.loaded_run import config_of, misfit, task_of
from eprop.training.number_text import facts_of, score_of
from eprop.training.progress_bar import shown
from eprop.training.run_folder import RunFolder
from eprop.training.system_info import describe_machine, package_version, peak_memory
from eprop.training.tensorboard import TensorBoard
from eprop.training.trainer import Callback, Trainer
from eprop.training.watcher import Watcher


@dataclass(frozen=True, eq=False, repr=False)
class FinishedRun:
    """A finished run.

    Attributes
    ----------
    run : RunFolder
    summary : dict
        Content of ``summary.json``.
    evaluation : Evaluation or Returns
        `Evaluation` on the test samples, or `Returns` of the test episodes for a task that is learned from rewards; for a learner
        of your own, the result of its ``evaluate``.
    config : RunConfig
    """

    run: RunFolder
    summary: JsonObject
    evaluation: Any
    config: RunConfig

    def __repr__(self) -> str:
        score = score_of(self.summary)
        return f"FinishedRun({str(self.run.path)!r}: test {self.summary['score']} {score})"

    def _repr_html_(self) -> str:
        """The lines that ``eprop train`` prints, as a table for notebooks."""
        return table("Run", facts_of(self.run.path, self.summary))


class Run:
    """A run: it builds network and learner, trains, tests, and writes the run folder.

    Parameters
    ----------
    config : RunConfig
    watcher : Watcher
    comm : Communicator
        Ranks that train together; the first rank writes the folder.
    callbacks : sequence of callables of (trainer, line)
        As of `Trainer`.
    """

    folder: RunFolder

    def __init__(self, config: RunConfig, watcher: Watcher, comm: Communicator, callbacks: Sequence[Callback] = ()):
        self.config, self.task, self.watcher, self.comm = config, config.task, watcher, comm
        self.writes = comm.rank == 0
        self.began = time.perf_counter()
        self.interrupt = Interrupt(comm)
        self._tensorboard: TensorBoard | None = None
        if config.execution.tensorboard:
            TensorBoard(".")  # raises before a folder exists if TensorBoard is missing
        watcher.phase("building the network")
        self.simulator = make_simulator(config, comm=comm)
        self.setup = Setup(
            self.task, self.simulator, config.data, config.training, config.execution, watcher, comm
        )  # fmt: skip
        self.learner = learner_of(type(self.task)).of_run(self.setup)
        self.trainer = Trainer(
            self.learner,
            watcher=watcher,
            save=lambda trainer: self.save(),
            interrupt=self.interrupt,
            callbacks=[self._write_line, *callbacks],
        )

    def begin(self, out: str | pathlib.Path | None, force: bool) -> FinishedRun:
        """Create the run folder, then learn."""
        made: str | pathlib.Path = ""
        if self.writes:
            made = RunFolder.create(out, f"{self.task.name}-{self.task.variant}-{self.task.seed}", force=force).path
        self.folder = RunFolder(self.comm.broadcast(made))
        try:
            if self.writes:
                write_text(self.folder.config, self.config_text())
            self.trainer.save()
        except OutputError:
            self.folder.remove()
            raise
        return self.learn()

    def resume(self, folder: RunFolder, checkpoint: Checkpoint) -> FinishedRun:
        """Continue from a checkpoint."""
        self.folder = folder
        position = dict(checkpoint.position)
        if position.pop("data", None) != self.setup.fingerprint():
            raise CheckpointError(
                f"{folder.checkpoint}: was written while learning from other data; the data of the task {self.task.name!r} have "
                "changed: start a new run"
            )
        try:
            self.simulator.set_state(checkpoint.state)
            with parsing(str(folder.checkpoint), "has no valid position", CheckpointError, "repeat the run"):
                self.trainer.set_state(position)
        except CheckpointError:
            raise
        except EPropError as error:
            raise misfit(folder, checkpoint, error) from error
        if self.writes:
            folder.tidy()
            folder.rewind_metrics(self.trainer.done)
        return self.learn()

    def learn(self) -> FinishedRun:
        """Learn to the end, test, and write the summary."""
        learns = not self.trainer.finished
        with self.interrupt:
            self.watcher.phase("learning")
            with self._open_tensorboard():
                self._train()
            self.save()
            self.watcher.phase("testing")
            evaluation = self._test()
        summary = self.summary(evaluation)
        if self.writes and (learns or not self._has_summary()):
            self.folder.write_summary(summary)
        return FinishedRun(self.folder, summary, evaluation, self.config)

    def _train(self) -> None:
        """Learn to the end. If the training stops before, write a checkpoint and say how to continue."""
        try:
            self.trainer.run()
        except Stopped as stop:
            self.save()
            raise self._stopped(stop) from None
        except DivergenceError as error:
            raise DivergenceError(f"{error} The last good checkpoint is {self.folder.checkpoint}.") from error
        except Exception as error:
            # Saving is collective, and other ranks do not know of this error.
            if self.comm.size == 1:
                with contextlib.suppress(OutputError):
                    self.save()
                error.add_note(self.advice())
            raise

    def _test(self) -> Any:
        def show(done: int, total: int) -> None:
            self.interrupt.check()
            self.watcher.evaluating(done, total, self.learner.test_unit)

        try:
            return self.learner.evaluate(show)
        except Stopped as stop:
            raise self._stopped(stop) from None

    def _write_line(self, trainer: Trainer, line: JsonObject) -> None:
        """Write a line of metrics, before any other callback sees it."""
        if self.writes:
            self.folder.add_metrics(line)
        if self._tensorboard is not None:
            self._tensorboard.add([line])

    @contextlib.contextmanager
    def _open_tensorboard(self) -> Iterator[None]:
        """Context in which TensorBoard gets all metrics of the run, including the lines before a stop."""
        if not (self.config.execution.tensorboard and self.writes):
            yield
            return
        with output_errors(self.folder.tensorboard):
            for path in self.folder.tensorboard.glob("events.out.tfevents.*"):
                path.unlink()
        self._tensorboard = TensorBoard(self.folder.tensorboard)
        self._tensorboard.add(self.folder.read_metrics())
        try:
            yield
        finally:
            self._tensorboard.close()

    def _has_summary(self) -> bool:
        """Whether the folder has a summary of the whole training; a later test does not replace it."""
        try:
            return bool(self.folder.read_summary())
        except CheckpointError:
            return False

    def save(self) -> None:
        """Write a checkpoint."""
        state = self.simulator.state()  # collective
        if self.writes:
            position = {**self.trainer.state(), "data": self.setup.fingerprint()}
            save_checkpoint(
                self.folder.checkpoint,
                Checkpoint(self.config_text(), position, state, self.setup.example(), package_version()),
            )

    def advice(self) -> str:
        """Message about a stopped run, with the command that continues it."""
        progress = f"{self.trainer.done:,} of {self.trainer.total:,} {self.learner.unit}"
        return f"stopped after {progress}; {self.folder.how_to_continue(self.config.task_name)}"

    def _stopped(self, stop: Stopped) -> Stopped:
        return Stopped(self.advice(), stop.exit_code, together=stop.together)

    def config_text(self) -> str:
        """Text of ``config.toml``."""
        return self.config.to_toml(
            [
                f"A run of eprop {package_version()}; it is repeated by",
                f"    eprop train {shlex.quote(self.config.task_name)} --config config.toml",
            ]
        )

    def summary(self, evaluation: Any) -> JsonObject:
        """Content of ``summary.json``: task, evaluation, training, cost and machine."""
        return {
            "version": package_version(),
            "commit": core.commit(),
            "task": self.task.name,
            "rule": getattr(self.task, "rule", None),
            "seed": self.task.seed,
            "score": self.task.score_name,
            **evaluation.summary(),
            "stopped_early": self.trainer.stopped_early,
            "train_seconds": self.learner.seconds,
            **self.learner.summary(),
            "total_seconds": time.perf_counter() - self.began,
            "synapses": self.simulator.n_synapses,
            "peak_memory_bytes": peak_memory(),
            "simulator_bytes": self.simulator.memory(),
            "threads": self.simulator.threads,
            "ranks": self.comm.size,
            "precision": self.simulator.precision,
            **few_bits_of(self.simulator),
            "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "machine": describe_machine(),
        }


def few_bits_of(simulator: Simulator) -> JsonObject:
    """Weights of few bits, for a summary: format of each projection, and share of the weights at the ends of its levels."""
    found = {
        name: {
            "bits": one.bits,
            "scale": one.level,
            "rounding": one.rounding,
            "saturated": one.at_ends(weights) / max(weights.size, 1),
        }
        for name, one in simulator.formats.items()
        for weights in [simulator.connections(name)[2]]
    }
    return {"few_bits": found} if found else {}


def start_run(
    config: RunConfig, out: str | pathlib.Path | None = None, *, force: bool = False, watcher: Watcher | None = None,
    comm: Communicator | None = None, callbacks: Sequence[Callback] = (),
) -> FinishedRun:  # fmt: skip
    """Train and test a network; write a run folder.

    Parameters
    ----------
    config : RunConfig
    out : path, optional
        Folder of the run; ``runs/<task>-<rule>-<seed>-<number>`` if not given.
    force : bool
        Replace the run in ``out``.
    watcher : Watcher, optional
        A progress bar if not given; ``Watcher()`` shows nothing.
    comm : Communicator, optional
        Ranks that train together; all ranks call this function, and the first rank writes the folder.
    callbacks : sequence of callables of (trainer, line), optional
        As of `Trainer`.

    Returns
    -------
    FinishedRun
        The folder of the run, its summary, and the evaluation on the test samples.

    Raises
    ------
    EPropError
        If data are missing, the folder is not free, the disk is full, or the training diverges.
    Stopped
        After Ctrl-C. A checkpoint was written; `resume_run` continues from it.
    """
    config, comm = config.absolute(), comm or Serial()
    if out is not None:
        RunFolder(out).check_free(force=force)
    with shown(watcher, comm) as watching:
        return Run(config, watching, comm, callbacks).begin(out, force)


def resume_run(
    path: str | pathlib.Path,
    *,
    task: str | None = None,
    threads: int | None = None,
    watcher: Watcher | None = None,
    comm: Communicator | None = None,
    callbacks: Sequence[Callback] = (),
) -> FinishedRun:
    """Continue a run from its checkpoint. The result has the same bits as without the stop.

    Parameters
    ----------
    path : path
        Folder of the run.
    task : str, optional
        As of `load`.
    threads : int, optional
    watcher : Watcher, optional
        A progress bar if not given; ``Watcher()`` shows nothing.
    comm : Communicator, optional
        Ranks that train together.
    callbacks : sequence of callables of (trainer, line), optional
        As of `Trainer`; a run does not save its callbacks.

    Returns
    -------
    FinishedRun
        As of `start_run`.

    Raises
    ------
    CheckpointError
        If there is no checkpoint, it is damaged, or the data have changed since.
    ParameterError
        If the run has another task, or its task is a Python file and ``task`` is not given.
    """
    run, comm = RunFolder.open(path), comm or Serial()
    checkpoint = load_checkpoint(run.checkpoint)
    config = config_of(checkpoint, run, task or task_of(checkpoint, run))
    if threads is not None:
        config = replace(config, execution=config.execution.replace(threads=threads))
    with shown(watcher, comm) as watching:
        return Run(config, watching, comm, callbacks).resume(run, checkpoint)
