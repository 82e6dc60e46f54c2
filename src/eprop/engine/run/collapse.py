"""Collapse of a network: neurons that always fire, neurons that never fire, and a loss that explodes; each is told once."""

from __future__ import annotations

import collections
import math

import numpy as np

from eprop.core import lib
from eprop.engine.build.neurons import parameters_of_neurons
from eprop.engine.ranks.exchange import Axis
from eprop.engine.run.results import BatchResult
from eprop.engine.run.samples import Samples
from eprop.engine.state.arrays import Arrays
from eprop.errors import InstabilityWarning, SaturationWarning, SilenceWarning, Status, check_status, warn
from eprop.network import Population
from eprop.parallel import Communicator

Sum = lib.Sum
LEFT = int(Sum.left)

#: Rates and losses are judged over windows of this network time, ms; a longer mini-batch from rest is one window.
WINDOW = 1000.0
#: A run without learning is judged at its end if it takes at least this long, ms.
SHORTEST = 200.0
#: A neuron fires in almost every step if it waits on average less than one step, or so many ms, after it was refractory.
LEAST_WAIT = 1.0
#: A population is saturated if this share of it, and two neurons, fire in almost every step in two windows in a row, unless the
#: last loss is below this share of that of outputs at zero: the network learns without them; or if all fire on average above a
#: quarter of the possible rate, and above the highest rate.
SHARE, LEARNED = 0.02, 0.25
#: Neurons that do not learn may run away if the mean rate of a population is above this, Hz.
HIGHEST_RATE = 100.0
#: A loss has exploded if it is in two windows in a row above this many times that of outputs at zero, and that of the best
#: window; or in `QUIET` windows above the former, and does not halve. Windows of a loss last until errors have counted for the
#: time of `WINDOW`: where only the ends of long samples count, a window has several, and not one confident wrong answer.
EXPLODED = 3.0
#: A population is silent below this mean rate, Hz, in so many windows in which the loss stays at that of outputs at zero.
LOWEST_RATE, QUIET, LIKE_SILENT = 0.5, 10, 0.9


class CollapseWatch:
    """Watches a network in all its runs and trainings, and warns once of each cause of a collapse.

    Parameters
    ----------
    arrays : Arrays
    comm : Communicator
        All ranks; the first one warns.

    Attributes
    ----------
    spikes : (own neurons,) int64
        Spikes of each neuron of this rank in continuous time, added up by the core.
    sums : (6,) float64
        Steps, losses and the like of this window, see ``Sum`` of the core, which adds them up and counts the steps left.
    shortest : float
        Least number of steps of a run that is judged at its end.
    """

    def __init__(self, arrays: Arrays, comm: Communicator):
        network, self._arrays, self._comm = arrays.network, arrays, comm
        self._neurons = _populations_of_neurons(arrays)
        self._intervals = {p.name: self._possible_intervals(p) for p in self._neurons}
        plastic = [p for p in network.projections if p.rule.plastic]
        onto = {p.post.name for p in plastic}
        self._learns, self._learned = bool(plastic), [name for name in self._intervals if name in onto]
        self._regulated = any(p.rule.regulates_rates for p in plastic)
        self._has_sources = any(p.model.role == "source" for p in network.populations)
        self._steps_of_window, self.shortest = math.ceil(WINDOW / network.dt), SHORTEST / network.dt
        self.spikes, self.sums = np.zeros(arrays.built.n_neurons, np.int64), np.zeros(len(Sum))
        self._told: set[str] = set()
        self._saturated: dict[str, bool] = {}  # in the last window
        self._rates: collections.deque[dict[str, float]] = collections.deque(maxlen=QUIET)
        # Since the last judged loss: steps in which errors counted, their loss, and that of outputs at zero.
        self._errors = np.zeros(3)
        self._losses: collections.deque[float] = collections.deque(maxlen=QUIET)  # over that of outputs at zero
        self._best = math.inf  # lowest of them
        self._begin()

    def _possible_intervals(self, population: Population) -> np.ndarray:
        """Least number of ms between two spikes of each neuron; steps below 1 ms are not all of them expected to have a spike."""
        network = self._arrays.network
        refractory = parameters_of_neurons(network, population).get("t_ref", 0.0)
        return np.zeros(population.size) + refractory + max(network.dt, LEAST_WAIT)

    def _begin(self) -> None:
        """Begin a window."""
        self._seen, self._of_batches = self.spikes.copy(), dict[str, np.ndarray]()
        self.sums[:] = 0.0
        self.sums[Sum.left] = self._steps_of_window

    @property
    def left(self) -> int:
        """Steps until the end of this window; one if it has ended, because a `Stepper` looks every 256 steps only."""
        return max(int(self.sums.item(LEFT)), 1)

    def advanced(self) -> None:
        """Judge this window if it has ended: the core has added steps to `spikes` and `sums`."""
        if self.sums.item(LEFT) <= 0.0:
            self.close()

    def batch(self, result: BatchResult, samples: Samples) -> None:
        """Note a mini-batch of samples from rest."""
        self.silent(result, samples.n_steps)
        assert result.spikes is not None
        counts = result.neuron_spikes
        if counts is None:  # a loss in Python: only the spikes of all neurons are known
            each = result.spikes.sum() / max(sum(p.size for p in self._neurons), 1)
            counts = {p.name: np.full(p.size, each) for p in self._neurons}
        for name, of_neurons in counts.items():
            self._of_batches[name] = of_neurons + self._of_batches.get(name, 0)
        counted, silent, steps = 0, 0.0, samples.n * samples.n_steps
        if result.neuron_spikes is not None:
            counted, silent = self._arrays.online.silent_loss(samples.target, samples.window)
        self.sums += steps, steps, counted, float(result.loss.sum()), silent, -steps
        self.advanced()

    def silent(self, result: BatchResult, n_steps: int) -> None:
        """Warn if no neuron has spiked while samples were learned; with inputs, rate regularisation may still wake them."""
        if not self._neurons or np.any(result.spikes):
            return
        long = result.loss.size * n_steps * self._arrays.network.dt >= SHORTEST
        no_input = self._has_sources and result.events == 0 and (long or not self._regulated)
        if (no_input or not self._regulated) and self._is_new("silence"):
            check_status(Status.NO_INPUT if no_input else Status.SILENT, "train")

    def end_of_run(self) -> None:
        """Judge the rest of a run of at least the ``shortest`` number of steps, if it did not learn."""
        if self.sums[Sum.steps] and not (self._learns and self.sums[Sum.learned]):
            self.close()

    def close(self) -> None:
        """Judge this window, and begin the next one."""
        counts = by_population(self._arrays, self.spikes - self._seen)
        for name, of_neurons in self._of_batches.items():
            counts[name] = counts[name] + of_neurons
        steps, learned, *errors, _ = self.sums.tolist()
        span, learning = steps * self._arrays.network.dt, self._learns and learned > 0.0
        self._begin()
        rates = {name: 1e3 * float(of_neurons.mean()) / span for name, of_neurons in counts.items()}
        for name in self._learned:
            self._judge_population(name, counts[name], rates[name], span)
        self._errors += errors
        if learning and self._errors[0] >= self._steps_of_window:
            (_, loss, silent), self._errors[:] = self._errors.tolist(), 0.0
            if silent > 0.0:
                self._judge_learning(rates, loss / silent)
        if not (learning and self._learned):
            self._judge_fixed(rates, span)

    def _judge_population(self, name: str, counts: np.ndarray, rate: float, span: float) -> None:
        """Warn if neurons that can learn fire too often in two windows in a row: some nearly always, or all on average."""
        intervals = self._intervals[name]
        closest = intervals + max(self._arrays.network.dt, LEAST_WAIT)
        high = int(np.count_nonzero(counts * closest > span))
        learned = bool(self._losses) and self._losses[-1] < LEARNED
        some, before = not learned and high >= max(2, SHARE * counts.size), self._saturated.get(name, False)
        self._saturated[name] = some or rate > max(HIGHEST_RATE, 250.0 / float(intervals.mean()))
        if before and self._saturated[name] and self._is_new("saturation"):
            self._told.add("loss")  # a consequence, with the same remedy
            few = f"{high} of {counts.size} neurons fire in almost every step and can no longer learn, " if some else ""
            warn(
                f"{name}: {few}{rate:.0f} Hz on average. {self._remedy()} If it was so before they learned, lower the input "
                "weights or raise v_th.",
                SaturationWarning,
            )

    def _judge_fixed(self, rates: dict[str, float], span: float) -> None:
        """Warn of a high mean rate in a population that does not learn, unless others do."""
        for name, rate in rates.items():
            if name not in self._learned and rate > HIGHEST_RATE and self._is_new("rate"):
                warn(
                    f"{name}: {rate:.0f} Hz on average over {span:,.0f} ms: the network may run away. Lower the weights "
                    "or the drive, or add inhibition.",
                    InstabilityWarning,
                )

    def _judge_learning(self, rates: dict[str, float], loss: float) -> None:
        """Warn of a loss that has exploded, and of populations that stay silent; ``loss`` is relative to outputs at zero."""
        self._rates.append(rates)
        self._losses.append(loss)
        rose = min(list(self._losses)[-2:]) > EXPLODED * max(self._best, 1.0)
        stays = len(self._losses) == QUIET and min(self._losses) > EXPLODED and 2.0 * loss > self._losses[0]
        self._best = min(self._best, loss)
        if (rose or stays) and self._is_new("loss"):
            warn(
                f"the loss is {loss:.1f} times that of readouts that do nothing. {self._remedy()}",
                InstabilityWarning,
            )
        if len(self._losses) < QUIET or not np.mean(self._losses) > LIKE_SILENT:
            return
        for name in self._learned:
            rate = float(np.mean([each[name] for each in self._rates]))
            if rate < LOWEST_RATE and self._is_new("silence"):
                warn(
                    f"{name}: {rate:.2g} Hz on average, and the loss stays at that of readouts that do nothing: nothing is "
                    "learned. Raise the input weights or lower v_th; if it fired more before it learned, start again with a "
                    "third of eta.",
                    SilenceWarning,
                )

    def _remedy(self) -> str:
        """What to do first."""
        if self._regulated:
            return "Start again with a third of eta."
        rule = "EProp" if self._arrays.built.learning.eprop else "EPropPlus"
        return f"Start again with rate regularisation, {rule}(rate_reg=1e-3), or with a third of eta."

    def _is_new(self, cause: str) -> bool:
        """Whether this rank is to warn of a cause, once."""
        new = cause not in self._told
        self._told.add(cause)
        return new and self._comm.rank == 0


def _populations_of_neurons(arrays: Arrays) -> list[Population]:
    # Others may have been added to the network since it was built.
    populations = arrays.network.populations[: len(arrays.built.topology.populations)]
    return [p for p in populations if p.model.role == "neuron"]


def by_population(arrays: Arrays, own: np.ndarray) -> dict[str, np.ndarray]:
    """Numbers of own neurons as those of all ranks, ``(size,)`` for each population of neurons."""
    every = arrays.exchange.whole({"counts": own}, {"counts": Axis.neuron})["counts"]
    neurons = _populations_of_neurons(arrays)
    ends = np.cumsum([p.size for p in neurons])
    return {p.name: every[end - p.size : end] for p, end in zip(neurons, ends, strict=True)}
