"""Pong from the positions of ball and paddles: a fixed front-end without learned filters, in place of the events of pixels.

    python experiments/pong_objects.py --trials 1
    python experiments/pong_objects.py --quick
    eprop train experiments/pong_objects.py --steps 100000 --episodes 10

A fixed front-end finds the ball and the two paddles, and 128 inputs encode where they are and how they move. This learns in half
the time of pixels: one network of 200 neurons scores 5.3 +- 7.4 after five million steps of the environment. The result is the
mean return over 100 episodes of the test, from -21 to 21. The game needs the extra atari.
"""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Unpack

import numpy as np

import eprop as ep
from eprop.encoders import Encoder
from eprop.parameters import param
from eprop.rl import GymnasiumEnvironments
from eprop.tasks import ActorCritic, ControlSettings, Doc, task
from eprop.training import Control

#: Regions of the ball, the own paddle and the other paddle: rows, columns, and the encoded axes. Paddles move along rows only.
REGIONS = (
    (slice(34, 194), slice(20, 140), (0, 1)),
    (slice(34, 194), slice(140, 144), (0,)),
    (slice(34, 194), slice(16, 20), (0,)),
)
#: The background is the median of every fourth pixel in rows and columns.
SPARSE = 4
#: A small network and few steps.
QUICK = {"lif": 10, "fields": 3, "longest": 40, "steps": 256, "environments": 4, "episodes": 2}


@dataclass(frozen=True)
class ObjectCode(Encoder):
    """Position of the one object in each region of a picture, and its motion since the previous picture.

    The pixels of an object differ from the background, which is the median of its region. Their centre is a position from -1 to
    1 along the region. The motion is ``tanh(change / speed)`` of the change since the last picture, in pixels. Each position and
    each motion has ``fields`` channels with Gaussian receptive fields, as in `PopulationCode`. Without an object no channel is
    active.

    Pictures are grey, uint8 ``(height, width)``.
    """

    contrast: float = param(20.0, above=0.0, doc="least difference of an object's pixel from the background, of 255")
    speed: float = param(8.0, above=0.0, doc="motion between pictures, in pixels, that becomes tanh(1)")
    fields: int = param(16, kind=int, at_least=2, doc="channels of each position and motion")
    width: float = param(0.15, above=0.0, doc="standard deviation of a receptive field, of half the range")
    probability: float = param(0.5, above=0.0, at_most=1.0, doc="that the best channel is active in a step")

    @property
    def lengths(self) -> np.ndarray:
        """Length in pixels of each encoded coordinate."""
        return np.array([float((r, c)[axis].stop - (r, c)[axis].start) for r, c, axes in REGIONS for axis in axes])

    def channels(self, shape: tuple[int, ...]) -> int:
        """``fields`` for each position and each motion."""
        return 2 * self.fields * self.lengths.size

    def memory(self, n: int, shape: tuple[int, ...]) -> np.ndarray:
        """Position of each object in the previous picture, in pixels; NaN without an object."""
        return np.full((n, self.lengths.size), np.nan)

    def forget(self, memory: np.ndarray, which: np.ndarray) -> None:
        """See `Encoder.forget`."""
        memory[which] = np.nan

    def positions(self, pictures: np.ndarray) -> np.ndarray:
        """Centres of the objects, pixels from the corner of their region, (n, coordinates); NaN without an object."""
        found = []
        for rows, columns, axes in REGIONS:
            seen = pictures[:, rows, columns]
            background = np.median(seen[:, ::SPARSE, ::SPARSE], axis=(1, 2))[:, None, None]
            above = np.minimum(np.floor(background + self.contrast), 255).astype(np.uint8)
            below = np.maximum(np.ceil(background - self.contrast), 0).astype(np.uint8)
            out = ((seen > above) | (seen < below)).view(np.uint8)
            for axis in axes:
                weight = out.sum(axis=2 - axis, dtype=np.int32)
                total = weight.sum(axis=1)
                centre = weight @ (np.arange(weight.shape[1]) + 0.5) / np.maximum(total, 1)
                found.append(np.where(total > 0, centre, np.nan))
        return np.stack(found, axis=1)

    def spikes(
        self, observations: np.ndarray, n_steps: int, rng: np.random.Generator, memory: np.ndarray
    ) -> np.ndarray:
        """See `Encoder.spikes`."""
        at = self.positions(np.asarray(observations))
        values = np.concatenate([2.0 * at / self.lengths - 1.0, np.tanh((at - memory) / self.speed)], axis=1)
        memory[...] = at
        distance = (values[:, :, None] - np.linspace(-1.0, 1.0, self.fields)) / self.width
        chance = np.nan_to_num(self.probability * np.exp(-0.5 * distance**2).reshape(len(values), -1))
        return rng.random((n_steps, *chance.shape), np.float32) < chance


@task
def pong_objects(
    *,
    lif: Annotated[int, Doc("neurons without adaptation")] = 200,
    seed: Annotated[int, Doc("seed of connections, weights and episodes")] = 1,
    fields: int = 16,
    **settings: Unpack[ControlSettings],
) -> ep.Experiment:
    """Pong from the positions of ball and paddles."""
    # More updates than with pixels: these few synapses carry their traces quickly to the next rollout.
    chosen = ActorCritic(
        {
            "eta": 2e-3, "eta_out": 5e-3, "eta_value": 1e-2, "active": 0.09, "greedy": False, "longest": 27_000, "rollout": 32,
            "steps": 5_000_000, "entropy": 0.02, "value_scale": 1.0, "clip": 0.2, "passes": 3, "eta_final": 0.05,
            "entropy_final": 0.1,
        },
        settings,
    )  # fmt: skip
    make = functools.partial(
        GymnasiumEnvironments, "ALE/Pong-v5", choices=(0, 2, 3), obs_type="grayscale", frameskip=4,
        repeat_action_probability=0.25,
    )  # fmt: skip
    control = Control(make, ObjectCode(fields=fields), meaning="points won minus points lost", **chosen.control)
    return chosen.experiment(control, seed, lif, 0)


def play(file: str, arguments: Mapping[str, Any], folder: pathlib.Path) -> dict[str, Any]:
    """Train and test; returns the summary."""
    import trials  # eprop train loads this file without the folder of the experiments

    call = (file, dict(arguments))
    return trials.train(call, trials.run_path(folder, "pong-objects", call)).read_summary()


def main() -> None:
    import trials

    parser = trials.parser(__doc__, trials=5)
    parser.add_argument("--steps", type=int, help="steps of the environments, all together")
    given = parser.parse_args()
    folder, calls = trials.folder_of(given, "pong-objects"), {}
    for seed in trials.seeds_of(given):
        arguments = {**(QUICK if given.quick else {}), "seed": seed, **trials.without_none(steps=given.steps)}
        calls[seed] = (play, __file__, arguments, folder)
    found = list(trials.side_by_side(calls, given.jobs).values())
    returns = np.array([summary["mean_return"] for summary in found])
    summary = {
        "trials": len(found),
        "mean return": float(returns.mean()),
        "environment steps": found[0]["environment_steps"],
    }
    if len(found) > 1:
        summary["mean return, standard deviation over trials"] = float(returns.std(ddof=1))
    trials.tell(given, folder, summary, returns=returns.tolist())


if __name__ == "__main__":
    main()
