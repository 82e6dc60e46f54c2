"""``eprop train cartpole``, ``delayed-reward``, ``pong`` and ``gymnasium``: what is learned from reward."""

from __future__ import annotations

from typing import Annotated

from eprop.cli.train.options import DATA, MODEL, Sections, option, trains_by_reward

Episodes = Annotated[int | None, option(DATA, "N", "Episodes of the test, with frozen weights.  \\[default: 100]")]
Environments = Annotated[
    int | None,
    option(
        DATA, "N", "Environments side by side, each with a copy of the network's state.  \\[default: as suits the task]"
    ),
]
Neurons = Annotated[int | None, option(MODEL, "N", "Neurons without adaptation.  \\[default: as suits the task]")]
Adaptive = Annotated[int | None, option(MODEL, "N", "Neurons with adaptation.  \\[default: as suits the task]")]


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

    A hundred spiking neurons see position, speed, angle and its speed as the
    spikes of 48 inputs. Two readouts say how likely a push to either side is,
    a third one guesses how long the pole will stand (actor and critic). The
    weights learn by e-prop after every 64 steps of 32 environments. 500 steps
    are the most that an episode can have. It needs pip install "eprop\[rl]".

    The folder of the run holds config.toml, metrics.jsonl, summary.json
    (mean_return, std_return, environment_steps, train_seconds),
    checkpoint.h5 and figures: returns while learning, pictures of an episode
    with the spikes below them, weights.

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
    r"""Learn on which side there were more cues, from a reward at the very end.

    Evidence accumulation (Bellec et al. 2020, figure 3) without a teacher:
    seven cues, a pause of about a second, then the network chooses a side, and
    is told 1 if that was right, else 0. The mean return is the share of right
    choices; chance is 0.5. Neurons with an adaptive threshold remember.

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
    r"""Learn to play Pong from the screen, one frame of four (ALE/Pong).

    A fixed front-end finds ball and two paddles. Where they are and how they
    move become spikes of 128 inputs; with --set front=pixels the network sees
    the events of 40 x 40 pixels in place of that, and learns far slower. The
    return is the points won minus the points lost, -21 to 21. Stop it with
    Ctrl-C whenever you like, and go on with --resume. It needs
    pip install "eprop\[atari]"; the game comes with the package.

    [bold]Examples[/bold]

      eprop train pong --out runs/pong
      eprop train pong --resume runs/pong
      eprop train pong --steps 100000 --episodes 10
      eprop train pong --set front=pixels --set rollout=64
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
    latency), pictures (events of pixels) or one of some. Actions may be one of
    some (a softmax) or a vector within bounds (a Gaussian). Whether a task
    with a rare reward can be learned depends on the environment: begin with
    one that rewards every step. With the settings of the package CartPole-v1
    is learned; Acrobot-v1, Pendulum-v1 and MountainCarContinuous-v0 are not.
    It needs pip install "eprop\[rl]".

    [bold]Examples[/bold]

      eprop train gymnasium --env CartPole-v1 --set encoder=rate
      eprop train gymnasium --env Acrobot-v1 --steps 1000000 --set entropy=0.05
      eprop train gymnasium --env FrozenLake-v1 --set encoder=rate
      eprop train gymnasium --env ALE/Breakout-v5 --set greedy=false
    """
    return _sections(episodes, environments, lif, alif, env)
