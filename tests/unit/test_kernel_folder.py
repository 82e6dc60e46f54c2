"""Compiled code is kept where the user wants it, or nowhere: never beside the sources."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

import eprop._jit as jit
from eprop.errors import CacheWarning

pytestmark = pytest.mark.tiny


def test_a_folder_that_cannot_be_written_is_told(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("EPROP_CACHE_DIR", str(tmp_path / "file"))
    with pytest.warns(CacheWarning, match=r"file.*cannot be written.*Set EPROP_CACHE_DIR to a folder that can"):
        found = jit._kernel_folder()
    assert found.is_dir()
    assert tmp_path not in found.parents


def test_what_stands_in_for_it_goes_with_the_process(tmp_path):
    (tmp_path / "file").write_text("in the way")
    program = "import eprop, eprop._jit as jit; print(jit.CACHE_DIR)"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], env={**os.environ, "EPROP_CACHE_DIR": str(tmp_path / "file")},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    folder = pathlib.Path(done.stdout.strip())
    assert folder.name.startswith("eprop-kernels-")
    assert not folder.exists()


@pytest.mark.skipif(jit.JIT_DISABLED, reason="nothing is compiled")
def test_of_two_processes_one_compiles(tmp_path):
    program = """
import numpy as np
import eprop._jit as jit
from eprop.kernels.neurons import integrate_readouts
with jit.watch_compiling(lambda: print("compiled")):
    integrate_readouts(0, 0, 0, np.zeros((20, 1)), np.zeros(1), np.zeros(1))
"""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program], env={**os.environ, "EPROP_CACHE_DIR": str(tmp_path)}, stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]  # fmt: skip
    found = [process.communicate()[0].count(b"compiled") for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert min(found) == 0 < max(found)
