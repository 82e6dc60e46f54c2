"""The walks of the pages on a spike and on a training: each function calls the next."""

from __future__ import annotations

import ast
import itertools
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[2]
HOP = re.compile(r"^\d+\. `([\w/]+\.\w+): (\w+)`", re.MULTILINE)
#: Page, what stands before the walk, its first function, and its largest number of hops.
WALKS = {
    "run": ("life_of_a_spike.md", "{meth}`eprop.Simulator.run`", "src/eprop/engine/simulator.py", 12),
    "train": ("life_of_a_spike.md", "{meth}`eprop.Simulator.train`", "src/eprop/engine/simulator.py", 10),
    "command": ("life_of_a_training.md", "`eprop train nmnist` is a command", "src/eprop/cli/train.py", 7),
}


def walk(call: str) -> list[tuple[str, str]]:
    page, before, _, _ = WALKS[call]
    text = (ROOT / "docs" / "project" / page).read_text(encoding="utf-8")
    begin = text.index(before)
    return HOP.findall(text[begin : text.index("\n\n", text.index("0. ", begin))])


def bodies(file: str, name: str) -> list[str]:
    """Texts of the functions with this name."""
    text = (ROOT / file).read_text(encoding="utf-8")
    if file.endswith((".py", ".pyi")):
        found = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef) and node.name == name]
        return [ast.get_source_segment(text, node) or "" for node in found]
    return [
        m[0] for m in re.finditer(rf"^\S[^\n;]*\b{name}\((?:[^;]*?)\) \{{\n.*?^\}}", text, re.MULTILINE | re.DOTALL)
    ]


@pytest.mark.parametrize("call", WALKS)
def test_functions_of_a_walk_call_each_other(call: str) -> None:
    hops = walk(call)
    assert hops[0] == (WALKS[call][2], call)
    for (file, name), (next_file, following) in itertools.pairwise(hops):
        assert bodies(next_file, following), f"{next_file} does not define {following}"
        through_door = file.endswith(".pyi")  # its docstring names the function of C++, unless that is called alike
        called = rf"\b{following}\b" if through_door else rf"\b{following}(?:<[^()]*>)?\("
        assert any(re.search(called, body) for body in bodies(file, name)), f"{file}: {name} does not call {following}"


@pytest.mark.parametrize("call", WALKS)
def test_walks_are_short(call: str) -> None:
    assert 1 < len(walk(call)) - 1 <= WALKS[call][3]
