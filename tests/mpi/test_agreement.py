"""An argument that differs or is refused on one rank is refused on all of them: none goes on, and none waits for ever."""

from __future__ import annotations

import json

import pytest

from launching import launch

pytestmark = pytest.mark.mpi
#: Ranks divide samples, or neurons.
RULES = ["EProp", "EPropPlus"]

# Every rank prints the outcome of each case; the next case shows that all ranks are together again.
PROGRAM = """
import json, sys
import numpy as np
import eprop as ep
import eprop.engine.build.check
from eprop.parallel import find_communicator

comm = find_communicator()
other = comm.rank == 1
results = {}

def network(seed=1, eta=1e-3, weight=0.2):
    net = ep.Network(seed=seed)
    x, rec = net.add(ep.EventSource(), 4, "in"), net.add(ep.LIF(), 6, "rec")
    out = net.add(ep.Readout(), 1, "out")
    rule = getattr(ep, sys.argv[1])(optimizer=ep.Adam(eta=eta))
    net.connect(x, rec, weight=weight, rule=rule)
    net.connect(rec, out, rule=rule)
    net.feedback(out, rec)
    return net

net = network()

def tries(name, call):
    try:
        call()
        results[name] = "went on"
    except ep.errors.EPropError as error:
        results[name] = f"{type(error).__name__}: {error}"

def simulator(net=net, **options):
    return ep.Simulator(net, comm=comm, **{"threads": 1, **options})

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
results["changed"] = [name for name in before if not np.array_equal(before[name], after[name])]
tries("set", lambda: (sim.set_weights("in->rec", 0.3), sim.scale_learning_rates(0.5), sim.set_state(state), sim.reset()))
"""
CALLS = """
tries("threads", lambda: simulator(threads=-1 if other else 1))
tries("own threads", lambda: simulator(threads=None if other else 1).run(2.0))
tries("precision", lambda: simulator(precision="half" if other else "double"))
tries("partitions", lambda: simulator(partitions=0 if other else 1))
tries("network", lambda: simulator("net" if other else net))
tries("seed", lambda: simulator(network(seed=2 if other else 1)))
tries("eta", lambda: simulator(network(eta=2e-3 if other else 1e-3)))
tries("weight", lambda: simulator(network(weight=0.3 if other else 0.2)))
sim = simulator()
events = np.zeros((20, 4))
tries("events", lambda: sim.run(20.0, {"in": events + other}))
tries("target", lambda: sim.run(20.0, {"in": events}, {"out": [2.0 if other else 1.0]}))
tries("learn", lambda: sim.run(20.0, {"in": events}, learn=not other))
n = 6 if other else 4
tries("batch", lambda: sim.train(sim.samples(n, 20, targets={"out": np.ones((n, 1, 1))})))
samples = sim.samples(2, 20, {"in": np.zeros((2, 20, 4))}, {"out": np.ones((2, 1, 1))})
tries("input", lambda: sim.run(20.0, {"in": events + 2.0 * other}))
tries("record", lambda: sim.run(20.0, {"in": events}, record=[("rec", "nix" if other else "v")]))
tries("train", lambda: sim.train("nix" if other else samples))
tries("evaluate", lambda: sim.evaluate(samples, reset="no" if other else None))
tries("lanes", lambda: sim.lanes("nix" if other else samples))
available, eprop.engine.build.check.NOTICEABLE = 1e6 if other else 1e12, 0
eprop.engine.build.check.available_memory = lambda: available
def recorded():
    sim.run(20_000.0, {"in": np.zeros((20_000, 4))}, learn=False, record=[("rec", "v")])
tries("room", recorded)
available = 1e3 if other else 1e12
tries("a network", simulator)
eprop.engine.build.check.available_memory = lambda: 1e12
tries("last", lambda: sim.train(samples))
"""
END = """
for results in comm.gather(json.dumps(results)) if comm.rank == 0 else comm.gather(json.dumps(results))[:0]:
    print(results)
"""


def tell(mpiexec: str, cases: str, rule: str) -> list[dict[str, str]]:
    """Outcome of each case on each rank."""
    done = launch(mpiexec, 2, "-c", PROGRAM + cases + END, rule, seconds=100)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == 2
    return found


def check(found: list[dict[str, str]], expected: dict[str, str]) -> None:
    """Each rank reports the expected words; cases that are not expected to fail went on."""
    for rank, results in enumerate(found):
        for name, text in results.items():
            assert expected.get(name, "went on") in text, f"{name} on rank {rank}"
    assert expected.keys() <= found[0].keys() == found[1].keys()


@pytest.mark.parametrize("rule", RULES)
def test_setters_are_given_the_same_or_set_nothing(mpiexec, rule):
    found = tell(mpiexec, SETTERS, rule)
    assert [results.pop("changed") for results in found] == [[], []]
    if rule == "EProp":  # nothing is put together there: who asks is answered
        assert found[1].pop("read").startswith("NetworkError")
        assert found[1].pop("feedback").startswith("NetworkError")
        found = [{**results, "read": "", "feedback": ""} for results in found]
    differs = "rank 1 got other arguments than rank 0: "
    expected = {
        "weights": f"InputError: set_weights: {differs}weights. All ranks must pass the same",
        "one weight": f"InputError: set_weights: {differs}weights",
        "weights of": f"{differs}the name",
        "no weights": "weights of in->rec must be finite",
        "no projection": "NetworkError: ",
        "rates": f"InputError: scale_learning_rates: {differs}factor",
        "no rate": "ParameterError: ",
        "state": f"InputError: set_state: {differs}neurons/state",
        "no state": "set_state takes a dictionary from state(); this one holds nix",
        "reset or rates": "all ranks must make the same calls, in the same order",
        "read": "NetworkError: " if rule == "EPropPlus" else "",
        "feedback": "feedback goes from readouts to neurons" if rule == "EPropPlus" else "",
    }
    check(found, expected)
    assert found[0]["no weights"].startswith("InputError: set_weights was refused on rank 1: ")
    assert "rank 1 calls reset where rank 0 calls scale_learning_rates" in found[0]["reset or rates"]


@pytest.mark.parametrize("rule", RULES)
def test_what_one_rank_refuses_is_refused_on_all(mpiexec, rule):
    found = tell(mpiexec, CALLS, rule)
    expected = {
        "threads": "Simulator.threads must be a whole number >= 1, got -1",
        "precision": 'Simulator.precision must be "double" or "single", got \'half\'',
        "partitions": "Simulator.partitions must be a whole number >= 1, got 0",
        "network": "Simulator needs a Network, got 'net'",
        "seed": "rank 1 has another network than rank 0: Network.seed is 2 there, 1 on rank 0",
        "eta": "in->rec.rule.optimizer.eta is 0.002 there, 0.001 on rank 0",
        "weight": "in->rec.weight.value is 0.3 there, 0.2 on rank 0",
        "events": "run: rank 1 got other arguments than rank 0: inputs",
        "target": "run: rank 1 got other arguments than rank 0: targets",
        "learn": "run: rank 1 got other arguments than rank 0: options",
        "batch": "train: rank 1 got other arguments than rank 0: number of samples",
        "input": "input 'in' must hold only zeros and ones",
        "record": "'rec' has no variable 'nix'",
        "train": "train and evaluate take Samples",
        "evaluate": "reset must be True or False, got 'no'",
        "lanes": "number of lanes must be a whole number" if rule == "EProp" else "only EProp learns",
        "room": "6 recorded values) would take",
        "a network": "MemoryLimitError: ",
    }
    check(found, expected)
    assert found[0]["threads"].startswith("ParameterError: Simulator was refused on rank 1: ")
    assert found[0]["room"].startswith("MemoryLimitError: run was refused on rank 1: results of 20,000 steps")
