"""Spikes from rank to rank: as bytes, and back into the log of everyone who knows the neuron."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import eprop as ep
from ranks_in_threads import ThreadRank, on_ranks

pytestmark = [pytest.mark.tiny, pytest.mark.threads]
DELAY, STEPS = 3, 11  # slices of 3, 3, 3 and 2 steps


def relay(neurons: int, learns: bool) -> ep.Network:
    """Each neuron spikes a delay after its own input has; all reach a few others."""
    net, rule = ep.Network(seed=2), ep.EPropPlus(cutoff=5.0) if learns else ep.Static()
    x, rec = net.add(ep.EventSource(), neurons, "in"), net.add(ep.LIF(tau_m=1e-3), neurons, "rec")
    net.connect(x, rec, ep.OneToOne(), weight=10.0, delay=float(DELAY))
    net.connect(rec, rec, ep.FixedIndegree(2), weight=0.0, delay=float(DELAY), rule=rule)
    net.add(ep.Readout(), 1, "out")
    return net


def spikes_of(neurons: int, share: float) -> np.ndarray:
    drawn = np.random.default_rng(neurons).random((STEPS, neurons)) < share
    drawn[2] = False  # a step, and a slice's end, without spikes
    return drawn


def numbers(message: np.ndarray) -> list[int]:
    """The numbers of a message: seven bits in each byte, the lowest first; the eighth says that more follow."""
    found, value, shift = [], 0, 0
    for byte in message.tolist():
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            found.append(value)
            value = shift = 0
    assert shift == 0
    return found


def decoded(message: np.ndarray, steps: int) -> list[list[int]]:
    """Neurons of each step: how many, then each as the distance from the one before."""
    rest, out = iter(numbers(message)), []
    for _ in range(steps):
        gaps = itertools.islice(rest, next(rest))
        out.append([neuron - 1 for neuron in itertools.accumulate(gap + 1 for gap in gaps)])
    assert not list(rest)
    return out


@pytest.mark.parametrize("learns", [False, True], ids=["static", "e-prop+"])
@pytest.mark.parametrize(("neurons", "ranks", "share"), [(5, 2, 0.4), (64, 3, 0.3), (700, 2, 0.01), (300, 4, 0.9)])
def test_spikes_reach_the_log_of_every_rank_that_knows_the_neuron(neurons, ranks, share, learns):
    """In the order of step and neuron, without those that nobody there knows."""
    given = spikes_of(neurons, share)
    wanted = np.vstack([np.zeros((DELAY, neurons), bool), given[:-DELAY]])

    def work(comm: ThreadRank) -> Any:
        sim = ep.Simulator(net := relay(neurons, learns), threads=1, comm=comm)
        sim.run(float(STEPS), {"in": given})
        rec, partition, stream = net.population("rec"), sim._arrays.built.rank_partition, sim._arrays.online
        first = int(sim._arrays.built.topology.populations["first_source"][rec.index])
        known = partition.global_ids(sim.network.population("rec"))
        steps, sources = stream.spikes(first, first + known.size, 0, STEPS)
        assert stream.message().size == 0  # the outbox has been emptied
        oldest = max(STEPS + 1 - len(sim._arrays.history.log_start), 0)  # still in the log
        return (
            comm.messages,
            (partition.first, partition.stop),
            known,
            oldest,
            np.array([steps, known[sources - first]]),
        )

    for messages, (first, stop), known, oldest, found in on_ranks(ranks, work):
        in_order = np.array(np.nonzero(wanted & np.isin(np.arange(neurons), known)))
        np.testing.assert_array_equal(found, in_order[:, in_order[0] >= oldest])
        assert oldest < 8
        assert in_order.any()
        assert set(range(first, stop)) <= set(known)
        sent = [neurons for m, n in zip(messages[-4:], (3, 3, 3, 2), strict=True) for neurons in decoded(m, n)]
        assert sent == [np.flatnonzero(row[first:stop]).tolist() for row in wanted]


def test_large_messages_are_read_by_several_threads():
    """From 4,096 bytes on, one rank each; the order stays."""
    given = spikes_of(4000, 0.6)

    def work(comm: ThreadRank) -> Any:
        sim = ep.Simulator(relay(4000, False), threads=2, partitions=2, comm=comm)
        found = sim.run(float(STEPS), {"in": given}, spikes=["rec"]).spikes["rec"]
        return max(message.size for message in comm.messages), sim.state()["spikes/sources"], found

    found = on_ranks(2, work)
    assert min(size for size, *_ in found) > 2048
    times, nodes = found[0][2]
    np.testing.assert_array_equal(np.array([times - 1.0 - DELAY, nodes]), np.nonzero(given[:-DELAY]))
    np.testing.assert_array_equal(found[0][1], found[1][1])


def cut_short(message: np.ndarray, keep: float) -> np.ndarray:
    return message[: int(keep * message.size)].copy()


@pytest.mark.parametrize("keep", [0.0, 0.4, 0.9])
def test_a_message_that_ends_too_early_is_read_as_silence(keep, monkeypatch):
    """Never beyond its end."""
    given = spikes_of(64, 0.5)
    whole = ThreadRank.exchange
    monkeypatch.setattr(ThreadRank, "exchange", lambda comm, message: whole(comm, cut_short(message, keep)))

    def work(comm: ThreadRank) -> int:
        sim = ep.Simulator(relay(64, False), threads=1, comm=comm)
        sim.run(float(STEPS), {"in": given})
        return sim._arrays.online.spikes(0, 128, 0, STEPS)[0].size

    assert all(size < 2 * given.sum() for size in on_ranks(2, work))
