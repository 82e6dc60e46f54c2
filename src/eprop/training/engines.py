"""The engines that train a network: `Simulator`, and the time-driven reference, which is ``--engine time``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from eprop.checks import stimuli_of, time_driven
from eprop.engine import BatchResult, Samples, Simulator
from eprop.engine.run.dropout import without_dropped
from eprop.engine.run.online import EVALUATION_CHUNKS
from eprop.errors import InputError, Status, check_status
from eprop.network import Network
from eprop.reference import Activity, Stimulus
from eprop.reference.time_driven import check_moves
from eprop.rules import EProp

if TYPE_CHECKING:
    pass

Progress = Callable[[int], object] | None


class TimeDrivenEngine:
    """Trains and evaluates a network with `eprop.reference.TimeDriven`; methods are those of `eprop.Simulator`.

    Parameters
    ----------
    network : Network

    Attributes
    ----------
    stepped : TimeDriven
    formats : dict of FixedPoint
        As `Simulator.formats`.
    events : int
        Synaptic events of all training so far.
    """

    threads = 1
    precision = "double"

    def __init__(self, network: Network):
        check_moves(network)
        self._simulator = Simulator(network, threads=1)
        self.network, self.comm, self.n_synapses = network, self._simulator.comm, self._simulator.n_synapses
        self.stepped, self.formats = time_driven(self._simulator), self._simulator.formats
        self._by_batch = any(isinstance(p.rule, EProp) for p in self.network.projections)
        self.events, self._learned_steps = 0, 0
        self._neurons = [p for p in network.populations if p.model.role == "neuron"]

    def connections(self, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As `Simulator.connections`."""
        sources, targets, _ = self._simulator.connections(name)
        return sources, targets, self.stepped.weights_of(name)

    def scale_learning_rates(self, factor: float) -> None:
        """As `Simulator.scale_learning_rates`."""
        self.stepped.learning_rate_factor = factor

    def memory(self) -> dict[str, int]:
        """Bytes of all arrays that change, as `Simulator.memory`."""
        sizes = {name: array.nbytes for name, array in self.stepped.arrays().items()}
        synapses = sum(size for name, size in sizes.items() if not name.startswith(("activity", "neurons")))
        return {"synapses": synapses, "propagators": 0, "axons": 0, "rest": sum(sizes.values()) - synapses}

    def train(self, samples: Samples, progress: Progress = None) -> BatchResult:
        """As `Simulator.train`."""
        first_step = self._learned_steps if self._by_batch else int(self.stepped.counters[1])
        stimuli = stimuli_of(self.network, without_dropped(self.network, samples, first_step), first_step, learns=True)
        runs = self.stepped.train(_counted(stimuli, progress))
        self._learned_steps += len(samples) * samples.n_steps
        self.events += sum(run.events for run in runs)
        return self._result(runs)

    def evaluate(self, samples: Samples, *, reset: bool | None = None, progress: Progress = None) -> BatchResult:
        """As `Simulator.evaluate`."""
        stimuli = stimuli_of(self.network, samples)
        if self._by_batch if reset is None else reset:
            return self._result([self.stepped.predict(stimulus) for stimulus in _counted(stimuli, progress)])
        # Without a reset, the samples of a chunk are one long sample.
        runs: list[Activity] = []
        for chunk in np.array_split(np.arange(len(stimuli)), min(EVALUATION_CHUNKS, len(stimuli))):
            together = self.stepped.predict(_joined([stimuli[i] for i in chunk]))
            runs += together.split(len(chunk))
            for _ in _counted(chunk.tolist(), progress):
                pass
        return self._result(runs)

    def _result(self, runs: list[Activity]) -> BatchResult:
        """Results of samples.

        Raises
        ------
        DivergenceError
            If one is not finite.
        """
        loss, y = np.array([run.loss.sum() for run in runs]), np.stack([run.y for run in runs])
        if not (np.isfinite(y).all() and np.isfinite(loss).all()):
            check_status(Status.NOT_FINITE, "time-driven")
        neurons = self.stepped.forward.layout.source_of_neuron
        spikes = np.array([int(run.spikes[:, neurons].sum()) for run in runs])
        every = np.sum([run.spikes[:, neurons].sum(axis=0) for run in runs], axis=0)
        ends = np.cumsum([p.size for p in self._neurons])
        counts = {p.name: every[end - p.size : end] for p, end in zip(self._neurons, ends, strict=True)}
        return BatchResult(loss, y, spikes, sum(run.events for run in runs), counts)

    # ---------------------------------------------------------------- checkpoints

    def _arrays(self) -> dict[str, np.ndarray]:
        arrays = self.stepped.arrays()
        return {"synapses/weight": arrays.pop("weight")} | arrays

    def state(self) -> dict[str, np.ndarray]:
        """Everything that a run changes, as a copy in named arrays; the weights are those of `Simulator.state`."""
        counted = np.array([self.events, self._learned_steps], np.int64)
        return {name: array.copy() for name, array in self._arrays().items()} | {"counted": counted}

    def set_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Resume from a `state` of the same network; `InputError` for that of another network or engine."""
        have = self.state()
        for name, array in have.items():
            if name not in state or np.shape(state[name]) != array.shape:
                raise InputError(
                    f"the state belongs to another network or engine: {name} is missing, or of another shape"
                )
        for name, array in self._arrays().items():
            array[...] = state[name]
        self.stepped.follow_constants()
        self.events, self._learned_steps = (int(count) for count in state["counted"])


Part = TypeVar("Part")


def _counted(parts: Sequence[Part], progress: Progress) -> Iterator[Part]:
    """The parts; ``progress`` is called with 1 after each."""
    for part in parts:
        yield part
        if progress:
            progress(1)


def _joined(stimuli: list[Stimulus]) -> Stimulus:
    """Samples of equal length, one after the other, as one."""
    parts = {
        name: {key: np.concatenate([getattr(s, name)[key] for s in stimuli]) for key in getattr(stimuli[0], name)}
        for name in ("spikes", "targets", "window", "inputs", "currents", "inhibition")
    }
    return Stimulus(sum(s.steps for s in stimuli), **parts)


#: What trains and evaluates a network.
Engine = Simulator | TimeDrivenEngine
