"""Activity of a network: during one sample before and after training, and during an episode of an environment."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Sequence
from string import ascii_lowercase
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from eprop.errors import ParameterError
from eprop.plot.records import Activity, EpisodeRecord
from eprop.plot.style import BLACK, BLUE, GREEN, GREY, ORANGE, PALE, PURPLE, RED, SKY, WIDE, letter, look, new_figure

_OUTSIDE = "#F4F4F4"
_ACTIONS = (BLUE, ORANGE, GREEN, PURPLE, SKY, RED)
_TARGET: dict[str, Any] = {"color": BLACK, "lw": 1.0, "ls": (0, (3, 2))}
_PATTERN: dict[str, dict[str, Any]] = {
    "before training": {"color": GREY, "lw": 0.7}, "after training": {"color": ORANGE, "lw": 1.2}, "target": _TARGET,
}  # fmt: skip


def draw_activity(before: Activity, after: Activity, neuron: int | None = None) -> Figure:
    """Draw the raster of a sample, traces of one neuron and all readouts; left before training, right after training.

    Parameters
    ----------
    before, after : Activity
        The same sample in the untrained and in the trained network.
    neuron : int, optional
        Neuron with the traces; -1 for the last neuron. The default is `telling_neuron`.

    Returns
    -------
    Figure

    Raises
    ------
    ParameterError
        If there is no such neuron.
    """
    count = after.n_neurons
    if neuron is None:
        neuron = telling_neuron(before, after) if count else 0
    elif isinstance(neuron, bool) or not isinstance(neuron, numbers.Integral) or not -count <= neuron < count:
        there = f"a whole number from {-count} to {count - 1}" if count else "left out: there are no neurons"
        raise ParameterError(f"neuron must be {there}; got {neuron!r:.60}")
    with look():
        figure = new_figure(WIDE, 8.4)
        axes = draw_traces(figure, before, after, neuron % max(count, 1))
        for ax, name in zip(axes[:, 0], ascii_lowercase, strict=False):
            letter(ax, name, left=42.0)
    return figure


def draw_traces(figure: Figure | SubFigure, before: Activity, after: Activity, neuron: int) -> np.ndarray:
    """Draw into a figure or a part of one as `draw_activity` does; return the axes, shape (rows, 2).

    The arrangement follows figure 4 of Korcsak-Gorzo et al. 2025.
    """
    rows = _rows(neuron, before.softmax, before.n_neurons > 0)
    axes = figure.subplots(
        len(rows), 2, sharex=True, sharey="row", squeeze=False, height_ratios=[height for _, _, height in rows]
    )
    for column, (sample, title) in enumerate(((before, "before training"), (after, "after training"))):
        for ax, (draw, label, _) in zip(axes[:, column], rows, strict=True):
            _shade_outside(ax, sample)
            draw(ax, sample)
            if column == 0:
                ax.set_ylabel(label)
        axes[0, column].set_title(title)
        axes[-1, column].set_xlabel("time (ms)")
        axes[-1, column].set_xlim(0, float(sample.times[-1]))
    figure.align_ylabels(axes[:, 0])
    _explain_traces(figure, before, neuron)
    return axes


def telling_neuron(before: Activity, after: Activity) -> int:
    """Return the neuron that spikes most after training among those that also spike before; else the most active neuron.

    If learning signals reach only some neurons, it is one of these.
    """
    taught = (before.learning_signal != 0.0).any(axis=0) | (after.learning_signal != 0.0).any(axis=0)
    taught |= not taught.any()
    first, last = before.spike_counts(), after.spike_counts()
    both = np.where((first > 0) & taught, last, 0)
    return int(np.argmax(np.where(taught, both if both.any() else first + last, -1)))


def draw_pattern(before: Activity, after: Activity) -> Figure:
    """Draw outputs over time, and for two readouts also their path; only inside the learning window.

    Parameters
    ----------
    before, after : Activity
        The same sample in the untrained and in the trained network.

    Returns
    -------
    Figure
    """
    counts = (before.window > 0.0) | (not before.window.any())
    inside = slice(np.flatnonzero(counts)[0], np.flatnonzero(counts)[-1] + 1)
    times = before.times[inside] - before.times[inside][0]
    values = (before.output, after.output, before.target)
    curves = [np.where(counts[:, None], part, np.nan)[inside] for part in values]  # with gaps where no error counts
    outputs = before.y.shape[1]
    with look():
        figure = new_figure(WIDE, max(1.5 * outputs + 0.6, 2.8 if outputs == 2 else 0.0))
        grid = figure.add_gridspec(outputs, 2 if outputs == 2 else 1, width_ratios=(3, 2) if outputs == 2 else None)
        over_time = [figure.add_subplot(grid[k, 0]) for k in range(outputs)]
        for k, ax in enumerate(over_time):
            for curve, (label, line) in zip(curves, _PATTERN.items(), strict=True):
                ax.plot(times, curve[:, k], label=label, **line)
            ax.set_ylabel(f"readout $y_{k + 1}$ (mV)")
            ax.set_xlim(0, float(times[-1] + times[1] if times.size > 1 else 1.0))
            if outputs > 1:
                letter(ax, ascii_lowercase[k])
        over_time[-1].set_xlabel("time (ms)")
        if outputs == 2:
            path = figure.add_subplot(grid[:, 1])
            for curve, line in zip(curves, _PATTERN.values(), strict=True):
                path.plot(*curve.T, **line)
            path.set_aspect("equal", adjustable="datalim")  # the limits include the whole path
            path.set_xlabel("readout $y_1$ (mV)")
            path.set_ylabel("readout $y_2$ (mV)")
            letter(path, "c")
        figure.legend(*over_time[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


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
    times = (np.arange(len(episode.rewards)) + 1.0) * episode.step
    pictures = [("", 1.6)] if episode.frames or episode.observations[0].ndim == 1 else []
    rows = [*pictures, ("input\nchannel", 1.3), ("neuron", 1.8), ("policy", 1.0), ("value", 0.8), ("reward", 0.6)]
    with look():
        figure = new_figure(WIDE, 6.0 + 1.1 * len(pictures))
        heights = [height for _, height in rows]
        axes = figure.subplots(len(rows), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
        for ax, (label, _) in zip(axes, rows, strict=True):
            ax.set_ylabel(label)
        if pictures:
            _draw_strip(axes[0], episode)
        inputs, neurons, policy, value, rewards = axes[-5:]
        _draw_raster(inputs, episode.inputs, (0, max(episode.n_inputs, 1)), color=GREY, s=0.4)
        _draw_raster(neurons, episode.spikes, (-1, episode.n_neurons), color=BLACK, s=0.8)
        # Probabilities of all actions, or the readouts of continuous actions.
        acting = episode.y[:, :-1] if episode.probabilities is None else episode.probabilities
        for number, curve in enumerate(acting.T):
            policy.plot(times, curve, color=_ACTIONS[number % len(_ACTIONS)], lw=0.8)
        if episode.probabilities is not None:
            policy.set_ylim(-0.02, 1.02)
        value.plot(times, value_scale * episode.y[:, -1], color=GREEN)
        rewards.axhline(0.0, color=PALE, lw=0.5)
        rewards.vlines(times, 0.0, episode.rewards, color=RED, lw=0.8)
        rewards.set_xlabel("time of the network (ms)")
        rewards.set_xlim(0.0, times[-1])
        total = f"return {episode.rewards.sum():.4g} in {times.size:,} steps of the environment"
        axes[0].set_title(total if episode.ended else f"{total}, of an unfinished episode")
        figure.align_ylabels(axes)
    return figure


# ---------------------------------------------------------------------------------------------------------------- parts

Row = tuple[Callable[[Axes, Activity], None], str, float]


def _rows(neuron: int, softmax: bool, neurons: bool) -> Sequence[Row]:
    """How to draw each row, its label and its height; rows of neurons only if there are neurons."""
    # Feedback (mV) times the error. The error is in mV, or a difference of probabilities with softmax.
    signal = f"learning\nsignal $L_j$\n({'mV' if softmax else 'mV²'})"
    of_neurons: list[Row] = [
        (lambda ax, a: _draw_spikes(ax, a, neuron), "neuron", 1.6),
        (lambda ax, a: _draw_voltage(ax, a, neuron), "voltage\n$v_j$ (mV)", 1.0),
        (lambda ax, a: _draw_trace(ax, a.times, a.psi[:, neuron], GREEN), "surrogate\n$\\psi_j$ (1/mV)", 0.8),
        (lambda ax, a: _draw_trace(ax, a.times, a.learning_signal[:, neuron], PURPLE), signal, 0.8),
    ]
    output = (lambda ax, a: _draw_readouts(ax, a, a.output, a.target), "softmax $\\pi_k$,\ntarget $\\pi_k^*$", 1.1)
    error = "error $E_k$" if softmax else "error $E_k$\n(mV)"
    return [
        (lambda ax, a: _draw_raster(ax, a.inputs, (0, max(a.n_inputs, 1)), color=GREY, s=0.5), "input\nchannel", 1.6),
        *(of_neurons if neurons else []),
        (lambda ax, a: _draw_readouts(ax, a, a.y, None if softmax else a.target), "readouts\n$y_k$ (mV)", 1.1),
        *([output] if softmax else []),
        (lambda ax, a: _draw_readouts(ax, a, a.error, None), error, 1.1),
    ]


def _draw_raster(
    ax: Axes, spikes: tuple[np.ndarray, np.ndarray], limits: tuple[float, float], color: str, s: float
) -> None:
    ax.scatter(*spikes, s=s, lw=0, color=color, rasterized=True)
    ax.set_ylim(*limits)


def _draw_spikes(ax: Axes, a: Activity, neuron: int) -> None:
    times, nodes = a.spikes
    chosen = nodes == neuron
    _draw_raster(ax, (times[~chosen], nodes[~chosen]), (-1, a.n_neurons), color=BLACK, s=2.0)
    ax.scatter(times[chosen], nodes[chosen], s=9.0, lw=0, color=RED, zorder=3)


def _draw_voltage(ax: Axes, a: Activity, neuron: int) -> None:
    threshold, times = a.threshold[:, neuron], a.spikes[0][a.spikes[1] == neuron]
    ax.plot(a.times, threshold, color=GREY, lw=0.7)
    ax.plot(a.times, a.v[:, neuron], color=BLUE)
    ax.scatter(times, np.interp(times, a.times, threshold), s=9.0, lw=0, color=RED, zorder=3)


def _draw_trace(ax: Axes, times: np.ndarray, values: np.ndarray, color: str, lw: float = 1.0) -> None:
    ax.axhline(0.0, color=PALE, lw=0.5)
    ax.plot(times, values, color=color, lw=lw)


def _draw_readouts(ax: Axes, a: Activity, values: np.ndarray, target: np.ndarray | None) -> None:
    """Draw all readouts in grey; on top, in colour, the readout of the sample's class (else the first) and its target."""
    right = int(np.argmax(a.target.sum(axis=0))) if a.label else 0
    _draw_trace(ax, a.times, np.delete(values, right, axis=1), PALE, lw=0.8)
    ax.plot(a.times, values[:, right], color=ORANGE, lw=1.3)
    if target is not None:
        ax.plot(a.times, np.where(a.window > 0, target[:, right], np.nan), **_TARGET)


def _shade_outside(ax: Axes, a: Activity) -> None:
    """Shade the steps whose error does not count; rate regularisation acts there as well."""
    if not np.any(a.window):
        return
    ends = np.append(0.0, a.times)
    edges = np.diff(np.concatenate([[0], (a.window == 0).astype(int), [0]]))
    for start, stop in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
        ax.axvspan(ends[start], ends[stop], color=_OUTSIDE, lw=0, zorder=-10)


def _explain_traces(figure: Figure | SubFigure, a: Activity, neuron: int) -> None:
    several = a.y.shape[1] > 1
    which, target = "readout", "target"
    if a.label:
        which, target = f"readout of the sample's class, {a.label}", "target of that class"
    elif several:
        which, target = "first readout", "target of the first readout"
    entries: list[Artist] = []
    if a.n_neurons:
        entries.append(Line2D([], [], color=RED, marker="o", ms=3, lw=0, label=f"spikes of neuron $j$ = {neuron}"))
        entries.append(Line2D([], [], color=GREY, lw=0.7, label=f"threshold of neuron {neuron}"))
    entries.append(Line2D([], [], color=ORANGE, lw=1.3, label=which))
    if several:
        entries.append(Line2D([], [], color=PALE, lw=1.0, label="other readouts"))
    entries.append(Line2D([], [], label=target, **_TARGET))
    if not a.window.all():
        entries.append(Patch(facecolor=_OUTSIDE, edgecolor=PALE, lw=0.5, label="outside the learning window"))
    figure.legend(handles=entries, loc="outside lower center", ncols=3)


def _draw_strip(ax: Axes, episode: EpisodeRecord) -> None:
    """Draw pictures at their times, side by side; without pictures, draw the entries of the observations."""
    end = len(episode.rewards) * episode.step
    if not episode.frames:
        seen = episode.observations.T.astype(float)
        lowest, highest = seen.min(axis=1, keepdims=True), seen.max(axis=1, keepdims=True)
        scaled = (seen - lowest) / np.maximum(highest - lowest, 1e-12)
        extent = (0.0, end, len(seen) - 0.5, -0.5)
        ax.imshow(scaled, cmap="Greys", aspect="auto", interpolation="nearest", extent=extent)
        ax.set_ylabel("observation")
        return
    width = end / len(episode.frames)
    for place, (number, frame) in enumerate(episode.frames):
        ax.imshow(frame, aspect="auto", extent=((place + 0.02) * width, (place + 0.98) * width, 0.0, 1.0))
        ax.annotate("", ((number + 0.5) * episode.step, -0.12), ((place + 0.5) * width, 0.0), "data", "data",
                    arrowprops={"arrowstyle": "-", "color": GREY, "lw": 0.6}, annotation_clip=False)  # fmt: skip
    ax.set_ylim(0.0, 1.0)
    ax.set_axis_off()
