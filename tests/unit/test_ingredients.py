"""Functions that only compiled code calls: they can be tried from Python all the same."""

from __future__ import annotations

import numpy as np
import pytest
from numba.core.codegen import JITCodeLibrary

from eprop import _jit
from eprop._jit import apart, bind, inline, inner, prange


def add(out, x):
    """Not in place, so that there is something to return."""
    out[0] += x
    return out[0] * 2.0


@pytest.mark.parametrize("decorate", [inner, inline, apart, lambda function: bind(function, "bound")])
def test_they_can_be_called_from_python(decorate):
    called, out = decorate(add), np.ones(1)
    assert called(out, 2.0) == 6.0

    @_jit.outer
    def calls_it(out, x):
        return called(out, x)

    assert calls_it(out, 3.0) == 12.0
    assert called(out, 1.0) == 14.0  # compiled for both by now
    assert out.tolist() == [7.0]


def add_on_threads(out, x):
    """One number for each thread."""
    for k in prange(out.shape[0]):
        out[k] += x


@pytest.mark.skipif(_jit.JIT_DISABLED, reason="compiled code is what it is about")
@pytest.mark.parametrize("outer", [True, False])
def test_a_parallel_loop_becomes_machine_code_once(outer, monkeypatch):
    """Within the function that it is in: not beside it, nor for the functions that Numba puts around it."""
    made, make = [], JITCodeLibrary._finalize_specific

    def note(library):
        made.append(library.name)
        make(library)

    monkeypatch.setattr(JITCodeLibrary, "_finalize_specific", note)
    on_threads, out = bind(add_on_threads, "on_threads", parallel=True, outer=outer), np.zeros(3)
    on_threads(out, 2.0)
    assert out.tolist() == [2.0, 2.0, 2.0]
    assert made.count("on_threads" if outer else "on_threads_alone") == 1
    assert not [name for name in made if "gufunc" in name.lower()]
