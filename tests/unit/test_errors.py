"""Errors travel between processes."""

from __future__ import annotations

import copy
import pickle

import pytest

from eprop import errors

pytestmark = pytest.mark.tiny

KINDS = sorted(
    (kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)),
    key=lambda kind: kind.__name__,
)


def made(kind: type[Exception]) -> Exception:
    if kind is errors.MissingExtraError:
        return errors.MissingExtraError("nir", "nir", "A graph of NIR")
    return kind("what, where, and what to do")


@pytest.mark.parametrize("kind", KINDS)
def test_errors_come_back_from_other_processes(kind: type[Exception]) -> None:
    """One that could not be read broke the pool of processes instead."""
    error = made(kind)
    error.add_note("seed 3")
    for back in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(back) is kind
        assert str(back) == str(error)
        assert back.args == error.args
        assert back.__notes__ == ["seed 3"]
