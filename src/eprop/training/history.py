"""What a training has reported, and the means to test its network."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from eprop.engine import Simulator
from eprop.files import JsonObject
from eprop.markup import table
from eprop.training.evaluation import Evaluation, evaluate, slices
from eprop.training.experiment import Experiment
from eprop.training.forms import Data, dataset_of, is_data, unlabelled
from eprop.training.number_text import percent
from eprop.training.sample_learner import SampleLearner
from eprop.training.scoring import Scoring
from eprop.training.trainer import Trainer


@dataclass(eq=False, repr=False)
class History:
    """What a training has reported, and the means to test its network.

    ``history["loss"]`` is an array with an entry for each report, NaN where a value is missing; there is a report at the end of
    each epoch.

    Attributes
    ----------
    lines : list of dict
        The reports: samples, epoch, loss, error, validation_loss, validation_error, eta_factor, seconds and others.
    experiment : Experiment
    learner : Learner
        It supplies the score.
    simulator : Simulator
        The trained network.
    stopped_early : bool
        Whether a callback or the patience ended the training before the last epoch.
    interrupted : bool
        Whether Ctrl-C ended it.
    evaluation : Evaluation, Returns or None
        Outcome of the test, if the experiment has one.
    folder : RunFolder or None
        Files of the run, if it has a folder.
    summary : dict
        Content of ``summary.json``: scores, costs, machine.
    """

    experiment: Experiment
    learner: Any
    lines: list[JsonObject] = field(default_factory=list)
    stopped_early: bool = False
    interrupted: bool = False
    evaluation: Any = None
    folder: Any = None
    summary: JsonObject = field(default_factory=dict)

    @property
    def simulator(self) -> Simulator:
        """The trained network."""
        simulator: Simulator = self.learner.simulator
        return simulator

    def __call__(self, trainer: Trainer, line: JsonObject) -> None:
        """Note a report; a callback of the trainer."""
        self.lines.append(line)

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, name: str) -> np.ndarray:
        if not any(name in line for line in self.lines):
            known = sorted({key for line in self.lines for key in line})
            raise KeyError(f"no report has {name!r}; they have: {', '.join(known) or 'nothing yet'}")
        return np.array([math.nan if line.get(name) is None else line[name] for line in self.lines], float)

    @property
    def accuracy(self) -> np.ndarray:
        """Fraction of correct classes while learning, before each mini-batch was learned; NaN with e-prop+."""
        return self._accuracy("error")

    @property
    def validation_accuracy(self) -> np.ndarray:
        """Fraction of correct classes of the validation samples."""
        return self._accuracy("validation_error")

    def _accuracy(self, name: str) -> np.ndarray:
        if not self._scoring.classes:
            raise TypeError(f"a regression has no accuracy: take history[{name!r}], the normalised error")
        return 1.0 - self[name]

    @property
    def _scoring(self) -> Scoring:
        if not isinstance(self.learner, SampleLearner):
            raise TypeError(f"{type(self.learner).__name__} does not learn from samples: take history.evaluation")
        return self.learner.scoring

    def evaluate(self, data: Data) -> Evaluation:
        """Test the network with frozen weights: error, its uncertainty, and the confusion matrix.

        Parameters
        ----------
        data : BinnedDataset, SeriesDataset, Samples or (events, labels)
            As of `fit`.
        """
        dataset = dataset_of(self.simulator.network, data, "data", epoch=0)
        return evaluate(self._scoring, self.simulator, dataset)

    def predict(self, data: Data | Any) -> np.ndarray:
        """Answers of the network, with frozen weights: those that `evaluate` scores.

        Parameters
        ----------
        data : BinnedDataset, SeriesDataset, Samples, (events, labels), or events alone
            As of `fit`; labels and targets do not matter. Events alone are an array, a list or a generator.

        Returns
        -------
        ndarray
            Classes, shape ``(samples,)``. Of a regression the readouts, mV: their means over the window, ``(samples, outputs)``,
            or, if it was trained on curves, the curves ``(samples, steps, outputs)``.
        """
        given, found = data if is_data(data) else unlabelled(data), []
        dataset: Any = dataset_of(self.simulator.network, given, "data", epoch=0)
        order = list(slices(self.experiment.seed, len(dataset)))
        for where in order:
            samples = self._scoring.samples(dataset.subset(where))
            found.append(self._scoring.answers(samples, self.simulator.evaluate(samples).y))
        return np.concatenate(found)[np.argsort(np.concatenate(order))]

    def plot(self) -> Any:
        """Draw error and loss over the learned samples, or returns over the steps; returns a Matplotlib figure."""
        return self.learner.curve(self.lines, self.summary)

    def __repr__(self) -> str:
        facts = ", ".join(f"{name} {text}" for name, text in self._facts())
        return f"History({facts})"

    def _repr_html_(self) -> str:
        """Table of the last report, for notebooks."""
        return table("Training", self._facts())

    def _facts(self) -> list[tuple[str, str]]:
        """The last report in words."""
        if not self.lines or "epoch" not in self.lines[-1]:
            return [("reports", str(len(self.lines)))]
        end = ", interrupted" if self.interrupted else ", stopped early" if self.stopped_early else ""
        facts = [("epochs", f"{self.lines[-1]['epoch']}{end}")]
        for name in ("loss", "error", "validation_loss", "validation_error"):
            known = [line[name] for line in self.lines if line.get(name) is not None and not math.isnan(line[name])]
            if known:
                shown = percent(known[-1]) if "error" in name else f"{known[-1]:.4g}"
                facts.append((name.replace("_", " "), shown))
        rates = {
            name.removeprefix("rate_sd_"): sd for name, sd in self.lines[-1].items() if name.startswith("rate_sd_")
        }
        for name, sd in rates.items():
            facts.append((f"rate of {name}", f"{self.lines[-1][f'rate_{name}']:.1f} ± {sd:.1f} Hz"))
        return facts
