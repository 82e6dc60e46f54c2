"""Builds the package: scikit-build-core's backend, and a C++ compiler from PyPI where the machine has none.

Settings, each as ``-C NAME=VALUE`` of pip or ``build``, or in the environment:

========  ================  =========================================================================================
levels    EPROP_LEVELS      processor levels of the core: ``native`` (the default), for wheels ``v2,v3,v4`` or ``generic``
kinds     EPROP_KINDS       loops of e-prop+: ``all`` (the default) or ``generic``, the few that run every neuron, built sooner
glibc     EPROP_GLIBC       oldest GNU C library to support, such as ``2.28``; built with the compiler from PyPI then
========  ================  =========================================================================================

All others are scikit-build-core's own.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pathlib
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from typing import Any

from scikit_build_core import build as _scikit

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

Settings = dict[str, Any] | None

_ZIG = "ziglang>=0.14"
#: What a compiler must be able to do: C++20, its library with waiting on atomics, threads.
_PROGRAM = """
#include <atomic>
#include <span>
#include <thread>
int main() {
  std::atomic<int> ready{0};
  std::thread other([&] { ready = 1; ready.notify_all(); });
  ready.wait(0);
  other.join();
  return static_cast<int>(std::span<const int>{}.size());
}
"""
_HELP = """
eprop's core is compiled when the package is installed, and that needs a C++20 compiler (GCC 12, Clang 16,
Apple Clang 15 or newer).
Install one and try again:

    Debian, Ubuntu    apt install g++
    Fedora, RHEL      dnf install gcc-c++     (RHEL 8 and 9: gcc-toolset-12)
    macOS             xcode-select --install
    conda             conda install -c conda-forge cxx-compiler
    a cluster         module load gcc         (then: export CXX=g++)

Where there is none, the build takes the package "ziglang" from PyPI, which is a C++ compiler; {reason}
"""
_NO_HEADERS = """
eprop's core is compiled when the package is installed, and that needs the headers of Python {version}, which are not there
(Python.h was sought in {folder}). Install them and try again:

    Debian, Ubuntu    apt install python3-dev
    Fedora, RHEL      dnf install python3-devel
"""


def get_requires_for_build_sdist(config_settings: Settings = None) -> list[str]:
    """Packages that an sdist needs: none of ours."""
    return _scikit.get_requires_for_build_sdist(_for_scikit(config_settings))


def get_requires_for_build_wheel(config_settings: Settings = None) -> list[str]:
    """CMake and Ninja where they are missing, and a compiler where that is."""
    return _scikit.get_requires_for_build_wheel(_for_scikit(config_settings)) + _compiler_requires(config_settings)


def get_requires_for_build_editable(config_settings: Settings = None) -> list[str]:
    """The same for an editable installation."""
    return _scikit.get_requires_for_build_editable(_for_scikit(config_settings)) + _compiler_requires(config_settings)


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings: Settings = None) -> str:
    """Metadata; nothing is compiled for it."""
    return _scikit.prepare_metadata_for_build_wheel(metadata_directory, _for_scikit(config_settings))


def prepare_metadata_for_build_editable(metadata_directory: str, config_settings: Settings = None) -> str:
    """The same for an editable installation."""
    return _scikit.prepare_metadata_for_build_editable(metadata_directory, _for_scikit(config_settings))


def build_sdist(sdist_directory: str, config_settings: Settings = None) -> str:
    """The sources; nothing is compiled."""
    return _scikit.build_sdist(sdist_directory, _for_scikit(config_settings))


def build_wheel(wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None) -> str:
    """A wheel for this machine, or for the levels that are asked for."""
    with _compiler(config_settings):
        return _scikit.build_wheel(wheel_directory, _for_scikit(config_settings), metadata_directory)


def build_editable(
    wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None
) -> str:
    """An editable installation. Without build isolation the folder ``build/`` is kept, so that the next one takes less time."""
    settings = _for_scikit(config_settings)
    if not _is_isolated():
        settings.setdefault("build-dir", "build/{wheel_tag}")
    with _compiler(config_settings):
        return _scikit.build_editable(wheel_directory, settings, metadata_directory)


# ------------------------------------------------------------------------------------------------------------- settings
def _setting(config_settings: Settings, name: str) -> str:
    return str((config_settings or {}).get(name) or os.environ.get(f"EPROP_{name.upper()}", ""))


def _for_scikit(config_settings: Settings) -> dict[str, Any]:
    """The settings without ours, which become definitions for CMake."""
    settings = {
        name: value for name, value in (config_settings or {}).items() if name not in ("levels", "kinds", "glibc")
    }
    levels = _setting(config_settings, "levels").replace(",", " ").replace(";", " ").split()
    if levels:
        settings["cmake.define.EPROP_LEVELS"] = ";".join(levels)
    if kinds := _setting(config_settings, "kinds"):
        settings["cmake.define.EPROP_KINDS"] = kinds
    return settings


def _is_isolated() -> bool:
    """Whether the tools come from a folder made for this build, and not from the environment that it is for."""
    nanobind = importlib.util.find_spec("nanobind")
    own = {pathlib.Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib")}
    return nanobind is None or not own & set(pathlib.Path(str(nanobind.origin)).resolve().parents)


# ------------------------------------------------------------------------------------------------------------- compilers
def _compiles(command: list[str], *options: str) -> bool:
    """Whether a command compiles and links C++20."""
    if shutil.which(command[0]) is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder, "program.cpp")
        source.write_text(_PROGRAM, encoding="utf-8")
        arguments = ["-std=c++20", "-pthread", *options, str(source), "-o", str(source.with_suffix(""))]
        try:
            return subprocess.run([*command, *arguments], capture_output=True, check=False, cwd=folder).returncode == 0
        except OSError:
            return False


def _own_compiler() -> list[str] | None:
    """A compiler of this machine that will do: the one that CXX names, if it is set; else c++, g++ or clang++."""
    if os.environ.get("CXX"):
        commands = [shlex.split(os.environ["CXX"])]
    else:
        commands = [["c++"], ["g++"], ["clang++"], *([f"g++-{n}"] for n in range(20, 11, -1))]
        commands += [[f"clang++-{n}"] for n in range(24, 15, -1)]
    return next((command for command in commands if _compiles(command)), None)


def _compiler_requires(config_settings: Settings) -> list[str]:
    if _setting(config_settings, "glibc"):
        return [_ZIG]
    if _own_compiler() is not None:
        return []
    sys.stderr.write(
        "eprop: there is no C++20 compiler here; one comes from PyPI (ziglang), which takes some minutes\n"
    )
    return [_ZIG]


@contextlib.contextmanager
def _compiler(config_settings: Settings) -> Iterator[None]:
    """A compiler in CXX: the machine's own, or programs that call the one from PyPI."""
    _check_headers()
    added: dict[str, str] = {"CMAKE_BUILD_PARALLEL_LEVEL": str(_cores())}
    glibc = _setting(config_settings, "glibc")
    own = None if glibc else _own_compiler()
    with tempfile.TemporaryDirectory(prefix="eprop-compiler-") as folder:
        if own is None:
            added |= _from_pypi(pathlib.Path(folder), glibc)
        elif own != ["c++"]:
            added["CXX"] = shlex.join(own)
        with _environment(added):
            yield


def _from_pypi(folder: pathlib.Path, glibc: str) -> dict[str, str]:
    """Programs that CMake can call for the compiler from PyPI, in a folder, and the variables that name them."""
    package = importlib.util.find_spec("ziglang")
    places = list(package.submodule_search_locations or ()) if package is not None else []
    program = next((path for place in places if (path := pathlib.Path(place, "zig")).is_file()), None)
    if program is None:
        raise SystemExit(_HELP.format(reason="but it is not there (without build isolation: pip install ziglang)."))
    target = f"-target {platform.machine()}-linux-gnu.{glibc}" if glibc else ""
    # One level of optimisation for all: else it would compile its own libraries twice.
    tools = {"c++": f"c++ {target} -O3 -fno-sanitize=all {_debian_headers(folder)}", "ar": "ar", "ranlib": "ranlib"}
    for name, command in tools.items():
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(str(program))} {command} "$@"\n', encoding="utf-8")
        script.chmod(0o755)
    # What it compiles of its own libraries is kept where a later build finds it for as long as the machine keeps temporary files.
    cache = pathlib.Path(tempfile.gettempdir(), f"eprop-ziglang-{os.getuid()}")
    cached = {name: os.environ.get(name, str(cache)) for name in ("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR")}
    with _environment(cached):
        if not _compiles([str(folder / "c++")], "-shared", "-fPIC"):
            raise SystemExit(_HELP.format(reason=f"it is there, but does not work here: try {program} c++ --version."))
    tools = {f"CMAKE_{tool.upper()}": str(folder / tool) for tool in ("ar", "ranlib")}
    arguments = [os.environ.get("CMAKE_ARGS", ""), *(f"-D{name}={shlex.quote(path)}" for name, path in tools.items())]
    # CMake's questions must make no programs, for which it would compile its libraries once more.
    arguments.append("-DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY")
    return {"CXX": str(folder / "c++"), "CMAKE_ARGS": " ".join(arguments).strip(), **cached}


def _debian_headers(folder: pathlib.Path) -> str:
    """An option for where Debian keeps a part of Python's headers, which a compiler for another C library does not look at."""
    kind, python = sysconfig.get_config_var("MULTIARCH") or "none", pathlib.Path(sysconfig.get_path("include"))
    part = python.parent / kind / python.name
    if not part.is_dir():
        return ""
    (folder / "headers" / kind).mkdir(parents=True)
    (folder / "headers" / kind / python.name).symlink_to(part)
    return f"-idirafter {shlex.quote(str(folder / 'headers'))}"


def _check_headers() -> None:
    folder = sysconfig.get_path("include")
    if not pathlib.Path(folder, "Python.h").exists() and not os.environ.get("CMAKE_ARGS"):
        raise SystemExit(_NO_HEADERS.format(version=platform.python_version(), folder=folder))


def _cores() -> int:
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return int(os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL", allowed))


@contextlib.contextmanager
def _environment(added: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(added)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
