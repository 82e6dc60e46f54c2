"""`fit`: train an experiment, or a network of one's own on samples of one's own; with a folder, a run that can be continued."""

from __future__ import annotations

import pathlib
import signal
import time
from collections.abc import Sequence
from typing import Any

from eprop.engine import Simulator
from eprop.errors import InputError, OutputError, ParameterError, warn
from eprop.network import Network
from eprop.parallel import Communicator, Serial
from eprop.parallel.interrupt import Interrupt, Stopped
from eprop.runs.checkpoint import Checkpoint, load_checkpoint
from eprop.runs.folder import RunFolder
from eprop.runs.record import RunRecord
from eprop.runs.run import Execution, Run, learner_for, make_simulator, summary_of, tested
from eprop.runs.seeds import run_trials
from eprop.training.experiment import Experiment
from eprop.training.forms import Data
from eprop.training.history import History
from eprop.training.progress_bar import shown
from eprop.training.trainer import Callback, Trainer
from eprop.training.watcher import Watcher


def fit(
    experiment: Experiment | Simulator,
    train: Data | None = None,
    validation: Data | None = None,
    *,
    folder: str | pathlib.Path | None = None,
    force: bool = False,
    seeds: int | None = None,
    jobs: int | None = None,
    callbacks: Sequence[Callback] = (),
    progress: bool | Watcher = True,
    threads: int | None = None,
    comm: Communicator | None = None,
    formats: Sequence[str] = ("png",),
    **settings: Any,
) -> Any:
    """Train: shuffled mini-batches, validation at intervals, early stopping, a progress bar with the time left.

    Parameters
    ----------
    experiment : Experiment or Simulator
        An experiment, such as a task returns; or a simulator of a network of one's own, with ``train``.
    train : BinnedDataset, SeriesDataset, Samples or (events, labels), optional
        Training samples for a simulator: a data set such as `eprop.data.from_arrays` makes; or series of numbers
        (`eprop.data.from_series`), whose spikes are drawn anew in each epoch; or the result of `Simulator.samples`; or a pair of
        events in a form of `from_arrays` and labels, which may be one-hot rows. Other numbers in place of labels are the targets
        of a network whose readouts are not classes: ``(samples, outputs)`` or ``(samples, steps, outputs)``. A function of a
        `Stage` is called in each epoch, see `Experiment`.
    validation : as train, optional
        Samples that are evaluated after each epoch and never learned from.
    folder : path, optional
        Folder for configuration, metrics, checkpoint, summary and pictures. If it has a stopped run of the same experiment, this
        run is continued, with the same bits as without the stop. Only ``epochs``, or ``steps`` of environments, may
        be more than before.
    force : bool
        Replace the run in ``folder``.
    seeds : int, optional
        Train so many times with the seeds ``S``, ``S + 1``, ... in parallel processes, each with a folder of its own.
    jobs : int, optional
        Processes for ``seeds``; by default one for each core.
    callbacks : sequence of callables of (trainer, line), optional
        Called after each report, a dict of numbers; the return value True ends the training.
    progress : bool or Watcher
        Whether to show the bar, or what receives the progress.
    threads, comm
        As of `Simulator`; for an experiment.
    formats : sequence of str
        Formats of the pictures in the folder, ``"png"``, ``"pdf"``, ``"svg"``; none: no pictures.
    **settings
        Changed settings of the training: ``epochs``, ``batch_size``, ``window``, ``patience``, ``schedule`` and others of
        `Experiment` and `eprop.training.Training`. A simulator learns for 10 epochs by default. ``seed`` is that of all that is
        drawn, as if the task had got it, see `Experiment.with_seed`; for a simulator, which is drawn already, it is that of
        the order of samples.

    Returns
    -------
    History or Trials
        `History.plot` draws it, `History.evaluate` tests the network, ``summary`` has scores and costs; with ``seeds`` a
        `Trials`, with mean and spread.

    Raises
    ------
    InputError, DataError
        If samples do not fit the network.
    ParameterError
        If a setting has an invalid value, or needs validation samples.
    OutputError
        If the folder is not free, or has a run of something else; the message names each difference.
    CheckpointError
        If the checkpoint is damaged, or the data have changed since.
    DivergenceError
        If a voltage or weight is no longer finite.
    Stopped
        After Ctrl-C, with a folder: a checkpoint was written, the same call continues.

    Notes
    -----
    Without a folder, Ctrl-C ends the training between two updates, or the test: the history so far is returned
    (`History.interrupted`), and the network keeps what it has learned. A second Ctrl-C has its usual effect.

    Examples
    --------
    >>> history = ep.fit(sim, train, validation, epochs=20, patience=3)
    >>> history.plot()
    >>> history.evaluate(test).error
    >>> ep.fit(ep.tasks.nmnist(neurons=300), folder="runs/digits").summary["test_error"]
    """
    if callable(callbacks) or not all(map(callable, callbacks)):
        raise ParameterError(f"callbacks must be a list of functions of (trainer, line), got {callbacks!r:.80}")
    watcher = progress if isinstance(progress, Watcher) else None if progress else Watcher()
    if isinstance(experiment, Experiment):
        if train is not None or validation is not None:
            raise InputError("an Experiment has its own samples: give train and validation to Experiment(...)")
        made = experiment.changed(**settings) if settings else experiment
        simulator = None
    else:
        made, simulator = _experiment_of(experiment, train, validation, settings), experiment
        if folder is not None or seeds is not None:
            raise InputError(
                "a folder and seeds belong to an Experiment: ep.fit(ep.Experiment(network, train, validation), folder=...)"
            )
        if threads is not None or comm is not None or made.precision != experiment.precision:
            raise InputError("threads, comm and precision belong to the Simulator: ep.Simulator(network, threads=...)")
    if folder is None and seeds is None and force:
        raise ParameterError("force needs a folder: ep.fit(experiment, folder=...)")
    execution = Execution(threads, comm or Serial(), tuple(formats))
    if seeds is not None:
        if callbacks:
            raise ParameterError("callbacks do not reach the processes of several seeds: leave out one of the two")
        return run_trials(made, seeds, folder, execution, jobs=jobs, force=force, watcher=watcher)
    if jobs is not None:
        raise ParameterError("jobs is the number of processes for seeds: give seeds as well")
    with shown(watcher, execution.comm) as watching:
        if folder is None:
            return _in_memory(made, simulator or make_simulator(made, execution), watching, callbacks)
        run = run_in_folder(made, folder, watching, execution, callbacks, force=force)
        run.draw()
        return run.history


def run_in_folder(
    experiment: Experiment, folder: str | pathlib.Path | None, watcher: Watcher, execution: Execution,
    callbacks: Sequence[Callback] = (), *, force: bool = False,
) -> Run:  # fmt: skip
    """Train in a folder, or continue the stopped run of the same experiment in it; see `fit`. Pictures are not yet drawn.

    Without a ``folder``, the folder is ``runs/<task>-<rule>-<seed>-<number>``.
    """
    stopped = None if folder is None or force else _stopped_run(experiment, folder)
    if folder is not None and stopped is None:
        RunFolder(folder).check_free(force=force)
    run = Run(experiment, watcher, execution, callbacks)
    if stopped is None:
        run.begin(folder, force)
    else:
        run.resume(*stopped)
    run.learn()
    return run


def _experiment_of(simulator: Any, train: Any, validation: Any, settings: dict[str, Any]) -> Experiment:
    """The experiment of a network and samples of a user."""
    if isinstance(simulator, Network):
        raise InputError("fit takes a Simulator, got a Network: ep.fit(ep.Simulator(network), ...)")
    if not isinstance(simulator, Simulator):
        raise InputError(f"fit takes an Experiment or a Simulator, got {type(simulator).__name__}")
    if train is None:
        raise InputError("fit needs samples: ep.fit(simulator, (events, labels))")
    epochs = settings.get("epochs", 10)
    usual = {"epochs": epochs, "reports": epochs, "validations": epochs, "precision": simulator.precision}
    return Experiment(simulator.network, train, validation, **{**usual, **settings})


def _in_memory(
    experiment: Experiment, simulator: Simulator, watcher: Watcher, callbacks: Sequence[Callback]
) -> History:
    """Train without a folder."""
    began = time.perf_counter()
    learner = learner_for(experiment, simulator, watcher)
    history = History(experiment, learner)
    try:
        with Interrupt(simulator.comm) as interrupt:
            trainer = Trainer(learner, watcher=watcher, interrupt=interrupt, callbacks=[history, *callbacks])
            trainer.run()
            history.stopped_early = trainer.stopped_early
            history.evaluation = tested(learner, watcher, interrupt)
    except Stopped as stop:
        if stop.exit_code != 128 + signal.SIGINT:  # another signal asks the program to end
            raise
        history.interrupted = True
        simulator.scale_learning_rates(1.0)
        then = "the test was not finished" if trainer.finished else "the network keeps what it has learned"
        warn(f"stopped by Ctrl-C after {trainer.done:,} of {trainer.total:,} {learner.unit}; {then}")
    else:
        history.summary = summary_of(history, time.perf_counter() - began)
    return history


def _stopped_run(experiment: Experiment, path: str | pathlib.Path) -> tuple[RunFolder, Checkpoint] | None:
    """The folder and its checkpoint, if it has a stopped run of the experiment; `OutputError` if its run is of another one."""
    folder = RunFolder(path)
    if not folder.is_run() or folder.summary.is_file() or not folder.checkpoint.is_file():
        return None
    checkpoint = load_checkpoint(folder.checkpoint)
    if changed := checkpoint.record.differences(RunRecord.of(experiment), longer=True):
        raise OutputError(
            f"{folder.path}: has a stopped run with other settings ({'; '.join(changed)}); choose another folder, or replace it "
            "with force=True (--force)"
        )
    return folder, checkpoint
