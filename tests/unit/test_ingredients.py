"""Functions that only compiled code calls: they can be tried from Python all the same."""

from __future__ import annotations

import numpy as np
import pytest

from eprop import _jit
from eprop._jit import apart, bind, inline, inner


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
