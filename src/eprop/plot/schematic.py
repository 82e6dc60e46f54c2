"""A schematic of a network: populations as boxes, projections as arrows, feedback dashed."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Patch

from eprop.errors import ParameterError
from eprop.models.base import INHIBITORY
from eprop.network import Network, Population, Projection
from eprop.plot.style import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY, look, new_axes

#: Colours of projections by rule; the last one is for other rules.
_RULES = {"Static": GREY, "EProp": BLUE, "EPropPlus": GREEN, "STDP": ORANGE, "": PURPLE}
_FILLS = {"source": "#F2F2F2", "neuron": "#E3EEF6", "readout": "#FBEBD3"}
#: Size of a box and distances between the centres of boxes, in units of the axes; length of a unit in inches.
_WIDTH, _HEIGHT, _ACROSS, _DOWN, _INCH = 1.3, 0.62, 2.3, 1.5, 0.92

#: Curvature of the feedback arcs.
_ARC = 0.35

Place = tuple[float, float]


def draw_network(net: Network, ax: Axes | None = None) -> Axes:
    """Draw populations, projections and feedback of a network.

    Sources are on the left, readouts on the right. The position of neurons between them is the number of projections from the
    sources. A line that ends in a dot is a projection whose receptor inhibits, or whose initial weights are never positive.

    Parameters
    ----------
    net : Network
        Network to draw; a simulator has it as ``simulator.network``.
    ax : Axes, optional
        The default is a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    ParameterError
        If ``net`` is not a network, or has no population.

    Examples
    --------
    >>> ep.plot.draw_network(net).figure.savefig("network.pdf")
    """
    if not isinstance(net, Network):
        raise ParameterError(
            f"plot.draw_network needs a Network, got {net!r:.60}; for a simulator, give simulator.network"
        )
    if not net.populations:
        raise ParameterError("plot.draw_network: the network has no population yet; add one with net.add(...)")
    places = _places(net)
    left, right = min(x for x, _ in places.values()) - 1.0, max(x for x, _ in places.values()) + 1.0
    # Leave room for feedback arcs below a box, and for loops above it.
    spans = [abs(places[f.pre.name][0] - places[f.post.name][0]) for f in net.feedback_projections]
    low = min(y for _, y in places.values()) - 0.5 - 0.5 * _ARC * max(spans, default=0.0)
    high = max(y for _, y in places.values()) + 0.85
    with look():
        ax = new_axes(ax, _INCH * (right - left), _INCH * (high - low) + 0.5)
        ax.set_xlim(left, right)
        ax.set_ylim(low, high)
        ax.set_aspect("equal")
        ax.axis("off")
        for population in net.populations:
            _draw_box(ax, population, places[population.name])
        _draw_projections(ax, net, places)
        for feedback in net.feedback_projections:
            (x0, y0), (x1, y1) = places[feedback.pre.name], places[feedback.post.name]
            ends = (x0, y0 - _HEIGHT / 2), (x1 + 0.45, y1 - _HEIGHT / 2)
            _add_arrow(ax, *ends, -_ARC, color=RED, lw=1.0, ls=(0, (3, 2)), arrowstyle="-|>")
        ax.legend(
            handles=_entries(net), loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=3, borderaxespad=0.0, fontsize=7
        )
    return ax


def _places(net: Network) -> dict[str, Place]:
    """Centre of each box: columns from the sources to the readouts."""
    columns: dict[int, list[str]] = defaultdict(list)
    for population, depth in zip(net.populations, _depths(net), strict=True):
        columns[depth].append(population.name)
    return {
        name: (_ACROSS * column, _DOWN * ((len(names) - 1) / 2 - row))
        for column, (_, names) in enumerate(sorted(columns.items()))
        for row, name in enumerate(names)
    }


def _depths(net: Network) -> list[int]:
    """Number of projections from the sources to each population of neurons; readouts are last."""
    depth = {p.name: 0 for p in net.populations if p.model.role == "source"}
    edge = list(depth)
    while edge:
        reached = {
            p.post.name for p in net.projections if p.pre.name in edge and p.post.model.role == "neuron"
        } - depth.keys()
        depth |= dict.fromkeys(reached, depth[edge[0]] + 1)
        edge = sorted(reached)
    last = max(depth.values(), default=0) + 2
    return [last if p.model.role == "readout" else depth.get(p.name, 1) for p in net.populations]


def _draw_box(ax: Axes, population: Population, place: Place) -> None:
    x, y = place
    box = FancyBboxPatch(
        (x - _WIDTH / 2, y - _HEIGHT / 2), _WIDTH, _HEIGHT, boxstyle="round,pad=0,rounding_size=0.12",
        facecolor=_FILLS[population.model.role], edgecolor="#444444", lw=0.8, zorder=3,
    )  # fmt: skip
    ax.add_patch(box)
    ax.text(x, y + 0.12, _clipped(population.name), ha="center", va="center", fontsize=8, fontweight="bold", zorder=4)
    kind = f"{population.size:,} {type(population.model).__name__}"
    ax.text(x, y - 0.15, _clipped(kind, 20), ha="center", va="center", fontsize=6.5, color="#333333", zorder=4)


def _draw_projections(ax: Axes, net: Network, places: dict[str, Place]) -> None:
    """Draw each projection as an arrow, or as a line that ends in a dot, with its connection rule."""
    seen: Counter[tuple[str, str]] = Counter()
    for projection in net.projections:
        pair = projection.pre.name, projection.post.name
        back = any((p.post.name, p.pre.name) == pair for p in net.projections)
        a, b, bend = _arc(places[pair[0]], places[pair[1]], seen[pair], back)
        seen[pair] += 1
        colour, inhibits = _colour(projection), _inhibits(projection)
        _add_arrow(ax, a, b, -bend, color=colour, lw=1.1, arrowstyle="-" if inhibits else "-|>")
        if inhibits:
            ax.add_patch(Circle(b, 0.07, color=colour, zorder=4))
        if text := _connections(projection):
            # The middle of the arc lies to the left of the line from a to b.
            x, y = (a[0] + b[0] - bend * (b[1] - a[1])) / 2, (a[1] + b[1] + bend * (b[0] - a[0])) / 2
            box = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
            y += 0.13 if projection.pre is projection.post else 0.0
            ax.text(x, y, text, ha="center", va="center", fontsize=5.5, color="#444444", bbox=box, zorder=2.5)


def _arc(start: Place, end: Place, number: int, back: bool) -> tuple[Place, Place, float]:
    """Ends of an arrow from box to box, and its curvature: it avoids other arrows, and boxes between the two.

    A projection from a population to itself is a loop above its box; further loops are wider.
    """
    (x0, y0), (x1, y1) = start, end
    if start == end:
        half, x, top = 0.14 + 0.1 * number, x0 - 0.36, y0 + _HEIGHT / 2
        return (x - half, top), (x + half, top), 1.5
    bend = 0.14 * number
    if x0 == x1:  # boxes above each other: upward and downward arrows side by side
        side, shift = (_HEIGHT / 2, 0.28) if y1 > y0 else (-_HEIGHT / 2, 0.04)
        return (x0 + shift, y0 + side), (x1 + shift, y1 - side), bend + (0.5 if abs(y1 - y0) > 1.5 * _DOWN else 0.0)
    side = _WIDTH / 2 if x1 > x0 else -_WIDTH / 2
    bend += (0.12 if back else 0.0) + (0.25 if abs(x1 - x0) > 1.5 * _ACROSS else 0.0)
    return (x0 + side, y0), (x1 - side, y1), bend


def _add_arrow(ax: Axes, a: Place, b: Place, bend: float, **line: Any) -> None:
    common: dict[str, Any] = {"mutation_scale": 9, "shrinkA": 0, "shrinkB": 1, "zorder": 2}
    ax.add_patch(FancyArrowPatch(a, b, connectionstyle=f"arc3,rad={bend}", **common, **line))


def _inhibits(projection: Projection) -> bool:
    """Whether the receptor inhibits, or no initial weight is positive and some weights are negative."""
    low, high = projection.weight.ends
    return projection.receptor == INHIBITORY or low < 0.0 >= high


def _connections(projection: Projection) -> str:
    """Connection rule in words; empty for all-to-all."""
    name = type(projection.connectivity).__name__
    facts = {"AllToAll": "", "OneToOne": "one to one", "Explicit": "explicit"}
    if name in facts:
        return facts[name]
    for attribute, text in (("degree", "{} per neuron"), ("p", "p = {:g}")):
        value = getattr(projection.connectivity, attribute, None)
        if value is not None:
            return text.format(value).replace("neuron", "source" if name == "FixedOutdegree" else "target")
    return name


def _colour(projection: Projection) -> str:
    return _RULES.get(type(projection.rule).__name__, _RULES[""])


def _entries(net: Network) -> list[Any]:
    """Legend entries for the colours and lines that occur."""
    rules = {type(p.rule).__name__: _colour(p) for p in net.projections}
    entries: list[Any] = [
        Line2D([], [], color=colour, lw=1.3, label=f"{name} synapses") for name, colour in rules.items()
    ]
    kinds = ", ".join(
        dict.fromkeys(type(f.kind).__name__.removesuffix("Feedback").lower() for f in net.feedback_projections)
    )
    if kinds:
        entries.append(Line2D([], [], color=RED, lw=1.0, ls=(0, (3, 2)), label=f"feedback of errors ({kinds})"))
    roles = dict.fromkeys(p.model.role for p in net.populations)
    words = {"source": "inputs", "neuron": "neurons", "readout": "readouts"}
    return [*entries, *(Patch(facecolor=_FILLS[r], edgecolor=SKY, lw=0.4, label=words[r]) for r in roles)]


def _clipped(text: str, length: int = 16) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
