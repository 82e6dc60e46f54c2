"""Refusals as tables: a row is a call, the class of its error and words of its message; small networks to refuse things."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import pytest

import eprop as ep

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
            (lambda sim: sim.run(-1.0), ep.InputError, "^duration must be"),
            (lambda sim: sim.weights("a->b"), ep.NetworkError, "no projection named 'a->b'"),
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
    table: Iterable[tuple[Any, str]], call: Callable[..., Any], error: type[Exception] = ep.InputError
) -> list[tuple]:
    """Rows of `refusals` from pairs of a value and the words of its message, with the value as first argument of a call."""
    return [(functools.partial(call, value), error, words) for value, words in table]


def network(rule=None, **options) -> ep.Network:
    net = ep.Network(**options)
    x, rec, out = net.add(ep.EventSource(), 4, "in"), net.add(ep.LIF(), 3, "rec"), net.add(ep.Readout(), 2, "out")
    net.connect(x, rec, rule=rule)
    net.connect(rec, out, rule=rule)
    net.connect(rec, rec, rule=rule)
    return net


def refuse(words: str, error=ep.InputError):
    return pytest.raises(error, match=words)


def state_network(
    seed=1, dt=1.0, tau_m=20.0, eta=1e-3, v_th=None, p=0.5, delay=1.0, weight=0.5, loss=None, sources=(0, 1)
):
    net = ep.Network(seed=seed, dt=dt)
    x, rec = net.add(ep.EventSource(), 4, "in"), net.add(ep.LIF(tau_m=tau_m, v_th=v_th or [1.0, 2.0, 3.0]), 3, "rec")
    out = net.add(ep.Readout(loss=loss or ep.SquaredError()), 2, "out")
    rule = ep.EPropPlus(optimizer=ep.GradientDescent(eta))
    net.connect(x, rec, ep.Explicit(sources=sources, targets=[0, 1]), weight=weight, rule=rule)
    net.connect(rec, rec, ep.FixedIndegree(1, autapses=p > 0.5))
    net.connect(rec, out, rule=rule, delay=delay)
    net.feedback(out, rec, ep.RandomFeedback(ep.Normal(0.0, weight)))
    return net
