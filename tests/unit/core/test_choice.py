"""Which module of the core is taken: by processor, by environment variable; what is said where none can be, and its types."""

from __future__ import annotations

import difflib
import json
import os
import pathlib
import re
import runpy
import shutil
import subprocess
import sys
import time
from typing import Any

import pytest

from eprop import core
from eprop.core import record

pytestmark = pytest.mark.tiny

MACROS = "#define __AVX2__ 1\n#define __AVX512F__ 1\n#define __x86_64__ 1\n#define __LZCNT__ 1\n"


def test_the_module_describes_itself() -> None:
    facts = core.describe()
    assert set(facts) == {"level", "compiler", "flags", "features"}
    assert facts["level"] in core.built_levels()
    assert "-ffp-contract=off" in facts["flags"]
    assert facts["features"] == core._facts["features"]


def test_macros_of_the_compiler_are_features_of_the_processor() -> None:
    assert record.features_of(MACROS) == ["avx2", "abm", "avx512f"]


def test_the_commit_is_that_of_the_checkout(tmp_path: pathlib.Path) -> None:
    assert record.commit(tmp_path) == "unknown"  # no repository
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    try:
        subprocess.run([*git, "init", "-q"], check=True)
    except OSError:
        pytest.skip("git is not installed")
    (tmp_path / "file").write_text("1")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "--no-gpg-sign", "-m", "first"], check=True)
    first = record.commit(tmp_path)
    assert re.fullmatch("[0-9a-f]{10,}", first)
    (tmp_path / "file").write_text("2")
    assert record.commit(tmp_path) == f"{first}-dirty"
    (tmp_path / "unpacked").mkdir()
    assert record.commit(tmp_path / "unpacked") == "unknown"  # the repository around it is not its own


def test_what_this_processor_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "processor_features", lambda: frozenset({"avx2"}))
    assert core.missing_features({"features": ["avx2", "avx512f"]}) == ["avx512f"]
    monkeypatch.setattr(core, "processor_features", lambda: None)  # a system that does not say
    assert core.missing_features({"features": ["avx2", "avx512f"]}) == []


@pytest.fixture
def modules(tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder with a module for three levels: the one that runs, which no record of theirs is true of."""
    source = pathlib.Path(core.lib.__file__)
    for level, features in (("v2", []), ("v3", ["not-there"]), ("v4", ["nor-this", "nor-that"])):
        shutil.copy(source, tmp_path / source.name.replace(f"_{core.lib.level}", f"_{level}", 1))
        facts = {"level": level, "features": features, "digest": "", "read": 0}
        (tmp_path / f"_{level}.json").write_text(json.dumps(facts))
    return tmp_path


def chosen(folder: pathlib.Path, level: str = "") -> Any:
    code = "import eprop.core as core; print(core._spec.name)"
    environment = {**os.environ, "EPROP_CORE_FOLDER": str(folder), "EPROP_CORE_LEVEL": level}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    return (done.stdout + done.stderr).strip().splitlines()[-1]


def can_choose() -> None:
    if core.processor_features() is None:
        pytest.skip("the system does not say what the processor can do")


def test_none_that_the_processor_cannot_run(modules: pathlib.Path) -> None:
    can_choose()
    said = chosen(modules, "v4")
    assert "core for x86-64-v4 cannot run here: this processor lacks nor-this, nor-that; build it here: pip" in said
    (modules / "_v2.json").write_text(json.dumps({"features": ["no-more"]}))
    assert "core for x86-64-v2 cannot run here: this processor lacks no-more" in chosen(modules)


def test_none_that_is_not_there(modules: pathlib.Path, tmp_path: pathlib.Path) -> None:
    assert "but eprop's core was not built for it (available: v4, v3, v2)" in chosen(modules, "native")
    assert "EPROP_CORE_LEVEL is 'v9': expected one of native, v4, v3, v2" in chosen(modules, "v9")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "ImportError: eprop's core is not built: build it here: pip install" in chosen(empty)


def test_a_build_for_another_machine(modules: pathlib.Path) -> None:
    can_choose()
    (modules / "_v2.json").rename(modules / "_native.json")
    module = next(modules.glob("_v2.*"))
    module.rename(modules / module.name.replace("_v2", "_native"))
    (modules / "_native.json").write_text(json.dumps({"features": ["avx1024"]}))
    said = chosen(modules)
    assert "was built for another processor, perhaps in a home folder that machines share: it uses avx1024" in said


# ------------------------------------------------------------------------------------------------- sources that change
@pytest.fixture
def sources(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "core"
    (folder / "synapses").mkdir(parents=True)
    (folder / "stream.cpp").write_text("one")
    (folder / "synapses" / "stdp.hpp").write_text("two")
    return folder


def test_changed_sources_are_noticed(sources: pathlib.Path, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "_native.json"
    record._main("write", str(path), str(sources), "level=native", "features=avx2 fma")
    facts = json.loads(path.read_text())
    assert facts["features"] == ["avx2", "fma"]
    assert not record.is_old(path, facts, sources)
    later = time.time_ns() + 10**9
    (sources / "synapses" / "stdp.hpp").write_text("three")
    os.utime(sources / "synapses" / "stdp.hpp", ns=(later, later))
    assert record.is_old(path, facts, sources)
    (sources / "synapses" / "stdp.hpp").write_text("two")  # as it was, but later
    assert not record.is_old(path, facts, sources)
    assert json.loads(path.read_text())["read"] > facts["read"]  # so that it is not read again and again
    (sources / "synapses" / "stdp.hpp").unlink()
    assert record.is_old(path, facts, sources)


def test_what_runs_is_what_is_there(root: pathlib.Path) -> None:
    if not (root / "src" / "eprop" / "core" / "__init__.py").samefile(core.__file__):
        pytest.skip("installed without its sources")
    assert core._facts["digest"] == record.digest(root / "core")


def test_the_stub_has_the_types_of_the_module(root: pathlib.Path) -> None:
    pytest.importorskip("nanobind.stubgen")
    script = root / "build_backend" / "core_stub.py"
    if not script.exists():
        pytest.skip("only in a checkout")
    made = runpy.run_path(str(script))
    found, wanted = made["STUB"].read_text(encoding="utf-8"), made["stub"]()
    changes = list(
        difflib.unified_diff(found.splitlines(), wanted.splitlines(), "_core.pyi", "module", n=0, lineterm="")
    )
    assert not changes, "run `python build_backend/core_stub.py --write`:\n" + "\n".join(changes[:20])
