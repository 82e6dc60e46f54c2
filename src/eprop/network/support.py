"""Checks of a projection: its signs, precision and known weights, and the features that it cannot have together.

Each combination is refused by one line of a table.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from eprop.errors import NetworkError
from eprop.models.base import ELIGIBILITY_MEANS, has_eligibility
from eprop.network.connectivity import AllToAll
from eprop.network.distributions import Array, Constant
from eprop.network.parts import Projection
from eprop.network.precision import FixedPoint, check_levels
from eprop.network.rewiring import Rewiring, can_move
from eprop.network.signs import SOURCE, check_sign, signed_constants, signed_weights
from eprop.parameters import instead_of
from eprop.rules import EProp, EPropPlus, PairRule
from eprop.rules.bounds import outside


def _each_step(p: Projection) -> bool:
    return isinstance(p.rule, EPropPlus) and p.rule.each_step


def _moves(holds: Callable[[Projection, Rewiring], bool]) -> Callable[[Projection], bool]:
    """A condition of projections with a `Rewiring`."""
    return lambda p: p.rewiring is not None and holds(p, p.rewiring)


def _shrinks(rewiring: Rewiring) -> bool:
    return rewiring.l1 > 0.0 or rewiring.noise > 0.0


#: When a combination is refused, and why; ``{rule}``, ``{kind}`` and ``{model}`` are the classes of the rule, of the connection
#: rule and of the targets.
REFUSED: tuple[tuple[Callable[[Projection], bool], str], ...] = (
    (
        lambda p: (
            isinstance(p.rule, EProp | EPropPlus)
            and p.post.model.role == "neuron"
            and not has_eligibility(p.post.model)
        ),
        "{rule} needs the eligibility of the neurons {post!r}, and {model} does not define one; define {model}.eligibility(dt), "
        + ELIGIBILITY_MEANS
        + ", or let these synapses be static or learn by a pair rule such as ep.STDP()",
    ),
    (
        lambda p: p.precision is not None and _each_step(p),
        "with weights of few bits EPropPlus takes a step at every spike; a step at every time step (each_step) changes a weight "
        "by less than a level",
    ),
    (
        _moves(lambda p, _: not can_move(p.rule)),
        "Rewiring needs synapses that learn, and {rule} does not; give rule=ep.EProp()",
    ),
    (
        _moves(lambda p, rewiring: rewiring.grow == "gradient" and isinstance(p.rule, PairRule)),
        '{rule} has no gradient; take Rewiring(grow="random")',
    ),
    (
        _moves(lambda p, rewiring: _shrinks(rewiring) and not isinstance(p.rule, EProp)),
        "Rewiring(l1=..., noise=...) acts after mini-batches of e-prop, and {rule} has none; leave out both, or take "
        "rule=ep.EProp()",
    ),
    (
        _moves(lambda p, _: _each_step(p)),
        "with each_step=True, steps of the optimiser are owed when synapses move; leave out each_step or rewiring",
    ),
    (
        _moves(lambda p, _: p.post.model.role == "readout"),
        "synapses onto readouts do not move, because feedback follows them; leave out rewiring",
    ),
    (
        _moves(lambda p, _: bool(p.connectivity.stays)),
        "rewiring does not fit {kind}: {stays}",
    ),
    (
        _moves(lambda p, rewiring: _shrinks(rewiring) and p.precision is not None),
        "Rewiring(l1=..., noise=...) changes weights without rounding; leave out both, or precision",
    ),
    (
        _moves(lambda p, rewiring: rewiring.drop == "sign" and p.sign is None),
        'Rewiring(drop="sign") drops synapses at the bound of their sign: give sign="fixed" or sign="source", or take '
        'drop="weight"',
    ),
)


def check_projection(p: Projection) -> None:
    """Check what `Network.connect` got, before anything is drawn.

    Raises
    ------
    NetworkError
        If an argument has a wrong type, known weights are beyond the bounds of the rule or contradict their signs, or the
        projection cannot have all its features together.
    """
    if p.precision is not None and not isinstance(p.precision, FixedPoint):
        wanted = f"FixedPoint(bits=8), or None{instead_of(p.precision, FixedPoint)}"
        raise NetworkError(f"{p.name}: precision must be {wanted}")
    if p.rewiring is not None and not isinstance(p.rewiring, Rewiring):
        wanted = f"a Rewiring, such as ep.Rewiring(every=25), got {p.rewiring!r:.80}"
        raise NetworkError(f"{p.name}: rewiring must be {wanted}")
    check_sign(p)
    if p.precision is not None:
        check_levels(p.name, p.precision, p.rule)
    if isinstance(p.weight, Constant):
        check_bounds(p, np.array(signed_constants(p, p.weight.value)))
    elif isinstance(p.weight, Array):
        _check_given_weights(p, p.weight.values)
    for holds, words in REFUSED:
        if holds(p):
            said = words.format(
                rule=type(p.rule).__name__, kind=type(p.connectivity).__name__, stays=p.connectivity.stays,
                post=p.post.name, model=type(p.post.model).__name__,
            )  # fmt: skip
            raise NetworkError(f"{p.name}: {said}")


def _check_given_weights(p: Projection, values: np.ndarray) -> None:
    """Check a list of weights, or a matrix if each entry is a connection; the build checks other matrices."""
    everywhere = isinstance(p.connectivity, AllToAll) and (p.pre is not p.post or p.connectivity.autapses)
    if values.ndim == 2 and not everywhere:
        return
    if p.sign == SOURCE:
        sources = np.tile(np.arange(p.pre.size), p.post.size) if values.ndim == 2 else p.connectivity.sources  # type: ignore[attr-defined]
        signed_weights(p, sources, values.ravel())
    check_bounds(p, values)


def check_bounds(p: Projection, values: np.ndarray) -> None:
    """Raise `NetworkError` if initial weights lie outside the bounds of the rule."""
    if outside(values, p.rule.bounds):
        low, high = p.rule.bounds
        drawn = not isinstance(p.weight, (Array, Constant))
        hint = "; Normal and other distributions take low= and high=" if drawn else ""
        raise NetworkError(
            f"weights of {p.name} span {values.min():.9g}..{values.max():.9g} {p.weight_unit}, outside the bounds "
            f"{low:.9g}..{high:.9g} of its {'optimiser' if hasattr(p.rule, 'optimizer') else 'rule'}{hint}"
        )
