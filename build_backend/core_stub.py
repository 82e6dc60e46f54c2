"""Types of the native core for type checkers and editors: writes ``src/eprop/core/_core.pyi`` from the compiled module.

``python build_backend/core_stub.py`` prints the stub; with ``--write``, after a change of ``core/bindings/``, it replaces it.
"""

from __future__ import annotations

import pathlib
import re
import sys

STUB = pathlib.Path(__file__).parents[1] / "src" / "eprop" / "core" / "_core.pyi"
_HEAD = '"""The native core, whose loops are in `core/`. Made by ``build_backend/core_stub.py`` from ``core/bindings/``."""\n\n'


def stub() -> str:
    """Stub of the compiled module that `eprop.core` loads; the same for all levels of processors."""
    from nanobind.stubgen import StubGen

    from eprop.core import lib

    generator = StubGen(lib)
    generator.put(lib)
    text = generator.get().replace(lib.__name__, "eprop.core._core")
    text = re.sub(r"^(\w+: \w+) = .*$", r"\1", text, flags=re.MULTILINE)  # facts of this build
    text = re.sub(
        r"Annotated\[(NDArray\[[\w.]+\]), dict\([^\]]*?\)\]", r"\1", text
    )  # the bindings check shape and layout
    text = re.sub(r"^(\w+): dict$", r"\1: dict[str, int]", text, flags=re.MULTILINE)
    text = re.sub(r"\bdict\b(?!\[)", "dict[str, NDArray[numpy.generic]]", text)
    text = re.sub(r"\btuple\b(?!\[)", "tuple[object, ...]", text)
    return _HEAD + text.replace("from typing import Annotated, overload", "from typing import overload")


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        STUB.write_text(stub(), encoding="utf-8")
    else:
        sys.stdout.write(stub())
