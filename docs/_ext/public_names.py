"""Each name has one page: those of ``import eprop as ep`` their own, others the page of the subpackage that defines them."""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx

import eprop

#: Errors and warnings share one page.
_ERRORS = "eprop.errors"


def is_elsewhere(app: Sphinx, what: str, name: str, obj: object, skip: bool, options: Any) -> bool | None:
    """Skip a member of a module that has its page elsewhere."""
    module = app.env.temp_data.get("autodoc:module") or ""
    if what != "module" or module == _ERRORS:
        return None
    defined = getattr(obj, "__module__", None)
    if name in eprop.__all__ or (isinstance(defined, str) and not defined.startswith(module)):
        return True
    return None


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the rule."""
    app.connect("autodoc-skip-member", is_elsewhere)
    return {"parallel_read_safe": True}
