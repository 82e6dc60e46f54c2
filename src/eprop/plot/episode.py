"""An episode: pictures of the environment, with spikes, action probabilities, value and reward below."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eprop.plot.style import BLACK, BLUE, GREEN, GREY, ORANGE, PALE, PURPLE, RED, SKY, WIDE, look, new_figure
from eprop.training.recorded_episode import EpisodeRecord

_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, RED)


def draw_episode(episode: EpisodeRecord, value_scale: float = 1.0) -> Figure:
    """Draw a strip of pictures with the raster below it, on a common time axis.

    Parameters
    ----------
    episode : EpisodeRecord
    value_scale : float
        Value of a readout at 1 mV, in units of reward.

    Returns
    -------
    Figure
    """
    rows: list[tuple[Any, str, float]] = [
        (_draw_inputs, "input\nchannel", 1.3),
        (_draw_spikes, "neuron", 1.8),
        (_draw_actions, "policy", 1.0),
        (lambda ax, e: _draw_value(ax, e, value_scale), "value", 0.8),
        (_draw_rewards, "reward", 0.6),
    ]
    shown = bool(episode.frames) or episode.observations[0].ndim == 1
    with look():
        figure = new_figure(WIDE, 6.0 + 1.1 * shown)
        heights = [1.6] * shown + [height for _, _, height in rows]
        axes = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
        if shown:
            _draw_strip(axes[0], episode)
        for ax, (draw, label, _) in zip(axes[int(shown) :], rows, strict=True):
            draw(ax, episode)
            ax.set_ylabel(label)
        axes[-1].set_xlabel("time of the network (ms)")
        axes[-1].set_xlim(0.0, len(episode.rewards) * episode.step)
        total = f"return {episode.rewards.sum():.4g} in {len(episode.rewards):,} steps of the environment"
        axes[0].set_title(total if episode.ended else f"{total}, of an unfinished episode")
        figure.align_ylabels(axes)
    return figure


def _draw_strip(ax: Axes, episode: EpisodeRecord) -> None:
    """Draw pictures at their times, side by side; without pictures, draw the entries of the observations."""
    steps = len(episode.rewards)
    if not episode.frames:
        seen = episode.observations.T.astype(float)
        lowest, highest = seen.min(axis=1, keepdims=True), seen.max(axis=1, keepdims=True)
        scaled = (seen - lowest) / np.maximum(highest - lowest, 1e-12)
        ax.imshow(
            scaled, cmap="Greys", aspect="auto", interpolation="nearest",
            extent=(0.0, steps * episode.step, len(seen) - 0.5, -0.5),
        )  # fmt: skip
        ax.set_ylabel("observation")
        return
    count = len(episode.frames)
    width = steps * episode.step / count
    for place, (number, frame) in enumerate(episode.frames):
        ax.imshow(frame, aspect="auto", extent=((place + 0.02) * width, (place + 0.98) * width, 0.0, 1.0))
        ax.annotate("", ((number + 0.5) * episode.step, -0.12), ((place + 0.5) * width, 0.0), "data", "data",
                    arrowprops={"arrowstyle": "-", "color": GREY, "lw": 0.6}, annotation_clip=False)  # fmt: skip
    ax.set_ylim(0.0, 1.0)
    ax.set_axis_off()


def _draw_inputs(ax: Axes, episode: EpisodeRecord) -> None:
    ax.scatter(*episode.inputs, s=0.4, lw=0, color=GREY, rasterized=True)
    ax.set_ylim(0, max(episode.n_inputs, 1))


def _draw_spikes(ax: Axes, episode: EpisodeRecord) -> None:
    ax.scatter(*episode.spikes, s=0.8, lw=0, color=BLACK, rasterized=True)
    ax.set_ylim(-1, episode.n_neurons)


def _draw_actions(ax: Axes, episode: EpisodeRecord) -> None:
    """Draw the probabilities of all actions, or the readouts of continuous actions."""
    times = (np.arange(len(episode.rewards)) + 1.0) * episode.step
    shown = episode.y[:, :-1] if episode.probabilities is None else episode.probabilities
    for number, each in enumerate(shown.T):
        ax.plot(times, each, color=_COLOURS[number % len(_COLOURS)], lw=0.8)
    if episode.probabilities is not None:
        ax.set_ylim(-0.02, 1.02)


def _draw_value(ax: Axes, episode: EpisodeRecord, scale: float) -> None:
    times = (np.arange(len(episode.rewards)) + 1.0) * episode.step
    ax.plot(times, scale * episode.y[:, -1], color=GREEN)


def _draw_rewards(ax: Axes, episode: EpisodeRecord) -> None:
    times = (np.arange(len(episode.rewards)) + 1.0) * episode.step
    ax.axhline(0.0, color=PALE, lw=0.5)
    ax.vlines(times, 0.0, episode.rewards, color=RED, lw=0.8)
