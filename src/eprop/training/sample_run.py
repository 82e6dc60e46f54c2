"""One run that learns from samples: network, data, trainer, test, checkpoint and summary."""

from __future__ import annotations

import contextlib
import datetime
import math
import pathlib
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from eprop.errors import CheckpointError, DivergenceError, EPropError, OutputError
from eprop.files import parsing
from eprop.files.trust import trust_task
from eprop.parallel import Communicator
from eprop.tasks import Parts, Trials
from eprop.training.checkpoint import Checkpoint, save_checkpoint
from eprop.training.config import RunConfig
from eprop.training.engines import make_engine
from eprop.training.evaluation import evaluate, evaluation_progress
from eprop.training.interrupt import Interrupt, Stopped
from eprop.training.lock import locked
from eprop.training.machine import describe_machine, package_version, peak_memory
from eprop.training.metrics import Evaluation, per_class_error
from eprop.training.outcome import Outcome
from eprop.training.restoring import misfit
from eprop.training.runs import RunFolder
from eprop.training.tensorboard import TensorBoard
from eprop.training.trainer import Callback, Trainer
from eprop.training.watch import Watcher


def in_turn(comm: Communicator, load: Callable[[], Any]) -> Any:
    """Result of ``load`` on every rank. Rank 0 loads first, so that the other ranks find its cache."""
    if comm.size == 1:
        return load()
    first = load() if comm.rank == 0 else None
    comm.share_of(None)
    return first if comm.rank == 0 else load()


def simulated(name: str, trials: Trials) -> dict[str, bool]:
    """``{name: whether the recordings are simulated}``; empty for trials that are not recordings."""
    return {} if trials.simulated is None else {name: trials.simulated}


class SampleRun:
    """A run: builds its parts, learns, tests, and writes the run folder."""

    unit = "samples"

    def __init__(self, config: RunConfig, watcher: Watcher, comm: Communicator, callbacks: Sequence[Callback]):
        self.config, self.task, self.watcher, self.comm = config, config.task, watcher, comm
        self.writes = comm.rank == 0
        self.began = time.perf_counter()
        self.interrupt = Interrupt(comm)
        self.tensorboard: TensorBoard | None = None
        if config.execution.tensorboard:
            TensorBoard(".")  # raises before a folder exists if TensorBoard is missing
        self.prepare(callbacks)

    def prepare(self, callbacks: Sequence[Callback]) -> None:
        """Build the network, read the data, make the trainer."""
        self.watcher.phase("building the network")
        self.simulator = make_engine(self.config, self.comm)
        self.watcher.phase("reading data")
        self.parts = self.load(self.watcher)
        self.trainer = Trainer(
            self.task,
            self.simulator,
            self.parts.train,
            self.config.training,
            validation=self.parts.validation,
            watcher=MetricsWriter(self),
            save=lambda trainer: self.save(),
            interrupt=self.interrupt,
            renew=self.renew if self.config.data.fresh_epochs else None,
            callbacks=callbacks,
        )

    def load(self, watcher: Watcher, epoch: int = 0) -> Parts:
        """Trials for training, validation and test."""
        return in_turn(self.comm, lambda: self._load(watcher))

    def renew(self, epoch: int) -> Trials:
        """New trials for a later epoch. They are not cached, so all ranks make them at the same time."""
        trials = self._load(Watcher(), epoch).train
        self.comm.gather(None)  # waiting for other ranks does not count as learning
        return trials

    def _load(self, watcher: Watcher, epoch: int = 0) -> Parts:
        threads = self.simulator.threads
        return self.config.data.load(self.task, threads=threads, progress=watcher.reading, epoch=epoch)

    def begin(self, out: str | pathlib.Path | None, force: bool) -> Outcome:
        """Create the run folder, then learn."""
        made = None
        if self.writes:
            made = RunFolder.create(out, f"{self.task.name}-{self.task.variant}-{self.task.seed}", force=force).path
        self.folder = RunFolder(self.comm.share_of(made))
        with contextlib.ExitStack() as alone:
            alone.enter_context(locked(self.folder.path, self.writes))
            try:
                if self.writes:
                    self.folder.write_config(self.config_text())
                self.save()
            except OutputError:
                alone.close()
                self.folder.remove()
                raise
            return self.learn()

    def resume(self, folder: RunFolder, checkpoint: Checkpoint) -> Outcome:
        """Continue from a checkpoint."""
        self.folder = folder
        position = dict(checkpoint.position)
        if position.pop("data", None) != self.fingerprint():
            raise CheckpointError(
                f"{folder.checkpoint}: was written while learning from other data; the data of the task {self.task.name!r} have "
                "changed: start a new run"
            )
        try:
            self.simulator.set_state(checkpoint.state)
            with parsing(
                str(folder.checkpoint), "does not tell where the training is", CheckpointError, "repeat the run"
            ):
                self.trainer.set_position(position)
        except CheckpointError:
            raise
        except EPropError as error:
            raise misfit(folder, checkpoint, error) from error
        if self.writes:
            folder.tidy()
            folder.rewind_metrics(self.trainer.done)
        return self.learn()

    def learn(self) -> Outcome:
        """Learn to the end, test, and write the summary."""
        if self.writes and self.task.origin:
            trust_task(self.task.origin, self.task.digest)
        self.watcher.phase("preparing")
        try:
            self.trainer.warm_up()
        except KeyboardInterrupt:
            raise Stopped(self.how_to_go_on()) from None
        learns = not self.trainer.finished
        with self.interrupt:
            self.watcher.phase("learning")
            with self.open_tensorboard():
                self.learn_all()
            self.save()
            self.watcher.phase("testing")
            evaluation = self.test()
        summary = self.summary(evaluation)
        if self.writes and (learns or not self.has_summary()):
            self.folder.write_summary(summary)
        return Outcome(self.folder, summary, evaluation)

    @contextlib.contextmanager
    def open_tensorboard(self) -> Iterator[None]:
        """Context in which TensorBoard gets all metrics of the run, including the lines before a stop."""
        if not (self.config.execution.tensorboard and self.writes):
            yield
            return
        self.folder.clear_tensorboard()
        self.tensorboard = TensorBoard(self.folder.tensorboard)
        self.tensorboard.add(self.folder.read_metrics())
        try:
            yield
        finally:
            self.tensorboard.close()

    def has_summary(self) -> bool:
        """Whether the folder has a summary of the whole training; a later test does not replace it."""
        try:
            return bool(self.folder.read_summary())
        except CheckpointError:
            return False

    def learn_all(self) -> None:
        """Learn to the end. If the training stops before, write a checkpoint and say how to continue."""
        try:
            self.trainer.run()
        except Stopped as stop:
            self.save()
            raise Stopped(self.how_to_go_on(), stop.exit_code, together=stop.together) from None
        except DivergenceError as error:
            raise DivergenceError(f"{error} The last good checkpoint is {self.folder.checkpoint}.") from error
        except Exception as error:
            # Saving is collective, and other ranks do not know of this error.
            if self.comm.size == 1:
                with contextlib.suppress(OutputError):
                    self.save()
                error.add_note(self.how_to_go_on())
            raise

    def test(self) -> Evaluation:
        """Evaluate the network on the test samples."""
        test = self.parts.test
        try:
            return evaluate(
                self.task, self.simulator, test, evaluation_progress(self.watcher.evaluating, len(test), self.interrupt)
            )
        except Stopped as stop:
            raise Stopped(self.how_to_go_on(), stop.exit_code, together=stop.together) from None

    def save(self) -> None:
        """Write a checkpoint."""
        state = self.simulator.state()  # collective
        if self.writes:
            position = {**self.trainer.position(), "total": self.trainer.total, "data": self.fingerprint()}
            source = "".join(self.task.sources().values())
            save_checkpoint(
                self.folder.checkpoint,
                Checkpoint(self.config_text(), position, state, self.example(), package_version(), source),
            )

    def how_to_go_on(self) -> str:
        """Message about a stopped run, with the command that continues it."""
        done, total = self.trainer.done, self.trainer.total
        return (
            f"stopped after {done:,} of {total:,} {self.unit}; go on with: "
            f"eprop train {shlex.quote(self.config.task_name)} --resume {shlex.quote(str(self.folder.path))}"
        )

    def config_text(self) -> str:
        """Text of ``config.toml``."""
        return self.config.to_toml(
            [
                f"A run of eprop {package_version()}; it is repeated by",
                f"    eprop train {shlex.quote(self.config.task_name)} --config config.toml",
            ]
        )

    def fingerprint(self) -> str:
        """A string that identifies the training data."""
        return self.config.data.fingerprint(self.task, self.parts.train)

    def example(self) -> dict[str, np.ndarray]:
        """The first test sample; figures use it, so that they do not need the data."""
        return self.config.data.pack(self.parts.test.subset([0]))

    def cost(self) -> dict[str, Any]:
        """Time, memory, synaptic events and machine, for the summary."""
        trainer = self.trainer
        return {
            "total_seconds": time.perf_counter() - self.began,
            "synapses": self.simulator.n_synapses,
            "synaptic_events": trainer.events,
            "ns_per_synaptic_event": 1e9 * trainer.seconds / max(trainer.events, 1),
            "peak_memory_bytes": peak_memory(),
            "simulator_bytes": self.simulator.memory(),
            "threads": self.simulator.threads,
            "ranks": self.comm.size,
            "precision": self.simulator.precision,
            "engine": self.config.execution.engine,
            "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "machine": describe_machine(),
        }

    def summary(self, evaluation: Evaluation) -> dict[str, Any]:
        """Content of ``summary.json``."""
        trainer, parts, test = self.trainer, self.parts, self.parts.test
        confusion = evaluation.confusion() if evaluation.predictions is not None else None
        return {
            "version": package_version(),
            "task": self.task.name,
            "rule": getattr(self.task, "rule", None),
            "loss": getattr(self.task, "loss", None),
            "seed": self.task.seed,
            "score": self.task.score_name,
            "test_error": evaluation.error,
            "test_error_sigma": None if math.isnan(evaluation.sigma) else evaluation.sigma,
            "test_loss": evaluation.loss,
            "test_samples": len(test),
            "test_data": test.name,
            **simulated("test_simulated", test),
            "validation_error": None if math.isnan(trainer.validation_error) else trainer.validation_error,
            "best_validation_error": None if math.isnan(trainer.best_error) else trainer.best_error,
            "stopped_early": trainer.stopped_early,
            "validation_samples": 0 if parts.validation is None else len(parts.validation),
            "train_data": parts.train.name,
            **simulated("train_simulated", parts.train),
            "train_samples": len(parts.train),
            "epochs": self.config.training.epochs,
            "samples_learned": trainer.learned,
            "train_seconds": trainer.seconds,
            "train_samples_per_second": trainer.learned / max(trainer.seconds, 1e-9),
            "test_seconds": evaluation.seconds,
            **self.cost(),
            "per_class_error": None if confusion is None else per_class_error(confusion),
            "confusion": None if confusion is None else confusion.tolist(),
        }


class MetricsWriter(Watcher):
    """Writes metrics to the run folder, and passes everything on to the watcher of the run."""

    def __init__(self, run: SampleRun):
        self.run = run
        self.phase = run.watcher.phase  # type: ignore[method-assign]
        self.progress = run.watcher.progress  # type: ignore[method-assign]
        self.control_progress = run.watcher.control_progress  # type: ignore[method-assign]
        self.evaluating = run.watcher.evaluating  # type: ignore[method-assign]

    def metrics(self, line: dict[str, Any]) -> None:
        """A line of ``metrics.jsonl``."""
        if self.run.writes:
            self.run.folder.add_metrics(line)
        if self.run.tensorboard is not None:
            self.run.tensorboard.add([line])
        self.run.watcher.metrics(line)
