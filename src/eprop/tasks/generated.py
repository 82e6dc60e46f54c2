"""Tasks whose samples are made from a seed: one function draws a sample, the rest is here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from eprop.engine import Samples, make_samples
from eprop.errors import InputError
from eprop.network import Network
from eprop.tasks.base import Task
from eprop.tasks.datasets import Generated


class Sample(NamedTuple):
    """One sample.

    Attributes
    ----------
    inputs : ndarray of bool, shape (n_steps, inputs)
        Spikes of the inputs.
    target : int, or ndarray of shape (n_steps, readouts)
        The class, or the targets of the readouts.
    """

    inputs: np.ndarray
    target: int | np.ndarray


@dataclass(frozen=True, kw_only=True)
class GeneratedTask(Task):
    """Base of tasks whose samples are made from a seed.

    A subclass defines `draw_sample`, and `window` if not all steps count. The inputs go to the population named ``in``. A
    class is the target of the only readout population; targets as arrays go to the readouts named ``out``.
    """

    data: ClassVar[Any] = Generated
    one_sample: ClassVar[bool] = False
    """Whether there is only one sample, for training and test."""

    def draw_sample(self, rng: np.random.Generator) -> Sample:
        """Draw a sample; it depends on ``rng`` and the parameters only.

        Parameters
        ----------
        rng : numpy.random.Generator
            The generator of this sample; it gives the same numbers whenever this sample is drawn.

        Returns
        -------
        Sample
            ``inputs`` ``(n_steps, inputs)`` of zeros and ones; ``target`` a class, or an array ``(n_steps, readouts)`` in mV.
        """
        raise TypeError(f"{type(self).__name__} does not define draw_sample()")

    @property
    def window(self) -> np.ndarray | None:
        """Weight of each step in loss and score, shape ``(n_steps,)``; None: all steps count."""
        return None

    def drawn(self, dataset: Any) -> list[Sample]:
        """Draw samples from their seeds.

        Raises
        ------
        InputError
            If the samples are not made from a seed, or `draw_sample` does not return samples of one shape.
        """
        if not hasattr(dataset, "generators"):
            raise InputError(f"the task {self.name!r} makes its samples from a seed, got {dataset!r:.80}")
        out = [self.draw_sample(rng) for rng in dataset.generators()]
        label = f"{type(self).__name__}.draw_sample"
        for sample in out:
            if not isinstance(sample, Sample):
                raise InputError(f"{label} must return a Sample(inputs, target), got {type(sample).__name__}")
        shapes = {(np.shape(sample.inputs), np.shape(sample.target)) for sample in out}
        if len(shapes) > 1 or any(len(inputs) != 2 for inputs, _ in shapes):
            listed = ", ".join(f"inputs {inputs} with target {target}" for inputs, target in sorted(shapes)[:2])
            raise InputError(
                f"{label} must return inputs of shape (n_steps, inputs), and the same shapes in all samples; "
                f"got {listed}"
            )
        return out

    def make_samples(self, network: Network, dataset: Any) -> Samples:
        """Draw samples, and turn them into inputs and targets.

        Raises
        ------
        InputError
            As `drawn`; and if samples, `window` and network do not fit each other.
        """
        drawn = self.drawn(dataset)
        inputs = np.stack([sample.inputs for sample in drawn])
        targets = np.stack([np.asarray(sample.target) for sample in drawn])
        aims: dict[str, Any] = {"labels": targets} if targets.ndim == 1 else {"targets": {"out": targets}}
        window = self.window
        if window is not None and not np.any(window):
            raise InputError(f"{type(self).__name__}.window is zero in every step: nothing would be learned, or judged")
        try:
            return make_samples(network, len(drawn), inputs.shape[1], {"in": inputs}, window=window, **aims)
        except InputError as error:
            label = type(self).__name__
            raise InputError(
                f"what {label}.draw_sample and {label}.window give must fit each other and {label}.build_network: {error}"
            ) from error
