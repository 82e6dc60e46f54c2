"""Connection rules and distributions: what they draw, and that any part of a network can be drawn alone."""

from __future__ import annotations

import numpy as np
import pytest
import scipy
from hypothesis import given

import eprop as ep
from strategies import SEEDS, examples, st

pytestmark = pytest.mark.tiny

LINE = ep.Positions.grid((12,), (1.0,), periodic=True)
RULES = [
    ep.AllToAll(),
    ep.AllToAll(autapses=True),
    ep.OneToOne(),
    ep.Bernoulli(0.0),
    ep.Bernoulli(0.3),
    ep.Bernoulli(1.0),
    ep.Bernoulli(0.5, autapses=True),
    ep.FixedIndegree(0),
    ep.FixedIndegree(4),
    ep.FixedIndegree(11),
    ep.FixedIndegree(20, multapses=True),
    ep.FixedIndegree(5, multapses=True, autapses=True),
    ep.FixedOutdegree(4),
    ep.FixedOutdegree(20, multapses=True),
    ep.FixedTotalNumber(0),
    ep.FixedTotalNumber(40),
    ep.FixedTotalNumber(400, autapses=True),
    *(
        ep.DistanceDependent(p=0.9, width=0.3, profile=profile).between("rule", LINE, LINE)
        for profile in ("gaussian", "exponential", "box")
    ),
    ep.Explicit(sources=[3, 3, 0, 11], targets=[1, 1, 5, 11]),
]
DISTRIBUTIONS = [
    ep.Constant(0.5),
    ep.Normal(0.1, 2.0),
    ep.Normal(0.1, 2.0, low=0.0),
    ep.Normal(0.1, 2.0, low=5.0),
    ep.LogNormal(0.5, 0.7, scale=-2.0),
    ep.Clipped(ep.Normal(0.1, 2.0), low=-1.0, high=2.0),
    ep.Uniform(-1.0, 3.0),
    ep.Glorot(2.0),
]


def pairs(rule, lo, hi, n=12, same=True, seed=3) -> list[tuple[int, int]]:
    """``(target, source)`` of the targets ``lo:hi``."""
    indptr, sources = rule.make(lo, hi, n, n, same, seed)
    assert indptr.shape == (hi - lo + 1,)
    assert sources.size == indptr[-1]
    return [(lo + k, int(i)) for k in range(hi - lo) for i in sources[indptr[k] : indptr[k + 1]]]


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_any_part_alone(rule):
    whole = pairs(rule, 0, 12)
    assert whole == pairs(rule, 0, 5) + pairs(rule, 5, 6) + pairs(rule, 6, 12)
    assert whole == sorted(whole)
    assert pairs(rule, 4, 4) == []


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_autapses_and_multapses(rule):
    found = pairs(rule, 0, 12)
    if not getattr(rule, "autapses", True):
        assert all(target != source for target, source in found)
        if found:
            assert any(target == source for target, source in pairs(rule, 0, 12, same=False))
    if not getattr(rule, "multapses", isinstance(rule, (ep.Explicit, ep.FixedTotalNumber))):
        assert len(set(found)) == len(found)


@examples(0.3)
@given(seed=SEEDS, degree=st.integers(0, 11), multapses=st.booleans())
def test_degrees(seed, degree, multapses):
    into = pairs(ep.FixedIndegree(degree, multapses=multapses), 0, 12, seed=seed)
    out = pairs(ep.FixedOutdegree(degree, multapses=multapses), 0, 12, seed=seed)
    np.testing.assert_array_equal(np.bincount([t for t, _ in into], minlength=12), degree)
    np.testing.assert_array_equal(np.bincount([s for _, s in out], minlength=12), degree)


def test_rare_connections():
    """The next one may be further away than any integer."""
    for p in (1e-30, 5e-324):
        assert len(pairs(ep.Bernoulli(p), 0, 50, n=50)) == 0


@pytest.mark.parametrize("same", [False, True])
@pytest.mark.parametrize(
    "rule",
    [
        ep.Bernoulli(0.3),
        ep.FixedIndegree(4),
        ep.FixedIndegree(15, multapses=True),
        ep.FixedOutdegree(4),
        ep.FixedOutdegree(15, multapses=True),
        ep.FixedTotalNumber(60),
    ],
    ids=repr,
)
def test_allowed_pairs_are_drawn_equally_often(rule, same):
    """Chi-squared over all pairs; at this level one of a thousand true tests fails, and the seeds are fixed."""
    n, draws = 12, 500
    counts = np.zeros((n, n))
    for seed in range(draws):
        np.add.at(counts, tuple(np.array(pairs(rule, 0, n, same=same, seed=seed)).T), 1.0)
    allowed = ~np.eye(n, dtype=bool) if same else np.ones((n, n), bool)
    assert np.all(counts[~allowed] == 0.0)
    candidates, total = allowed.sum() // n, allowed.sum()
    if isinstance(rule, ep.Bernoulli):
        mean, degrees = draws * rule.p, total
        variance = mean * (1.0 - rule.p)
    elif isinstance(rule, ep.FixedTotalNumber):
        mean = variance = draws * rule.number / total
        degrees = total - 1
    else:  # the counts of a neuron have a fixed sum
        mean, degrees = draws * rule.degree / candidates, n * (candidates - 1)
        finite = 1.0 if rule.multapses else (candidates - rule.degree) / (candidates - 1)
        variance = mean * finite
    squares = np.sum((counts[allowed] - mean) ** 2) / variance
    assert 1e-3 < scipy.stats.chi2.sf(squares, degrees) < 1.0 - 1e-3


@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=repr)
def test_any_part_of_the_weights_alone(distribution):
    indptr, _ = ep.FixedIndegree(7).make(0, 12, 12, 12, True, 3)
    fan = (7.0, 7.0)
    whole = distribution.draw(0, 12, indptr, fan, 9)
    parts = [distribution.draw(lo, hi, indptr[lo : hi + 1] - indptr[lo], fan, 9) for lo, hi in ((0, 5), (5, 12))]
    np.testing.assert_array_equal(whole, np.concatenate(parts))
    assert whole.shape == (84,)


def test_moments_of_the_weights():
    n = 20_000
    indptr = np.array([0, n])
    normal = ep.Normal(0.5, 2.0).draw(0, 1, indptr, (1.0, 1.0), 1)
    uniform = ep.Uniform(-1.0, 3.0).draw(0, 1, indptr, (1.0, 1.0), 1)
    glorot = ep.Glorot(3.0).draw(0, 1, indptr, (10.0, 40.0), 1)
    lognormal = -ep.LogNormal(0.5, 0.25, scale=-2.0).draw(0, 1, indptr, (1.0, 1.0), 1)
    for found, mean, sd in (
        (normal, 0.5, 2.0),
        (uniform, 1.0, 4.0 / np.sqrt(12.0)),
        (glorot, 0.0, 3.0 * np.sqrt(2.0 / 50.0)),
        (np.log(lognormal / 2.0), 0.5, 0.25),
    ):
        assert abs(found.mean() - mean) < 5.0 * sd / np.sqrt(n)
        assert abs(found.std() / sd - 1.0) < 5.0 / np.sqrt(n)
    assert uniform.min() >= -1.0
    assert uniform.max() < 3.0
    assert np.unique(normal).size == n


@pytest.mark.parametrize(
    ("low", "high"),
    [(0.0, np.inf), (-np.inf, -1.0), (-1.0, 2.5), (30.0, np.inf), (-40.0, -30.0), (70.5, np.inf), (9.0, 9.0001)],
)
def test_a_part_of_a_normal_distribution(low, high):
    n = 20_000
    drawn = ep.Normal(0.5, 2.0, low=low, high=high).draw(0, 1, np.array([0, n]), (1.0, 1.0), 1)
    expected = scipy.stats.truncnorm((low - 0.5) / 2.0, (high - 0.5) / 2.0, loc=0.5, scale=2.0)
    assert drawn.min() >= low
    assert drawn.max() <= high
    assert np.all(np.isfinite(drawn))
    assert scipy.stats.kstest(drawn, expected.cdf).pvalue > 1e-4
    assert np.unique(drawn).size > 0.99 * n


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"low": 1.0, "high": -1.0}, r"Normal\.low must not exceed high, got 1 and -1"),
        ({"low": 50.0}, r"Normal\.low and high must keep some of the distribution, got 50 and inf with mean 0 and sd 1"),
        ({"sd": 0.0, "high": -1.0}, "must keep some of the distribution"),
        ({"low": 2.0, "high": 2.0}, "must keep some of the distribution"),
        ({"low": 37.0}, r"got 37 and inf with mean 0 and sd 1; the probability between them is below 1e-280: take a Uniform"),
        ({"low": -37.2, "high": -37.0}, "must keep some of the distribution"),
    ],
)  # fmt: skip
def test_ends_that_leave_nothing_of_a_normal_distribution(given, words):
    with pytest.raises(ep.errors.ParameterError, match=words):
        ep.Normal(**given)


def test_seeds_and_projections_draw_apart():
    def weights(seed):
        net = ep.Network(seed=seed)
        x, y = net.add(ep.EventSource(), 8, "x"), net.add(ep.LIF(), 8, "y")
        net.connect(x, y, ep.Bernoulli(0.5), weight=ep.Normal(), name="a")
        net.connect(x, y, ep.Bernoulli(0.5), weight=ep.Normal(), name="b")
        sim = ep.Simulator(net, threads=1)
        return [sim.weights(name).toarray() for name in "ab"]

    (a, b), (c, d) = weights(1), weights(2)
    assert all(np.any(one != two) for one, two in ((a, b), (a, c), (b, d), (a, d)))
    np.testing.assert_array_equal(a, weights(1)[0])


# ------------------------------------------------------------------------------------------------------------- Explicit


def test_explicit_forms():
    dense = np.array([[0.0, 2.0], [0.5, 0.0], [0.0, -1.0]])
    net = ep.Network()
    x, y = net.add(ep.EventSource(), 2, "x"), net.add(ep.LIF(), 3, "y")
    for k, matrix in enumerate((dense, dense.tolist(), scipy.sparse.csr_matrix(dense), scipy.sparse.coo_array(dense))):
        net.connect(x, y, ep.Explicit(matrix), name=f"matrix {k}")
    net.connect(x, y, ep.Explicit(dense), weight=3.0, name="other weights")
    net.connect(x, y, ep.Explicit(sources=[], targets=[]), name="none")
    sim = ep.Simulator(net, threads=1)
    for k in range(4):
        np.testing.assert_array_equal(sim.weights(f"matrix {k}").toarray(), dense)
    np.testing.assert_array_equal(sim.weights("other weights").toarray(), 3.0 * (dense != 0.0))
    assert sim.weights("none").nnz == 0
    assert ep.Explicit(dense.astype(np.float16)).weights.tolist() == [2.0, 0.5, -1.0]
    assert ep.Explicit(dense).replace().weights.tolist() == [2.0, 0.5, -1.0]
    assert ep.Explicit(dense).replace(matrix=2.0 * dense).weights.tolist() == [4.0, 1.0, -2.0]
    assert ep.Explicit(dense).replace(targets=[2, 2, 0]).to_dict()["targets"] == [0, 2, 2]
    assert ep.Explicit(dense).to_dict() == {"type": "Explicit", "sources": [1, 0, 1], "targets": [0, 1, 2]}


NAN = float("nan")
REFUSED = [
    ({}, "takes either a matrix, or both sources and targets"),
    ({"sources": [1]}, "takes either a matrix, or both sources and targets"),
    ({"targets": [1]}, "takes either a matrix, or both sources and targets"),
    ({"matrix": np.ones((3, 4)), "sources": [1], "targets": [1]}, "takes either a matrix, or both sources and targets"),
    ({"matrix": [0, 9], "sources": [0, 1]}, r"by name: Explicit\(sources=\[0, 9\], targets=\[0, 1\]\)"),
    ({"matrix": np.ones((3, 4)), "targets": [1]}, "takes either a matrix, or both sources and targets"),
    ({"matrix": np.ones(3)}, "2-d array of numbers.*; give lists by name"),
    ({"matrix": "x"}, "Explicit matrix must be real numbers"),
    ({"matrix": [[1, 2], [3]]}, "rows of equal length"),
    ({"matrix": [[NAN, 1.0]]}, "not finite"),
    ({"matrix": [[1j, 1.0]]}, "real numbers"),
    ({"matrix": scipy.sparse.csr_matrix(np.array([[1j, 1.0]]))}, "real numbers"),
    ({"sources": [1], "targets": [1, 2]}, "1 sources, but 2 targets"),
    ({"sources": [1.5], "targets": [0]}, "Explicit sources must be a list of whole numbers"),
    ({"sources": [NAN], "targets": [0]}, "Explicit sources must be a list of whole numbers"),
    ({"sources": [0], "targets": [True]}, "Explicit targets must be a list of whole numbers"),
    ({"sources": [[1]], "targets": [[0]]}, "Explicit sources must be a list of whole numbers"),
    ({"sources": "ab", "targets": "cd"}, "Explicit sources must be real numbers"),
    ({"sources": [2**40], "targets": [0]}, r"Explicit sources must lie in 0..2\^31-2"),
    ({"sources": [0], "targets": [-1]}, r"Explicit targets must lie in 0..2\^31-2"),
]


@pytest.mark.parametrize(("given_parts", "words"), REFUSED, ids=range(len(REFUSED)))
def test_explicit_refuses(given_parts, words):
    with pytest.raises(ep.errors.NetworkError, match=words):
        ep.Explicit(**given_parts)
