"""Spikes of a network: raster and rates, by population."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eprop.analysis import Spikes, firing_rates, last_spike
from eprop.errors import InputError
from eprop.plot.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY, WIDE, look, new_axes, new_figure

_COLOURS = (BLUE, RED, SKY, ORANGE, GREEN, PURPLE, BLACK, GREY)
#: Spikes that a raster draws at most; more would be a grey area and a large file.
_MOST = 50_000
#: Nodes that the raster next to rates shows at most.
_NODES = 2000


def raster(
    spikes: Mapping[str, Spikes],
    sizes: Mapping[str, int],
    *,
    start: float = 0.0,
    stop: float | None = None,
    share: float = 1.0,
    ax: Axes | None = None,
) -> Axes:
    """Draw spikes as dots: time to the right, populations one below the other.

    Parameters
    ----------
    spikes : mapping
        ``(times, nodes)`` of each population, such as ``Recording.spikes``.
    sizes : mapping
        Nodes of each population.
    start, stop : float
        Limits, ms. The default of ``stop`` is the last spike.
    share : float
        Share of the nodes of each population that is drawn: its first nodes.
    ax : matplotlib axes, optional
        By default those of a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        ``ax.figure`` is the figure.

    Raises
    ------
    InputError
        If a population has no size, or ``share`` is not in (0, 1].
    """
    _check_sizes(spikes, sizes)
    if not 0.0 < share <= 1.0:
        raise InputError(f"share must be in (0, 1], got {share!r:.40}")
    ax = new_axes(ax, 5.0, 3.5)
    stop = max(last_spike(spikes, start), start + 1.0) if stop is None else stop
    first, middles = 0, []
    for k, (name, (times, nodes)) in enumerate(spikes.items()):
        times, nodes = np.asarray(times), np.asarray(nodes)
        shown = max(1, round(share * sizes[name]))
        inside = np.flatnonzero((times > start) & (times <= stop) & (nodes < shown))
        inside = inside[:: max(1, inside.size * len(spikes) // _MOST)]
        colour = _COLOURS[k % len(_COLOURS)]
        ax.plot(times[inside], first + nodes[inside], ".", ms=1.2, mew=0.0, color=colour, rasterized=True)
        middles.append(first + shown / 2)
        first += shown
    ax.set(xlim=(start, stop), ylim=(first, 0), xlabel="time (ms)", yticks=middles)
    ax.set_yticklabels(list(spikes))
    ax.tick_params(axis="y", length=0.0)
    return ax


def rates(
    spikes: Mapping[str, Spikes],
    sizes: Mapping[str, int],
    *,
    start: float = 0.0,
    stop: float | None = None,
    reference: Sequence[float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the rates of the nodes of each population as boxes (quartiles, and 5 to 95 %), with the mean as a dot.

    Parameters
    ----------
    spikes, sizes, start, stop, ax
        As for `raster`.
    reference : sequence of float, optional
        A rate for each population to compare with, Hz, drawn as a cross.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError
        If a population has no size, or ``reference`` another length.
    """
    _check_sizes(spikes, sizes)
    if reference is not None and len(reference) != len(spikes):
        raise InputError(f"reference must have {len(spikes)} rates, one for each population, got {len(reference)}")
    ax = new_axes(ax, 5.0, 2.5)
    stop = max(last_spike(spikes, start), start + 1.0) if stop is None else stop
    found = [firing_rates(each, sizes[name], start=start, stop=stop) for name, each in spikes.items()]
    places = np.arange(len(found))
    line = {"color": GREY, "lw": 0.8}
    ax.boxplot(
        found, positions=places, widths=0.5, whis=(5.0, 95.0), showfliers=False, boxprops=line, whiskerprops=line,
        capprops=line, medianprops={"color": BLUE},
    )  # fmt: skip
    ax.plot(places, [each.mean() for each in found], "o", ms=3.5, color=BLUE, label="mean")
    if reference is not None:
        ax.plot(places, reference, "x", ms=5.0, color=RED, label="reference")
    ax.legend()
    ax.set(ylabel="rate (Hz)", xticks=places, ylim=(0.0, None))
    ax.set_xticklabels(list(spikes))
    return ax


def draw_spikes(
    spikes: Mapping[str, Spikes],
    sizes: Mapping[str, int],
    *,
    start: float = 0.0,
    duration: float,
    reference: Sequence[float] | None = None,
) -> Figure:
    """Draw raster and rates side by side.

    Parameters
    ----------
    spikes, sizes, reference
        As for `rates`.
    start, duration : float
        Time to draw, ms. The raster shows up to 2,000 nodes.

    Returns
    -------
    matplotlib.figure.Figure
    """
    with look():
        figure = new_figure(WIDE, 3.0)
        left, right = figure.subplots(1, 2, width_ratios=(3, 2))
        stop = start + duration
        share = min(1.0, _NODES / sum(sizes.values()))
        raster(spikes, sizes, start=start, stop=stop, share=share, ax=left)
        rates(spikes, sizes, start=start, stop=stop, reference=reference, ax=right)
        right.tick_params(axis="x", rotation=45.0)
    return figure


def _check_sizes(spikes: Mapping[str, Spikes], sizes: Mapping[str, int]) -> None:
    if missing := sorted(set(spikes) - set(sizes)):
        raise InputError(f"no size of {', '.join(missing)}; sizes are given for {', '.join(sizes) or 'nothing'}")
