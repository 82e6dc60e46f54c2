"""Find runs in rows of synapses: neighbouring entries whose targets are neighbours as well."""

from __future__ import annotations

from eprop._jit import inline, kernel


@inline
def _begins(q, first, targets):
    """Whether a run begins with synapse ``q`` of a row that begins at ``first``."""
    return q == first or targets[q] != targets[q - 1] + 1


@kernel
def count_runs(indptr, targets):
    """Number of runs in some rows, of which each begins and ends where ``indptr`` (rows + 1,) says."""
    count = 0
    for i in range(indptr.size - 1):
        for q in range(indptr[i], indptr[i + 1]):
            if _begins(q, indptr[i], targets):
                count += 1
    return count


@kernel
def list_runs(indptr, targets, number, rows, starts, first_targets):
    """Write where the runs of some rows begin and with which target, and behind them where the last one ends.

    Parameters
    ----------
    indptr : (rows + 1,)
    targets : (synapses,)
    number : int
        That of the first of these runs in a list of all.
    rows : (rows, 2)
        Is written: the first run of each row, and the one after its last.
    starts, first_targets : (runs + 1,)
        Are written.
    """
    count = 0
    for i in range(indptr.size - 1):
        rows[i, 0] = number + count
        for q in range(indptr[i], indptr[i + 1]):
            if _begins(q, indptr[i], targets):
                starts[count], first_targets[count] = q, targets[q]
                count += 1
        rows[i, 1] = number + count
    starts[count], first_targets[count] = indptr[-1], 0
