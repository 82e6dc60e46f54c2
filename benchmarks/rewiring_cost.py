"""What rewiring costs: its share of a training at the defaults, and the time and memory of large networks.

    python benchmarks/rewiring_cost.py share
    python benchmarks/rewiring_cost.py share --epochs 1 --set rule=eprop+ --label plus
    python benchmarks/rewiring_cost.py size 1e5 1e4 1e4 --threads 2 --repeats 1
    python benchmarks/rewiring_cost.py size 1e6 1e4 500 --threads 2 --label sparse

`share` trains N-MNIST with 2 % of the input connections, with synapses that stay, that move at random, and that move by gradient:
mini-batch by mini-batch in turns, by processor time, so that other work on the machine matters little. `size` makes a network of
that many inputs, neurons and synapses per neuron, which learns by e-prop with Adam in single precision, and measures rewirings by
gradient, with the memory of the process and of dense weights. Goals: 10 % of the training at most; 5 s for 10^8 synapses on two
cores.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from typing import Any

import harness
import numpy as np

import eprop as ep
from eprop.training import Stage, scoring_of

KINDS = ("none", "random", "gradient")
SIZE = 32  # recordings in a mini-batch
STEPS, BATCH = 100, 4


def main() -> None:
    """Measure and record."""
    parser = harness.parser(__doc__, repeats=3, threads=1, label=True)
    parser.add_argument("what", choices=("share", "size"))
    parser.add_argument("numbers", type=float, nargs="*", help="of size: inputs, neurons, synapses per neuron")
    parser.add_argument("--epochs", type=int, default=5, help="of share: epochs of each training")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of share: setting of all")
    arguments = parser.parse_args()
    found = share(arguments) if arguments.what == "share" else size(arguments)
    print(json.dumps(found, indent=1))
    print(harness.write(f"rewiring_{arguments.what}", found, arguments.label))


def share(arguments: argparse.Namespace) -> dict[str, Any]:
    """Processor seconds per recording of three trainings, mini-batch by mini-batch in turns, and the part that rewiring adds."""
    settings = {"input_probability": 0.02} | harness.settings_of(arguments.set)
    tasks = {kind: ep.tasks.nmnist(**settings, rewiring=None if kind == "none" else kind) for kind in KINDS}
    options: dict[str, Any] = {"threads": arguments.threads, "precision": "single"}
    sims = {kind: ep.Simulator(task.network, **options) for kind, task in tasks.items()}
    train = tasks["none"].training_samples(Stage(threads=arguments.threads))
    samples = {kind: scoring_of(task, train).samples(train) for kind, task in tasks.items()}
    batches = [slice(first, first + SIZE) for first in range(0, len(train), SIZE)] * arguments.epochs
    times: dict[str, list[float]] = {kind: [] for kind in KINDS}
    events = dict.fromkeys(KINDS, 0)
    for kind, sim in sims.items():
        sim.plan_rewiring(
            len(batches) * (1 if settings.get("rule", "eprop") == "eprop" else SIZE * samples[kind].n_steps)
        )
    for batch in batches:
        for kind, sim in sims.items():
            began = time.process_time()
            events[kind] += sim.train(samples[kind][batch]).events
            times[kind].append(time.process_time() - began)
    learned, seconds = arguments.epochs * len(train), {kind: sum(each) for kind, each in times.items()}
    # Mini-batches with a rewiring, beyond the mean of their neighbours.
    late = range(ep.network.rewiring.BATCHES - 1, len(batches) - 1, ep.network.rewiring.BATCHES)
    longer = {kind: sum(t[k] - 0.5 * (t[k - 1] + t[k + 1]) for k in late) for kind, t in times.items()}
    return {
        "processor_seconds_per_recording": {kind: value / learned for kind, value in seconds.items()},
        "events_per_recording": {kind: value / learned for kind, value in events.items()},
        "share_of_training": {kind: 1.0 - seconds["none"] / seconds[kind] for kind in KINDS[1:]},
        "share_of_rewirings": {kind: longer[kind] / seconds[kind] for kind in KINDS},
        "epochs": arguments.epochs,
        "settings": arguments.set,
        "threads": arguments.threads,
    }


def network(n_in: int, n: int, degree: int) -> ep.Network:
    """Inputs onto neurons, whose synapses move after every second mini-batch."""
    net = ep.Network(seed=1)
    x, rec = net.add(ep.EventSource(), n_in, "in"), net.add(ep.LIF(tau_m=20.0, v_th=1.0), n, "rec")
    out = net.add(ep.Readout(loss=ep.CrossEntropy()), 10, "out")
    rule = ep.EProp(optimizer=ep.Adam(1e-3))
    moves = ep.Rewiring(every=2, grow="gradient", candidates=2.0)
    net.connect(x, rec, ep.FixedIndegree(degree), weight=ep.Normal(0.0, 5.0 * degree**-0.5), rule=rule, rewiring=moves)
    net.connect(rec, out, weight=ep.Normal(0.0, 0.1), rule=ep.EProp())
    net.feedback(out, rec)
    return net


def size(arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds of a build, a mini-batch and a rewiring; bytes of the network, of the process, and of dense weights."""
    n_in, n, degree = (int(number) for number in arguments.numbers)
    began, used = time.perf_counter(), time.process_time()
    sim = ep.Simulator(network(n_in, n, degree), threads=arguments.threads, precision="single", timers=True)
    build, rng = [time.perf_counter() - began, time.process_time() - used], np.random.default_rng(0)
    each = n_in // 10
    events = [(np.sort(rng.integers(0, STEPS, each)), rng.integers(0, n_in, each)) for _ in range(BATCH)]
    samples = sim.samples(BATCH, STEPS, {"in": events}, labels=np.arange(BATCH))
    rewirings: list[float] = []
    batches: list[float] = []
    for k in range(2 * arguments.repeats):
        before, began = sim.phases["rewiring"], time.perf_counter()
        sim.train(samples)
        batches.append(time.perf_counter() - began)
        if k % 2:
            rewirings.append(sim.phases["rewiring"] - before)
    return {
        "inputs": n_in,
        "neurons": n,
        "synapses": sim.n_synapses("in->rec"),
        "moved": sim.moved("in->rec").last,
        "build_seconds": build[0],
        "build_processor_seconds": build[1],
        "batch_seconds": batches,
        "rewiring_seconds": rewirings,
        "network_bytes": sum(sim.memory().values()),
        "peak_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "dense_weight_bytes": 4 * n_in * n,
        "threads": arguments.threads,
    }


if __name__ == "__main__":
    main()
