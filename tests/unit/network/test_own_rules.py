"""Connection rules and distributions of one's own: what they return is checked before compiled code reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import eprop as ep
from eprop.network import ConnectionRule, Distribution
from networks import small_network

pytestmark = pytest.mark.tiny
N = 6
ALL = np.arange(N + 1) * 2
PAIRS = np.tile([1, 4], N)


def rule(what: Any) -> ConnectionRule:
    """A rule that returns ``what``, cut out for the targets."""

    @dataclass(frozen=True)
    class Rule(ConnectionRule):
        def make(self, lo, hi, n_pre, n_post, same, seed):
            if (lo, hi) == (0, N):
                return what
            indptr, sources = (np.asarray(part) for part in what)
            return indptr[lo : hi + 1] - indptr[lo], sources[indptr[lo] : indptr[hi]]

        def expected(self, n_pre, n_post):
            return 2.0 * n_post

    return Rule()


def draws(what: Any) -> Distribution:
    """A distribution that returns ``what``."""

    @dataclass(frozen=True)
    class Draws(Distribution):
        def draw(self, lo, hi, indptr, fan, seed):
            return what

    return Draws()


def build(connectivity=None, weight=0.5, delay=None):
    connections = {"in->rec": {"connectivity": connectivity or rule((ALL, PAIRS)), "weight": weight, "delay": delay}}
    net = small_network((N, N, 0), connections)
    return ep.Simulator(net, threads=1)


def test_any_whole_numbers_and_lists_will_do():
    for what in ((ALL, PAIRS), (list(ALL), list(PAIRS)), (ALL.astype(np.uint8), PAIRS.astype(np.int16))):
        sim = build(rule(what), weight=draws([0.5, 2] * N))
        sources, targets, weights = sim.connections("in->rec")
        np.testing.assert_array_equal(sources, PAIRS)
        np.testing.assert_array_equal(targets, np.repeat(np.arange(N), 2))
        np.testing.assert_array_equal(weights, [0.5, 2.0] * N)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (None, r"must return a pair \(indptr, sources\), got None"),
        ((ALL, np.where(PAIRS == 4, 50, PAIRS)), r"sources of .* must lie in 0\.\.5, got 1\.\.50"),
        ((ALL, np.where(PAIRS == 1, -1, PAIRS)), r"sources of .* must lie in 0\.\.5, got -1\.\.4"),
        ((ALL[:-1], PAIRS), r"indptr of .* must be 7 numbers that ascend from 0 to the number of sources, 12"),
        ((ALL, PAIRS[:-1]), "to the number of sources, 11"),
        ((ALL[::-1], PAIRS), "must be 7 numbers that ascend"),
        ((np.array([0, 8, 4, 6, 8, 10, 12], np.uint64), PAIRS), "must be 7 numbers that ascend"),
        ((ALL + 0.0, PAIRS), "indptr of .* must be a list of whole numbers"),
        ((ALL, PAIRS[::-1]), "sources of .* must be in ascending order within a target; the sources of target 0 are not"),
        ((ALL, "x"), "sources of .* must be real numbers"),
    ],
)  # fmt: skip
def test_what_a_rule_may_not_return(what, message):
    with pytest.raises(ep.errors.NetworkError, match=r"in->rec: Rule\.make\(0, 6, \.\.\.\)|indptr|sources") as found:
        build(rule(what))
    assert found.match(message)
    assert found.match(r"in->rec: Rule\.make\(")


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (np.ones(3), r"in->rec: Draws\.draw\(0, 6, \.\.\.\) must return 12 numbers, one for each connection, got shape \(3,\)"),
        (None, r"in->rec: Draws\.draw\(0, 6, \.\.\.\) must be real numbers"),
        (np.ones((12, 1)), r"got shape \(12, 1\)"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("of", ["weight", "delay"])
def test_what_a_distribution_may_not_return(of, what, message):
    with pytest.raises(ep.errors.NetworkError, match=message):
        build(**{of: draws(what)})


def test_parameters_and_feedback_are_drawn_with_the_same_care():
    net = ep.Network()
    net.add(ep.LIF(tau_m=draws(np.ones(3))), N, "rec")
    with pytest.raises(ep.errors.NetworkError, match=r"tau_m: Draws\.draw\(0, 6, \.\.\.\) must return 6 numbers"):
        ep.Simulator(net, threads=1)
    models = {"feedback": ep.RandomFeedback(connectivity=rule((ALL, PAIRS)))}
    net = small_network((0, N, 2), {"rec->rec": None}, **models, rule=ep.EPropPlus())
    with pytest.raises(
        ep.errors.NetworkError, match=r"feedback out->rec: Rule\.make\(.* must lie in 0\.\.1, got 1\.\.4"
    ):
        ep.Simulator(net, threads=1)
