"""Angle between the gradients of e-prop and of backpropagation through time when the network learns from reward.

    eprop train cartpole --seeds 3 --out runs/cartpole
    python benchmarks/reward_gradient.py runs/cartpole

An argument is a run of ``eprop train cartpole``, or a folder of several trials. The errors are those of a rollout of
64 steps of 16 environments from rest, with advantages. The steps of each environment count up to the end of its first
episode. The time-driven reference computes both gradients from the same spikes, before and after the training. At 0
degrees both gradients have the same direction; at 90 degrees they are unrelated. The gradients of the readout weights
are the same for both. There is no goal. The result is ``reward-gradient.json``.
"""

from __future__ import annotations

import pathlib
from typing import Any

import harness
import numpy as np

import eprop as ep
from eprop.checks import time_driven
from eprop.reference import Stimulus, backpropagate
from eprop.reference.backpropagation import KINDS, kinds_of_weights
from eprop.rl import Episodes, RolloutLearner, credit, objective_errors
from eprop.runs import load
from eprop.training import Control
from eprop.training.reward_learner import make_agent

ENVIRONMENTS, ROLLOUT = 16, 64


class RecordingStreams:
    """Streams that keep the events they receive."""

    def __init__(self, streams: Any):
        self._streams, self.n, self.events = streams, streams.n, []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._streams, name)

    def run(self, steps: int, channels: np.ndarray) -> np.ndarray:
        """Advance the streams and keep the events."""
        self.events += list(channels.copy())
        return self._streams.run(steps, channels)


def main() -> None:
    """Measure the angles, print a table and record."""
    parser = harness.parser(__doc__)
    parser.add_argument("runs", nargs="+", type=pathlib.Path, help="folders of runs, or of trials")
    arguments = parser.parse_args()
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    for path in arguments.runs:
        for run in sorted(path.glob("seed-*")) or [path]:
            loaded = load(run, threads=1)
            control, trained = loaded.experiment.environments, loaded.simulator
            untrained = loaded.untrained()
            for moment, simulator in (("before", untrained), ("after", trained)):
                for kind, angle in angles_of(control, simulator).items():
                    found.setdefault(kind, {}).setdefault(moment, []).append(angle)
    result = {
        kind: {
            moment: {name: harness.spread([each[name] for each in of_runs]) for name in of_runs[0]}
            for moment, of_runs in moments.items()
        }
        for kind, moments in found.items()
    }
    for kind, moments in result.items():
        for moment, of_kind in moments.items():
            degrees, size = of_kind["degrees"], of_kind["size"]
            print(f"{kind:<10} {moment:<7} {degrees['mean']:5.1f} degrees, {size['mean']:.2f} of the length")
    print(harness.write("reward-gradient", result))


def angles_of(task: Control, simulator: ep.Simulator) -> dict[str, dict[str, float]]:
    """Return the angle and the relative length of e-prop's gradient, for each kind of weights."""
    objective, streams = task, RecordingStreams(simulator.lanes(ENVIRONMENTS))
    agent = make_agent(task, streams, seed=1)
    episodes = Episodes(task.make_environments(ENVIRONMENTS), seed=1)
    seen, _ = RolloutLearner(simulator, agent, episodes, objective, ROLLOUT).collect()
    wanted = objective_errors(seen, credit(seen, objective), objective, agent.policy)
    ends = seen.terminated | seen.truncated
    stepped = time_driven(simulator)
    total: dict[str, Any] = dict.fromkeys(("eprop", "gradient"), 0.0)
    for stream in range(ENVIRONMENTS):
        steps = (int(ends[:, stream].argmax()) + 1) if ends[:, stream].any() else ROLLOUT
        n_steps = steps * task.substeps
        inputs, error = (np.zeros((n_steps, size)) for size in (streams.events[0].shape[1], wanted.shape[2]))
        for t in range(n_steps):
            inputs[t] = streams.events[t][stream]
        error[task.substeps - 1 :: task.substeps] = wanted[:steps, stream]
        found = backpropagate(stepped, Stimulus(n_steps, {"in": inputs}), error)
        total = {name: sum_ + getattr(found, name) for name, sum_ in total.items()}
    kinds = kinds_of_weights(stepped)
    return {kind: angle(*(g[kinds == kind] for g in total.values())) for kind in KINDS}


def angle(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    """Return the angle in degrees, and the length of the first vector in units of the second."""
    lengths = np.linalg.norm(a), np.linalg.norm(b)
    cosine = float(a @ b / lengths[0] / lengths[1])
    return {
        "degrees": float(np.degrees(np.arccos(min(max(cosine, -1.0), 1.0)))), "cosine": cosine, "size": lengths[0] / lengths[1],
    }  # fmt: skip


if __name__ == "__main__":
    main()
