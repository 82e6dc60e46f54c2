"""Steps of lanes whose neurons several ranks divide: all lanes run a slice, then the ranks exchange its spikes."""

from __future__ import annotations

from eprop.core import lib
from eprop.engine.ranks.exchange import Exchange

# Lanes in either precision of the weights.
Core = lib.EpisodesDouble | lib.EpisodesSingle


def run_in_slices(exchange: Exchange, core: Core, request: lib.EpisodeRequest, begin: int, width: int) -> None:
    """Run all steps of lanes that have begun, with one message for all of them in each slice; in one process at once.

    Parameters
    ----------
    exchange : Exchange
    core : Core
        Each rank has different neurons of the same lanes.
    request : EpisodeRequest
    begin, width : int
        Lanes ``begin : begin + width`` of the request run.
    """
    slice_steps = exchange.slice_steps if exchange.several else request.n_steps
    for t in range(0, request.n_steps, slice_steps):
        stop = min(t + slice_steps, request.n_steps)
        core.forward(begin, width, t, stop, request, exchange.several)
        if exchange.several:
            core.receive(begin, width, t, stop, request, *exchange.swap(core.message(width)))
