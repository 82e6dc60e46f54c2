"""The network of Brunel (2000): 12,500 neurons, 15.6 million static synapses of one delay, next to NEST.

    python benchmarks/balanced.py
    python benchmarks/balanced.py --duration 200 --repeats 1

Both simulators draw their own network and background from the same distributions, and run in processes of their own, in
turns. The times leave out building and the first 100 ms. NEST needs 2 GB. The goal is thirty times NEST on one thread.
"""

from __future__ import annotations

import json
import statistics
import time
from typing import Any

import harness

import eprop as ep
from eprop.analysis import firing_rates
from eprop.interop.nest import nest_module
from eprop.interop.nest_models import named
from eprop.networks import balanced_network

WARM_UP = 100.0


def main() -> None:
    parser = harness.parser(__doc__, repeats=3, threads=1, label=True, precision=True)
    parser.add_argument("--duration", type=float, default=1000.0, help="timed part of a run, ms")
    parser.add_argument("--side", choices=("eprop", "nest"), help="measure one simulator in this process")
    given = parser.parse_args()
    if given.side:
        measure = run_eprop if given.side == "eprop" else run_nest
        print(json.dumps(measure(given)))
        return
    options = ["--duration", given.duration, "--threads", given.threads, "--precision", given.precision]
    sides = {side: lambda side=side: harness.in_process("--side", side, *options) for side in ("eprop", "nest")}
    found = harness.in_turns(sides, given.repeats)
    seconds = {side: [run["processor_seconds_per_second"] for run in runs] for side, runs in found.items()}
    ratio = statistics.median(seconds["nest"]) / statistics.median(seconds["eprop"])
    for side, runs in found.items():
        print(side, "processor seconds per simulated second:", *(f"{each:.2f}" for each in seconds[side]))
        print(
            side, "rates, Hz:", *(f"{run['rate']:.2f}" for run in runs), f"built in {runs[-1]['build_seconds']:.1f} s"
        )
    print(f"times NEST: {ratio:.1f}")
    result = {"duration": given.duration, "threads": given.threads, "precision": given.precision, "times_nest": ratio}
    harness.write("balanced", {**result, **found}, given.label)


def run_eprop(given: Any) -> dict[str, float]:
    """Build and run the network; rates are those of the excitatory neurons."""
    network, began = balanced_network(), time.perf_counter()
    sim = ep.Simulator(network, threads=given.threads, precision=given.precision)
    built = time.perf_counter() - began
    sim.run(WARM_UP)
    began, processor = time.perf_counter(), time.process_time()
    spikes = sim.run(given.duration, spikes=["e"]).spikes["e"]
    rate = firing_rates(spikes, network.population("e").size, start=WARM_UP, stop=WARM_UP + given.duration).mean()
    return result_of(given, built, began, processor, float(rate))


def run_nest(given: Any) -> dict[str, float]:
    """Build and run the same description with NEST's own draws and ``poisson_generator``."""
    nest, network, began = nest_module(), balanced_network(), time.perf_counter()
    nest.ResetKernel()
    nest.set(resolution=network.dt, local_num_threads=given.threads, keep_source_table=False)
    nest.verbosity = nest.VerbosityLevel.ERROR
    nodes = {}
    for p in network.populations:
        model = p.model
        parameters = {
            "tau_m": model.tau_m,
            "C_m": model.c_m,
            "E_L": model.e_l,
            "V_th": model.v_th,
            "t_ref": model.t_ref,
        }
        nodes[p.name] = nest.Create("iaf_psc_delta", p.size, parameters | {"V_reset": model.v_reset, "V_m": model.e_l})
    for s in network.stimulations:
        background = nest.Create("poisson_generator", params={"rate": named(s.drive)["rate"]})
        nest.Connect(
            background, nodes[s.population.name], "all_to_all", {"weight": s.drive.weight, "delay": network.dt}
        )
    for p in network.projections:
        rule = {"rule": "fixed_indegree", "indegree": p.connectivity.degree}
        nest.Connect(nodes[p.pre.name], nodes[p.post.name], rule, {"weight": p.weight.value, "delay": p.delay})
    recorder = nest.Create("spike_recorder")
    nest.Connect(nodes["e"], recorder)
    nest.Prepare()
    built = time.perf_counter() - began
    nest.Run(WARM_UP)
    before = recorder.n_events
    began, processor = time.perf_counter(), time.process_time()
    nest.Run(given.duration)
    rate = (recorder.n_events - before) / len(nodes["e"]) / (1e-3 * given.duration)
    return result_of(given, built, began, processor, rate)


def result_of(given: Any, built: float, began: float, processor: float, rate: float) -> dict[str, float]:
    """Times since the begin of the run, per simulated second."""
    seconds = 1e-3 * given.duration
    return {
        "build_seconds": built,
        "real_time_factor": (time.perf_counter() - began) / seconds,
        "processor_seconds_per_second": (time.process_time() - processor) / seconds,
        "rate": rate,
    }


if __name__ == "__main__":
    main()
