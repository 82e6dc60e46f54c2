"""Damaged inputs for every reader, arguments of tasks and `set_state`: each is accepted, or refused by an error of ours."""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import pathlib
import random
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from eprop.errors import EPropError
from fuzzing.targets import TARGETS

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore")]

#: Seconds that inputs are tried for, over all targets; CI gives more with sanitizers.
SECONDS = float(os.environ.get("EPROP_FUZZ_SECONDS", "2"))
#: Seconds that an input may take.
SLOW = 20.0
#: Inputs that something was wrong with once.
SEEDS = {
    "archives": [30], "live": [241], "data set": [409],
    "live arrays": [52], "streams": [1000124, 5010],
}  # fmt: skip
#: The first of the other inputs: the numbers depend on the day no more than on the machine.
FIRST = 1_000_000


@contextlib.contextmanager
def strict() -> Iterator[None]:
    """Numbers that do not fit are errors. Finalisers would fail where an input brings a parser to the end of the stack."""
    gc.disable()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind in (RuntimeWarning, DeprecationWarning):
            warnings.simplefilter("error", kind)
        try:
            yield
        finally:
            gc.enable()


def test_damaged_inputs_are_accepted_or_refused(tmp_path: pathlib.Path) -> None:
    """Of every target, in one test, so that no run of some of the cases leaves any out."""
    for module, extra in (("gymnasium", "rl"), ("nir", "nir")):
        pytest.importorskip(module, reason=f"needs the extra {extra}")
    for name, (prepare, attempt) in TARGETS.items():
        (tmp_path / name).mkdir()
        state, end, seen = prepare(tmp_path / name), time.monotonic() + SECONDS / len(TARGETS), set[bool]()
        for number in itertools.chain(SEEDS.get(name, ()), itertools.count(FIRST)):
            if number > FIRST and time.monotonic() > end and len(seen) == 2:
                break
            assert number < FIRST + 2000 or len(seen) == 2, f"{name}: all inputs are accepted, or all are refused"
            with strict():
                seen.add(_is_accepted(attempt, state, f"{name}:{number}"))


def _is_accepted(attempt: Callable[[Any, random.Random], None], state: Any, which: str) -> bool:
    began, told = time.monotonic(), None
    try:
        attempt(state, random.Random(which))
    except EPropError as error:
        told = str(error)
    except Exception as error:
        error.add_note(f"input {which}")
        raise
    assert told is None or 0 < len(told) <= 3000, which
    assert time.monotonic() - began < SLOW, which
    return told is None
