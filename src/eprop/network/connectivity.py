"""Connection rules: descriptions of which source reaches which target. A rule can draw any part of the network alone."""

from __future__ import annotations

import dataclasses
import functools
import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse

from eprop.core import lib
from eprop.errors import NetworkError, ParameterError
from eprop.network.positions import Positions, check_space
from eprop.parameters import Description, param, real_numbers


@dataclass(frozen=True)
class ConnectionRule(Description):
    """Base of all connection rules.

    ``sweeps`` is True if `make` draws all connections even to find the connections of a few targets. ``everywhere`` is True if
    each pair of different nodes may be connected. ``stays`` says why `eprop.Rewiring` cannot move the connections of a rule.
    """

    sweeps: ClassVar[bool] = False
    everywhere: ClassVar[bool] = False
    stays: ClassVar[str] = ""

    def check(self, n_pre: int, n_post: int, same: bool) -> None:
        """Raise `NetworkError` if the rule is impossible; ``same`` is True if both sides are one population."""

    def between(self, name: str, pre: Positions | None, post: Positions | None) -> ConnectionRule:
        """The rule between populations with these positions; most rules ignore them.

        Raises
        ------
        NetworkError
            If the rule needs positions that the populations of the projection ``name`` do not have.
        """
        return self

    def make(self, lo: int, hi: int, n_pre: int, n_post: int, same: bool, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw the sources of the targets ``lo:hi``; they must not depend on ``lo`` and ``hi``.

        Parameters
        ----------
        lo, hi : int
            First target, and the target after the last.
        n_pre, n_post : int
            Sizes of the populations.
        same : bool
            Whether sources and targets are the same population.
        seed : int
            Every draw is a function of ``seed``, the target (or the source, see ``sweeps``) and a counter.

        Returns
        -------
        indptr : ndarray, shape (hi - lo + 1,), int64
            Starts with 0; ``sources[indptr[k] : indptr[k + 1]]`` are the sources of target ``lo + k``.
        sources : ndarray, shape (indptr[-1],), int32
            In ascending order within a target.
        """
        raise TypeError(f"{type(self).__name__} does not define make()")

    def thinned(self, share: float) -> ConnectionRule:
        """A rule for the same pairs that draws about this share of the connections: candidates for `eprop.Rewiring`.

        Other rules than the package's draw all of them, by another seed.
        """
        return self

    def made(
        self, name: str, lo: int, hi: int, n_pre: int, n_post: int, same: bool, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the result of `make` for the projection ``name``; check it if the rule is a user's own.

        The core relies on valid sources and offsets: invalid ones would make it access memory out of bounds.

        Raises
        ------
        NetworkError
            If the result breaks the contract of `make`.
        """
        found: Any = self.make(lo, hi, n_pre, n_post, same, seed)
        if type(self).__module__ == __name__:
            return found
        what = f"{name}: {type(self).__name__}.make({lo}, {hi}, ...)"
        if not (isinstance(found, tuple) and len(found) == 2):
            raise NetworkError(f"{what} must return a pair (indptr, sources), got {found!r:.60}")
        indptr, sources = (
            real_numbers(f"{part} of {what}", values, NetworkError)
            for part, values in zip(("indptr", "sources"), found, strict=True)
        )
        for part, values in (("indptr", indptr), ("sources", sources)):
            if values.ndim != 1 or (values.size and values.dtype.kind not in "iu"):
                raise NetworkError(f"{part} of {what} must be a list of whole numbers, got {values!r:.60}")
        indptr = indptr.astype(np.int64)  # the check below needs signed differences
        if (
            indptr.shape != (hi - lo + 1,)
            or indptr[0] != 0
            or indptr[-1] != sources.size
            or (np.diff(indptr) < 0).any()
        ):
            raise NetworkError(
                f"indptr of {what} must be {hi - lo + 1} numbers that ascend from 0 to the number of sources, "
                f"{sources.size}, got {indptr!r:.60}"
            )
        if sources.size and not 0 <= sources.min() <= sources.max() < n_pre:
            raise NetworkError(f"sources of {what} must lie in 0..{n_pre - 1}, got {sources.min()}..{sources.max()}")
        falls = sources[1:] < sources[:-1]
        falls[indptr[(indptr > 0) & (indptr < sources.size)] - 1] = False
        if falls.any():
            target = lo + int(np.searchsorted(indptr, np.argmax(falls), side="right")) - 1
            raise NetworkError(
                f"sources of {what} must be in ascending order within a target; the sources of target {target} are not"
            )
        return indptr, sources.astype(np.int32)

    def expected(self, n_pre: int, n_post: int) -> float:
        """Return the expected total number of connections between populations of these sizes.

        Parameters
        ----------
        n_pre, n_post : int
            Sizes of the populations.

        Returns
        -------
        float
            An estimate that counts autapses too. It determines the memory estimate and the mean degrees that
            `Distribution.draw` receives.
        """
        raise TypeError(f"{type(self).__name__} does not define expected()")


@dataclass(frozen=True)
class AllToAll(ConnectionRule):
    """Every source connects to every target; autapses only if allowed."""

    stays: ClassVar[str] = "all connections are there already; take FixedIndegree or Bernoulli"

    autapses: bool = param(False, kind=bool, doc="whether a neuron may connect to itself")

    def make(self, lo, hi, n_pre, n_post, same, seed):  # noqa: D102
        return lib.all_to_all(lo, hi, n_pre, self.autapses or not same)

    def expected(self, n_pre, n_post):  # noqa: D102
        return float(n_pre) * n_post


@dataclass(frozen=True)
class OneToOne(ConnectionRule):
    """Node ``k`` connects to node ``k``."""

    stays: ClassVar[str] = "each node has one possible source; take FixedIndegree or Bernoulli"

    def check(self, n_pre, n_post, same):  # noqa: D102
        if n_pre != n_post:
            raise NetworkError(f"OneToOne needs populations of equal size, got {n_pre} sources and {n_post} targets")

    def make(self, lo, hi, n_pre, n_post, same, seed):  # noqa: D102
        return lib.one_to_one(lo, hi)

    def expected(self, n_pre, n_post):  # noqa: D102
        return float(n_post)


@dataclass(frozen=True)
class Bernoulli(ConnectionRule):
    """Each pair connects with probability ``p``, independently."""

    everywhere: ClassVar[bool] = True

    p: float = param(at_least=0.0, at_most=1.0, doc="probability of a connection")
    autapses: bool = param(False, kind=bool, doc="whether a neuron may connect to itself")

    def make(self, lo, hi, n_pre, n_post, same, seed):  # noqa: D102
        if self.p == 0.0:
            return np.zeros(hi - lo + 1, np.int64), np.empty(0, np.int32)
        return lib.bernoulli(lo, hi, n_pre, self.p, self.autapses or not same, seed)

    def thinned(self, share):  # noqa: D102
        return self.replace(p=self.p * share)

    def expected(self, n_pre, n_post):  # noqa: D102
        return self.p * n_pre * n_post


@dataclass(frozen=True)
class FixedIndegree(ConnectionRule):
    """Each target gets exactly ``degree`` sources."""

    everywhere: ClassVar[bool] = True

    degree: int = param(kind=int, at_least=0, doc="connections into each target")
    autapses: bool = param(False, kind=bool, doc="whether a neuron may connect to itself")
    multapses: bool = param(False, kind=bool, doc="whether a pair may be connected more than once")

    def check(self, n_pre, n_post, same):  # noqa: D102
        _check_degree("FixedIndegree", self, n_pre, "sources", same)

    def make(self, lo, hi, n_pre, n_post, same, seed):  # noqa: D102
        return lib.fixed_indegree(lo, hi, n_pre, self.degree, self.autapses or not same, self.multapses, seed)

    def thinned(self, share):  # noqa: D102
        return self.replace(degree=math.ceil(self.degree * share))

    def expected(self, n_pre, n_post):  # noqa: D102
        return float(self.degree) * n_post


@dataclass(frozen=True)
class FixedTotalNumber(ConnectionRule):
    """``number`` connections in all; each draws its source and its target, so pairs may repeat."""

    everywhere: ClassVar[bool] = True

    number: int = param(kind=int, at_least=0, doc="connections of the projection")
    autapses: bool = param(False, kind=bool, doc="whether a neuron may connect to itself")

    def check(self, n_pre, n_post, same):  # noqa: D102
        if self.number > 0 and same and n_pre == 1 and not self.autapses:
            raise NetworkError("FixedTotalNumber: a single neuron can only connect to itself; allow autapses=True")

    def make(self, lo, hi, n_pre, n_post, same, seed):  # noqa: D102
        return lib.fixed_total_number(lo, hi, n_pre, n_post, self.number, self.autapses or not same, seed)

    def thinned(self, share):  # noqa: D102
        return self.replace(number=math.ceil(self.number * share))

    def expected(self, n_pre, n_post):  # noqa: D102
        return float(self.number)


#: Targets whose distances to all sources determine the expected number of connections of `DistanceDependent`.
_ESTIMATED = 64


@dataclass(frozen=True)
class DistanceDependent(ConnectionRule):
    """Each pair connects with a probability that falls with its distance, independently.

    Both populations need positions (`Network.add`). The probability at the distance ``d`` is
    ``p exp(-d^2 / (2 width^2))`` (gaussian), ``p exp(-d / width)`` (exponential), or ``p`` up to ``width`` (box).

    Examples
    --------
    >>> DistanceDependent(p=0.1, width=0.15, profile="exponential")
    DistanceDependent(p=0.1, width=0.15, profile='exponential', farthest=inf, autapses=False)
    """

    p: float = param(at_least=0.0, at_most=1.0, doc="probability at distance 0")
    width: float = param(above=0.0, doc="standard deviation, decay length or radius, in the unit of the positions")
    profile: Literal["gaussian", "exponential", "box"] = param("gaussian", kind=str, doc="gaussian, exponential or box")
    farthest: float = param(math.inf, above=0.0, infinite=True, doc="largest distance of a connection")
    autapses: bool = param(False, kind=bool, doc="whether a neuron may connect to itself")
    pre: Positions | None = field(default=None, compare=False, repr=False)
    post: Positions | None = field(default=None, compare=False, repr=False)

    def validate(self) -> None:
        """Check the profile."""
        if self.profile not in (known := lib.Profile.__members__):
            raise ParameterError(f"DistanceDependent.profile must be one of {', '.join(known)}, got {self.profile!r}")

    def between(self, name, pre, post):  # noqa: D102
        pre, post = check_space(f"{name}: DistanceDependent", pre, post)
        return dataclasses.replace(self, pre=pre, post=post)

    def make(self, lo, hi, n_pre, n_post, same, seed):  # noqa: D102
        assert self.pre is not None
        assert self.post is not None
        points, ends = (self.pre.points, self.post.points), np.asarray(self.pre.periodic)
        shape = lib.Profile.__members__[self.profile]
        return lib.by_distance(
            lo, hi, *points, ends, shape, self.p, self.width, self.farthest, self.autapses or not same, seed
        )

    def thinned(self, share):  # noqa: D102
        return self.replace(p=self.p * share)

    @functools.cached_property
    def _mean_indegree(self) -> float:
        """Mean over some targets of the expected number of their sources."""
        assert self.pre is not None
        assert self.post is not None
        sources, found = np.arange(len(self.pre)), []
        for target in np.unique(np.linspace(0, len(self.post) - 1, _ESTIMATED).astype(np.int64)):
            near = self.pre.distances(sources, self.post, np.full(sources.size, target))
            folds = near / self.width
            profiles = {"gaussian": np.exp(-0.5 * folds * folds), "exponential": np.exp(-folds), "box": folds <= 1.0}
            found.append(float(np.sum(profiles[self.profile] * (near <= self.farthest))))
        return self.p * float(np.mean(found))

    def expected(self, n_pre, n_post):  # noqa: D102
        return max(self._mean_indegree * n_post, 1.0)


@dataclass(frozen=True)
class FixedOutdegree(ConnectionRule):
    """Each source gets exactly ``degree`` targets."""

    stays: ClassVar[str] = "the number of targets of a source would change; take FixedIndegree"

    sweeps: ClassVar[bool] = True

    degree: int = param(kind=int, at_least=0, doc="connections out of each source")
    autapses: bool = param(False, kind=bool, doc="whether a neuron may connect to itself")
    multapses: bool = param(False, kind=bool, doc="whether a pair may be connected more than once")

    def check(self, n_pre, n_post, same):  # noqa: D102
        _check_degree("FixedOutdegree", self, n_post, "targets", same)

    def make(self, lo, hi, n_pre, n_post, same, seed):  # noqa: D102
        autapses = self.autapses or not same
        return lib.fixed_outdegree(lo, hi, n_pre, n_post, self.degree, autapses, self.multapses, seed)

    def expected(self, n_pre, n_post):  # noqa: D102
        return float(self.degree) * n_pre


def _check_degree(name: str, rule: Any, n: int, what: str, same: bool) -> None:
    """Raise if a degree exceeds the number of candidates."""
    candidates = n - 1 if same and not rule.autapses else n
    if rule.degree > candidates and (not rule.multapses or candidates == 0):
        advice = "" if rule.multapses else "; lower the degree or allow multapses=True"
        raise NetworkError(f"{name}.degree is {rule.degree}, but there are only {candidates} possible {what}{advice}")


@dataclass(frozen=True, eq=False, repr=False)
class Explicit(ConnectionRule):
    """Given connections: ``Explicit(matrix)`` or ``Explicit(sources=..., targets=...)``.

    A matrix is a SciPy sparse matrix of shape ``(n_post, n_pre)`` or a dense array, whose zeros are no connections. The
    entries of the matrix are the weights, unless ``connect`` gets a weight. Repeated pairs of the lists are kept.
    """

    stays: ClassVar[str] = "given connections do not say which others are possible; take FixedIndegree or Bernoulli"

    matrix: Any = None
    sources: Any = None
    targets: Any = None

    def validate(self) -> None:
        """Convert every form to lists of sources and targets."""
        given = [part is not None for part in (self.matrix, self.sources, self.targets)]
        if given not in ([True, False, False], [False, True, True]):
            raise NetworkError(
                "Explicit takes either a matrix, or both sources and targets, by name: Explicit(sources=[0, 9], targets=[0, 1])"
            )
        if self.matrix is not None:
            sparse = _as_coo(self.matrix)
            sources, targets, weights, shape = sparse.col, sparse.row, sparse.data.astype(np.float64), sparse.shape
        else:
            sources, targets = _indices("sources", self.sources), _indices("targets", self.targets)
            weights, shape = None, None
            if sources.size != targets.size:
                raise NetworkError(f"Explicit: {sources.size} sources, but {targets.size} targets")
        order = np.lexsort((sources, targets))
        object.__setattr__(self, "matrix", None)
        object.__setattr__(self, "sources", sources[order].astype(np.int32))
        object.__setattr__(self, "targets", targets[order].astype(np.int32))
        object.__setattr__(self, "order", order)
        object.__setattr__(self, "weights", None if weights is None else weights[order])
        object.__setattr__(self, "shape", shape)

    def __repr__(self) -> str:
        return f"Explicit({self.sources.size} connections)"

    def replace(self, **changes: Any) -> Self:
        """Return a rule with other connections; without changes, a copy that keeps the weights."""
        if not changes:
            return self
        lists = {} if "matrix" in changes else {"sources": self.sources, "targets": self.targets}
        return type(self)(**(lists | changes))

    def to_dict(self) -> dict[str, Any]:
        """Return the lists of sources and targets."""
        return {"type": "Explicit", "sources": self.sources.tolist(), "targets": self.targets.tolist()}

    def check(self, n_pre, n_post, same):  # noqa: D102
        shape = self.shape
        if shape is not None and shape != (n_post, n_pre):
            raise NetworkError(f"Explicit matrix must have shape ({n_post}, {n_pre}) = (targets, sources), got {shape}")
        for name, index, n in (("sources", self.sources, n_pre), ("targets", self.targets, n_post)):
            if index.size and (index.min() < 0 or index.max() >= n):
                raise NetworkError(f"Explicit {name} must lie in 0..{n - 1}, got {index.min()}..{index.max()}")

    def make(self, lo, hi, n_pre, n_post, same, seed):  # noqa: D102
        indptr = np.searchsorted(self.targets, np.arange(lo, hi + 1))
        return indptr - indptr[0], self.sources[indptr[0] : indptr[-1]]

    def expected(self, n_pre, n_post):  # noqa: D102
        return float(self.sources.size)


def _as_coo(matrix: Any) -> Any:
    if scipy.sparse.issparse(matrix):
        out = matrix.tocoo()
    else:
        dense = real_numbers("Explicit matrix", matrix, NetworkError)
        if dense.ndim != 2:
            raise NetworkError(
                f"Explicit needs a SciPy sparse matrix or a 2-d array of numbers, got {matrix!r:.80}; "
                "give lists by name: Explicit(sources=[0, 9], targets=[0, 1])"
            )
        out = scipy.sparse.coo_matrix(dense.astype(np.float32) if dense.dtype == np.float16 else dense)
    real_numbers("Explicit matrix", out.data, NetworkError)
    if not np.all(np.isfinite(out.data)):
        raise NetworkError("Explicit matrix holds weights that are not finite")
    return out


def _indices(name: str, values: npt.ArrayLike) -> np.ndarray:
    index = real_numbers(f"Explicit {name}", values, NetworkError)
    if index.ndim != 1 or (index.size and index.dtype.kind not in "iu"):
        raise NetworkError(f"Explicit {name} must be a list of whole numbers, got {values!r:.80}")
    if index.size and (index.min() < 0 or index.max() >= 2**31 - 1):
        raise NetworkError(f"Explicit {name} must lie in 0..2^31-2, got {index.min()}..{index.max()}")
    return index.astype(np.int64)
