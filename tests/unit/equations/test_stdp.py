"""What a pair of spikes does to a weight."""

from __future__ import annotations

import pytest

from eprop.core import lib

pytestmark = pytest.mark.tiny

depress, potentiate = lib.testing.depress, lib.testing.potentiate


@pytest.mark.parametrize("mu", [0.0, 0.3, 1.0])
def test_as_published(mu):
    for w in (0.1, 1.0, 1.9):
        assert potentiate(w, 0.01, mu, 2.0) == pytest.approx(2.0 * (w / 2.0 + 0.01 * (1.0 - w / 2.0) ** mu))
        assert depress(w, 0.01, mu, 2.0) == pytest.approx(2.0 * (w / 2.0 - 0.01 * (w / 2.0) ** mu))


@pytest.mark.parametrize("mu", [0.0, 0.3, 1.0])
def test_bounds(mu):
    assert potentiate(1.9, 3.0, mu, 2.0) == 2.0
    assert depress(0.1, 3.0, mu, 2.0) == 0.0


@pytest.mark.parametrize("mu", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("w", [0.0, 0.1, 0.7, 2.0])
def test_no_trace_no_change(w, mu):
    assert potentiate(w, 0.0, mu, 2.0) == w
    assert depress(w, 0.0, mu, 2.0) == w
