"""Angle between the gradients of e-prop and of backpropagation through time when the network learns from reward.

    eprop train cartpole --trials 3 --out runs/cartpole
    python benchmarks/reward_gradient.py runs/cartpole

An argument is a run of ``eprop train cartpole``, or a folder of several trials. The errors are those of a rollout of
64 steps of 16 environments from rest, with advantages. The steps of each environment count up to the end of its first
episode. The time-driven reference computes both gradients from the same spikes, before and after the training. At 0
degrees both gradients have the same direction; at 90 degrees they are unrelated. The gradients of the readout weights
are the same for both. There is no goal. The result is ``reward-gradient.json``.
"""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import harness
import numpy as np

import eprop as ep
from eprop.reference import bptt, eprop
from eprop.reference import neurons as models
from eprop.rl import Episodes, RolloutLearner, credit, errors
from eprop.tasks import Control
from eprop.training import restore
from eprop.training.reward_learner import make_agent

ENVIRONMENTS, ROLLOUT = 16, 64
KINDS = ("input", "recurrent", "readout")


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
            config, _, trained = restore(run, threads=1)
            untrained = ep.Simulator(config.task.build_network(), threads=1)
            for moment, simulator in (("before", untrained), ("after", trained)):
                for kind, angle in angles_of(config.task, simulator, config.training).items():
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


def angles_of(task: Control, simulator: ep.Simulator, objective: Any) -> dict[str, dict[str, float]]:
    """Return the angle and the relative length of e-prop's gradient, for each kind of weights."""
    streams = RecordingStreams(simulator.lanes(ENVIRONMENTS))
    agent = make_agent(task, streams, seed=1)
    episodes = Episodes(task.make_environments(ENVIRONMENTS), seed=1)
    seen, _ = RolloutLearner(simulator, agent, episodes, objective, ROLLOUT).collect()
    wanted = errors(seen, credit(seen, objective), objective, agent.policy)
    ends = seen.terminated | seen.truncated
    weights = dense_weights(simulator)
    neuron = models.LIF(
        tau_m=task.tau_m, v_th=task.v_th, t_ref=task.t_ref, height=task.surrogate_height, width=task.surrogate_width
    )
    readout = models.Readout(tau_m=task.tau_out, scale_input=True)
    total: dict[str, dict[str, Any]] = {rule: dict.fromkeys(KINDS, 0.0) for rule in ("eprop", "bptt")}
    for stream in range(ENVIRONMENTS):
        steps = (int(ends[:, stream].argmax()) + 1) if ends[:, stream].any() else ROLLOUT
        n_steps = steps * task.substeps
        inputs, error = np.zeros((n_steps, weights["input"].shape[1])), np.zeros((n_steps, wanted.shape[2]))
        for t in range(n_steps):
            inputs[t] = streams.events[t][stream]
        error[task.substeps - 1 :: task.substeps] = wanted[:steps, stream]
        # Two projections have no delay in the reference: inputs to neurons, neurons to readouts. Here each has one step.
        inputs, error = inputs[:-2], error[2:]
        sample = eprop.run_sample(inputs, np.zeros(error.shape), weights, neuron, readout, dt=task.dt)
        sample = dataclasses.replace(sample, error=error)
        by_eprop = eprop.gradients(sample, weights["readout"].T, neuron, readout, eprop.SampleRule(), dt=task.dt)
        by_bptt = bptt.backpropagate(sample, weights, neuron, readout, dt=task.dt).gradients
        for kind in KINDS:
            total["eprop"][kind] = total["eprop"][kind] + by_eprop[kind] * (weights[kind] != 0.0)
            total["bptt"][kind] = total["bptt"][kind] + by_bptt[kind] * (weights[kind] != 0.0)
    return {kind: angle(total["eprop"][kind].ravel(), total["bptt"][kind].ravel()) for kind in KINDS}


def dense_weights(simulator: ep.Simulator) -> dict[str, np.ndarray]:
    """Return the weights of a network with one population of neurons as matrices."""
    readouts = [simulator.weights(f"lif->{name}").toarray() for name in ("policy", "value")]
    return {
        "input": simulator.weights("in->lif").toarray(),
        "recurrent": simulator.weights("lif->lif").toarray(),
        "readout": np.vstack(readouts),
    }


def angle(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    """Return the angle in degrees, and the length of the first vector in units of the second."""
    lengths = np.linalg.norm(a), np.linalg.norm(b)
    cosine = float(a @ b / lengths[0] / lengths[1])
    return {
        "degrees": float(np.degrees(np.arccos(min(max(cosine, -1.0), 1.0)))), "cosine": cosine, "size": lengths[0] / lengths[1],
    }  # fmt: skip


if __name__ == "__main__":
    main()
