"""Features that a projection cannot have together: each combination is refused here, by one line of a table."""

from __future__ import annotations

from collections.abc import Callable

from eprop.errors import NetworkError
from eprop.network.parts import Projection
from eprop.network.rewiring import Rewiring, can_move
from eprop.rules import EProp, EPropPlus, PairRule


def _each_step(p: Projection) -> bool:
    return isinstance(p.rule, EPropPlus) and p.rule.each_step


def _moves(holds: Callable[[Projection, Rewiring], bool]) -> Callable[[Projection], bool]:
    """A condition of projections with a `Rewiring`."""
    return lambda p: p.rewiring is not None and holds(p, p.rewiring)


def _shrinks(rewiring: Rewiring) -> bool:
    return rewiring.l1 > 0.0 or rewiring.noise > 0.0


#: When a combination is refused, and why; ``{rule}`` and ``{kind}`` are the classes of the rule and of the connection rule.
REFUSED: tuple[tuple[Callable[[Projection], bool], str], ...] = (
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


def check_combinations(p: Projection) -> None:
    """Check that a projection can have all its features together.

    Raises
    ------
    NetworkError
        If it cannot.
    """
    for holds, words in REFUSED:
        if holds(p):
            said = words.format(
                rule=type(p.rule).__name__, kind=type(p.connectivity).__name__, stays=p.connectivity.stays
            )
            raise NetworkError(f"{p.name}: {said}")
