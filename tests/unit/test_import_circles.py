"""Imports run one way, inside a folder as well: no module needs, while it is loaded, one that needs it."""

from __future__ import annotations

import ast
import graphlib
import pathlib

import pytest

import eprop

SOURCES = pathlib.Path(eprop.__file__).parents[1]


def modules() -> dict[str, pathlib.Path]:
    """Files of the package by the names of their modules."""
    files = sorted((SOURCES / "eprop").rglob("*.py"))
    names = (".".join(path.relative_to(SOURCES).with_suffix("").parts).removesuffix(".__init__") for path in files)
    return dict(zip(names, files, strict=True))


def imported_at_once(tree: ast.Module, known: dict[str, pathlib.Path]) -> set[str]:
    """Modules of the package that are needed while a module is loaded: not those for type checkers, or inside functions."""
    found: set[str] = set()
    waiting: list[ast.stmt] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.dump(node.test):
            waiting += [*node.body, *node.orelse]
        elif isinstance(node, ast.Try):
            waiting += node.body
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in known else str(node.module) for name in whole}
    return found & known.keys()


@pytest.mark.tiny
def test_no_module_imports_itself_by_a_circle() -> None:
    known = modules()
    assert len(known) > 200
    graph = {name: imported_at_once(ast.parse(path.read_text("utf-8")), known) for name, path in known.items()}
    assert graph["eprop.training.sample_learner"] >= {"eprop.training.learner", "eprop.engine"}
    graphlib.TopologicalSorter(graph).prepare()  # raises an error that lists the circle
