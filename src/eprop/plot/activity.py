"""What happens in the network during one sample, before and after training."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from eprop.plot.style import BLACK, BLUE, GREEN, GREY, ORANGE, PALE, PURPLE, RED, WIDE, look, new_figure
from eprop.training.activity import Activity

_OUTSIDE = "#F4F4F4"


def draw_activity(before: Activity, after: Activity, neuron: int | None = None) -> Figure:
    """Raster of a sample, traces of one neuron and of all readouts; before training on the left, after on the right.

    The arrangement follows figure 4 of Korcsak-Gorzo et al. 2025.

    Parameters
    ----------
    before, after : Activity
        The same sample in the untrained and in the trained network.
    neuron : int, optional
        Whose traces are shown; `telling_neuron` if not given.

    Returns
    -------
    Figure
    """
    neuron = telling_neuron(before, after) if neuron is None else neuron
    rows = _rows(neuron, before.softmax)
    with look():
        figure = new_figure(WIDE, 8.4)
        axes = figure.subplots(
            len(rows), 2, sharex=True, sharey="row", squeeze=False, height_ratios=[height for _, _, height in rows]
        )
        for column, (sample, title) in enumerate(((before, "before training"), (after, "after training"))):
            for row, (draw, label, _) in enumerate(rows):
                ax = axes[row, column]
                _shade_outside(ax, sample)
                draw(ax, sample)
                if column == 0:
                    ax.set_ylabel(label)
            axes[0, column].set_title(title)
            axes[-1, column].set_xlabel("time (ms)")
            axes[-1, column].set_xlim(0, float(sample.times[-1]))
        figure.align_ylabels(axes[:, 0])
        _legend(figure, before)
    return figure


def telling_neuron(before: Activity, after: Activity) -> int:
    """The neuron that spikes most after training among those that also spike before; else the one that spikes most."""
    first, last = before.spike_counts(), after.spike_counts()
    both = np.where(first > 0, last, 0)
    return int(np.argmax(both if both.any() else first + last))


Row = tuple[Callable[[Axes, Activity], None], str, float]


def _rows(neuron: int, softmax: bool) -> Sequence[Row]:
    """How to draw each row, its label and its height."""
    rows: list[Row] = [
        (_draw_inputs, "input\nchannel", 1.6),
        (lambda ax, a: _draw_spikes(ax, a, neuron), "neuron", 1.6),
        (lambda ax, a: _draw_voltage(ax, a, neuron), "$v_j$ (mV)", 1.0),
        (lambda ax, a: _draw_trace(ax, a.times, a.psi[:, neuron], GREEN), r"$\psi_j$ (1/mV)", 0.8),
        (lambda ax, a: _draw_trace(ax, a.times, a.learning_signal[:, neuron], PURPLE), "$L_j$", 0.8),
        (lambda ax, a: _draw_readouts(ax, a, a.y, None if softmax else a.target), "$y_k$ (mV)", 1.1),
    ]
    if softmax:
        rows.append((lambda ax, a: _draw_readouts(ax, a, a.output, a.target), r"$\pi_k$, $\pi_k^*$", 1.1))
    rows.append((lambda ax, a: _draw_readouts(ax, a, a.error, None), "error $E_k$", 1.1))
    return rows


def _draw_inputs(ax: Axes, a: Activity) -> None:
    ax.scatter(*a.inputs, s=0.5, lw=0, color=GREY, rasterized=True)
    ax.set_ylim(0, a.n_inputs)


def _draw_spikes(ax: Axes, a: Activity, neuron: int) -> None:
    times, nodes = a.spikes
    chosen = nodes == neuron
    ax.scatter(times[~chosen], nodes[~chosen], s=2.0, lw=0, color=BLACK, rasterized=True)
    ax.scatter(times[chosen], nodes[chosen], s=9.0, lw=0, color=RED, zorder=3)
    ax.set_ylim(-1, a.n_neurons)


def _draw_voltage(ax: Axes, a: Activity, neuron: int) -> None:
    ax.axhline(a.v_th[neuron], color=GREY, lw=0.6, ls="--")
    times = a.spikes[0][a.spikes[1] == neuron]
    ax.plot(a.times, a.v[:, neuron], color=BLUE)
    ax.scatter(times, np.full(times.size, a.v_th[neuron]), s=9.0, lw=0, color=RED, zorder=3)


def _draw_trace(ax: Axes, times: np.ndarray, values: np.ndarray, color: str) -> None:
    ax.axhline(0.0, color=PALE, lw=0.5)
    ax.plot(times, values, color=color)


def _draw_readouts(ax: Axes, a: Activity, values: np.ndarray, target: np.ndarray | None) -> None:
    """All readouts in grey, the one of the sample's class (else the first) on top in colour."""
    right = int(a.target.sum(axis=0).argmax()) if a.label else 0
    ax.axhline(0.0, color=PALE, lw=0.5)
    others = np.delete(values, right, axis=1)
    ax.plot(a.times, others, color=PALE, lw=0.8)
    if target is not None:
        shown = np.where(a.window > 0, target[:, right], np.nan)
        ax.plot(a.times, shown, color=BLACK, lw=1.0, ls=(0, (3, 2)))
    ax.plot(a.times, values[:, right], color=ORANGE, lw=1.3)


def _shade_outside(ax: Axes, a: Activity) -> None:
    """Grey where nothing is learned."""
    inside = np.flatnonzero(a.window)
    step = a.times[0]
    if inside.size:
        for start, stop in ((0.0, a.times[inside[0]] - step), (a.times[inside[-1]], a.times[-1])):
            if stop > start:
                ax.axvspan(start, stop, color=_OUTSIDE, lw=0, zorder=-10)


def _legend(figure: Figure, a: Activity) -> None:
    name = f"readout of the sample's class, {a.label}" if a.label else "first readout"
    entries = [
        Line2D([], [], color=RED, marker="o", ms=3, lw=0, label="neuron $j$"),
        Line2D([], [], color=ORANGE, lw=1.3, label=name),
        Line2D([], [], color=PALE, lw=1.0, label="other readouts"),
        Line2D([], [], color=BLACK, lw=1.0, ls=(0, (3, 2)), label="target"),
    ]
    figure.legend(handles=entries, loc="outside lower center", ncols=4)
