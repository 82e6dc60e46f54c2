"""Damaged inputs for every reader, arguments of tasks and `set_state`: each is accepted, or refused by an error of ours."""

from __future__ import annotations

import gc
import itertools
import os
import pathlib
import random
import time
import warnings
from collections.abc import Iterator

import pytest

from eprop.errors import EPropError
from fuzzing.targets import TARGETS

pytestmark = pytest.mark.tiny

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


@pytest.fixture(autouse=True)
def _strict() -> Iterator[None]:
    """Numbers that do not fit are errors. Finalisers would fail where an input brings a parser to the end of the stack."""
    gc.disable()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind in (RuntimeWarning, DeprecationWarning):
            warnings.simplefilter("error", kind)
        yield
    gc.enable()


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_inputs_are_accepted_or_refused(name: str, tmp_path: pathlib.Path) -> None:
    prepare, attempt = TARGETS[name]
    state, end, seen = prepare(tmp_path), time.monotonic() + SECONDS / len(TARGETS), set[bool]()
    for number in itertools.chain(SEEDS.get(name, ()), itertools.count(FIRST)):
        began = time.monotonic()
        if number > FIRST and began > end and len(seen) == 2:
            return
        assert number < FIRST + 2000 or len(seen) == 2, "all inputs are accepted, or all are refused"
        told = None
        try:
            attempt(state, random.Random(f"{name}:{number}"))
        except EPropError as error:
            told = str(error)
        except Exception as error:
            error.add_note(f"input {number}")
            raise
        assert told is None or 0 < len(told) <= 3000, number
        seen.add(told is None)
        assert time.monotonic() - began < SLOW, number
