"""What one rank alone is given, or is refused, is refused on all of them: none goes on, and none waits for ever."""

from __future__ import annotations

import json

import pytest

from launching import launch

pytestmark = pytest.mark.mpi

# Every rank prints, case by case, what it is told; what comes after a case shows that all are together again.
PROGRAM = """
import json, sys
import numpy as np
import eprop as ep
import eprop.engine.build.memory
from eprop.parallel import find_communicator

comm = find_communicator()
other = comm.rank == 1
net = ep.Network(seed=1)
x, rec = net.add(ep.EventSource(), 4, "in"), net.add(ep.LIF(), 6, "rec")
out = net.add(ep.Readout(), 1, "out")
rule = ep.EProp(optimizer=ep.Adam(eta=1e-3))
net.connect(x, rec, weight=0.2, rule=rule)
net.connect(rec, out, rule=rule)
net.feedback(out, rec)
told = {}

def tries(name, call):
    try:
        call()
        told[name] = "went on"
    except ep.EPropError as error:
        told[name] = f"{type(error).__name__}: {error}"

def simulator(**options):
    return ep.Simulator(net, comm=comm, **{"threads": 1, "parallel": sys.argv[1], **options})

"""
SETTERS = """
sim = simulator()
state = sim.state()
before = {name: value.copy() for name, value in state.items()}
drifted = state | {"neurons/state": state["neurons/state"] + 0.1 * other}
tries("weights", lambda: sim.set_weights("in->rec", 0.3 if other else 0.2))
tries("one weight", lambda: sim.set_weights("in->rec", np.where(np.arange(24) == 23, 0.3 if other else 0.2, 0.2)))
tries("weights of", lambda: sim.set_weights("in->rec" if other else "rec->out", 0.2))
tries("no weights", lambda: sim.set_weights("in->rec", np.nan if other else 0.2))
tries("no projection", lambda: sim.set_weights("nix" if other else "in->rec", 0.2))
tries("rates", lambda: sim.scale_learning_rates(0.5 if other else 1.0))
tries("no rate", lambda: sim.scale_learning_rates(-1.0 if other else 1.0))
tries("state", lambda: sim.set_state(drifted))
tries("no state", lambda: sim.set_state({"nix": 1} if other else state))
tries("reset or rates", lambda: sim.reset() if other else sim.scale_learning_rates(1.0))
tries("read", lambda: sim.connections("nix" if other else "in->rec"))
tries("feedback", lambda: sim.feedback_weights("rec" if other else "out", "rec"))
after = sim.state()
told["changed"] = [name for name in before if not np.array_equal(before[name], after[name])]
tries("set", lambda: (sim.set_weights("in->rec", 0.3), sim.scale_learning_rates(0.5), sim.set_state(state), sim.reset()))
"""
CALLS = """
tries("threads", lambda: simulator(threads=-1 if other else 1))
tries("own threads", lambda: simulator(threads=None if other else 1).run(2.0))
tries("precision", lambda: simulator(precision="half" if other else "double"))
tries("partitions", lambda: simulator(partitions=0 if other else 1))
tries("network", lambda: ep.Simulator("net" if other else net, comm=comm, parallel=sys.argv[1]))
sim = simulator()
events = np.zeros((20, 4))
samples = sim.samples(2, 20, {"in": np.zeros((2, 20, 4))}, {"out": np.ones((2, 1, 1))})
tries("input", lambda: sim.run(20.0, {"in": events + 2.0 * other}))
tries("record", lambda: sim.run(20.0, {"in": events}, record=[("rec", "nix" if other else "v")]))
tries("train", lambda: sim.train("nix" if other else samples))
tries("evaluate", lambda: sim.evaluate(samples, reset="no" if other else None))
tries("gradients", lambda: sim.gradients(samples, "nix" if other else None))
available, eprop.engine.build.memory.NOTICEABLE = 2e6 if other else 1e12, 0
eprop.engine.run.streaming.NOTICEABLE = 1e6
eprop.engine.build.memory.available_memory = lambda: available
def recorded():
    sim.run(20_000.0, {"in": np.zeros((20_000, 4))}, learn=False, record=[("rec", "v")])
tries("room", recorded)
available = 1e3 if other else 1e12
tries("a network", simulator)
eprop.engine.build.memory.available_memory = lambda: 1e12
tries("last", lambda: sim.train(samples))
"""
END = """
for told in comm.gather(json.dumps(told)) if comm.rank == 0 else comm.gather(json.dumps(told))[:0]:
    print(told)
"""


def tell(mpiexec: str, cases: str, parallel: str) -> list[dict[str, str]]:
    """What the ranks were told, case by case."""
    done = launch(mpiexec, 2, "-c", PROGRAM + cases + END, parallel, seconds=100)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == 2
    return found


def check(found: list[dict[str, str]], expected: dict[str, str]) -> None:
    """All ranks are told of each case; of what is not expected, nothing was refused."""
    for rank, told in enumerate(found):
        for name, text in told.items():
            assert expected.get(name, "went on") in text, f"{name} on rank {rank}"
    assert expected.keys() <= found[0].keys() == found[1].keys()


@pytest.mark.parametrize("parallel", ["model", "data"])
def test_setters_are_given_the_same_or_set_nothing(mpiexec, parallel):
    found = tell(mpiexec, SETTERS, parallel)
    assert [told.pop("changed") for told in found] == [[], []]
    if parallel == "data":  # nothing is put together there: who asks is answered
        assert found[1].pop("read").startswith("NetworkError")
        assert found[1].pop("feedback").startswith("NetworkError")
        found = [{**told, "read": "", "feedback": ""} for told in found]
    alike = "rank 1 got other arguments than rank 0: "
    expected = {
        "weights": f"InputError: set_weights: {alike}weights. All ranks must pass the same",
        "one weight": f"InputError: set_weights: {alike}weights",
        "weights of": f"{alike}the name",
        "no weights": "weights of in->rec must be finite",
        "no projection": "NetworkError: ",
        "rates": f"InputError: scale_learning_rates: {alike}factor",
        "no rate": "ParameterError: ",
        "state": f"InputError: set_state: {alike}neurons/state",
        "no state": "set_state takes a dictionary from state(); this one holds nix",
        "reset or rates": "all ranks must make the same calls, in the same order",
        "read": "NetworkError: " if parallel == "model" else "",
        "feedback": "feedback goes from readouts to neurons" if parallel == "model" else "",
    }
    check(found, expected)
    assert found[0]["no weights"].startswith("InputError: set_weights was refused on rank 1: ")
    assert "rank 1 calls reset where rank 0 calls scale_learning_rates" in found[0]["reset or rates"]


@pytest.mark.parametrize("parallel", ["model", "data"])
def test_what_one_rank_refuses_is_refused_on_all(mpiexec, parallel):
    found = tell(mpiexec, CALLS, parallel)
    expected = {
        "threads": "Simulator.threads must be a whole number >= 1, got -1",
        "precision": 'Simulator.precision must be "double" or "single", got \'half\'',
        "partitions": "Simulator.partitions must be a whole number >= 1, got 0",
        "network": "Simulator needs a Network, got 'net'",
        "input": "input 'in' must hold only zeros and ones",
        "record": "'rec' has no variable 'nix'",
        "train": "train and evaluate take Samples",
        "evaluate": "reset must be True or False, got 'no'",
        "gradients": "progress must be a function",
        "room": "6 recorded values) would take",
        "a network": "MemoryLimitError: ",
    }
    check(found, expected)
    assert found[0]["threads"].startswith("ParameterError: Simulator was refused on rank 1: ")
    assert found[0]["room"].startswith("MemoryLimitError: results was refused on rank 1: results of 20,000 steps")
    assert "are available to each of 2 ranks" in found[0]["room"]
