"""How long a run will take, and how much memory: measured on its first updates, before it begins."""

from __future__ import annotations

import time
from dataclasses import dataclass

from eprop.display import clock
from eprop.files import JsonObject
from eprop.markup import table
from eprop.parallel import Communicator, Serial
from eprop.training.config import RunConfig
from eprop.training.number_text import counted, percent, size
from eprop.training.progress_bar import shown
from eprop.training.run import Run
from eprop.training.system_info import peak_memory
from eprop.training.watcher import Watcher

#: Seconds of learning that are measured, and at most this fraction of the run if it is longer than a second.
PROBE_SECONDS, PROBE_SHARE = 5.0, 0.1


@dataclass(frozen=True)
class RunEstimate:
    """Seconds and bytes that a run will take on this machine, with its present load.

    Attributes
    ----------
    start : float
        To build the network and to read the data, s. This was measured as a whole; data may be in the cache next time.
    learning : float
        s; less if the training stops early.
    others : dict of float
        Seconds of the test, of validations and of new samples for later epochs.
    work : str
        What is learned from, such as ``"32,000 samples"``.
    measured : float
        Fraction of the learning that was measured.
    memory : int or None
        Largest memory of the process, bytes; None if the system does not report it.
    """

    start: float
    learning: float
    others: dict[str, float]
    work: str
    measured: float
    memory: int | None

    @property
    def total(self) -> float:
        """Seconds of the whole run, without figures."""
        return self.start + self.learning + sum(self.others.values())

    def facts(self) -> list[tuple[str, str]]:
        """Lines for a person, each with a name."""
        measured = f"{percent(self.measured)} of it measured"
        parts = [
            ("start", f"{clock(self.start)}, network and data"),
            ("learning", f"{clock(self.learning)}, {self.work}, {measured}"),
        ]
        parts += [(name, clock(seconds)) for name, seconds in self.others.items()]
        memory = [] if self.memory is None else [("memory", f"about {size(self.memory)}")]
        return [*parts, ("in all", f"about {clock(self.total)}, without figures"), *memory]

    def to_dict(self) -> JsonObject:
        """Numbers for JSON."""
        return {
            "start_seconds": self.start,
            "learning_seconds": self.learning,
            **{f"{name.replace(' ', '_')}_seconds": seconds for name, seconds in self.others.items()},
            "total_seconds": self.total,
            "memory_bytes": self.memory,
            "measured": self.measured,
        }

    def _repr_html_(self) -> str:
        """Table for notebooks."""
        return table("Estimate", self.facts())


def estimate_run(
    config: RunConfig,
    *,
    watcher: Watcher | None = None,
    comm: Communicator | None = None,
    seconds: float = PROBE_SECONDS,
) -> RunEstimate:
    """Build the network, read the data, learn from the first samples, and tell what the whole run will take.

    No folder is written. Rates change while a network learns, and other programs use the processors: expect the time to be
    right within 30 %.

    Parameters
    ----------
    config : RunConfig
    watcher : Watcher, optional
        A progress bar if not given.
    comm : Communicator, optional
        Ranks that train together.
    seconds : float
        Seconds of learning to measure.

    Returns
    -------
    RunEstimate

    Raises
    ------
    MemoryLimitError
        If the network does not fit into memory.
    """
    began = time.perf_counter()
    with shown(watcher, comm) as watching:
        run = Run(config, watching, comm or Serial())
        start = time.perf_counter() - began
        watching.phase("measuring")
        learner = run.learner
        with run.interrupt:
            learning = _seconds_of_learning(run, watching, seconds)
            others = {name: each for name, each in learner.other_seconds().items() if each >= 0.5}
    work = counted(learner.total, learner.unit.removesuffix("s"))
    return RunEstimate(start, learning, others, work, learner.done / learner.total, peak_memory())


def _seconds_of_learning(run: Run, watcher: Watcher, seconds: float) -> float:
    """Seconds of all updates, from those of the first ones without the very first, which also allocates memory."""
    learner, check = run.learner, run.interrupt.check
    steps: list[tuple[int, float]] = []  # work done and seconds
    began = time.perf_counter()
    while not learner.finished:
        learner.step(check)
        watcher.progress(learner.progress())
        spent = run.comm.broadcast(time.perf_counter() - began)
        steps.append((learner.done, learner.seconds or spent))  # a user's learner may leave its seconds at 0
        if len(steps) > 1 and (spent > seconds or (spent > 1.0 and learner.done > PROBE_SHARE * learner.total)):
            break
    (done, spent), (first, before) = steps[-1], steps[0]
    return spent * learner.total / done if done == first else (spent - before) * learner.total / (done - first)
