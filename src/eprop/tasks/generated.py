"""Tasks whose trials are made from a seed: one function draws a trial, the rest is here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from eprop.engine import Samples, make_samples
from eprop.errors import InputError
from eprop.network import Network
from eprop.tasks.base import Task
from eprop.tasks.trials import Generated


class Trial(NamedTuple):
    """One trial.

    Attributes
    ----------
    inputs : ndarray of bool, shape (n_steps, inputs)
        Spikes of the inputs.
    target : int, or ndarray of shape (n_steps, readouts)
        The class, or the targets of the readouts.
    """

    inputs: np.ndarray
    target: Any


@dataclass(frozen=True, kw_only=True)
class GeneratedTask(Task):
    """Base of tasks whose trials are made from a seed.

    A subclass defines `draw_trial`, and `window` if not all steps count. The inputs go to the population named ``in``. A class is
    the target of the only readout population; targets as arrays go to the readouts named ``out``.
    """

    data: ClassVar[Any] = Generated
    one_trial: ClassVar[bool] = False
    """Whether there is only one trial, for training and test."""

    def draw_trial(self, rng: np.random.Generator) -> Trial:
        """Draw a trial; it depends on ``rng`` and the parameters only.

        Parameters
        ----------
        rng : numpy.random.Generator
            The generator of this trial; it gives the same numbers whenever this trial is drawn.

        Returns
        -------
        Trial
            ``inputs`` ``(n_steps, inputs)`` of zeros and ones; ``target`` a class, or an array ``(n_steps, readouts)`` in mV.
        """
        raise TypeError(f"{type(self).__name__} does not define draw_trial()")

    @property
    def window(self) -> np.ndarray | None:
        """Weight of each step in loss and score, shape ``(n_steps,)``; None: all steps count."""
        return None

    def drawn(self, trials: Any) -> list[Trial]:
        """Draw trials from their seeds.

        Raises
        ------
        InputError
            If the trials are not made from a seed, or `draw_trial` does not return trials of one shape.
        """
        if not hasattr(trials, "generators"):
            raise InputError(f"the task {self.name!r} makes its trials from a seed, got {trials!r:.80}")
        out = [self.draw_trial(rng) for rng in trials.generators()]
        label = f"{type(self).__name__}.draw_trial"
        for trial in out:
            if not isinstance(trial, Trial):
                raise InputError(f"{label} must return a Trial(inputs, target), got {type(trial).__name__}")
        shapes = {(np.shape(trial.inputs), np.shape(trial.target)) for trial in out}
        if len(shapes) > 1 or any(len(inputs) != 2 for inputs, _ in shapes):
            listed = ", ".join(f"inputs {inputs} with target {target}" for inputs, target in sorted(shapes)[:2])
            raise InputError(
                f"{label} must return inputs of shape (n_steps, inputs), and the same shapes in all trials; "
                f"got {listed}"
            )
        return out

    def make_samples(self, network: Network, trials: Any) -> Samples:
        """Draw trials and make samples from them.

        Raises
        ------
        InputError
            As `drawn`; and if trials, `window` and network do not fit each other.
        """
        drawn = self.drawn(trials)
        inputs = np.stack([trial.inputs for trial in drawn])
        targets = np.stack([np.asarray(trial.target) for trial in drawn])
        aims: dict[str, Any] = {"labels": targets} if targets.ndim == 1 else {"targets": {"out": targets}}
        window = self.window
        if window is not None and not np.any(window):
            raise InputError(f"{type(self).__name__}.window is zero in every step: nothing would be learned, or judged")
        try:
            return make_samples(network, len(drawn), inputs.shape[1], {"in": inputs}, window=window, **aims)
        except InputError as error:
            label = type(self).__name__
            raise InputError(
                f"what {label}.draw_trial and {label}.window give must fit each other and {label}.build_network: {error}"
            ) from error
