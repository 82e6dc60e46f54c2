"""The receptor of a projection onto neurons with an excitatory and an inhibitory synaptic time constant."""

from __future__ import annotations

from eprop.errors import NetworkError
from eprop.models import Neuron
from eprop.models.base import EXCITATORY, INHIBITORY, RECEPTORS
from eprop.network.distributions import Array, Distribution
from eprop.network.parts import Population
from eprop.network.signs import ends_of_weights
from eprop.parameters import brief, short


def receptor_of(
    name: str, given: object, weight: Distribution | Array, ends: tuple[Population, Population], sign: object = None
) -> str | None:
    """Return the receptor of the projection ``name``: the given one, or by the sign of its weights.

    None if the target has one receptor. ``ends`` are source and target; ``sign`` is that of `Network.connect`.

    Raises
    ------
    NetworkError
        If the given receptor does not exist, or none is given and the weights may have both signs.
    """
    pre, post = ends
    has_two = isinstance(post.model, Neuron) and post.model.inhibitory_row is not None
    if given is not None and given not in RECEPTORS:
        names = " or ".join(map(repr, RECEPTORS))
        raise NetworkError(f"{name}: receptor must be {names}, got {brief(given)}")
    if given is not None and not has_two:
        raise NetworkError(
            f"{name}: receptor={given!r}, but {post.name!r} has one receptor; CurrentLIF with tau_syn_in has two"
        )
    if given is not None or not has_two:
        return None if given is None else str(given)
    low, high = ends_of_weights(sign, pre, weight)
    if low < 0.0 < high:
        known = isinstance(weight, Array)
        what = (
            f"weights are {low:g}..{high:g} {post.model.input_unit}"
            if known
            else f"{short(weight)} may draw both signs"
        )
        bound = "" if known else "bound the distribution (low= or high=), "
        raise NetworkError(
            f"{name}: {what}, so the sign of the weights does not choose a receptor of {post.name!r}: give receptor=, {bound}or "
            "make a projection for each sign"
        )
    return INHIBITORY if low < 0.0 else EXCITATORY
