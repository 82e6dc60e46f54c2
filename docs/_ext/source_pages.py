"""Pages of source code go without the tree of all pages, which takes as long to make as all else of such a page."""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx


def _without_tree(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Before the theme asks for the tree."""
    if page.startswith("_modules/"):
        context.pop("toctree", None)


def setup(app: Sphinx) -> dict[str, Any]:
    """Be asked before the theme is."""
    app.connect("html-page-context", _without_tree, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
