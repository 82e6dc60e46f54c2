"""Run by every rank: simulate with all ranks, and on rank 0 alone as well, and compare bit by bit.

    mpiexec -n R python tests/mpi/worker.py THREADS CASE...

Prints one line of JSON on rank 0: for each case the names of what differs, which must be none.
"""

from __future__ import annotations

import json
import os
import pathlib
import sys
import warnings
from typing import Any

os.environ.setdefault("EPROP_NUM_THREADS", sys.argv[1])
sys.path.insert(0, str(pathlib.Path(__file__).parent))

import cases
import numpy as np

import eprop as ep
from eprop.parallel import Communicator, Serial, find_communicator

STEPS = cases.STEPS
Results = dict[str, Any]


def stream(make: Any, comm: Communicator, threads: int, states: list[Any], external: Any) -> Results:
    """Run on, frozen too, evaluate, and go on from a state that was taken on the way."""
    sim = ep.Simulator(make(), threads=threads, comm=comm)
    sim._arrays.online.set_room(spikes=32, records=1024)  # it has to grow
    spikes = ["in", "noise", "a", "b"]
    record = [
        ("a", "v"),
        ("b", "surrogate", [0, 5, 2]),
        ("out", "error"),
        ("b->out", "weight", [3]),
        ("b", "learning_signal"),
    ]
    if sim.network.projection("a->b").rewiring is None:
        record.append(("a->b", "weight"))
    first = sim.run(STEPS, cases.inputs(), cases.targets(), record=record, spikes=spikes, **external())
    frozen = sim.run(11, cases.inputs(11), learn=False, spikes=spikes)
    out = described("first", first) | described("frozen", frozen) | weights(sim)
    samples = sim.samples(3, 13, inputs=cases.inputs(13, 3), targets=cases.targets(13, 3), **external(13, 3))
    out |= batch("trained", sim.train(samples)) | batch("evaluated", sim.evaluate(samples))
    out |= batch("evaluated_from_rest", sim.evaluate(samples, reset=True))
    states.append(sim.state())
    out |= states[-1]
    out["history/steps"] = out["history/steps"][:, :3]  # without the work space
    return (
        out | described("second", sim.run(17, cases.inputs(17), record=record, spikes=spikes)) | {"events": sim.events}
    )


def learn_samples(make: Any, comm: Communicator, threads: int, states: list[Any], external: Any) -> Results:
    """Two mini-batches, an evaluation, a run that is recorded, rollouts of samples and of lanes."""
    sim = ep.Simulator(make(), threads=threads, comm=comm)
    samples = sim.samples(5, 21, inputs=cases.inputs(21, 5), targets=cases.targets(21, 5), **external(21, 5))
    out = batch("trained", sim.train(samples)) | batch("again", sim.train(samples)) | weights(sim)
    out |= batch("evaluated", sim.evaluate(samples))
    states.append(sim.state())
    record = [("b", "v", [0]), ("a", "learning_signal")]  # of the first, one rank has it
    run = sim.run(19, cases.inputs(19), cases.targets(19), record=record, **external(19))
    spikes = ["in", "noise", "a", "b"]
    out |= described("outputs", sim.run(13, cases.inputs(13), cases.targets(13), spikes=spikes))
    out |= described("run", run) | rollouts(sim, external)
    return out | weights(sim) | {"updates": sim.updates, "events": sim.events}


def rollouts(sim: ep.Simulator, external: Any) -> Results:
    """A rollout of samples, and one that continues it; lanes that learn, with the end of an episode, and their replay."""
    out: Results = {}
    rollout = sim.lanes(3)
    for k in range(2):
        given = cases.inputs(11, 3, seed=k), cases.targets(11, 3, seed=k)
        rollout.forward(sim.samples(3, 11, *given, **external(11, 3)))
        gradient = rollout.backward()
        rollout.learn(gradient)
        out |= {f"rollout {k} {name}": getattr(rollout, name).copy() for name in ("y", "errors", "loss", "spikes")}
        out |= {f"rollout {k} gradient of {name}": value for name, value in gradient.items()}
        out[f"rollout {k} again"] = rollout.replay()
        rollout.reset([k])
    lanes = sim.lanes(2)
    for k in range(2):
        events = cases.inputs(9, 2, seed=k)["in"].transpose(1, 0, 2)
        out[f"lanes {k}"] = lanes.run(8, events[:8])
        lanes.reset([1])
        out[f"lanes {k} last"] = lanes.step(events[8]).copy()
        gradient = lanes.backward(np.random.default_rng(k).normal(size=(2, 9, 4)))
        out |= {f"lanes {k} gradient of {name}": value for name, value in gradient.items()}
        lanes.learn(gradient)
        out[f"lanes {k} again"], out[f"lanes {k} spikes"] = lanes.replay(), lanes.spikes
    resumed, state = sim.lanes(2), lanes.state()
    resumed.set_state(state)
    out |= {f"state of lanes {name}": value for name, value in state.items()}
    return out | {"lanes resumed": resumed.run(8, events[:8]), "replay resumed": resumed.replay()}


def described(label: str, r: ep.engine.Recording) -> Results:
    out = {f"{label} loss": r.loss, f"{label} times": r.times}
    out |= {f"{label} y of {name}": value for name, value in r.y.items()}
    out |= {f"{label} {name}": value for name, value in r.traces.items()}
    return out | {f"{label} spikes {name} {k}": pair[k] for name, pair in r.spikes.items() for k in range(2)}


def batch(label: str, r: Any) -> Results:
    counts = {f"{label} spikes of {name}": value for name, value in (r.neuron_spikes or {}).items()}
    return counts | {f"{label} {name}": value for name, value in vars(r).items() if name != "neuron_spikes"}


def weights(sim: ep.Simulator) -> Results:
    out: Results = {f"{p.name} {k}": v for p in sim.network.projections for k, v in enumerate(sim.connections(p.name))}
    out |= {f"delays of {p.name}": sim.delays(p.name) for p in sim.network.projections}
    out |= {f"B {post}": sim.feedback_weights("out", post) for post in ("a", "b")}
    return out | {"counts": [sim.n_synapses(p.name) for p in sim.network.projections], "n": sim.n_synapses()}


def set_sizes(sim: ep.Simulator) -> None:
    """Set the sizes of some weights, which keep their signs."""
    now = sim.connections("a->b")[2]
    sim.set_weights("a->b", np.copysign(0.1 + 0.01 * np.arange(now.size), now))


def resumed(run: Any, name: str, comm: Communicator, threads: int, state: Any) -> Results:
    """Go on from a state, whoever took it."""
    make = cases.STREAMS.get(name) or cases.SAMPLES[name]
    sim = ep.Simulator(make(), threads=threads, comm=comm)
    set_sizes(sim)
    sim.set_state(state)
    if run is stream:
        external = cases.EXTERNAL.get(name, lambda *_: {})
        return described("", sim.run(17, cases.inputs(17), spikes=["a", "b"], **external(17))) | weights(sim)
    samples = sim.samples(4, 21, inputs=cases.inputs(21, 4), targets=cases.targets(21, 4))
    return batch("", sim.train(samples)) | weights(sim)


def messages(comm: Communicator) -> list[str]:
    """Bytes of all lengths, beyond what goes in one call too, and sums in the order of the ranks."""
    wrong = []
    for length in (0, 3, 511, 512, 513, 7000, 20, 100_000):

        def message(rank: int, length: int = length) -> np.ndarray:
            return np.random.default_rng(rank).integers(0, 256, length // (rank + 1), np.uint8)

        found, begin = comm.exchange(message(comm.rank))
        wanted = [message(rank) for rank in range(comm.size)]
        if not all(np.array_equal(found[at : at + w.size], w) for at, w in zip(begin, wanted, strict=True)):
            wrong.append(f"{length} bytes")
    total = 0.0
    for rank in range(comm.size):
        total += 0.1 * 3.0**rank
    if comm.sum(np.array([0.1 * 3.0**comm.rank]))[0] != total:
        wrong.append("sum")
    for n in (1, comm.size, 4, 103):  # some ranks have no column; each has another number of terms, rank 0 none
        terms = [np.random.default_rng(rank).normal(size=(rank, n)).astype(np.float32) for rank in range(comm.size)]
        found, wanted = np.ones(n, np.float32), np.ones(n, np.float32)
        for term in np.concatenate(terms):
            wanted += term
        comm.add_terms(found, terms[comm.rank], np.arange(comm.size))
        if not np.array_equal(found, wanted):
            wrong.append(f"terms of {n}")
    if not 1 <= comm.threads(8) <= 8 or comm.broadcast(comm.rank) != 0 or comm.ranks_on_machine() != comm.size:
        wrong.append("threads or share")
    return wrong


def differing(one: Results, other: Results) -> list[str]:
    """Names of what is not the same, to the last bit."""

    def same(a: Any, b: Any) -> bool:
        a, b = np.asarray(a), np.asarray(b)
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()

    return sorted({*one} ^ {*other}) + [str(name) for name in one if name in other and not same(one[name], other[name])]


def main() -> None:
    comm, threads, report = find_communicator(), int(sys.argv[1]), {}
    if wrong := messages(comm):
        report["messages"] = wrong
    for name in sys.argv[2:]:
        run, make = (stream, cases.STREAMS[name]) if name in cases.STREAMS else (learn_samples, cases.SAMPLES[name])
        states: list[Any] = []
        external = cases.EXTERNAL.get(name, lambda *_: {})
        ours = run(make, comm, threads, states, external)
        alone = run(make, Serial(), 1, states, external) if comm.rank == 0 else {}
        given = comm.broadcast(states[-1])  # by one process, for all ranks, and the other way round
        gone_on = resumed(run, name, comm, threads, given)
        if comm.rank == 0:
            back = resumed(run, name, Serial(), 1, states[0])
            report[name] = differing(ours, alone) + [f"resumed: {k}" for k in differing(gone_on, back)]
            if not any(ours[key].size for key in ours if "spikes a 1" in str(key)):
                report[name].append("nothing happened")
        if (
            len({str(sorted((str(k), np.asarray(v).tobytes()) for k, v in ours.items())) for ours in comm.gather(ours)})
            > 1
        ):
            report.setdefault(name, []).append("ranks differ")
    if comm.rank == 0:
        print(json.dumps(report))


if __name__ == "__main__":
    warnings.simplefilter("error")
    warnings.simplefilter("ignore", ep.errors.SilenceWarning)
    warnings.filterwarnings("ignore", "learn: synapses of .* do not move")  # rollouts and lanes beside samples
    main()
