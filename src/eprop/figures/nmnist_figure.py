"""Options of the data, and the configuration of a training on N-MNIST, for figures 3 and 4."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from eprop.errors import DataError
from eprop.figures.paper_figure import PaperFigure
from eprop.parameters import inherited
from eprop.tasks import NMNIST, Recordings
from eprop.training import RunConfig, Training

_SOURCES = ("data", "mnist")
_DATA = ("data", "mnist", "range", "test_data", "samples", "test_samples", "validation")
#: Data of a quick figure, unless other sizes are given.
QUICK_DATA = {"samples": 320, "test_samples": 100, "validation": 100}
QUICK_NEURONS, QUICK_EVALUATIONS = 50, 5
#: Evaluations of validation samples are the points of a learning curve. They happen at reports, so this divides their number.
EVALUATIONS = 25


@dataclass(frozen=True, kw_only=True)
class NMNISTFigure(PaperFigure):
    """Base of figures that train on N-MNIST; the options of the data are those of ``eprop train nmnist``."""

    data: str | None = inherited(Recordings, "data", None)
    mnist: str | None = inherited(Recordings, "mnist", None)
    range: str | None = inherited(Recordings, "range", None)
    test_data: tuple[str, ...] = inherited(Recordings, "test_data", ())
    samples: int | None = inherited(Recordings, "samples", None)
    test_samples: int | None = inherited(Recordings, "test_samples", None)
    validation: int | None = inherited(Recordings, "validation", None, at_least=1)
    epochs: int | None = inherited(Training, "epochs", None, optional=True)
    neurons: int | None = inherited(NMNIST, "neurons", None, optional=True)

    def validate(self) -> None:
        """Check the data options; the configuration of the run checks them again."""
        object.__setattr__(self, "test_data", tuple(self.test_data))
        self.config("eprop", self.seed)

    def absolute(self) -> Self:
        """Return the figure with absolute paths."""
        data = self.config("eprop", self.seed).data.absolute()
        return self.replace(**{name: getattr(data, name) for name in ("data", "mnist", "test_data")})

    @classmethod
    def options_that_stay(cls, old: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
        """Options of the folder that stay; a new data source replaces the old one."""
        stay = super().options_that_stay(old, given)
        if any(given.get(name) is not None for name in _SOURCES):
            stay = {name: value for name, value in stay.items() if name not in _SOURCES}
        return stay

    def check(self) -> None:
        """Check that the data exist."""
        for path in filter(None, (self.data, self.mnist, *self.test_data)):
            if not pathlib.Path(path).exists():
                raise DataError(f"{path}: no such folder or zip archive; see --data, --mnist and --test-data")

    def config(self, rule: str, seed: int) -> RunConfig:
        """Configuration of the training of one network."""
        data = {name: getattr(self, name) for name in _DATA}
        task: dict[str, Any] = {"rule": rule, "seed": seed, "neurons": self.neurons}
        training: dict[str, Any] = {"epochs": self.epochs, "validations": EVALUATIONS}
        if self.quick:
            data |= {name: count for name, count in QUICK_DATA.items() if data[name] is None}
            task["neurons"] = task["neurons"] or QUICK_NEURONS
            training |= {"epochs": self.epochs or 1, "validations": QUICK_EVALUATIONS}
        return RunConfig.make("nmnist", task=_given(task), data=_given(data), training=_given(training))

    def describe_data(self) -> str:
        """Describe the source of the training data in words."""
        data: Any = self.config("eprop", self.seed).data
        if data.data:
            return f"real recordings in {data.data}"
        return f"simulated recordings of {'MNIST' if data.mnist else 'the 5,000 embedded'} digits"


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
