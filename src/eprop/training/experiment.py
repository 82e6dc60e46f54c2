"""One run from its data to its summary: what ``eprop train`` and ``eprop evaluate`` do, for any program to call."""

from __future__ import annotations

import contextlib
import datetime
import math
import pathlib
import shlex
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from eprop.errors import CheckpointError, DivergenceError, EPropError, OutputError, ParameterError
from eprop.files import parsing
from eprop.files.trust import trust_task
from eprop.markup import table
from eprop.parallel import Communicator, Serial
from eprop.tasks import Parts, Trials
from eprop.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from eprop.training.config import RunConfig
from eprop.training.engines import make_engine
from eprop.training.evaluation import evaluate, watched
from eprop.training.interrupt import Interrupt, Stopped
from eprop.training.lock import locked
from eprop.training.machine import describe_machine, package_version, peak_memory
from eprop.training.metrics import Evaluation, per_class_error
from eprop.training.progress_bar import shown
from eprop.training.restoring import config_of, misfit, refuse_edited, restore
from eprop.training.runs import RunFolder
from eprop.training.tensorboard import TensorBoard
from eprop.training.trainer import Callback, Trainer
from eprop.training.watch import Watcher
from eprop.training.wording import clock, counted, percent, size, with_spread


class UnfinishedRunWarning(UserWarning):
    """A network is judged whose training was stopped."""


@dataclass(frozen=True, eq=False, repr=False)
class Outcome:
    """A finished run.

    Attributes
    ----------
    run : RunFolder
    summary : dict
        What is in ``summary.json``.
    evaluation : Evaluation
        On the test samples.
    """

    run: RunFolder
    summary: dict[str, Any]
    evaluation: Evaluation

    def __repr__(self) -> str:
        score = with_spread(self.summary["test_error"], self.summary["test_error_sigma"])
        return f"Outcome({str(self.run.path)!r}: test {self.summary['score']} {score})"

    def _repr_html_(self) -> str:
        """A table of what ``eprop train`` prints, for notebooks."""
        return table("Run", facts_of(self.run.path, self.summary))


def facts_of(path: pathlib.Path, summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a person wants to know of a finished run, by name."""
    name = summary["score"]
    error = with_spread(summary["test_error"], summary["test_error_sigma"])
    facts = [
        (f"test {name}", f"{error} on {counted(summary['test_samples'], 'sample')}"),
        ("test data", summary["test_data"]),
    ]
    if summary["hold_error"] is not None:
        held = f"{percent(summary['hold_error'])} on {counted(summary['hold_samples'], 'sample')}"
        facts.append((f"held-out {name}", held))
    learned = f"{counted(summary['samples_learned'], 'sample')} in {clock(summary['train_seconds'])}"
    facts.append(("learned", learned))
    rate, cost = summary["train_samples_per_second"], summary["ns_per_synaptic_event"]
    events = f"{cost:.1f} ns per synaptic event" if summary["synaptic_events"] else "no spike has arrived anywhere"
    facts.append(("speed", f"{rate:,.0f} samples/s, {events}"))
    if summary["peak_memory_bytes"]:
        facts.append(("peak memory", size(summary["peak_memory_bytes"])))
    return [*facts, ("run", str(path))]


def start_run(
    config: RunConfig, out: str | pathlib.Path | None = None, *, force: bool = False, watcher: Watcher | None = None,
    comm: Communicator | None = None, callbacks: Sequence[Callback] = (),
) -> Outcome:  # fmt: skip
    """Train, test and leave a run folder.

    Parameters
    ----------
    config : RunConfig
    out : path, optional
        Folder of the run; ``runs/<task>-<rule>-<seed>-<number>`` if not given.
    force : bool
        Replace a run that is in ``out``.
    watcher : Watcher, optional
        A progress bar if not given; ``Watcher()`` shows nothing.
    comm : Communicator, optional
        Ranks that train together and all call this; the first one writes the folder.
    callbacks : sequence of callables of (trainer, line), optional
        As of `Trainer`.

    Returns
    -------
    Outcome
        The folder of the run, its summary, and the evaluation on the test samples.

    Raises
    ------
    EPropError
        If data are missing, the folder is taken, or being trained in, the disk is full, or the training diverges.
    Stopped
        After Ctrl-C; a checkpoint was written, from which `resume_run` goes on.
    """
    config, comm = config.absolute(), comm or Serial()
    if out is not None:
        RunFolder(out).check_free(force=force)
    with shown(watcher, comm) as watching:
        return _Run(config, watching, comm, callbacks).begin(out, force)


def resume_run(
    path: str | pathlib.Path,
    *,
    task: str | None = None,
    threads: int | None = None,
    trust: bool = False,
    watcher: Watcher | None = None,
    comm: Communicator | None = None,
    callbacks: Sequence[Callback] = (),
) -> Outcome:
    """Go on with a run from its checkpoint, bit by bit as if it had never been stopped.

    Parameters
    ----------
    path : path
        Of the run.
    task : str, optional
        Task that the run is meant to have, by its name or file.
    threads : int, optional
    trust : bool
        As of `restore`; not needed where ``task`` names the file.
    watcher : Watcher, optional
        A progress bar if not given; ``Watcher()`` shows nothing.
    comm : Communicator, optional
        Ranks that train together.
    callbacks : sequence of callables of (trainer, line), optional
        As of `Trainer`; a run does not keep them.

    Returns
    -------
    Outcome
        As of `start_run`.

    Raises
    ------
    CheckpointError
        If there is no checkpoint, it is damaged, or the data or the run's ``config.toml`` have changed since.
    ParameterError
        If it is a run of another task, or names the file of a task that this user has not trained with.
    OutputError
        If another process is training it.
    """
    run, comm = RunFolder.open(path), comm or Serial()
    with (
        shown(watcher, comm) as watching,
        locked(run.path, comm.rank == 0),
    ):  # before it is read: another process may be about to write it
        checkpoint = load_checkpoint(run.checkpoint)
        config = config_of(checkpoint, run, task, trust=trust)
        refuse_edited(run, config)
        if threads is not None:
            config = replace(config, execution=config.execution.replace(threads=threads))
        return _Run(config, watching, comm, callbacks).resume(run, checkpoint)


def evaluate_run(
    path: str | pathlib.Path,
    data: Sequence[str | pathlib.Path] | None = None,
    *,
    fresh: int | None = None,
    threads: int | None = None,
    trust: bool = False,
    watcher: Watcher | None = None,
    comm: Communicator | None = None,
) -> tuple[RunConfig, Evaluation, Trials]:
    """Judge the network of a run.

    Parameters
    ----------
    path : path
        Of the run.
    data : sequence of paths, optional
        Recordings, for a task that learns from some; the run's own test data if not given.
    fresh : int, optional
        So many new trials instead, for a task that makes them from a seed: neither the run's own test nor any other of the same
        numbers has used them.
    threads : int, optional
    trust : bool
        As of `restore`.
    watcher : Watcher, optional
        A progress bar if not given; ``Watcher()`` shows nothing.
    comm : Communicator, optional
        Ranks that judge it together.

    Returns
    -------
    config : RunConfig
    evaluation : Evaluation
    test : Trials
        What it was judged by.

    Raises
    ------
    ParameterError
        If both ``data`` and ``fresh`` are given, or the task cannot make the one or take the other.

    Warns
    -----
    UnfinishedRunWarning
        If the training was stopped before its end.
    """
    if data is not None and fresh is not None:
        raise ParameterError("give recordings (--data) or a number of fresh trials (--fresh), not both")
    config, checkpoint, simulator = restore(path, threads=threads, trust=trust, comm=comm)
    done, total = (checkpoint.position.get(name, 0) for name in ("done", "total"))
    stopped = type(done) is int and type(total) is int and done < total
    if stopped and not checkpoint.position.get("stopped_early"):
        warnings.warn(
            f"{path}: was stopped after {done:,} of {total:,} samples; what is judged is its checkpoint of then",
            UnfinishedRunWarning,
            stacklevel=2,
        )
    with shown(watcher, comm) as watching:
        watching.phase("reading data")
        source: dict[str, Any] = {"threads": simulator.threads, "progress": watching.reading}
        test = in_turn(simulator.comm, partial(_test_trials, config, data, fresh, source))
        watching.phase("testing")
        with Interrupt(simulator.comm) as interrupt:
            return config, evaluate(config.task, simulator, test, watched(watching, len(test), interrupt)), test


def _test_trials(
    config: RunConfig, data: Sequence[str | pathlib.Path] | None, fresh: int | None, source: Mapping[str, Any]
) -> Trials:
    """The trials that a run is judged by."""
    if fresh is not None:
        return config.data.load_fresh(config.task, fresh)
    if data is not None:
        return config.data.load_test(config.task, data, **source)
    return config.data.load(config.task, **source).test


def in_turn(comm: Communicator, load: Callable[[], Any]) -> Any:
    """What ``load`` gives, on every rank: rank 0 first, so that the others find what it has written to a cache."""
    if comm.size == 1:
        return load()
    first = load() if comm.rank == 0 else None
    comm.share_of(None)
    return first if comm.rank == 0 else load()


def simulated(name: str, trials: Trials) -> dict[str, bool]:
    """Under that name, whether recordings are simulated; nothing of trials that are no recordings."""
    return {} if trials.simulated is None else {name: trials.simulated}


# --------------------------------------------------------------------------------------------------------------- runs


class _Run:
    """The parts of a run, as they come into being."""

    def __init__(self, config: RunConfig, watcher: Watcher, comm: Communicator, callbacks: Sequence[Callback]):
        self.config, self.task, self.watcher, self.comm = config, config.task, watcher, comm
        self.writes = comm.rank == 0
        self.began = time.perf_counter()
        self.interrupt = Interrupt(comm)
        self.tensorboard: TensorBoard | None = None
        if config.execution.tensorboard:
            TensorBoard(".")  # a library that is missing is told before a folder is made
        watcher.phase("building the network")
        self.simulator = make_engine(config, comm)
        watcher.phase("reading data")
        self.parts = self.load(watcher)
        self.trainer = Trainer(
            self.task,
            self.simulator,
            self.parts.train,
            config.training,
            hold=self.parts.hold,
            watcher=_Writer(self),
            save=lambda trainer: self.save(),
            interrupt=self.interrupt,
            renew=self.renew if config.data.fresh_epochs else None,
            callbacks=callbacks,
        )

    def load(self, watcher: Watcher, epoch: int = 0) -> Parts:
        """Trials to learn from, to watch the learning by, and to be judged by."""
        threads = self.simulator.threads
        return in_turn(
            self.comm,
            lambda: self.config.data.load(self.task, threads=threads, progress=watcher.reading, epoch=epoch),
        )

    def renew(self, epoch: int) -> Trials:
        """Other trials of the same kind, for a later epoch."""
        return self.load(Watcher(), epoch).train

    def begin(self, out: str | pathlib.Path | None, force: bool) -> Outcome:
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
        self.folder = folder
        position = dict(checkpoint.position)
        if position.pop("data", None) != self.fingerprint():
            raise CheckpointError(
                f"{folder.checkpoint}: was written while learning from other data; what is now "
                f"{self.parts.train.name!r} has changed: start a new run"
            )
        with parsing(str(folder.checkpoint), "does not tell where the training is", CheckpointError, "repeat the run"):
            self.trainer.set_position(position)
        try:
            self.simulator.set_state(checkpoint.state)
        except EPropError as error:
            raise misfit(folder, checkpoint, error) from error
        if self.writes:
            folder.tidy()
            folder.rewind_metrics(self.trainer.done)
        return self.learn()

    def learn(self) -> Outcome:
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
        """Context in which metrics are written for TensorBoard as well, those of an earlier part of the run among them."""
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
        """Whether the folder tells of the whole training; when and how it is tested again is no part of that."""
        try:
            return bool(self.folder.read_summary())
        except CheckpointError:
            return False

    def learn_all(self) -> None:
        """To the end; whatever prevents it, what was learned is kept, and it is said how to go on."""
        try:
            self.trainer.run()
        except Stopped as stop:
            self.save()
            raise Stopped(self.how_to_go_on(), stop.exit_code, together=stop.together) from None
        except DivergenceError as error:
            raise DivergenceError(f"{error} The last good checkpoint is {self.folder.checkpoint}.") from error
        except Exception as error:
            # Of several ranks the others do not know of it: they would not save with this one.
            if self.comm.size == 1:
                with contextlib.suppress(OutputError):
                    self.save()
                error.add_note(self.how_to_go_on())
            raise

    def test(self) -> Evaluation:
        test = self.parts.test
        try:
            return evaluate(self.task, self.simulator, test, watched(self.watcher, len(test), self.interrupt))
        except Stopped as stop:
            raise Stopped(self.how_to_go_on(), stop.exit_code, together=stop.together) from None

    def save(self) -> None:
        state = self.simulator.state()  # from all ranks
        if self.writes:
            position = {**self.trainer.position(), "total": self.trainer.total, "data": self.fingerprint()}
            source = "".join(self.task.sources().values())
            save_checkpoint(
                self.folder.checkpoint,
                Checkpoint(self.config_text(), position, state, self.example(), package_version(), source),
            )

    def how_to_go_on(self) -> str:
        done, total = self.trainer.done, self.trainer.total
        return (
            f"stopped after {done:,} of {total:,} samples; go on with: "
            f"eprop train {shlex.quote(self.config.task_name)} --resume {shlex.quote(str(self.folder.path))}"
        )

    def config_text(self) -> str:
        return self.config.to_toml(
            [
                f"A run of eprop {package_version()}; it is repeated by",
                f"    eprop train {shlex.quote(self.config.task_name)} --config config.toml",
            ]
        )

    def fingerprint(self) -> str:
        """Tells training data apart."""
        return self.config.data.fingerprint(self.task, self.parts.train)

    def example(self) -> dict[str, np.ndarray]:
        """The first test sample, for figures that shall not need the data."""
        return self.config.data.pack(self.parts.test.subset([0]))

    def summary(self, evaluation: Evaluation) -> dict[str, Any]:
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
            "hold_error": None if math.isnan(trainer.hold_error) else trainer.hold_error,
            "best_hold_error": None if math.isnan(trainer.best_error) else trainer.best_error,
            "stopped_early": trainer.stopped_early,
            "hold_samples": 0 if parts.hold is None else len(parts.hold),
            "train_data": parts.train.name,
            **simulated("train_simulated", parts.train),
            "train_samples": len(parts.train),
            "epochs": self.config.training.epochs,
            "samples_learned": trainer.learned,
            "train_seconds": trainer.seconds,
            "train_samples_per_second": trainer.learned / max(trainer.seconds, 1e-9),
            "test_seconds": evaluation.seconds,
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
            "per_class_error": None if confusion is None else per_class_error(confusion),
            "confusion": None if confusion is None else confusion.tolist(),
        }


class _Writer(Watcher):
    """Writes metrics to the run's folder, and tells the run's own watcher everything."""

    def __init__(self, run: _Run):
        self.run = run
        self.phase = run.watcher.phase  # type: ignore[method-assign]
        self.progress = run.watcher.progress  # type: ignore[method-assign]
        self.evaluating = run.watcher.evaluating  # type: ignore[method-assign]

    def metrics(self, line: dict[str, Any]) -> None:
        if self.run.writes:
            self.run.folder.add_metrics(line)
        if self.run.tensorboard is not None:
            self.run.tensorboard.add([line])
        self.run.watcher.metrics(line)
