"""Spikes as bytes, and the numbers of what a rank knows."""

from __future__ import annotations

import numpy as np
import pytest

from eprop.kernels import numbering
from eprop.kernels.exchange import Inbox, Outbox, end_step, pack, post_spikes, unpack_step

pytestmark = pytest.mark.tiny


def known(neurons, total):
    bits, counts = np.zeros(total // 64 + 1, np.uint64), np.zeros(total // 64 + 1, np.uint32)
    numbering.mark(bits, 0, np.asarray(neurons, np.int64))
    numbering.count_words(bits, counts)
    return bits, counts


@pytest.mark.parametrize("total", [1, 63, 64, 65, 300])
def test_numbers_of_known_neurons(total):
    rng = np.random.default_rng(total)
    chosen = np.flatnonzero(rng.random(total) < 0.4)
    bits, counts = known(chosen, total)
    before = np.concatenate([[0], np.cumsum(np.isin(np.arange(total), chosen))])
    assert [numbering.known_before(bits, counts, i) for i in range(total + 1)] == before.tolist()
    assert [bool(numbering.is_known(bits, i)) for i in range(total)] == np.isin(np.arange(total), chosen).tolist()
    first = total // 3
    inside = chosen[chosen >= first] - first
    out, listed = np.empty(inside.size, np.int64), np.empty(inside.size, np.int64)
    numbering.renumber(bits, counts, first, inside, out)
    numbering.list_known(bits, first, total, listed)
    assert out.tolist() == list(range(inside.size))
    assert listed.tolist() == inside.tolist()


@pytest.mark.parametrize("word", [0, 1, 2**63, 2**64 - 1, 0x0123456789ABCDEF])
def test_bits_of_a_word(word):
    assert numbering.ones(np.uint64(word)) == word.bit_count()


@pytest.mark.parametrize("sizes", [(40,), (5, 0, 300), (1000, 3)])
def test_spikes_there_and_back(sizes):
    """What all ranks packed comes back in the order of lane, step and neuron, without neurons nobody knows here."""
    rng, lanes, steps = np.random.default_rng(1), 2, 3
    firsts = np.concatenate([[0], np.cumsum(sizes)])
    listened = np.flatnonzero(rng.random(firsts[-1]) < 0.7)
    bits, counts = known(listened, firsts[-1])
    spikes = [[[np.flatnonzero(rng.random(n) < 0.3).astype(np.int32) for _ in range(steps)] for _ in range(lanes)]
              for n in sizes]  # fmt: skip
    messages = []
    for size, own in zip(sizes, spikes, strict=True):
        outbox = Outbox(
            np.zeros((lanes, size * steps), np.int32), np.zeros((lanes, steps + 1), np.int64), np.zeros(lanes, np.int64)
        )
        for lane in range(lanes):
            for step in range(steps):
                half = own[lane][step].size // 2
                post_spikes(lane, own[lane][step][:half], half, outbox)
                post_spikes(lane, own[lane][step][half:], own[lane][step].size - half, outbox)
                end_step(lane, outbox)
        messages.append(pack(lanes, outbox))
        assert pack(lanes, outbox).size == 0  # it is empty now
    cursor = np.cumsum([0, *(m.size for m in messages)])
    inbox = Inbox(
        np.concatenate(messages), cursor[:-1].copy(), firsts[:-1], bits, counts, np.zeros(listened.size, np.int32)
    )
    for lane in range(lanes):
        for step in range(steps):
            everyone = np.concatenate([own[lane][step] + first for own, first in zip(spikes, firsts, strict=False)])
            wanted = np.searchsorted(listened, everyone[np.isin(everyone, listened)])
            assert inbox.spikes[: unpack_step(inbox)].tolist() == wanted.tolist()
    assert (inbox.cursor == cursor[1:]).all()
