"""One run that learns from reward: no data, and what was learned is judged by episodes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from eprop.engine import Simulator
from eprop.errors import ParameterError
from eprop.rl import ObservationScale, Returns
from eprop.tasks import Control, EpisodeChoice
from eprop.training.control import PolicyTrainer, judge
from eprop.training.engines import make_engine
from eprop.training.evaluation import evaluation_progress
from eprop.training.interrupt import Interrupt, Stopped
from eprop.training.machine import package_version
from eprop.training.sample_run import MetricsWriter, SampleRun
from eprop.training.trainer import Callback
from eprop.training.watch import Watcher


class ControlRun(SampleRun):
    """A run that learns from reward: no data, and what was learned is judged by episodes."""

    trainer: PolicyTrainer  # type: ignore[assignment]
    unit = "steps"

    def prepare(self, callbacks: Sequence[Callback]) -> None:
        """Network and trainer; `ParameterError` for what this kind of run does not know."""
        if self.comm.size > 1:
            raise ParameterError(f"the task {self.task.name!r} runs in one process: leave out mpiexec")
        if self.config.execution.engine != "event" or self.config.execution.parallel != "model":
            raise ParameterError(f"the task {self.task.name!r} knows neither --engine time nor --parallel data")
        self.watcher.phase("building the network")
        self.simulator = make_engine(self.config, self.comm)
        self.trainer = PolicyTrainer(
            cast("Control", self.task),
            cast("Simulator", self.simulator),
            self.config.training,
            watcher=MetricsWriter(self),
            save=lambda trainer: self.save(),
            interrupt=self.interrupt,
            callbacks=callbacks,
        )

    def test(self) -> Returns:  # type: ignore[override]
        """Returns of the test episodes."""
        self.trainer.close()
        try:
            return judged(
                cast("Control", self.task),
                cast("Simulator", self.simulator),
                cast("EpisodeChoice", self.config.data),
                self.watcher,
                self.interrupt,
                self.trainer.observation_scale,
            )
        except Stopped as stop:
            raise Stopped(self.how_to_go_on(), stop.exit_code, together=stop.together) from None

    def fingerprint(self) -> str:
        """Tells tasks apart."""
        return self.config.data.fingerprint(self.task, None)

    def example(self) -> dict[str, np.ndarray]:
        """Nothing: figures play an episode."""
        return {}

    def summary(self, evaluation: Returns) -> dict[str, Any]:  # type: ignore[override]
        """What is in ``summary.json``; rollouts count no synaptic events."""
        trainer = self.trainer
        cost = {name: value for name, value in self.cost().items() if "synaptic_event" not in name}
        return {
            "version": package_version(),
            "task": self.task.name,
            "rule": trainer.task.rule,
            "environment": getattr(self.task, "env", self.task.name),
            "seed": self.task.seed,
            "score": self.task.score_name,
            "mean_return": evaluation.mean,
            "std_return": evaluation.std,
            "episodes": int(evaluation.totals.size),
            "mean_steps": float(evaluation.steps.mean()),
            "recent_return": None if math.isnan(trainer.recent_return) else trainer.recent_return,
            "environment_steps": trainer.done,
            "episodes_learned": trainer.episodes,
            "train_seconds": trainer.seconds,
            "train_processor_seconds": trainer.processor_seconds,
            "steps_per_second": trainer.done / max(trainer.seconds, 1e-9),
            "test_seconds": evaluation.seconds,
            **cost,
        }


def judged(
    task: Control, simulator: Simulator, choice: EpisodeChoice, watcher: Watcher, interrupt: Interrupt,
    scale: ObservationScale | None,
) -> Returns:  # fmt: skip
    """Returns of the test episodes; `Stopped` after a signal."""
    return judge(task, simulator, choice, evaluation_progress(watcher.playing, choice.episodes, interrupt), scale)
