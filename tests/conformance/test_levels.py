"""All levels of x86-64 for which the core was built give the same bits, in a process of its own each.

Wheels hold three levels, a build for one machine holds none of them: ``EPROP_CORE_FOLDER`` names the folder ``eprop/core`` of an
installed wheel (``.ci/run`` builds one).
"""

from __future__ import annotations

import functools
import json
import os
import pathlib
import subprocess
import sys

import pytest

from eprop import core

ROOT = pathlib.Path(__file__).parents[1]


@functools.cache
def digests(level: str) -> dict[str, str]:
    """Of states, from a process that uses one level."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "small_runs.py")], capture_output=True, text=True, check=False,
        env={**os.environ, "EPROP_CORE_LEVEL": level},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def needs(level: str) -> None:
    """Skip where a level is not there, or cannot run."""
    if level not in core.built_levels():
        pytest.skip(f"the core was not built for {level}: EPROP_CORE_FOLDER names no wheel's")
    spec = core._find(level)
    assert spec is not None
    missing = core.missing_features(json.loads(core._record(spec).read_text()))
    if missing:
        pytest.skip(f"this processor cannot run {level}: it lacks {', '.join(missing)}")


@pytest.mark.parametrize("level", ["v3", "v4"])
def test_levels_give_the_same_bits(level: str) -> None:
    needs("v2")
    needs(level)
    assert digests(level) == digests("v2")
