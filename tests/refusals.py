"""Refusals as tables: a row is a call, the class of its error and words of its message; small networks to refuse things."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

import eprop as ep
from networks import small_network

NAN, INF = float("nan"), float("inf")


class Refusal(NamedTuple):
    """A call that is refused; `check` gives it the fixtures of its test."""

    call: Callable[..., Any]
    error: type[Exception]
    words: str

    def check(self, *fixtures: Any) -> None:
        """The call raises this error, whose message has a part that matches ``words``, a regular expression."""
        with pytest.raises(self.error, match=self.words):
            self.call(*fixtures)


def refusals(*rows: tuple[Callable[..., Any], type[Exception], str]) -> pytest.MarkDecorator:
    """Run a test for each row, which is its argument ``refusal``.

    ::

        @refusals(
            (lambda sim: sim.run(-1.0), ep.errors.InputError, "^duration must be"),
            (lambda sim: sim.weights("a->b"), ep.errors.NetworkError, "no projection named 'a->b'"),
        )
        def test_bad_arguments_are_refused(refusal, sim):
            refusal.check(sim)
    """
    made = [pytest.param(Refusal(*row), id=f"{k}: {row[2]:.40}") for k, row in enumerate(rows)]
    return pytest.mark.parametrize("refusal", made)


def each_of(values: Iterable[Any], call: Callable[..., Any], error: type[Exception], words: str) -> list[tuple]:
    """Rows of `refusals` with one message: a call with each of these values as its first argument."""
    return [(functools.partial(call, value), error, words) for value in values]


def each_row(
    table: Iterable[tuple[Any, str]], call: Callable[..., Any], error: type[Exception] = ep.errors.InputError
) -> list[tuple]:
    """Rows of `refusals` from pairs of a value and the words of its message, with the value as first argument of a call."""
    return [(functools.partial(call, value), error, words) for value, words in table]


def network(rule=None, **options) -> ep.Network:
    return small_network((4, 3, 2), {"in->rec": None, "rec->out": None, "rec->rec": None}, rule=rule, **options)


def refuse(words: str, error=ep.errors.InputError):
    return pytest.raises(error, match=words)


STATE_NETWORK = {
    "seed": 1, "dt": 1.0, "tau_m": 20.0, "eta": 1e-3, "v_th": [1.0, 2.0, 3.0], "p": 0.5, "delay": 1.0, "weight": 0.5,
    "loss": ep.SquaredError(), "sources": (0, 1),
}  # fmt: skip


def state_network(**changes: Any) -> ep.Network:
    """A network by the numbers of `STATE_NETWORK`, some of them changed."""
    assert changes.keys() <= STATE_NETWORK.keys()
    o = SimpleNamespace(**STATE_NETWORK | changes)
    connections = {
        "in->rec": {"connectivity": ep.Explicit(sources=o.sources, targets=[0, 1]), "weight": o.weight},
        "rec->rec": {"connectivity": ep.FixedIndegree(1, autapses=o.p > 0.5), "rule": None},
        "rec->out": {"delay": o.delay},
    }
    return small_network(
        (4, 3, 2), connections, neuron=ep.LIF(tau_m=o.tau_m, v_th=o.v_th), readout=ep.Readout(loss=o.loss),
        rule=ep.EPropPlus(optimizer=ep.GradientDescent(o.eta)), feedback=ep.RandomFeedback(ep.Normal(0.0, o.weight)),
        seed=o.seed, dt=o.dt,
    )  # fmt: skip
