"""Small HTML tables for notebooks: networks and results."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

#: Jupyter aligns cells to the right by default.
_LEFT = "text-align: left; vertical-align: top"
#: Longer words break, so that a table fits a narrow page.
_LONG = 16


def table(caption: str, rows: Iterable[Sequence[object]], head: Sequence[str] = ()) -> str:
    """Format a table with a caption; cells are escaped, numbers are aligned to the right.

    Parameters
    ----------
    caption : str
    rows : iterable of sequences
        Texts and numbers.
    head : sequence of str
        Names of the columns; without them, the first cell of each row is its name.
    """
    parts = [f'<table><caption style="{_LEFT}; {_breaks(caption)}; font-weight: bold">{html.escape(caption)}</caption>']
    if head:
        cells = "".join(f'<th style="{_LEFT}; {_breaks(name)}">{html.escape(name)}</th>' for name in head)
        parts.append(f"<thead><tr>{cells}</tr></thead>")
    parts.append("<tbody>")
    for row in rows:
        cells = "".join(_cell(value, heading=not head and place == 0) for place, value in enumerate(row))
        parts.append(f"<tr>{cells}</tr>")
    return "".join([*parts, "</tbody></table>"])


def _cell(value: object, heading: bool) -> str:
    """Format one cell: whole numbers with commas, other numbers with four digits."""
    text = f"{value:,}" if isinstance(value, int) else f"{value:.4g}" if isinstance(value, float) else str(value)
    align = "text-align: right; vertical-align: top" if isinstance(value, (int, float)) else f"{_LEFT}; {_breaks(text)}"
    tag = "th" if heading else "td"
    return f'<{tag} style="{align}">{html.escape(text)}</{tag}>'


def _breaks(text: str) -> str:
    """Style of a text: one short word keeps its hyphens (``in->rec``), long words break."""
    words = text.split()
    if any(len(word) > _LONG for word in words):
        return "white-space: normal; overflow-wrap: anywhere"
    return "white-space: nowrap" if len(words) == 1 else "white-space: normal"
