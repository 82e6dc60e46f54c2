"""The build backend: its settings, and what it does where there is no compiler. Nothing is compiled but a few lines."""

from __future__ import annotations

import importlib.util
import os
import pathlib
import sys
from typing import Any

import pytest

pytest.importorskip("scikit_build_core", reason="the tools to build with are not installed")


@pytest.fixture
def backend(root: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    path = root / "build_backend" / "eprop_build.py"
    if not path.exists():
        pytest.skip("no sources")
    spec = importlib.util.spec_from_file_location("eprop_build", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("EPROP_LEVELS", "EPROP_KINDS", "EPROP_GLIBC", "CXX", "CMAKE_ARGS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(root)
    return module


def test_levels_are_told_to_cmake(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert backend._for_scikit(None) == {}
    settings = {"levels": "v2,v3", "glibc": "2.28", "build-dir": "here"}
    assert backend._for_scikit(settings) == {"build-dir": "here", "cmake.define.EPROP_LEVELS": "v2;v3"}
    monkeypatch.setenv("EPROP_LEVELS", "v2;v3;v4")
    assert backend._for_scikit({})["cmake.define.EPROP_LEVELS"] == "v2;v3;v4"
    assert backend._for_scikit({"kinds": "generic"})["cmake.define.EPROP_KINDS"] == "generic"


def test_a_compiler_is_asked_for_only_where_there_is_none(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if backend._own_compiler() is not None:
        assert not [name for name in backend.get_requires_for_build_wheel() if name.startswith("ziglang")]
    assert [n for n in backend.get_requires_for_build_wheel({"glibc": "2.28"}) if n.startswith("ziglang")]
    monkeypatch.setenv("PATH", os.path.dirname(sys.executable))
    monkeypatch.setattr(backend, "_compiles", lambda command: False)
    for hook in (backend.get_requires_for_build_wheel, backend.get_requires_for_build_editable):
        assert [name for name in hook() if name.startswith("ziglang")]
    assert not [name for name in backend.get_requires_for_build_sdist() if name.startswith("ziglang")]


def test_a_compiler_that_does_not_compile(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "false")
    assert backend._own_compiler() is None
    monkeypatch.setenv("CXX", "no-such-program -x")
    assert backend._own_compiler() is None


def test_where_there_is_none_at_all_it_is_said_what_to_install(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(backend.importlib.util, "find_spec", lambda name: None if name == "ziglang" else found(name))
    monkeypatch.setattr(backend, "_own_compiler", lambda: None)
    monkeypatch.setattr(backend, "_check_headers", lambda: None)
    with pytest.raises(SystemExit, match=r"apt install g\+\+[\s\S]*pip install ziglang"), backend._compiler(None):
        pass


def test_headers_of_python_are_asked_for(backend: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    monkeypatch.setattr(backend.sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(SystemExit, match="apt install python3-dev"):
        backend._check_headers()
