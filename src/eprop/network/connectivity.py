"""Connection rules: which source reaches which target. Descriptions that can make any part of the network alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.sparse

from eprop.core import lib
from eprop.errors import NetworkError
from eprop.parameters import Description, param, real_numbers


@dataclass(frozen=True)
class ConnectionRule(Description):
    """Base of all connection rules.

    ``sweeps`` says that `make` draws all connections to find those of a few targets.
    """

    sweeps: ClassVar[bool] = False

    def check(self, n_pre: int, n_post: int, same: bool) -> None:
        """Raise `NetworkError` if the rule cannot be satisfied; ``same`` is true within one population."""

    def make(self, lo: int, hi: int, n_pre: int, n_post: int, same: bool, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Sources of the targets ``lo:hi``; they must not depend on where this range begins and ends.

        Parameters
        ----------
        lo, hi : int
            First target, and the one after the last.
        n_pre, n_post : int
            Sizes of the populations.
        same : bool
            Whether one population is on both sides.
        seed : int
            Every draw is a function of ``seed``, the target (or the source, see ``sweeps``) and a counter.

        Returns
        -------
        indptr : ndarray, shape (hi - lo + 1,), int64
            Begins with 0; ``sources[indptr[k] : indptr[k + 1]]`` are the sources of target ``lo + k``.
        sources : ndarray, shape (indptr[-1],), int32
            In ascending order within a target.
        """
        raise TypeError(f"{type(self).__name__} does not define make()")

    def made(
        self, name: str, lo: int, hi: int, n_pre: int, n_post: int, same: bool, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """What `make` returns for the projection ``name``, checked if the rule is not one of this module.

        The core relies on valid sources and offsets: others would let it read and write anywhere.

        Raises
        ------
        NetworkError
            If the result is not as `make` promises.
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
        indptr = indptr.astype(np.int64)  # of unsigned ones no difference is negative
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
                f"sources of {what} must be in ascending order within a target; of {target} they are not"
            )
        return indptr, sources.astype(np.int32)

    def expected(self, n_pre: int, n_post: int) -> float:
        """Expected number of connections between populations of these sizes, all targets together.

        Parameters
        ----------
        n_pre, n_post : int
            Sizes of the populations.

        Returns
        -------
        float
            An estimate, autapses that are left out included: memory and the mean degrees of `Distribution.draw` follow
            from it.
        """
        raise TypeError(f"{type(self).__name__} does not define expected()")


@dataclass(frozen=True)
class AllToAll(ConnectionRule):
    """Every source to every target; without autapses unless allowed."""

    autapses: bool = param(False, kind=bool, doc="may a neuron reach itself")

    def make(self, lo, hi, n_pre, n_post, same, seed):  # noqa: D102
        return lib.all_to_all(lo, hi, n_pre, self.autapses or not same)

    def expected(self, n_pre, n_post):  # noqa: D102
        return float(n_pre) * n_post


@dataclass(frozen=True)
class OneToOne(ConnectionRule):
    """Node ``k`` to node ``k``."""

    def check(self, n_pre, n_post, same):  # noqa: D102
        if n_pre != n_post:
            raise NetworkError(f"OneToOne needs populations of one size, got {n_pre} sources and {n_post} targets")

    def make(self, lo, hi, n_pre, n_post, same, seed):  # noqa: D102
        return lib.one_to_one(lo, hi)

    def expected(self, n_pre, n_post):  # noqa: D102
        return float(n_post)


@dataclass(frozen=True)
class Bernoulli(ConnectionRule):
    """Each pair with probability ``p``, independently."""

    p: float = param(at_least=0.0, at_most=1.0, doc="probability of a connection")
    autapses: bool = param(False, kind=bool, doc="may a neuron reach itself")

    def make(self, lo, hi, n_pre, n_post, same, seed):  # noqa: D102
        if self.p == 0.0:
            return np.zeros(hi - lo + 1, np.int64), np.empty(0, np.int32)
        return lib.bernoulli(lo, hi, n_pre, self.p, self.autapses or not same, seed)

    def expected(self, n_pre, n_post):  # noqa: D102
        return self.p * n_pre * n_post


@dataclass(frozen=True)
class FixedIndegree(ConnectionRule):
    """Exactly ``degree`` sources for each target."""

    degree: int = param(kind=int, at_least=0, doc="connections into each target")
    autapses: bool = param(False, kind=bool, doc="may a neuron reach itself")
    multapses: bool = param(False, kind=bool, doc="may a pair be connected more than once")

    def check(self, n_pre, n_post, same):  # noqa: D102
        _check_degree("FixedIndegree", self, n_pre, "sources", same)

    def make(self, lo, hi, n_pre, n_post, same, seed):  # noqa: D102
        return lib.fixed_indegree(lo, hi, n_pre, self.degree, self.autapses or not same, self.multapses, seed)

    def expected(self, n_pre, n_post):  # noqa: D102
        return float(self.degree) * n_post


@dataclass(frozen=True)
class FixedOutdegree(ConnectionRule):
    """Exactly ``degree`` targets for each source."""

    sweeps: ClassVar[bool] = True

    degree: int = param(kind=int, at_least=0, doc="connections out of each source")
    autapses: bool = param(False, kind=bool, doc="may a neuron reach itself")
    multapses: bool = param(False, kind=bool, doc="may a pair be connected more than once")

    def check(self, n_pre, n_post, same):  # noqa: D102
        _check_degree("FixedOutdegree", self, n_post, "targets", same)

    def make(self, lo, hi, n_pre, n_post, same, seed):  # noqa: D102
        autapses = self.autapses or not same
        return lib.fixed_outdegree(lo, hi, n_pre, n_post, self.degree, autapses, self.multapses, seed)

    def expected(self, n_pre, n_post):  # noqa: D102
        return float(self.degree) * n_pre


def _check_degree(name: str, rule: Any, n: int, what: str, same: bool) -> None:
    """A degree must not exceed the number of candidates."""
    candidates = n - 1 if same and not rule.autapses else n
    if rule.degree > candidates and (not rule.multapses or candidates == 0):
        advice = "" if rule.multapses else "; lower the degree or allow multapses=True"
        raise NetworkError(f"{name}.degree is {rule.degree}, but there are only {candidates} possible {what}{advice}")


@dataclass(frozen=True, eq=False, repr=False)
class Explicit(ConnectionRule):
    """Connections as given: ``Explicit(matrix)`` or ``Explicit(sources=..., targets=...)``.

    A matrix is a SciPy sparse matrix of shape ``(n_post, n_pre)`` or a dense array (its zeros are no connections);
    its entries are the weights, unless a weight is given to ``connect``. Repeated pairs of the lists are kept.
    """

    matrix: Any = None
    sources: Any = None
    targets: Any = None

    def validate(self) -> None:
        """Bring all forms to lists of sources and targets."""
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

    def replace(self, **changes: Any) -> Any:
        """Other connections; with none given, these, their weights included."""
        if not changes:
            return self
        lists = {} if "matrix" in changes else {"sources": self.sources, "targets": self.targets}
        return type(self)(**(lists | changes))

    def to_dict(self) -> dict[str, Any]:
        """Lists of sources and targets."""
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
                "lists are given by name: Explicit(sources=[0, 9], targets=[0, 1])"
            )
        out = scipy.sparse.coo_matrix(dense)
    real_numbers("Explicit matrix", out.data, NetworkError)
    if not np.all(np.isfinite(out.data)):
        raise NetworkError("Explicit matrix holds weights that are not finite")
    return out


def _indices(name: str, values: Any) -> np.ndarray:
    index = real_numbers(f"Explicit {name}", values, NetworkError)
    if index.ndim != 1 or (index.size and index.dtype.kind not in "iu"):
        raise NetworkError(f"Explicit {name} must be a list of whole numbers, got {values!r:.80}")
    if index.size and (index.min() < 0 or index.max() >= 2**31 - 1):
        raise NetworkError(f"Explicit {name} must lie in 0..2^31-2, got {index.min()}..{index.max()}")
    return index.astype(np.int64)
