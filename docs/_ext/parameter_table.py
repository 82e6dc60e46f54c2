"""Document the parameters of a description from where they are declared: default, unit, bounds, symbol, NEST's name."""

from __future__ import annotations

import dataclasses
from typing import Any

from sphinx.application import Sphinx

from eprop.parameters import Description, ParameterInfo, parameters_of


def _bounds(info: ParameterInfo) -> str:
    """Bounds in words, such as ``> 0, < 1``."""
    signs = ((">", info.above), (">=", info.at_least), ("<", info.below), ("<=", info.at_most))
    return ", ".join(f"{sign} {bound:g}" for sign, bound in signs if bound is not None)


def _kind(info: ParameterInfo) -> str:
    kinds = info.kind if isinstance(info.kind, tuple) else (info.kind,)
    name = " or ".join(kind.__name__ for kind in kinds)
    return f"{name} or None" if info.optional else name


def parameter_section(cls: type[Description]) -> list[str]:
    """Numpydoc section with one entry for each declared parameter."""
    defaults = {field.name: field.default for field in dataclasses.fields(cls)}
    lines: list[str] = []
    for name, info in parameters_of(cls):
        kind = _kind(info) if defaults[name] is dataclasses.MISSING else f"{_kind(info)}, default {defaults[name]!r}"
        facts = [info.doc]
        if allowed := " ".join(filter(None, (_bounds(info), info.unit))):
            facts.append(allowed)
        if info.symbol:
            facts.append(f"symbol {info.symbol}")
        if info.nest:
            facts.append(f"NEST: ``{info.nest}``")
        lines += [f"{name} : {kind}", "    " + ("; ".join(filter(None, facts)) or name) + "."]
    return ["Parameters", "----------", *lines, ""] if lines else []


def _add(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Put the section behind the summary, unless the docstring has one of its own."""
    if what != "class" or not isinstance(thing, type) or not issubclass(thing, Description):
        return
    if "Parameters" in lines or not dataclasses.is_dataclass(thing):
        return
    sections = [i - 1 for i, line in enumerate(lines) if i and line and set(line) == {"-"}]
    at = sections[0] if sections else len(lines)
    lines[at:at] = ["", *parameter_section(thing)]


def setup(app: Sphinx) -> dict[str, Any]:
    """Run before numpydoc reads the docstring."""
    app.connect("autodoc-process-docstring", _add, priority=100)
    return {"parallel_read_safe": True}
