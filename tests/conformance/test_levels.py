"""Every processor level gives the bits of the installed core, in a process of its own.

Wheels hold several levels, a build for one machine holds ``native``: ``EPROP_CORE_FOLDER`` names the folder ``eprop/core`` of an
installed wheel, or of a build with sanitizers for another level (``.ci/run`` has both).
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest

from eprop import core

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed() -> dict[str, str]:
    """Digests of the core that is installed with these tests."""
    return digests(EPROP_CORE_FOLDER=None, EPROP_CORE_LEVEL=None)


def digests(**settings: str | None) -> dict[str, str]:
    """Digests of states, from a process with these environment variables."""
    environment = {name: value for name, value in {**os.environ, **settings}.items() if value is not None}
    command = [sys.executable, str(ROOT / "small_runs.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.tiny
@pytest.mark.skipif("EPROP_CORE_FOLDER" not in os.environ, reason="EPROP_CORE_FOLDER names no other build")
@pytest.mark.parametrize("level", ["v2", "v3", "generic", "v4"])
def test_level_does_not_change_bits(level: str, installed: dict[str, str]) -> None:
    spec = core._find(level)
    if spec is None:
        pytest.skip(f"EPROP_CORE_FOLDER has no core for {level}")
    if missing := core.missing_features(json.loads(core._record(spec).read_text(encoding="utf-8"))):
        pytest.skip(f"this processor cannot run {level}: it lacks {', '.join(missing)}")
    assert digests(EPROP_CORE_LEVEL=level) == installed
