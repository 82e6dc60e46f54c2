"""What the pages refer to exists: functions beside equations, files, headings."""

from __future__ import annotations

import importlib
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md") if "_build" not in path.parts)
ROLE = re.compile(r"\{(?:func|class|mod|meth|attr|data)\}`~?([\w.]+)`")
# A file of the core, and a function that it defines: `core/common/readouts.hpp: readout_errors`.
CORE = re.compile(r"`(core/[\w/]+\.(?:hpp|cpp))(?:: (\w+))?`")
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


def defines(source: str, function: str) -> bool:
    """Whether C++ code defines or declares a function: its name after a type, and not after `return`."""
    return any(
        found.group(1) not in ("return", "else")
        for found in re.finditer(rf"([\w>&*\]]+)\s+[&*]?{function}(?:<[^()]*>)?\(", source)
    )


@pytest.mark.parametrize("page", [*PAGES, "../core/README.md"])
def test_functions_of_the_core_exist(page: str) -> None:
    for file, function in CORE.findall((DOCS / page).read_text(encoding="utf-8")):
        path = ROOT / file
        assert path.is_file(), f"{page} names {file}"
        if function:
            assert defines(path.read_text(encoding="utf-8"), function), f"{page} names {function} of {file}"


def test_the_line_that_changes_a_weight_is_there() -> None:
    """C++ that a page prints is in the core, line by line."""
    core = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "core").rglob("*.hpp"))
    text = (DOCS / "project/life_of_a_spike.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```cpp\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert blocks
    for line in "".join(blocks).splitlines():
        assert line in core, line


def test_a_function_that_is_only_called_is_not_defined() -> None:
    assert defines("template <class Real> Real clip(Real w) { return w; }", "clip")
    assert defines("static Step update(State state) {", "update")
    assert not defines("x = clip(w); return clip(w);", "clip")


MATHEMATICS = ("explanation/maths.md", "explanation/optimisers.md", "explanation/stdp.md", "project/derivations.md")
EQUATIONS = (
    "readouts", "optimizers", "surrogate", "pair_rules", "propagators", "corrections", "effective_weights", "adjoint",
    "gradients", "neurons/lif", "neurons/delta_lif", "synapses/block_start", "synapses/crossing", "synapses/after_cutoff",
    "synapses/per_step", "synapses/readout_synapses", "synapses/stdp",
)  # fmt: skip


def test_the_mathematics_names_a_function_for_each_equation() -> None:
    """Every file of the core that holds equations appears on these pages, and so does the reference."""
    text = "".join((DOCS / page).read_text(encoding="utf-8") for page in MATHEMATICS)
    named = {file for file, _ in CORE.findall(text)}
    assert {f"core/{name}.hpp" for name in EQUATIONS} <= named
    modules = [
        path for path in (ROOT / "src/eprop/reference").glob("[a-z]*.py") if "eprop.engine" not in path.read_text()
    ]
    assert {"neurons", "eprop", "eprop_plus", "stdp"} <= {path.stem for path in modules}
    for path in modules:  # those that hold equations
        assert f"eprop.reference.{path.stem}" in text, path.stem
