"""Maps of neurons over any interval of the recent past, from what was composed as time went on.

The *way ahead* leads from the start of a block to the start of the current one. It is the same for all intervals that begin in
that block and end in this one, however many there are. It is composed backward, block by block, as far as it is wanted, and
kept in ``ahead`` for the rest of the block. Long ways take strides: ``tails[b]`` maps from the start of block ``b`` to the end of
its *span* of blocks (`end_span`). From there the ``prefix`` leads to the current step. Synapses that are kept at their anchors
ask for nothing else (`kernels.anchors`).

Those that cannot be moved back (`kernels.crossing`) begin within a block, ``[a, now)``:

- The *rest of the block* of ``a`` is ``parts[a]``, made for all steps of a block when it ends, composed backward, step by step
  (`end_block`); then comes the way ahead from the next block on, joined with the prefix (`way_to_here`).
- An interval within the current block is composed backward, step by step, and kept in ``near``.

So a synapse costs the same whatever the length of the interval, and whether or not others share it. The same numbers come out
for all neurons at once as for a single one.
"""

from __future__ import annotations

import numpy as np


def _unbound(*arguments):
    """Stands for a bound template."""


_copy = _compose = _prepend = _unbound
_look_ahead = _look_near = _way_to_here = _unbound
# Whether what is found is kept: for all neurons it is, for a single one it is not.
KEEP = True


def end_block(t, lo, hi, parts, nothing, steps, block_steps, group, groups, decays, filters, eligibility):
    """Template: maps from each step of the block that ends before ``t`` to its end."""
    here, ring = np.uint64(0), parts.shape[0] - 1
    for at in range(t - 1, t - 1 - block_steps, -1):
        row, s = np.uint64(at & ring), np.uint64(at & (steps.shape[0] - 1))
        if at == t - 1:
            _prepend(lo, hi, s, steps, 0, here, nothing, row, parts, group, groups, decays, filters, eligibility)
        else:
            _prepend(lo, hi, s, steps, t - 1 - at, np.uint64((at + 1) & ring), parts, row, parts, group, groups, decays,
                     filters, eligibility)  # fmt: skip


def end_span(t, lo, hi, blocks, tails, block_steps, span_blocks, group, decays, filters):
    """Template: maps from each block of the span that ends before ``t`` to its end."""
    mask, end = tails.shape[0] - 1, t // block_steps
    for b in range(end - 1, end - 1 - span_blocks, -1):
        row = np.uint64(b & mask)
        if b == end - 1:
            _copy(lo, hi, row, blocks, row, tails)
        else:
            _compose(lo, hi, block_steps, (end - 1 - b) * block_steps, row, blocks, np.uint64((b + 1) & mask), tails, row,
                     tails, group, decays, filters)  # fmt: skip


def turn_to_block(current, p, group, known, known_in):
    """Template: forget the ways ahead to another block than ``current``."""
    if known_in[p, group] != current:
        known_in[p, group] = current
        for b in range(known.shape[2]):
            known[p, group, b] = False


def look_ahead(
    lowest, current, lo, hi, p, blocks, tails, ahead, known, block_steps, span_blocks, group, decays, filters
):
    """Template: maps from the start of block ``lowest`` to that of ``current``, and of all on the way, into ``ahead``."""
    mask = ahead.shape[0] - 1
    # Before this block there are whole spans.
    spans_end = current // span_blocks * span_blocks if span_blocks > 0 else 0
    at = current
    while at > lowest:
        begin = at - 1 if at > spans_end else max(lowest, (at - 1) // span_blocks * span_blocks)
        if not known[p, group, begin & mask]:
            n_a, n_b = (at - begin) * block_steps, (current - at) * block_steps
            here, there = np.uint64(begin & mask), np.uint64(at & mask)
            if at == current and at > spans_end:
                _copy(lo, hi, here, blocks, here, ahead)
            elif at == current:
                _copy(lo, hi, here, tails, here, ahead)
            elif at > spans_end:
                _compose(lo, hi, n_a, n_b, here, blocks, there, ahead, here, ahead, group, decays, filters)
            else:
                _compose(lo, hi, n_a, n_b, here, tails, there, ahead, here, ahead, group, decays, filters)
            known[p, group, begin & mask] = True
        at = begin


def way_to_here(first, now, lo, hi, p, group, topology, history, scratch, way):
    """Template: maps from the start of block ``first`` to ``now`` of neurons ``lo:hi`` into ``way[0]``.

    After `look_ahead` for all neurons, where ``first`` is not the current block.
    """
    steps, row, here = history.block_steps, np.uint64(now & 1), np.uint64(0)
    current, there = now // steps, np.uint64(first & (scratch.ahead.shape[0] - 1))
    if first == current:
        _copy(lo, hi, row, history.prefix, here, way)
    else:
        _compose(lo, hi, (current - first) * steps, now - current * steps, there, scratch.ahead, row, history.prefix, here, way,
                 group, topology.decays, topology.filters)  # fmt: skip


def turn_to_step(now, p, group, near_from):
    """Template: forget what was found before another step than ``now``."""
    if near_from[p, group, 0] != now:
        near_from[p, group, 0] = near_from[p, group, 1] = now


def look_near(a, now, lo, hi, p, nothing, near, near_from, steps, group, groups, decays, filters, eligibility):
    """Template: maps from ``a`` to ``now``, in the same block, and from all steps between, into ``near``."""
    here, mask = np.uint64(0), near.shape[0] - 1
    for at in range((near_from[p, group, 1] if KEEP else now) - 1, a - 1, -1):
        row, s = np.uint64(at & mask), np.uint64(at & (steps.shape[0] - 1))
        if at == now - 1:
            _prepend(lo, hi, s, steps, 0, here, nothing, row, near, group, groups, decays, filters, eligibility)
        else:
            _prepend(lo, hi, s, steps, now - 1 - at, np.uint64((at + 1) & mask), near, row, near, group, groups, decays,
                     filters, eligibility)  # fmt: skip
    if KEEP:
        near_from[p, group, 1] = min(near_from[p, group, 1], a)


def map_within_block(a, now, lo, hi, p, group, topology, history, scratch, out):
    """Template: maps over ``[a, now)``, in the current block, of neurons ``lo:hi`` into ``out[0]``, after `turn_to_step`."""
    begin, stop = np.uint64(lo), np.uint64(hi)
    _look_near(a, now, begin, stop, p, topology.nothing, scratch.near, scratch.near_from, history.steps, group,
               topology.groups, topology.decays, topology.filters, topology.eligibility)  # fmt: skip
    _copy(begin, stop, np.uint64(a & (scratch.near.shape[0] - 1)), scratch.near, np.uint64(0), out)


_within_block = map_within_block


def maps_of_interval(a, now, lo, hi, p, group, topology, history, scratch, out):
    """Template: maps over ``[a, now)`` of neurons ``lo:hi`` into ``out[0]``, after `turn_to_step` and `turn_to_block`."""
    block_steps, first = history.block_steps, a // history.block_steps + 1
    if now // block_steps < first:
        _within_block(a, now, lo, hi, p, group, topology, history, scratch, out)
        return
    begin, stop = np.uint64(lo), np.uint64(hi)
    _look_ahead(first, now // block_steps, begin, stop, p, history.blocks, history.tails, scratch.ahead, scratch.known,
                block_steps, history.span_blocks, group, topology.decays, topology.filters)  # fmt: skip
    _way_to_here(first, now, begin, stop, p, group, topology, history, scratch, scratch.maps)
    rest = first * block_steps - a
    _compose(begin, stop, rest, now - a - rest, np.uint64(a & (history.parts.shape[0] - 1)), history.parts, np.uint64(0),
             scratch.maps, np.uint64(0), out, group, topology.decays, topology.filters)  # fmt: skip
