"""Options of the data, and the configuration of a training on N-MNIST, for figures 3 and 4."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eprop.errors import DataError
from eprop.figures.paper_figure import PaperFigure
from eprop.parameters import param
from eprop.training import RunConfig

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

    data: str | None = param(
        None, kind=str, optional=True, metavar="DIR|ZIP", doc="real recordings to learn from: N-MNIST folder or zip"
    )
    mnist: str | None = param(
        None,
        kind=str,
        optional=True,
        metavar="DIR",
        doc="folder with MNIST's files; a simulated camera records their digits",
    )
    range: str | None = param(
        None, kind=str, optional=True, metavar="START:STOP", doc="with data or mnist: digits to learn from"
    )
    test_data: tuple[str, ...] = param(
        (), kind=(tuple, list), metavar="DIR|ZIP", doc="recordings or MNIST folders to test on instead"
    )
    samples: int | None = param(None, kind=int, at_least=1, optional=True, doc="largest number of training samples")
    test_samples: int | None = param(None, kind=int, at_least=1, optional=True, doc="largest number of test samples")
    validation: int | None = param(
        None, kind=int, at_least=1, optional=True, doc="validation samples, for the learning curves"
    )
    epochs: int | None = param(None, kind=int, at_least=1, optional=True, doc="passes over the training data")
    neurons: int | None = param(None, kind=int, at_least=1, optional=True, doc="recurrent neurons")

    def validate(self) -> None:
        """Check the data options; the configuration of the run checks them again."""
        object.__setattr__(self, "test_data", tuple(self.test_data))
        self.config("eprop", self.seed)

    def absolute(self) -> Any:
        """Return the figure with absolute paths."""
        data = self.config("eprop", self.seed).data.absolute()
        return self.replace(**{name: getattr(data, name) for name in ("data", "mnist", "test_data")})

    @classmethod
    def inherited(cls, old: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
        """Options of the folder that stay; a new data source replaces the old one."""
        stay = super().inherited(old, given)
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
