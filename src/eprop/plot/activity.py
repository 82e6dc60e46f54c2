"""Activity of a network during one sample, before and after training."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Sequence
from string import ascii_lowercase

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from eprop.errors import ParameterError
from eprop.plot.style import BLACK, BLUE, GREEN, GREY, ORANGE, PALE, PURPLE, RED, WIDE, letter, look, new_figure
from eprop.training.recorded_activity import Activity

_OUTSIDE = "#F4F4F4"


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
    _legend(figure, before, neuron)
    return axes


def telling_neuron(before: Activity, after: Activity) -> int:
    """Return the neuron that spikes most after training among those that also spike before; else the most active neuron.

    If learning signals reach only some neurons, it is one of these.
    """
    taught = (before.learning_signal != 0.0).any(axis=0) | (after.learning_signal != 0.0).any(axis=0)
    first, last = before.spike_counts(), after.spike_counts()
    both = np.where((first > 0) & (taught | ~taught.any()), last, 0)
    return int(np.argmax(np.where(taught | ~taught.any(), both if both.any() else first + last, -1)))


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
    rows: list[Row] = [
        (_draw_inputs, "input\nchannel", 1.6),
        *(of_neurons if neurons else []),
        (lambda ax, a: _draw_readouts(ax, a, a.y, None if softmax else a.target), "readouts\n$y_k$ (mV)", 1.1),
    ]
    if softmax:
        rows.append(
            (lambda ax, a: _draw_readouts(ax, a, a.output, a.target), "softmax $\\pi_k$,\ntarget $\\pi_k^*$", 1.1)
        )
    error = "error $E_k$" if softmax else "error $E_k$\n(mV)"
    rows.append((lambda ax, a: _draw_readouts(ax, a, a.error, None), error, 1.1))
    return rows


def _draw_inputs(ax: Axes, a: Activity) -> None:
    ax.scatter(*a.inputs, s=0.5, lw=0, color=GREY, rasterized=True)
    ax.set_ylim(0, max(a.n_inputs, 1))


def _draw_spikes(ax: Axes, a: Activity, neuron: int) -> None:
    times, nodes = a.spikes
    chosen = nodes == neuron
    ax.scatter(times[~chosen], nodes[~chosen], s=2.0, lw=0, color=BLACK, rasterized=True)
    ax.scatter(times[chosen], nodes[chosen], s=9.0, lw=0, color=RED, zorder=3)
    ax.set_ylim(-1, a.n_neurons)


def _draw_voltage(ax: Axes, a: Activity, neuron: int) -> None:
    threshold, times = a.threshold[:, neuron], a.spikes[0][a.spikes[1] == neuron]
    ax.plot(a.times, threshold, color=GREY, lw=0.7)
    ax.plot(a.times, a.v[:, neuron], color=BLUE)
    ax.scatter(times, np.interp(times, a.times, threshold), s=9.0, lw=0, color=RED, zorder=3)


def _draw_trace(ax: Axes, times: np.ndarray, values: np.ndarray, color: str) -> None:
    ax.axhline(0.0, color=PALE, lw=0.5)
    ax.plot(times, values, color=color)


def _draw_readouts(ax: Axes, a: Activity, values: np.ndarray, target: np.ndarray | None) -> None:
    """Draw all readouts in grey; on top, in colour, the readout of the sample's class (else the first) and its target."""
    right = int(np.argmax(a.target.sum(axis=0))) if a.label else 0
    ax.axhline(0.0, color=PALE, lw=0.5)
    others = np.delete(values, right, axis=1)
    ax.plot(a.times, others, color=PALE, lw=0.8)
    ax.plot(a.times, values[:, right], color=ORANGE, lw=1.3)
    if target is not None:
        shown = np.where(a.window > 0, target[:, right], np.nan)
        ax.plot(a.times, shown, color=BLACK, lw=1.0, ls=(0, (3, 2)))


def _shade_outside(ax: Axes, a: Activity) -> None:
    """Shade the steps whose error does not count; rate regularisation acts there as well."""
    if not np.any(a.window):
        return
    ends = np.append(0.0, a.times)
    edges = np.diff(np.concatenate([[0], (a.window == 0).astype(int), [0]]))
    for start, stop in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
        ax.axvspan(ends[start], ends[stop], color=_OUTSIDE, lw=0, zorder=-10)


def _legend(figure: Figure | SubFigure, a: Activity, neuron: int) -> None:
    several = a.y.shape[1] > 1
    which, target = "readout", "target"
    if a.label:
        which, target = f"readout of the sample's class, {a.label}", "target of that class"
    elif several:
        which, target = "first readout", "target of the first readout"
    of_neurons: list[Artist] = [
        Line2D([], [], color=RED, marker="o", ms=3, lw=0, label=f"spikes of neuron $j$ = {neuron}"),
        Line2D([], [], color=GREY, lw=0.7, label=f"threshold of neuron {neuron}"),
    ]
    entries: list[Artist] = [
        Line2D([], [], color=ORANGE, lw=1.3, label=which),
        Line2D([], [], color=BLACK, lw=1.0, ls=(0, (3, 2)), label=target),
    ]
    if several:
        entries.insert(1, Line2D([], [], color=PALE, lw=1.0, label="other readouts"))
    if not a.window.all():
        entries.append(Patch(facecolor=_OUTSIDE, edgecolor=PALE, lw=0.5, label="outside the learning window"))
    figure.legend(handles=[*(of_neurons if a.n_neurons else []), *entries], loc="outside lower center", ncols=3)
