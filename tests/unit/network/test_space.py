"""Connections by distance and by total number, groups of populations, values by pair: statistics, parts, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import scipy

import eprop as ep
from compare import assert_same
from refusals import NAN, refusals

pytestmark = pytest.mark.tiny

PROFILES = {
    "gaussian": lambda d: np.exp(-0.5 * d * d),
    "exponential": lambda d: np.exp(-d),
    "box": lambda d: 1.0 * (d <= 1.0),
}


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("periodic", [False, True])
def test_distance_determines_the_probability(profile, dimensions, periodic):
    """Chi-squared over bins of distance; at this level one of a thousand true tests fails, and the seed is fixed."""
    extent = (1.0,) * dimensions
    pre = ep.Positions.uniform(1500, extent, seed=1, periodic=periodic)
    post = ep.Positions.uniform(80, extent, seed=2, periodic=periodic)
    rule = ep.DistanceDependent(p=0.7, width=0.12, profile=profile, farthest=0.45).between("rule", pre, post)
    found = np.zeros((80, 1500))
    counts = np.zeros(40)
    distance = pre.distances(np.tile(np.arange(1500), 80), post, np.repeat(np.arange(80), 1500))
    expected = 0.7 * PROFILES[profile](distance / 0.12) * (distance <= 0.45)
    for seed in range(4):
        indptr, sources = rule.make(0, 80, 1500, 80, False, seed)
        found[:] = 0.0
        found[np.repeat(np.arange(80), np.diff(indptr)), sources] = 1.0
        counts += np.bincount((distance * 20).astype(int), found.ravel(), minlength=40)
    mean, variance = (
        4.0 * np.bincount((distance * 20).astype(int), e, minlength=40) for e in (expected, expected * (1 - expected))
    )
    assert np.all(counts[mean == 0.0] == 0.0)
    many = variance > 10.0
    squares = np.sum((counts[many] - mean[many]) ** 2 / variance[many])
    assert scipy.stats.chi2.sf(squares, many.sum()) > 1e-3
    assert rule.expected(1500, 80) == pytest.approx(expected.sum(), rel=0.05)


def test_certain_neighbours_on_a_ring():
    ring = ep.Positions.grid((10,), (10.0,), periodic=True)
    rule = ep.DistanceDependent(p=1.0, width=1.0, profile="box").between("rule", ring, ring)
    _, sources = rule.make(0, 10, 10, 10, True, 1)
    np.testing.assert_array_equal(sources.reshape(10, 2), [sorted(((k - 1) % 10, (k + 1) % 10)) for k in range(10)])


@pytest.mark.parametrize(("number", "targets"), [(30, 3), (500, 7), (200_000, 40)])
def test_total_number_is_exact_and_its_shares_multinomial(number, targets):
    shares = []
    for seed in range(60):
        indptr, sources = ep.FixedTotalNumber(number).make(0, targets, 25, targets, False, seed)
        assert indptr[-1] == number
        shares.append(np.diff(indptr))
    even = number / targets
    squares = np.sum((np.array(shares) - even) ** 2 / even)
    p = scipy.stats.chi2.sf(squares, 60 * (targets - 1))
    assert 1e-3 < p < 1.0 - 1e-3
    spread = scipy.stats.chisquare(np.bincount(sources, minlength=25)).pvalue
    assert spread > 1e-3


def two_groups() -> tuple[ep.Network, list, list]:
    net = ep.Network(dt=0.1, seed=2)
    points = ep.Positions.grid((8, 8), (1.0, 1.0))
    pre = [net.add(ep.LIF(), 64, name, positions=points) for name in ("e", "i")]
    post = [*pre, net.add(ep.LIF(), 20, "other", positions=ep.Positions.uniform(20, (1.0, 1.0), seed=3))]
    return net, pre, post


def test_groups_take_a_value_for_each_pair():
    net, pre, post = two_groups()
    made = net.connect_groups(
        pre, post, ep.FixedTotalNumber.each([[50, 60], [0, 70], [80, 90]]), weight=ep.Normal.each([1.0, -4.0], 0.1),
        delay=np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]),
    )  # fmt: skip
    assert [p.name for p in made] == ["e->e", "i->e", "i->i", "e->other", "i->other"]
    assert [p.connectivity.number for p in made] == [50, 60, 70, 80, 90]
    assert [p.weight.mean for p in made] == [1.0, -4.0, -4.0, 1.0, -4.0]
    assert [p.delay for p in made] == [0.1, 0.2, 0.4, 0.5, 0.6]
    sim = ep.Simulator(net)
    assert [sim.n_synapses(p.name) for p in made] == [50, 60, 70, 80, 90]


def test_values_by_pair():
    net, (e, _), (*_, other) = two_groups()
    net.connect(
        e, other, ep.Bernoulli(0.5), weight=ep.ByPair(lambda pairs: pairs.sources - 100.0 * pairs.targets),
        delay=ep.ByPair(lambda pairs: 0.5 + pairs.distance),
    )  # fmt: skip
    sims = [ep.Simulator(net, threads=1, partitions=n) for n in (1, 3)]
    found = [(*sim.connections("e->other"), sim.delays("e->other")) for sim in sims]
    assert_same(found[1], found[0])
    sources, targets, weights, delays = found[0]
    np.testing.assert_array_equal(weights, sources - 100.0 * targets)
    distance = e.positions.distances(sources, other.positions, targets)
    np.testing.assert_allclose(delays, 0.5 + distance, atol=0.05 + 1e-9)


def positions(*shape: int) -> ep.Positions:
    return ep.Positions(np.zeros(shape))


def connected(pre=None, post=None, rule=None, **options):
    net = ep.Network()
    pre, post = net.add(ep.LIF(), 3, "x", positions=pre), net.add(ep.LIF(), 3, "y", positions=post)
    return ep.Simulator(net.connect(pre, post, rule or ep.DistanceDependent(p=0.5, width=1.0), **options) and net)


@refusals(
    (lambda: connected(), ep.errors.NetworkError, "DistanceDependent needs positions of its sources"),
    (lambda: connected(positions(3, 2)), ep.errors.NetworkError, "positions of its targets"),
    (lambda: connected(positions(3, 2), positions(3, 3)), ep.errors.NetworkError, "positions of 2 dimensions, targets of 3"),
    (lambda: connected(ep.Positions([0, 1, 2], [3.0]), positions(3)), ep.errors.NetworkError, "sources are periodic with"),
    (lambda: connected(positions(4, 2)), ep.errors.NetworkError, "4 positions for 3 nodes of 'x'"),
    (lambda: positions(3, 4), ep.errors.NetworkError, r"1 to 3 dimensions\), got \(3, 4\)"),
    (lambda: ep.Positions([NAN]), ep.errors.NetworkError, "finite"),
    (lambda: ep.Positions([[0.0, 1.0]], [1.0]), ep.errors.NetworkError, "a length > 0 for each of the 2 dimensions"),
    (lambda: ep.DistanceDependent(p=0.5, width=1.0, profile="cone"), ep.errors.ParameterError, "one of gaussian, expon"),
    (lambda: ep.DistanceDependent(p=0.5, width=0.0), ep.errors.ParameterError, "width must be > 0"),
    (lambda: ep.FixedTotalNumber(-1), ep.errors.ParameterError, "number must be >= 0"),
    (lambda: ep.Clipped(ep.Normal(), 2.0, 1.0), ep.errors.ParameterError, "Clipped.low must not exceed high"),
    (lambda: ep.LogNormal(0.0, -1.0), ep.errors.ParameterError, "sigma must be >= 0"),
    (lambda: ep.ByPair(3.0), ep.errors.ParameterError, "ByPair needs a function"),
    (lambda: connected(rule=ep.AllToAll(), weight=ep.ByPair(lambda p: [1.0])), ep.errors.NetworkError, r"must return \d numbers"),
    (lambda: connected(rule=ep.AllToAll(), delay=ep.ByPair(lambda p: p.distance)), ep.errors.NetworkError, "needs positions"),
    (lambda: ep.Simulator(one_group(ep.LIF(tau_m=ep.ByPair(lambda p: 1.0)))), ep.errors.NetworkError, "not parameters of"),
    (lambda: groups(weight=np.ones((2, 2))), ep.errors.NetworkError, r"weight needs shape \(3, 2\) = \(targets, sources\)"),
)  # fmt: skip
def test_refused(refusal):
    refusal.check()


def one_group(model: ep.LIF) -> ep.Network:
    net = ep.Network()
    net.add(model, 3)
    return net


def groups(**options):
    net, pre, post = two_groups()
    return net.connect_groups(pre, post, ep.Bernoulli(0.5), **options)
