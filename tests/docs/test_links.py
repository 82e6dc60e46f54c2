"""What the pages refer to exists: functions beside equations, files, headings."""

from __future__ import annotations

import importlib
import pathlib
import re

import pytest

DOCS = pathlib.Path(__file__).parents[2] / "docs"
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md") if "_build" not in path.parts)
ROLE = re.compile(r"\{(?:func|class|mod|meth|attr|data)\}`~?([\w.]+)`")
LINK = re.compile(r"\]\((?!https?://)([^)#\s]*)(?:#([^)\s]+))?\)")


def resolve(name: str) -> object:
    """The object with a dotted name: the longest part that is a module, then attributes."""
    parts = name.split(".")
    for n in range(len(parts), 0, -1):
        try:
            thing: object = importlib.import_module(".".join(parts[:n]))
        except ModuleNotFoundError:
            continue
        for part in parts[n:]:
            thing = getattr(thing, part)
        return thing
    raise AttributeError(name)


def anchors(text: str) -> set[str]:
    """Names under which the headings of a page can be linked to."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_objects_exist(page: str) -> None:
    for name in ROLE.findall((DOCS / page).read_text(encoding="utf-8")):
        resolve(name)


@pytest.mark.parametrize("page", PAGES)
def test_files_and_headings_exist(page: str) -> None:
    path = DOCS / page
    text = path.read_text(encoding="utf-8")
    for file, anchor in LINK.findall(text):
        target = path.parent / file if file else path
        assert target.is_file(), f"{page} links to {file}"
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), f"{page} links to {file}#{anchor}"


def test_the_mathematics_names_a_function_for_each_equation() -> None:
    """Every module of equations appears on the page."""
    named = ROLE.findall((DOCS / "maths.md").read_text(encoding="utf-8"))
    for path in (DOCS.parent / "src/eprop/equations").glob("[a-z]*.py"):
        assert any(name.startswith(f"eprop.equations.{path.stem}") for name in named), path.stem
