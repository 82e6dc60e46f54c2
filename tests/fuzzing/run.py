"""Inputs one after the other: what is accepted, what is refused, and what fails."""

from __future__ import annotations

import collections
import contextlib
import gc
import itertools
import os
import pathlib
import random
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from eprop.errors import EPropError

#: Seconds that an input may take.
SLOW = 20.0


@dataclass(frozen=True)
class Target:
    """A reader, and how inputs for it are made.

    Attributes
    ----------
    name : str
    prepare : callable of (folder)
        Makes sound inputs once; returns what `attempt` needs.
    attempt : callable of (prepared, random numbers)
        Damages an input and reads it. It returns, or raises what the reader raises, or an `AssertionError` if what was read
        is wrong.
    weight : int
        How often it has its turn.
    """

    name: str
    prepare: Callable[[pathlib.Path], Any]
    attempt: Callable[[Any, random.Random], None]
    weight: int = 1


@dataclass
class Outcome:
    """What inputs came to.

    Attributes
    ----------
    accepted : counter of int
        By target.
    refused : counter of int
        By target and error class.
    failures : list of dict
        Target, number and what was wrong; each kind once for each target.
    slowest : (seconds, target, number)
    """

    accepted: collections.Counter = field(default_factory=collections.Counter)
    refused: collections.Counter = field(default_factory=collections.Counter)
    failures: list[dict[str, Any]] = field(default_factory=list)
    slowest: tuple[float, str, int] = (0.0, "", 0)
    inputs: int = 0

    def fail(self, target: str, number: int, text: str, details: str = "") -> None:
        """Note a failure."""
        kind = text.split(" at ")[0][:80]
        for failure in self.failures:
            if failure["target"] == target and failure["kind"] == kind:
                failure["times"] += 1
                return
        self.failures.append(
            {"target": target, "number": number, "kind": kind, "what": text, "details": details, "times": 1}
        )


def schedule(targets: Sequence[Target], first: int = 0) -> Iterator[tuple[Target, int]]:
    """Targets in turns, by their weights, with the numbers of their inputs."""
    numbers = {target.name: first for target in targets}
    turns = [target for target in targets for _ in range(target.weight)]
    random.Random(1).shuffle(turns)
    for target in itertools.cycle(turns):
        yield target, numbers[target.name]
        numbers[target.name] += 1


def run(
    inputs: Iterator[tuple[Target, int]], *, count: int | None = None, seconds: float | None = None, tell: Any = None,
    outcome: Outcome | None = None,
) -> Outcome:  # fmt: skip
    """Try inputs, so many of them or for so long; what they come to is added to an ``outcome``, if one is given."""
    outcome, began = outcome or Outcome(), time.monotonic()
    states: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="eprop-fuzz-", dir=_disk())))
        stack.enter_context(warnings.catch_warnings())
        for done, (target, number) in enumerate(inputs):
            if (count is not None and done >= count) or (seconds is not None and time.monotonic() - began > seconds):
                break
            if target.name not in states:
                (folder / target.name).mkdir()
                states[target.name] = target.prepare(folder / target.name)
            _try(target, states[target.name], number, outcome)
            if tell is not None and outcome.inputs % 1000 == 0:
                tell(outcome)
    return outcome


def _disk() -> str | None:
    """A folder in memory, if there is one: most inputs are files."""
    memory = "/dev/shm"
    return memory if os.access(memory, os.W_OK) else None


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """No garbage is collected: finalisers fail where an input has brought a parser to the end of the stack."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _try(target: Target, state: Any, number: int, outcome: Outcome) -> None:
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", RuntimeWarning)  # a number that did not fit was converted
    warnings.simplefilter("error", DeprecationWarning)
    outcome.inputs += 1
    rng, began = random.Random(f"{target.name}:{number}"), time.monotonic()
    try:
        with no_collection():
            target.attempt(state, rng)
        outcome.accepted[target.name] += 1
    except EPropError as error:
        outcome.refused[f"{target.name}: {type(error).__name__}"] += 1
        text = str(error)
        if not text or len(text) > 3000 or "Traceback" in text:
            outcome.fail(target.name, number, f"the message has {len(text)} characters", text[:500])
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        outcome.fail(
            target.name, number,
            f"{type(error).__name__}: {str(error)[:200]} at {pathlib.Path(where.filename).name}:{where.lineno}",
            "".join(traceback.format_exception(error))[-3000:],
        )  # fmt: skip
    spent = time.monotonic() - began
    if spent > SLOW:  # unless it was the machine
        began = time.monotonic()
        with contextlib.suppress(Exception):
            target.attempt(state, random.Random(f"{target.name}:{number}"))
        spent = time.monotonic() - began
    outcome.slowest = max(outcome.slowest, (spent, target.name, number))
    if spent > SLOW:
        outcome.fail(target.name, number, "took too long", f"{spent:.1f} s")
