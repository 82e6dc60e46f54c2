"""``eprop train cartpole``, ``delayed-reward``, ``pong`` and ``gymnasium``: the tasks with reward."""

from __future__ import annotations

from typing import Annotated

from eprop.cli.train.options import DATA, MODEL, Sections, option, trains_by_reward

Episodes = Annotated[int | None, option(DATA, "N", "Episodes of the test, with frozen weights.  \\[default: 100]")]
Environments = Annotated[
    int | None,
    option(
        DATA, "N", "Parallel environments, each with a copy of the network's state.  \\[default: depends on the task]"
    ),
]
Neurons = Annotated[int | None, option(MODEL, "N", "Neurons without adaptation.  \\[default: depends on the task]")]
Adaptive = Annotated[int | None, option(MODEL, "N", "Neurons with adaptation.  \\[default: depends on the task]")]


def _sections(
    episodes: int | None, environments: int | None, lif: int | None, alif: int | None, env: str | None = None
) -> Sections:
    task = {"lif": lif, "alif": alif} | ({} if env is None else {"env": env})
    return {"task": task, "data": {"episodes": episodes}, "training": {"environments": environments}}


@trains_by_reward("cartpole")
def cartpole(
    episodes: Episodes = None, environments: Environments = None, lif: Neurons = None, alif: Adaptive = None
) -> Sections:
    r"""Learn to balance a pole on a cart, by reward alone (CartPole-v1).

    48 inputs encode position, speed, angle and angular speed as spikes;
    a hundred spiking neurons receive them. Two readouts give the probability
    of a push to either side (actor). A third readout predicts how long the pole
    will stand (critic). e-prop changes the weights after every 64 steps of 32
    environments. An episode has at most 500 steps. The task needs the extra
    rl: pip install ".\[rl]" in the folder of the sources.

    The folder of the run holds config.toml, metrics.jsonl, summary.json
    (mean_return, std_return, environment_steps, train_seconds),
    checkpoint.h5 and figures: returns during training, pictures of an episode
    with its spikes, weights.

    [bold]Examples[/bold]

      eprop train cartpole
      eprop train cartpole --seed 2 --lif 50 --steps 200000
      eprop train cartpole --trials 5 --no-figures
      eprop train cartpole --set clip=0.2 --set passes=2
      eprop evaluate runs/cartpole-eprop-1-001 --episodes 1000
    """
    return _sections(episodes, environments, lif, alif)


@trains_by_reward("delayed-reward")
def delayed_reward(
    episodes: Episodes = None, environments: Environments = None, lif: Neurons = None, alif: Adaptive = None
) -> Sections:
    r"""Learn which side had more cues, from a reward at the end of the episode.

    This is evidence accumulation (Bellec et al. 2020, figure 3) without a
    teacher. Seven cues and a pause of about a second come first. Then the
    network chooses a side, and receives reward 1 if the choice is right, else
    0. The mean return is the fraction of right choices; chance is 0.5.
    Neurons with an adaptive threshold keep the memory.

    [bold]Examples[/bold]

      eprop train delayed-reward
      eprop train delayed-reward --seed 2 --episodes 1000
      eprop train delayed-reward --set cues=3 --set delay=300
    """
    return _sections(episodes, environments, lif, alif)


@trains_by_reward("pong")
def pong(
    episodes: Episodes = None, environments: Environments = None, lif: Neurons = None, alif: Adaptive = None
) -> Sections:
    r"""Learn to play Pong from the screen, every fourth frame (ALE/Pong).

    The network sees what an event camera of 40 x 40 pixels sees. With --set
    front=objects a fixed front-end finds the ball and the two paddles, and 128
    inputs encode where they are and how they move: this learns in half the
    time. The return is the points won minus the points lost, -21 to 21. Ctrl-C stops the
    run at any time, and --resume continues it. The task needs the extra
    atari, which includes the game: pip install ".\[atari]" in the folder of
    the sources.

    [bold]Examples[/bold]

      eprop train pong --out runs/pong
      eprop train pong --resume runs/pong
      eprop train pong --steps 100000 --episodes 10
      eprop train pong --set front=objects
    """
    return _sections(episodes, environments, lif, alif)


@trains_by_reward("gymnasium")
def gymnasium(
    env: Annotated[
        str | None,
        option(DATA, "NAME", "The environment, as gymnasium.make takes it.  \\[default: CartPole-v1]"),
    ] = None,
    episodes: Episodes = None,
    environments: Environments = None,
    lif: Neurons = None,
    alif: Adaptive = None,
) -> Sections:
    r"""Learn to act in any environment of Gymnasium.

    Observations may be vectors (a population code, or --set encoder=rate or
    latency), images (events of pixels), or what Gymnasium flattens into a
    vector, such as discrete ones (one-hot). Actions may be discrete
    (a softmax) or a bounded vector (a Gaussian). Entries of a vector are
    scaled by mean and standard deviation of those seen so far (or by --set
    "scale=\[...]"), rewards by that of the discounted return. The network
    learns CartPole-v1 and Acrobot-v1 with the default settings, LunarLander-v3
    and MountainCarContinuous-v0 with those below, Pendulum-v1 in part, and not
    FrozenLake-v1. If random actions find no reward, repeat each of them (--set
    repeat=8). The task needs the extra rl: pip install ".\[rl]" in the folder of
    the sources; LunarLander needs pip install "gymnasium\[box2d]" as well.

    [bold]Examples[/bold]

      eprop train gymnasium --env CartPole-v1 --set encoder=rate
      eprop train gymnasium --env Acrobot-v1 --steps 300000
      eprop train gymnasium --env LunarLander-v3 --steps 1000000
        --set gamma=0.998
      eprop train gymnasium --env MountainCarContinuous-v0 --steps 50000
        --set repeat=8 --set sd=1.0
      eprop train gymnasium --env ALE/Breakout-v5 --set greedy=false
    """
    return _sections(episodes, environments, lif, alif, env)
