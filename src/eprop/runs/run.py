"""A run: it drives a learner, and writes configuration, metrics, checkpoint, summary and pictures to its folder."""

from __future__ import annotations

import contextlib
import datetime
import pathlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from eprop import core
from eprop.engine import Simulator
from eprop.errors import CheckpointError, DivergenceError, EPropError, FiguresWarning, OutputError, warn
from eprop.files import JsonObject, parsing, write_text
from eprop.parallel import Communicator, Serial
from eprop.parallel.interrupt import Interrupt, Stopped
from eprop.parameters import check_choice
from eprop.runs.checkpoint import Checkpoint, packed, save_checkpoint
from eprop.runs.folder import RunFolder
from eprop.runs.record import RunRecord, described_parts
from eprop.training.experiment import Experiment
from eprop.training.history import History
from eprop.training.learner import Learner
from eprop.training.pictures import FORMATS, Trained, draw, pictures_of_network
from eprop.training.reward_learner import RewardLearner
from eprop.training.sample_learner import SampleLearner
from eprop.training.system_info import describe_machine, package_version, peak_memory
from eprop.training.trainer import Callback, Trainer
from eprop.training.watcher import Watcher


@dataclass(frozen=True)
class Execution:
    """How a training is executed; it does not change the result.

    Attributes
    ----------
    threads : int, optional
        As of `Simulator`.
    comm : Communicator
        Ranks that train together; the first rank writes the folder.
    formats : tuple of str
        Formats of the pictures, ``"png"``, ``"pdf"``, ``"svg"``; empty: no pictures.
    """

    threads: int | None = None
    comm: Communicator = Serial()
    formats: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for kind in self.formats:
            check_choice("format", kind, FORMATS)


def make_simulator(experiment: Experiment, execution: Execution) -> Simulator:
    """The untrained network of an experiment."""
    return Simulator(experiment.network, threads=execution.threads, precision=experiment.precision, comm=execution.comm)


def learner_for(experiment: Experiment, simulator: Simulator, watcher: Watcher) -> Learner:
    """What learns an experiment."""
    if experiment.learner is not None:
        return experiment.learner(experiment, simulator)
    if experiment.environments is not None:
        return RewardLearner(experiment, simulator)
    return SampleLearner(experiment, simulator, watcher)


def tested(learner: Learner, watcher: Watcher, interrupt: Interrupt) -> Any:
    """What the test of a learner gives; the watcher shows how far it is, and a signal ends it."""

    def show(done: int, total: int) -> None:
        interrupt.check()
        watcher.evaluating(done, total, learner.test_unit)

    watcher.phase("testing")
    return learner.evaluate(show)


class Run:
    """A training with a folder.

    Parameters
    ----------
    experiment : Experiment
    watcher : Watcher
    execution : Execution
    callbacks : sequence of callables of (trainer, line)
        As of `Trainer`.
    """

    folder: RunFolder

    def __init__(
        self, experiment: Experiment, watcher: Watcher, execution: Execution, callbacks: Sequence[Callback] = ()
    ):
        self.experiment, self.watcher, self.execution = experiment, watcher, execution
        self.comm = execution.comm
        self.writes = self.comm.rank == 0
        self.began, self.interrupt = time.perf_counter(), Interrupt(self.comm)
        watcher.phase("building the network")
        self.simulator = make_simulator(experiment, execution)
        # Pictures compare with the network before training, which is not built again.
        self._initial = self.simulator.state() if execution.formats else {}
        self.learner = learner_for(experiment, self.simulator, watcher)
        self._described = described_parts(experiment)
        self.record = RunRecord.of(experiment, self.learner.fingerprint(), self._described)
        self.history = History(experiment, self.learner)
        self.trainer = Trainer(
            self.learner,
            watcher=watcher,
            save=lambda trainer: self.save(),
            interrupt=self.interrupt,
            callbacks=[self.history, self._write_line, *callbacks],
        )

    def begin(self, path: str | pathlib.Path | None, force: bool) -> None:
        """Create the run folder, with a first checkpoint."""
        made: str | pathlib.Path = ""
        if self.writes:
            label = f"{self.experiment.name or 'experiment'}-{self.experiment.seed}"
            made = RunFolder.create(path, label, force=force).path
        self.folder = RunFolder(self.comm.broadcast(made))
        try:
            self._write_config()
            self.trainer.save()
        except OutputError:
            self.folder.remove()
            raise

    def resume(self, folder: RunFolder, checkpoint: Checkpoint) -> None:
        """Take the state of a checkpoint."""
        self.folder = folder
        if changed := checkpoint.record.differences(self.record, longer=True):
            raise CheckpointError(
                f"{folder.checkpoint}: was written while learning from other data: {'; '.join(changed)}; start a new run"
            )
        try:
            self.simulator.set_state(checkpoint.state)
            with parsing(str(folder.checkpoint), "has no valid position", CheckpointError, "repeat the run"):
                self.trainer.set_state(checkpoint.position)
        except CheckpointError:
            raise
        except EPropError as error:
            raise misfit(folder, checkpoint, error) from error
        if self.writes:
            folder.tidy()
            self._write_config()
            folder.rewind_metrics(self.trainer.done)
        self.history.lines = self.comm.broadcast(folder.read_metrics() if self.writes else [])

    def learn(self) -> None:
        """Learn to the end, test, write the summary."""
        learns, history = not self.trainer.finished, self.history
        with self.interrupt, self._kept_if_it_stops():
            self.watcher.phase("learning")
            self.trainer.run()
            self.save()
            history.evaluation = tested(self.learner, self.watcher, self.interrupt)
        history.folder, history.stopped_early = self.folder, self.trainer.stopped_early
        history.summary = summary_of(history, time.perf_counter() - self.began)
        known = None
        with contextlib.suppress(CheckpointError):
            known = self.folder.read_summary()
        if self.writes and (learns or not known):  # a later test does not replace the summary of the whole training
            self.folder.write_summary(history.summary)

    def draw(self) -> None:
        """Draw the pictures, on all ranks; a warning says if one fails."""
        if not self.execution.formats:
            return
        try:
            self.watcher.phase("drawing figures")
            history = self.history
            example = self.learner.example()
            run = Trained(self.experiment, self.simulator, self._initial, history.lines, history.summary, example)
            pictures = {**pictures_of_network(run), **self.learner.pictures(run)}
            if self.writes:
                self.folder.note_figures(pictures)
            draw(pictures, self.folder.figures, self.execution.formats, writes=self.writes)
        except (EPropError, OSError, MemoryError) as error:
            warn(
                f"{self.folder.path}: the training is complete and kept, but its figures could not be drawn: {error}",
                FiguresWarning,
            )

    @contextlib.contextmanager
    def _kept_if_it_stops(self) -> Iterator[None]:
        """Context of the training: if it stops before its end, write a checkpoint and say how to continue."""
        try:
            yield
        except Stopped as stop:
            self.save()
            raise Stopped(self.advice(), stop.exit_code, together=stop.together) from None
        except DivergenceError as error:
            raise DivergenceError(f"{error} The last good checkpoint is {self.folder.checkpoint}.") from error
        except Exception as error:
            # Saving is collective, and other ranks do not know of this error.
            if self.comm.size == 1:
                with contextlib.suppress(OutputError):
                    self.save()
                error.add_note(self.advice())
            raise

    def _write_line(self, trainer: Trainer, line: JsonObject) -> None:
        """Write a line of metrics, before any other callback sees it."""
        if self.writes:
            self.folder.add_metrics(line)

    def _write_config(self) -> None:
        """Note where the run is, and write what people read."""
        self.record = replace(self.record, folder=str(self.folder.path.resolve()))
        if self.writes:
            write_text(self.folder.config, self.record.to_toml(self.experiment, str(self.folder.path), self._described))

    def save(self) -> None:
        """Write a checkpoint."""
        state = self.simulator.state()  # collective
        if self.writes:
            position, example = self.trainer.state(), packed(self.learner.example())
            made = Checkpoint(self.record, position, state, example, package_version(), self._described.arrays)
            save_checkpoint(self.folder.checkpoint, made)

    def advice(self) -> str:
        """Message about a stopped run, with the command that continues it."""
        progress = f"{self.trainer.done:,} of {self.trainer.total:,} {self.learner.unit}"
        return f"stopped after {progress}; {self.folder.how_to_continue(self.record.command)}"


def misfit(run: RunFolder, checkpoint: Checkpoint, error: Exception) -> CheckpointError:
    """The error for a checkpoint whose state does not fit the network of its experiment."""
    return CheckpointError(
        f"{run.checkpoint}: does not fit its experiment ({error}); it was written by eprop {checkpoint.version}: "
        "use that version, or repeat the run"
    )


def summary_of(history: History, seconds: float) -> JsonObject:
    """Content of ``summary.json``: task, evaluation, training, cost and machine."""
    experiment, learner, simulator = history.experiment, history.learner, history.simulator
    arguments = {} if experiment.origin is None else experiment.origin.arguments
    return {
        "version": package_version(),
        "commit": core.commit(),
        "task": experiment.name if experiment.origin is None else experiment.origin.task,
        "rule": arguments.get("rule"),
        "loss": arguments.get("loss"),
        "seed": experiment.seed,
        "score": learner.score_name,
        **({} if history.evaluation is None else history.evaluation.summary()),
        "stopped_early": history.stopped_early,
        "train_seconds": learner.seconds,
        **learner.summary(),
        "total_seconds": seconds,
        "synapses": simulator.n_synapses(),
        "peak_memory_bytes": peak_memory(),
        "simulator_bytes": simulator.memory(),
        "threads": simulator.threads,
        "ranks": simulator.comm.size,
        "precision": simulator.precision,
        **few_bits_of(simulator),
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
