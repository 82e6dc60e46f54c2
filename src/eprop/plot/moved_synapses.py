"""Where the synapses of a network come from, before and after they have moved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eprop.errors import ParameterError
from eprop.plot.style import BLUE, GREY, label_counts, look, new_figure

#: Largest sides of the field of an image, inches.
SIDE = 2.4


class SynapseCounts(NamedTuple):
    """Synapses of each source of a projection.

    Attributes
    ----------
    before, after : (sources,)
    shape : tuple of int, or None
        Rows and columns if the sources are the pixels of an image; of several images, the counts of a pixel add up.
    """

    before: np.ndarray
    after: np.ndarray
    shape: tuple[int, int] | None = None


def draw_rewiring(counts: Mapping[str, SynapseCounts]) -> Figure:
    """Draw a row for each projection: synapses of its sources before and after, as images or as sorted lines.

    Parameters
    ----------
    counts : mapping of str to SynapseCounts
        By the name of a projection.

    Returns
    -------
    Figure

    Raises
    ------
    ParameterError
        If there is no projection, or sources are no images of the shape.
    """
    if not counts:
        raise ParameterError("draw_rewiring needs at least one projection")
    with look():
        figure = new_figure(2.0 * SIDE + 1.2, SIDE * len(counts) + 0.3)
        rows = figure.subfigures(len(counts), 1, squeeze=False)[:, 0]
        for row, (name, one) in zip(rows, counts.items(), strict=True):
            if one.shape is None:
                _draw_sorted(row.subplots(), name, one)
            else:
                _draw_images(row.subplots(1, 2), name, one)
    return figure


def _draw_images(axes: np.ndarray, name: str, counts: SynapseCounts) -> None:
    images = [_image(name, each, counts.shape or (0, 0)) for each in counts[:2]]
    most = max(float(image.max()) for image in images)
    for ax, image, title in zip(axes, images, ("before", "after"), strict=True):
        shown = ax.imshow(image, cmap="Blues", vmin=0.0, vmax=most, interpolation="nearest")
        ax.set_title(f"{name}, {title}")
        ax.set_xticks([])
        ax.set_yticks([])
        ax.spines[:].set_visible(False)
    axes[0].figure.colorbar(shown, ax=list(axes), label="synapses of a pixel", shrink=0.85)


def _image(name: str, counts: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    counts = np.asarray(counts)
    if counts.size % (shape[0] * shape[1]):
        raise ParameterError(f"{name}: {counts.size} sources are no images of {shape[0]} x {shape[1]} pixels")
    image: np.ndarray = counts.reshape(-1, *shape).sum(axis=0)
    return image


def _draw_sorted(ax: Axes, name: str, counts: SynapseCounts) -> None:
    for each, color, label in ((counts.before, GREY, "before"), (counts.after, BLUE, "after")):
        ax.plot(np.sort(np.asarray(each))[::-1], color=color, label=label, drawstyle="steps-mid")
    ax.set_title(name)
    ax.set_ylabel("synapses of a source")
    label_counts(ax, "sources, most synapses first")
    ax.legend(frameon=False)
