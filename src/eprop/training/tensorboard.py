"""A callback of a trainer that writes metrics for TensorBoard."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from eprop.errors import optional_module
from eprop.files import JsonObject, output_errors

if TYPE_CHECKING:
    from eprop.training.trainer import Trainer

#: Tags in TensorBoard by the names of the metrics.
TAGS = {
    "loss": "training/loss",
    "error": "training/error",
    "validation_loss": "validation/loss",
    "validation_error": "validation/error",
    "spikes_per_sample": "activity/spikes per sample",
    "return": "training/return",
    "entropy": "training/entropy of the policy",
    "explained_variance": "training/variance of returns explained by the value",
    "rate": "activity/rate, Hz",
    "steps_per_second": "learning/steps of the environment per second",
    "eta_factor": "learning/factor of the learning rates",
    "samples_per_second": "learning/samples per second",
}


class TensorBoard:
    """Writes the metrics of a training to a folder that TensorBoard reads; one of the ``callbacks`` of a `Trainer`.

    TensorBoard shows the number of samples learned as the step.

    Parameters
    ----------
    folder : path
        Created with the first line.

    Raises
    ------
    MissingExtraError
        If TensorBoard is not installed.

    Examples
    --------
    >>> Trainer(learner, callbacks=[TensorBoard("logs/first")]).run()
    """

    def __init__(self, folder: str | pathlib.Path):
        purpose = "writing metrics for TensorBoard"
        self._make: Any = optional_module("tensorboard.summary", "tensorboard", purpose, "tensorboard").Writer
        self.folder = pathlib.Path(folder)
        self._writer: Any = None

    def __call__(self, trainer: Trainer, line: JsonObject) -> None:
        """Write one line; of several ranks, only the first writes."""
        if trainer.simulator.comm.rank == 0:
            self.add([line])

    def add(self, lines: Iterable[JsonObject]) -> None:
        """Write lines of metrics.

        Raises
        ------
        OutputError
            If the disk is full or not writable.
        """
        with output_errors(self.folder):
            if self._writer is None:
                self._writer = self._make(str(self.folder))
            for line in lines:
                rates = {name: f"activity/{name.replace('_', ' ')}, Hz" for name in line if name.startswith("rate_")}
                for name, tag in {**TAGS, **rates}.items():
                    if line.get(name) is not None:
                        self._writer.add_scalar(tag, line[name], line["samples"])
            self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
