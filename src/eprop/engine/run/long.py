"""Long runs: in pieces, with spikes written to a file, rows at intervals, checkpoints and progress."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from eprop.display import Display, clock
from eprop.engine.ranks.collective import run_on_all_ranks
from eprop.engine.run.results import Outputs, Recording, RunStopped, Spikes
from eprop.engine.state import whole
from eprop.engine.state.arrays import Arrays
from eprop.errors import InputError, OutputError
from eprop.files import replacing
from eprop.parallel import Communicator
from eprop.parallel.interrupt import Interrupt, Stopped
from eprop.parameters import Floats, Integers, brief

if TYPE_CHECKING:
    from eprop.engine.run.checks import RunPlan
    from eprop.engine.run.online import OnlineRunner
    from eprop.files.spike_file import SpikeFile

#: Time of a piece, s: after it Ctrl-C stops the run. Steps of the first piece, and of a piece at most, which is in memory.
PIECE_SECONDS, FIRST_STEPS, MOST_STEPS = 0.2, 100, 10_000


class Keeping(NamedTuple):
    """What a long run keeps and shows, as the arguments of `Simulator.run` or in steps.

    Attributes
    ----------
    spikes_to : path or None
    interval : ms, then steps between two rows of the recording; None for every step
    checkpoint : pair of path and ms, then steps; None for none
    progress : bool
    """

    spikes_to: Any = None
    interval: Any = None
    checkpoint: Any = None
    progress: Any = False

    @property
    def wanted(self) -> bool:
        """Whether the run is a long one."""
        return bool(self.progress) or any(value is not None for value in self[:3])

    def in_steps(self, steps_in: Callable[[str, Any], int]) -> Keeping:
        """Check the arguments; times become steps by ``steps_in``.

        Raises
        ------
        InputError
        """
        path = None if self.spikes_to is None else _path("spikes_to", self.spikes_to)
        interval = 1 if self.interval is None else steps_in("interval", self.interval)
        checkpoint = self.checkpoint
        if checkpoint is not None:
            if not isinstance(checkpoint, tuple) or len(checkpoint) != 2:
                raise InputError(
                    'checkpoint takes a path and ms between two checkpoints, as in ("state.npz", 60_000.0), got '
                    f"{brief(checkpoint)}"
                )
            checkpoint = (
                _path("checkpoint", checkpoint[0]), steps_in("the time between two checkpoints", checkpoint[1]),
            )  # fmt: skip
        return Keeping(path, interval, checkpoint, bool(self.progress))


def _path(label: str, given: object) -> pathlib.Path:
    if not isinstance(given, (str, os.PathLike)):
        raise InputError(f"{label} takes a path, got {brief(given)}")
    return pathlib.Path(given)


class LongRun:
    """A run in pieces; between two of them it writes, shows its progress, and may stop.

    Parameters
    ----------
    arrays : Arrays
    comm : Communicator
    online : OnlineRunner
        Runs a piece from the present state.
    plan : RunPlan
        With ``keeping``, in steps.
    """

    def __init__(self, arrays: Arrays, comm: Communicator, online: OnlineRunner, plan: RunPlan):
        assert plan.keeping is not None
        self._arrays, self._comm, self._online, self._plan, self._keeping = arrays, comm, online, plan, plan.keeping
        self._rows, self._dt = Rows(plan.keeping.interval), arrays.network.dt
        self._file: SpikeFile | None = None

    def run(self) -> Recording:
        """Run the steps of the plan.

        Raises
        ------
        RunStopped
            After Ctrl-C, with the recording so far.
        OutputError
            If there is no room for spikes or checkpoints; the files keep what was written before.
        """
        sample, n_steps = self._plan.sample, self._plan.n_steps
        done, seconds, every = 0, 0.0, self._keeping.checkpoint[1] if self._keeping.checkpoint else n_steps
        quiet = self._comm.rank > 0 or not self._keeping.progress
        with self._spike_file(), Display(quiet=quiet) as display, Interrupt(self._comm) as interrupt:
            steps = FIRST_STEPS
            while done < n_steps:
                began = time.perf_counter()
                steps = self._comm.broadcast(min(steps, MOST_STEPS, n_steps - done, every - done % every))
                piece = None if sample is None else sample.steps(done, done + steps)
                self._keep(self._online.run(steps, self._plan.learn, piece, self._plan.probes, self._plan.spiking))
                done += steps
                try:
                    interrupt.check()
                except Stopped as stop:
                    self._save()
                    raise self._stopped(stop, done, n_steps) from None
                if done % every == 0 or done == n_steps:
                    self._save()
                spent = time.perf_counter() - began
                seconds += spent
                _show(display, done * self._dt, n_steps * self._dt, seconds)
                steps = max(round(steps * PIECE_SECONDS / max(spent, 1e-9)), 1)
        return self._rows.joined()

    @contextlib.contextmanager
    def _spike_file(self) -> Iterator[None]:
        """The spike file is open on the first rank."""
        with contextlib.ExitStack() as opened:
            if self._keeping.spikes_to is not None:
                self._on_first_rank(lambda: self._open(opened))
            yield

    def _open(self, opened: contextlib.ExitStack) -> None:
        from eprop.files.spike_file import SpikeFile  # h5py takes its time

        network = hashlib.sha256(self._arrays.built.fingerprint.tobytes()).hexdigest()
        # Half a step later: times are rounded.
        after = (self._arrays.t + 0.5) * self._dt if self._arrays.t else 0.0
        self._file = opened.enter_context(
            SpikeFile(self._keeping.spikes_to, [p.name for p in self._plan.spiking], network, after)
        )

    def _keep(self, piece: Recording) -> None:
        """Keep the rows of a piece, and write its spikes."""
        if self._keeping.spikes_to is not None:
            spikes, piece.spikes = piece.spikes, Spikes()
            self._on_first_rank(lambda: self._append(spikes, self._arrays.t - piece.times.size))
        self._rows.add(piece)

    def _append(self, spikes: dict[str, tuple[Floats, Integers]], begin: int) -> None:
        """Write the spikes of a piece that begins at a step."""
        assert self._file is not None
        try:
            self._file.append(spikes)
        except OutputError as error:
            # The simulator is ahead of the file: another run would leave a gap.
            raise OutputError(
                f"{error}; it holds the spikes up to {begin * self._dt:g} ms: continue from a checkpoint"
            ) from error

    def _save(self) -> None:
        """Write the state of the whole network, if checkpoints are wanted."""
        if self._keeping.checkpoint:
            state = whole.state_of(self._arrays)
            self._on_first_rank(lambda: _write_state(self._keeping.checkpoint[0], state))

    def _on_first_rank(self, work: Callable[[], None]) -> None:
        """Do work on the first rank; its failure is one of all ranks."""
        run_on_all_ranks(self._comm, "run", work if self._comm.rank == 0 else lambda: None)

    def _stopped(self, stop: Stopped, done: int, n_steps: int) -> RunStopped:
        text = f"stopped after {done * self._dt:g} of {n_steps * self._dt:g} ms; the simulator continues from here"
        return RunStopped(text, stop.exit_code, self._rows.joined())


def _write_state(path: pathlib.Path, state: dict[str, np.ndarray]) -> None:
    with replacing(path, sum(array.nbytes for array in state.values())) as file:
        np.savez(file, **state)  # type: ignore[arg-type]


def _show(display: Display, done: float, total: float, seconds: float) -> None:
    """Show progress (ms): speed, real-time factor (time of the run over biological time), and time left."""
    left = clock((total - done) * seconds / done)
    speed = f"{done / seconds:,.0f} ms/s, real-time factor {1e3 * seconds / done:.2g}"
    display.draw("running", done, total, f"{done:,.0f} of {total:,.0f} ms, {speed}, {left} left")


class Rows:
    """The recording of a run in pieces: one row for each step, or for each interval of several steps.

    Times, outputs and traces of an interval are those of its last step, and its loss is the sum over its steps.
    """

    def __init__(self, every: int):
        self._every, self._done, self._loss = every, 0, 0.0
        self._pieces: list[Recording] = []

    def add(self, piece: Recording) -> None:
        """Add a piece that follows those before."""
        if self._every > 1:
            piece = self._thinned(piece)
        self._pieces.append(piece)

    def _thinned(self, piece: Recording) -> Recording:
        """The rows of the intervals that end in a piece."""
        n = piece.times.size
        ends = np.arange(self._every - 1 - self._done % self._every, n, self._every)
        # One after the other, so that the sum does not depend on the pieces.
        parts = np.split(piece.loss, ends + 1)
        parts[0] = np.append(self._loss, parts[0])
        losses = np.array([np.cumsum(np.append(0.0, part))[-1] for part in parts])
        self._done, self._loss = self._done + n, float(losses[-1])  # the last interval goes on
        y = Outputs((name, values[ends]) for name, values in piece.y.items())
        traces = {name: values[ends] for name, values in piece.traces.items()}
        return replace(piece, times=piece.times[ends], y=y, loss=losses[:-1], traces=traces)

    def joined(self) -> Recording:
        """The recording of all pieces."""
        first = self._pieces[0]

        def join(name: str) -> Any:
            found = [getattr(piece, name) for piece in self._pieces]
            if isinstance(found[0], dict):
                return {key: np.concatenate([each[key] for each in found]) for key in found[0]}
            return np.concatenate(found)

        each = ((name, zip(*(piece.spikes[name] for piece in self._pieces), strict=True)) for name in first.spikes)
        spikes = Spikes((name, tuple(map(np.concatenate, parts))) for name, parts in each)
        return Recording(join("times"), Outputs(join("y")), join("loss"), spikes, join("traces"), first.index)
