"""The walks of the pages on a spike and on a training: each function calls the next, or gives it to one that does."""

from __future__ import annotations

import ast
import itertools
import pathlib
import re
from typing import NamedTuple

import pytest

ROOT = pathlib.Path(__file__).parents[2]
HOP = re.compile(r"^\d+\. `([\w/]+\.\w+): (\w+)(?:\((.*)\))?`", re.MULTILINE)
#: Page, what stands before the walk, its first function, and its number of hops.
WALKS = {
    "run": ("life_of_a_spike.md", "{meth}`eprop.Simulator.run`", "src/eprop/engine/simulator.py", 18),
    "train": ("life_of_a_spike.md", "{meth}`eprop.Simulator.train`", "src/eprop/engine/simulator.py", 9),
    "command": ("life_of_a_training.md", "`eprop train nmnist` is a command", "src/eprop/cli/train.py", 6),
}
#: A parameter that is a function.
GIVEN = re.compile(r"std::function<|const Visit& |const Work& |const F& |F&& ")
CALLEE = re.compile(r"(\w+)(?:<[^()]*>)?$")
LAMBDA = re.compile(r"(?:(\w+) = )?\[[^][]*\](?:<[^()]*>)?(?:\([^()]*\))? ?(?:EPROP_INLINED )?$")


class Hop(NamedTuple):
    """A function; ``parameters`` (text) tell which one, where several have its name."""

    file: str
    name: str
    parameters: str

    @property
    def takes_a_function(self) -> bool:
        return bool(GIVEN.search(function(self).partition(") {\n")[0]))

    @property
    def call(self) -> str:
        """A pattern of its call, with as many arguments as it has parameters if those are told."""
        if self.file.endswith(".pyi"):
            return rf"\b(?:online|core)\.{self.name}\b"
        more = r"[^,;]*," * self.parameters.count(",") + r"[^,;]*\);" if self.parameters else ""
        return rf"\b{self.name}(?:<[^()]*>)?\({more}"


def walk(call: str) -> list[Hop]:
    page, before, _, _ = WALKS[call]
    text = (ROOT / "docs" / "project" / page).read_text(encoding="utf-8")
    begin = text.index(before)
    return [Hop(*found) for found in HOP.findall(text[begin : text.index("\n\n", text.index("0. ", begin))])]


def function(hop: Hop) -> str:
    """The text of the only function that a hop names."""
    text = (ROOT / hop.file).read_text(encoding="utf-8")
    if hop.file.endswith((".py", ".pyi")):
        found = [
            node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef) and node.name == hop.name
        ]
        bodies = {ast.get_source_segment(text, node) or "" for node in found}
    else:
        head = re.compile(rf"^\S[^\n;]*\b{hop.name}\(([^;{{]*?)\) \{{\n.*?^\}}", re.MULTILINE | re.DOTALL)
        names = {m[0]: ", ".join(re.findall(r"(\w+)(?: = [^,]*)?(?:,|$)", m[1])) for m in head.finditer(text)}
        bodies = {body for body, parameters in names.items() if hop.parameters in ("", parameters)}
    assert len(bodies) == 1, (
        f"{hop.file} has {len(bodies)} functions {hop.name}; a walk names one, if need be by its parameters"
    )
    return bodies.pop()


def is_bound(door: Hop, hop: Hop) -> bool:
    """Whether a function is what Python calls by the name of a door, or binds a lambda to it."""
    file, body = (ROOT / hop.file).read_text(encoding="utf-8"), function(hop)
    return bool(re.search(rf'"{door.name}",\s*&{hop.name}\b', file) or re.search(rf'"{door.name}",\s*\[', body))


def given_to(body: str, end: int) -> list[str]:
    """The functions that are given the lambdas around a place, from the outermost on."""
    opened, found = list[str](), list[str]()
    for at, sign in ((m.start(), m[0]) for m in re.finditer(r"[(){}]", body[:end])):
        if sign in ")}":
            opened.pop()
            continue
        before, callee = LAMBDA.search(body[:at]) if sign == "{" else None, CALLEE.search(body[:at])
        if before is None:
            opened.append(callee[1] if sign == "(" and callee else "")
            continue
        passed = re.search(rf"(\w+)(?:<[^()]*>)?\([^()]*\b{before[1]}\)", body)
        opened.append(f"lambda in {(passed[1] if passed else '') if before[1] else opened[-1]}")
    for name in opened:
        found += re.findall(r"lambda in (?!def$)(\w+)", name)  # `def` binds to Python
    return found


@pytest.mark.parametrize("call", WALKS)
def test_functions_of_a_walk_call_each_other(call: str) -> None:
    hops = walk(call)
    assert hops[0][:2] == (WALKS[call][2], call)
    own = [k for k, hop in enumerate(hops) if not hop.takes_a_function]
    for k, after in itertools.pairwise(own):
        hop, following = hops[k], hops[after]
        if hop.file.endswith(".pyi"):
            assert is_bound(hop, following), f"{following.file}: {following.name} is not bound to {hop.name}"
            continue
        python, wanted = hop.file.endswith(".py"), [hop.name for hop in hops[k + 1 : after]]
        body = function(hop).partition(":\n" if python else ") {\n")[2]
        calls = [m.start() for m in re.finditer(following.call, body)]
        through = [[] if python else given_to(body, at) for at in calls]
        assert wanted in through, f"{hop.file}: {hop.name} calls {following.name} through {through}, not {wanted}"


@pytest.mark.parametrize("call", WALKS)
def test_walks_have_as_many_hops_as_they_had(call: str) -> None:
    assert len(walk(call)) - 1 == WALKS[call][3]
