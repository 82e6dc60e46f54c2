"""The style of all figures: small sans-serif type, thin lines, colours for colour-blind readers."""

from __future__ import annotations

import io
import pathlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import matplotlib as mpl
import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from eprop.errors import EPropError, FiguresWarning, OutputError, ParameterError, warn
from eprop.files import write_bytes

#: Colours of Okabe and Ito (2008), distinguishable for colour-blind readers and in grey print.
BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, RED, PURPLE = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7",
)  # fmt: skip
GREY, PALE = "#777777", "#BBBBBB"
#: Width of a page with two columns, inches.
WIDE = 7.2
DPI = 150

_STYLE: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["Arial", "Helvetica", "Liberation Sans", "DejaVu Sans"],
    "font.size": 8.0,
    "axes.titlesize": 9.0,
    "axes.labelsize": 8.0,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "figure.facecolor": "white",
    "grid.color": "#E5E5E5",
    "grid.linewidth": 0.6,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "lines.linewidth": 1.0,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 3.0,
    "ytick.major.size": 3.0,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    # Text in a PDF stays text, in a font type that journals accept.
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    # A fixed salt makes the names of elements in an SVG reproducible.
    "svg.hashsalt": "eprop",
    "mathtext.default": "it",
    "mathtext.fontset": "dejavusans",
}


def look() -> AbstractContextManager[None]:
    """Context with the style of the package: the user's own settings, such as a matplotlibrc, neither count nor change."""
    return mpl.style.context(["default", _STYLE])


def new_figure(width: float, height: float) -> Figure:
    """Make a figure, in inches: no window, no entry in pyplot's list, independent of the user's backend."""
    return Figure(figsize=(width, height), layout="constrained")


def new_axes(ax: Axes | None, width: float, height: float) -> Axes:
    """Return ``ax``, or the axes of a new figure."""
    return new_figure(width, height).add_subplot() if ax is None else ax


def thousands() -> FuncFormatter:
    """Format numbers of an axis as 20,000."""
    return FuncFormatter(lambda value, _: f"{value:,.0f}")


def label_counts(ax: Axes, label: str) -> None:
    """Label the horizontal axis, which counts from 0, with ticks at whole numbers only."""
    ax.set_xlabel(label)
    ax.xaxis.set_major_formatter(thousands())
    ax.xaxis.set_major_locator(MaxNLocator("auto", steps=(1, 2, 2.5, 5, 10), integer=True))
    ax.set_xlim(left=0)


class _Decades(LogLocator):
    """Ticks of each decade, from the first choice that gives at least three ticks on the axis."""

    def __init__(self, choices: Sequence[Sequence[float]]) -> None:
        super().__init__(base=10)
        self._choices = choices

    def tick_values(self, vmin: float, vmax: float) -> Sequence[float]:
        """All ticks around a range; a range shorter than the finest choice gets the ticks of a linear axis."""
        for subs in self._choices:
            self.set_params(subs=subs)
            ticks = super().tick_values(vmin, vmax)
            if sum(vmin <= tick <= vmax for tick in ticks) >= 3:
                return ticks
        return MaxNLocator(4).tick_values(vmin, vmax)


def plain(axis: Axis, powers: bool = False) -> None:
    """Show plain numbers on a logarithmic axis, at 1, 2, 5, 10, ..., or at powers of ten if there are enough of them."""
    subs = ((1.0,), (1.0, 2.0, 5.0), (1.0, 2.0, 3.0, 5.0, 7.0), range(1, 10))
    axis.set_major_locator(_Decades(subs if powers else subs[1:]))
    axis.set_major_formatter(FuncFormatter(_plain))
    axis.set_minor_formatter(NullFormatter())


def _plain(value: float, _: Any = None) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:g}"


def decades(ax: Axes, zero_below: float | None = None) -> None:
    """Make the vertical axis logarithmic, with plain numbers at 1, 2, 5, 10, ...

    A logarithmic axis has no zero: with ``zero_below``, the axis is linear from that value down to zero.
    """
    if zero_below is None:
        ax.set_yscale("log")
        plain(ax.yaxis)
    else:
        ax.set_yscale("symlog", linthresh=zero_below, linscale=0.6)
        ticks = [m * 10.0**k for k in range(-6, 7) for m in (1.0, 2.0, 5.0) if m * 10.0**k >= zero_below]
        ax.yaxis.set_major_locator(FixedLocator([0.0, *ticks]))
        ax.yaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_major_formatter(FuncFormatter(_plain))


def letter(where: Axes | Figure | SubFigure, name: str, left: float = 32.0) -> None:
    """Write the letter of a panel, bold, in its upper left corner.

    Above axes, the letter stands ``left`` points to the left, above the label. A panel with several axes is a subfigure.
    """
    font: Any = {"fontweight": "bold", "fontsize": 10.0}
    if isinstance(where, Axes):
        where.annotate(name, (0, 1), (-left, 6), "axes fraction", "offset points", **font)
    else:
        where.text(0.005, 0.99, name, ha="left", va="top", **font)


def check_picture(path: str | pathlib.Path) -> str:
    """Return the format of a picture from its name, such as ``"png"``; call this before a long computation.

    Raises
    ------
    ParameterError
        If Matplotlib cannot write this format.
    OutputError
        If the folder does not exist.
    """
    path = pathlib.Path(path)
    kind = path.suffix.lstrip(".").lower() or "png"
    if kind not in FigureCanvasBase.filetypes:
        raise ParameterError(
            f"{path}: the format {path.suffix} is not available; give a name that ends with .png, .pdf or .svg"
        )
    if not path.parent.is_dir():
        raise OutputError(
            f"{path}: cannot be written: the folder {path.parent} does not exist; make it, or choose another"
        )
    return kind


@contextmanager
def drawing(what: str) -> Iterator[None]:
    """Warn if a figure fails, so that it ends neither a command nor other figures; errors of the package are raised.

    Warns
    -----
    FiguresWarning
    """
    try:
        yield
    except EPropError:
        raise
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
        warn(f"{what} could not be drawn: {problem:.300}", FiguresWarning)


def save(figure: Figure, path: str | pathlib.Path, dpi: int = DPI) -> pathlib.Path:
    """Write a PNG, PDF or SVG, by the ending of the name; completely or not at all.

    Raises
    ------
    ParameterError
        If Matplotlib does not know the ending.
    OutputError
        If the folder does not exist, or the disk is full or not writable.
    """
    kind = check_picture(path)
    # No date, so that the same numbers give the same file.
    metadata: Any = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(kind)
    picture = io.BytesIO()
    with look():
        figure.savefig(picture, format=kind, dpi=dpi, metadata=metadata)
    write_bytes(path, picture.getvalue())
    return pathlib.Path(path)


def explain(ax: Axes) -> None:
    """Put a legend above the axes, away from the curves, if it has entries; a title goes above the legend."""
    if entries := len(ax.get_legend_handles_labels()[0]):
        legend = ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, borderaxespad=0.2)
        rows = -(-entries // 2)
        line = float(legend.get_texts()[0].get_fontsize()) * (1.0 + legend.labelspacing)
        ax.set_title(ax.get_title(), pad=rows * line + 6.0)
