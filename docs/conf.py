"""Settings of the documentation: ``sphinx-build -W docs docs/_build/html``."""

from __future__ import annotations

import importlib.util
import os
import pathlib
import sys
from importlib.metadata import version as installed_version

os.environ.setdefault("MPLBACKEND", "agg")
sys.path.insert(0, str(pathlib.Path(__file__).parent / "_ext"))

project = "eprop"
author = "The eprop developers"
copyright = author  # noqa: A001
version = release = installed_version("eprop")

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_nb",
    "sphinx_copybutton",
    "command_help",
    "public_names",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_ext", "jupyter_execute", "reference/nest_deviations.md"]
nitpicky = False

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# Tutorials hold their outputs; `tests/docs/test_notebooks.py` runs them and compares.
nb_execution_mode = "off"

# One file of MathJax is copied into the pages, which so need no network.
_found = importlib.util.find_spec("sphinx-mathjax-offline")
if _found is None or _found.origin is None:
    raise ImportError('the pages need a copy of MathJax: pip install ".[docs]"')
html_static_path = [str(pathlib.Path(_found.origin).parent / "static" / "mathjax" / "tex-svg.js")]
mathjax_path = "tex-svg.js"

# A name in single backticks becomes a link where there is something to link to.
default_role = "autolink"
# `replace`, `update`: several classes have one; the link goes to the nearest.
suppress_warnings = ["ref.python"]

autosummary_generate = True
autosummary_imported_members = False
# scikit-learn gives its estimators methods whose text refers to pages of its own.
_foreign = "set_fit_request, set_partial_fit_request, set_score_request"
autodoc_default_options = {
    "members": True,
    "show-inheritance": True,
    "exclude-members": _foreign,
}
autodoc_member_order = "bysource"
#: The extra `docs` has it not.
autodoc_mock_imports = [name for name in ("sklearn",) if importlib.util.find_spec(name) is None]
autodoc_typehints = "none"  # numpydoc sections say it; signatures stay short
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

html_theme = "furo"
html_title = f"eprop {release}"
copybutton_exclude = ".linenos, .gp, .go"
