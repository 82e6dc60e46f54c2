"""Pattern generation: readouts learn to follow a curve; frozen noise is the only clock.

The task comes with the code of Bellec et al. 2020 (Nat. Commun. 11:3625): 100 neurons get the same second of noise in every
iteration, and a readout learns a sum of four sines. With two readouts the pattern is a path: a lemniscate, or handwriting.
"""

from __future__ import annotations

import functools
import io
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from eprop.errors import DataError, ParameterError
from eprop.files import check_budget, memory_budget, number_in, read_text
from eprop.models import EventSource, Readout
from eprop.network import AllToAll, Network, Normal
from eprop.parameters import param, suggestion
from eprop.tasks.base import Regression
from eprop.tasks.generated import GeneratedTask, Sample
from eprop.tasks.recurrent import LearningTask

#: Periods of the sines, ms, for a pattern of 1000 ms; they scale with the duration.
PERIODS = (1000, 500, 333, 200)

#: Default values of parameters that are None, for each rule.
SETTINGS: dict[str, dict[str, Any]] = {
    "eprop": {
        "tau_m": 30.0, "tau_out": 30.0, "optimizer": "adam", "eta": 3e-3, "eta_out": 3e-3, "feedback": "symmetric",
        "c_reg": 0.0, "lead": 0.0, "w_in": 1.0, "w_rec": 1.0,
    },
    "eprop+": {
        "tau_m": 30.0, "tau_out": 30.0, "optimizer": "gradient_descent", "eta": 1.5e-3, "eta_out": 5e-4,
        "feedback": "symmetric", "c_reg": 0.0, "lead": 200.0, "w_in": 2.0, "w_rec": 0.5, "kappa": 0.97,
    },
}  # fmt: skip


#: The word "ell" in cursive writing, in one stroke from left to right: pairs (x, y), base line at y = 0. Drawn for this package.
POINTS = (
    (0.00, 0.00), (0.30, 0.22), (0.62, 0.62), (0.55, 0.95), (0.32, 0.85), (0.28, 0.35), (0.55, 0.02),
    (0.95, 0.30), (1.40, 1.15), (1.50, 1.90), (1.25, 2.05), (1.08, 1.45), (1.10, 0.40), (1.40, 0.00),
    (1.80, 0.30), (2.25, 1.15), (2.35, 1.90), (2.10, 2.05), (1.93, 1.45), (1.95, 0.40), (2.25, 0.00),
    (2.65, 0.22), (2.95, 0.40),
)  # fmt: skip
#: Streams of random numbers, combined with the seed.
_NOISE, _SINES, _LEAD = 1, 2, 3


@dataclass(frozen=True, kw_only=True)
class PatternGeneration(LearningTask, GeneratedTask, Regression):
    """Pattern generation and its network. Parameters that are None take the values of `SETTINGS` for the rule.

    An iteration is one presentation of the pattern: an epoch with one sample.
    """

    target: str = param(
        "sines",
        kind=str,
        doc="sines, lemniscate, handwriting, or a CSV file with a column per readout",
        main=True,
        metavar="sines|lemniscate|handwriting|FILE.csv",
    )
    duration: float = param(1000.0, unit="ms", above=0.0, doc="length of the pattern")
    lead: float = param(
        None, unit="ms", at_least=0.0, optional=True, doc="length of the noise before the pattern begins"
    )
    inputs: int = param(100, kind=int, at_least=1, doc="input channels")
    input_rate: float = param(50.0, unit="Hz", at_least=0.0, doc="rate of the frozen noise of a channel")
    neurons: int = param(100, kind=int, at_least=1, doc="recurrent neurons", main=True)

    w_in: float = param(None, unit="mV", at_least=0.0, optional=True, doc="sd of the input weights times sqrt(inputs)")
    w_rec: float = param(
        None, unit="mV", at_least=0.0, optional=True, doc="sd of the recurrent weights times sqrt(neurons)"
    )
    w_out: float = param(0.3, unit="mV", at_least=0.0, doc="sd of the readout weights times sqrt(neurons)")

    name: ClassVar[str] = "pattern-generation"
    one_sample: ClassVar[bool] = True

    def validate(self) -> None:
        """Check target and duration; replace None by the values of `suited`."""
        super().validate()
        if self.target not in TARGETS and not self.target.lower().endswith(".csv"):
            names = [*TARGETS, "file.csv"]
            raise ParameterError(
                f"PatternGeneration.target must be one of {', '.join(TARGETS)} or a file that ends with .csv, "
                f"got {self.target!r}{suggestion(self.target, names)}"
            )
        if self.n_steps < 2:
            raise ParameterError(f"PatternGeneration.duration must be two steps at least, got {self.duration:g} ms")

    @classmethod
    def suited(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Default values for the rule in ``given``."""
        return dict(SETTINGS.get(given.get("rule", cls.rule), {}))

    def default_data(self) -> dict[str, Any]:
        """There is only one sample."""
        return {"samples": 1, "test_samples": 1}

    def default_training(self, data: Any) -> dict[str, Any]:
        """e-prop+ gets twice as many presentations, with a cosine schedule."""
        return {"batch_size": 1, **TRAINING[self.rule]}

    def absolute(self) -> Self:
        """The same task; a file as target gets an absolute path."""
        if self.target in TARGETS:
            return self
        return self.replace(target=os.path.abspath(os.path.expanduser(self.target)))

    @property
    def variant(self) -> str:
        """Target and rule."""
        target = os.path.splitext(os.path.basename(self.target))[0]
        return f"{target}-{self.rule}"

    @property
    def n_steps(self) -> int:
        """Steps of the pattern."""
        return round(self.duration / self.dt)

    @property
    def n_lead(self) -> int:
        """Steps before the pattern."""
        return round((self.lead or 0.0) / self.dt)

    @property
    def window(self) -> np.ndarray:
        """0 before the pattern begins, 1 afterwards; shape ``(n_lead + n_steps,)``."""
        return np.repeat([0.0, 1.0], [self.n_lead, self.n_steps])

    def pattern(self) -> np.ndarray:
        """Targets of the readouts, shape ``(n_steps, readouts)``; they begin at 0 and lie within -1 .. 1."""
        path = curve(self.target, self.n_steps, self.seed)
        path = path - path[0]
        largest = np.abs(path).max()
        if not largest > 0.0:
            raise DataError(f"{self.target}: the curve never leaves its first point")
        return np.asarray(path / largest)

    def draw_sample(self, rng: np.random.Generator) -> Sample:
        """The only sample: noise and pattern depend on the task's seed only."""
        return _frozen(self)

    def build_network(self) -> Network:
        """Populations ``in``, ``rec`` and ``out``, fully connected and plastic."""
        net = Network(dt=self.dt, seed=self.seed)
        rule, rule_out = self.make_rule(self.eta), self.make_rule(self.eta_out)
        x = net.add(EventSource(), self.inputs, name="in")
        rec = net.add(self.make_neuron(), self.neurons, name="rec")
        out = net.add(Readout(tau_m=self.tau_out), self.pattern().shape[1], name="out")
        for pre, post, size, learns in (
            (x, rec, self.w_in, rule),
            (rec, rec, self.w_rec, rule),
            (rec, out, self.w_out, rule_out),
        ):
            net.connect(pre, post, AllToAll(), weight=Normal(0.0, size / math.sqrt(pre.size)), rule=learns)
        net.feedback(out, rec, self.make_feedback())
        return net


#: Default number of iterations and schedule, by rule.
TRAINING: dict[str, dict[str, Any]] = {
    "eprop": {"epochs": 3000},
    "eprop+": {"epochs": 6000, "schedule": "cosine"},
}


@functools.lru_cache(maxsize=4)
def _frozen(task: PatternGeneration) -> Sample:
    """The sample of a task: the leading noise, then the frozen noise with the pattern."""
    lead, noise = _noise(task, _LEAD, task.n_lead), _noise(task, _NOISE, task.n_steps)
    pattern = task.pattern()
    return Sample(np.concatenate([lead, noise]), np.concatenate([np.zeros((task.n_lead, pattern.shape[1])), pattern]))


def _noise(task: PatternGeneration, stream: int, n_steps: int) -> np.ndarray:
    """Spikes of all inputs, shape ``(n_steps, inputs)``."""
    rng = np.random.default_rng([task.seed, stream])
    return np.asarray(rng.random((n_steps, task.inputs)) < task.input_rate * task.dt / 1000.0)


def curve(target: str, n: int, seed: int) -> np.ndarray:
    """A target by name or file, as ``n`` points; shape ``(n, readouts)``."""
    return TARGETS[target](n, seed) if target in TARGETS else read_path(target, n)


def sines(n: int, seed: int) -> np.ndarray:
    """Sum of four sines with random amplitudes (0.5 to 2) and phases."""
    rng = np.random.default_rng([seed, _SINES])
    amplitudes, phases = rng.uniform(0.5, 2.0, len(PERIODS)), rng.uniform(0.0, 2.0 * np.pi, len(PERIODS))
    turns = np.linspace(0.0, 2.0 * np.pi, n)[:, None] * [PERIODS[0] // period for period in PERIODS]
    return np.asarray((amplitudes * np.sin(phases + turns)).sum(axis=1, keepdims=True))


def lemniscate(n: int, seed: int) -> np.ndarray:
    """The lemniscate of Gerono (a horizontal eight), from its crossing point on."""
    phase = np.linspace(0.0, 2.0 * np.pi, n)
    return np.column_stack([np.sin(phase), np.sin(phase) * np.cos(phase)])


def handwriting(n: int, seed: int) -> np.ndarray:
    """A word in cursive writing, as points at equal distances along a smooth curve."""
    from scipy.interpolate import CubicSpline  # takes longer to import than most of the package

    points = np.array(POINTS)
    chords = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    curve = CubicSpline(chords, points)
    fine = curve(np.linspace(0.0, chords[-1], 4000))
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(fine, axis=0).T))])
    at = np.linspace(0.0, lengths[-1], n)
    return np.column_stack([np.interp(at, lengths, part) for part in fine.T])


#: Targets by name: functions of the number of steps and the seed.
TARGETS = {"sines": sines, "lemniscate": lemniscate, "handwriting": handwriting}


#: Largest number of a path: sums of squares must stay finite.
LARGEST = 1e100
#: Largest file of a path, bytes.
MOST_PATH = 16_000_000


def read_path(file: str, n: int) -> np.ndarray:
    """Read a path from a CSV file, one column per readout, and interpolate it linearly at ``n`` points.

    A first row without numbers has the names of the columns.

    Raises
    ------
    DataError
        If the file is missing, or is not a table of numbers with at least two rows.
    """
    lines = io.StringIO(read_text(file, DataError, MOST_PATH))
    rows = [(number, line.strip().split(",")) for number, line in enumerate(lines, start=1) if line.strip()]
    if rows and _are_names(rows[0][1]):
        del rows[0]
    for number, row in rows:
        found = _numbers(row)
        if found is None or len(row) != len(rows[0][1]) or not np.isfinite(found).all():
            hint = "; this file has semicolons" if any(";" in cell for cell in row) else ""
            raise DataError(
                f"{file}: line {number}: must be rows of finite numbers, all of one length, separated by commas; "
                f"got {','.join(row)!r:.80}{hint}"
            )
        if np.abs(found).max() > LARGEST:
            raise DataError(f"{file}: line {number}: holds a number beyond {LARGEST:g}, too large to be a target")
    table = np.array([_numbers(row) for _, row in rows])
    if table.ndim != 2 or len(table) < 2:
        raise DataError(f"{file}: must hold two rows of numbers at least, a column for each readout")
    check_budget(f"{file}: {n:,} points of {table.shape[1]:,} columns", 8 * n * (table.shape[1] + 2), memory_budget())
    at = np.linspace(0.0, len(table) - 1.0, n)
    return np.column_stack([np.interp(at, np.arange(len(table)), column) for column in table.T])


def _are_names(row: list[str]) -> bool:
    """Whether a row has no numbers, also with other separators than commas."""
    return all(_numbers([word]) is None for cell in row for word in cell.replace(";", " ").split())


def _numbers(row: list[str]) -> list[float] | None:
    """Numbers of a row; None if a cell is not a number."""
    try:
        return [number_in(cell) for cell in row]
    except ValueError:
        return None
