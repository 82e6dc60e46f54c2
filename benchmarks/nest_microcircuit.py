"""The microcircuit benchmark in NEST: `microcircuit.py` runs this script with the configuration; it prints JSON.

Sizes, numbers of synapses, weights, delays and background are those of `eprop.networks.Microcircuit`; NEST draws its own
connections, weights and delays from the same distributions.
"""

from __future__ import annotations

import json
import sys
import time
from types import ModuleType
from typing import Any

import numpy as np

from eprop.analysis import summary
from eprop.interop.nest import nest_module
from eprop.interop.nest_models import named
from eprop.networks import POPULATIONS, Microcircuit
from eprop.networks.microcircuit import (
    DELAY_SPREAD,
    FIRST_VOLTAGE,
    FIRST_VOLTAGE_SD,
    LOWEST_DELAY,
    NEURON,
    WEIGHT_SPREAD,
)
from eprop.training.system_info import resident_memory


def main(config: dict[str, Any]) -> dict[str, Any]:
    """Build and run; return the fields of `microcircuit.MicrocircuitResult`, with a summary instead of rates.

    The memory is that at the end of the run: a new process inherits the peak of the one that started it.
    """
    nest = nest_module()
    nest.ResetKernel()
    # Without the table of sources, NEST needs less memory.
    threads, seed = config["threads"], config["seed"] + 1
    nest.set(resolution=0.1, local_num_threads=threads, rng_seed=seed, keep_source_table=False)
    nest.verbosity = nest.VerbosityLevel.ERROR
    numbers = Microcircuit(config["scale"], config["k_scale"], config["drive"])
    began = time.perf_counter()
    cells = _neurons(nest, numbers)
    _connect(nest, numbers, cells, config)
    recorders = nest.Create("spike_recorder", len(cells))
    for population, recorder in zip(cells, recorders, strict=True):
        nest.Connect(population, recorder)
    nest.Prepare()
    built = time.perf_counter() - began
    if config["warm_up"]:
        nest.Run(config["warm_up"])
    began, processor = time.perf_counter(), time.process_time()
    nest.Run(config["duration"])
    seconds, processor = time.perf_counter() - began, time.process_time() - processor
    nest.Cleanup()
    spikes = {}
    for name, population, recorder in zip(POPULATIONS, cells, recorders, strict=True):
        events = recorder.events
        spikes[name] = (events["times"], events["senders"] - population[0].global_id)
    start, sizes = config["warm_up"], dict(zip(POPULATIONS, numbers.sizes.tolist(), strict=True))
    found = summary(spikes, sizes, start=start, stop=start + config["duration"])
    rates = np.array([found[name]["rate"] for name in POPULATIONS])
    per_second = numbers.synapses.sum(axis=0) @ rates
    plastic = numbers.synapses[0::2, 0::2].sum() if config["rule"] == "stdp" else 0
    return {
        "simulator": f"NEST {nest.__version__}", "neurons": int(numbers.sizes.sum()), "synapses": int(numbers.synapses.sum()),
        "plastic_synapses": int(plastic), "build_seconds": built, "run_seconds": seconds, "processor_seconds": processor,
        "real_time_factor": seconds / (1e-3 * config["duration"]),
        "synaptic_events": int(per_second * 1e-3 * config["duration"]), "peak_memory_bytes": resident_memory() or 0,
        "summary": found,
    }  # fmt: skip


def _neurons(nest: ModuleType, numbers: Microcircuit) -> list[Any]:
    cells = []
    parameters = named(NEURON)
    for size, current, mean, sd in zip(numbers.sizes, numbers.currents, FIRST_VOLTAGE, FIRST_VOLTAGE_SD, strict=True):
        population = nest.Create("iaf_psc_exp", int(size), params=parameters | {"I_e": float(current)})
        population.V_m = nest.random.normal(mean=float(mean), std=float(sd))
        cells.append(population)
    return cells


def _connect(nest: ModuleType, numbers: Microcircuit, cells: list[Any], config: dict[str, Any]) -> None:
    """Connect the populations, and the background to each of them.

    Each source population has its own copy of the synapse model, because NEST limits the connections of one model.
    """
    if config["rule"] == "stdp":
        nest.SetDefaults("stdp_synapse_hom", config["stdp"])
    for source, name in enumerate(POPULATIONS):
        nest.CopyModel("static_synapse", f"from_{name}")
        for target, number in enumerate(numbers.synapses[:, source]):
            if number:
                weight, delay = float(numbers.weights[target, source]), float(numbers.delays[target, source])
                low, high = (0.0, np.inf) if weight > 0.0 else (-np.inf, 0.0)
                plastic = config["rule"] == "stdp" and source % 2 == target % 2 == 0
                spec = {
                    "synapse_model": "stdp_synapse_hom" if plastic else f"from_{name}",
                    "weight": _truncated(nest, weight, WEIGHT_SPREAD * abs(weight), low, high),
                    "delay": _truncated(nest, delay, DELAY_SPREAD * delay, LOWEST_DELAY, np.inf),
                }
                rule = {"rule": "fixed_total_number", "N": int(number)}
                nest.Connect(cells[source], cells[target], rule, spec)
    for population, rate in zip(cells, numbers.background_rates, strict=True):
        if rate:
            generator = nest.Create("poisson_generator", params={"rate": float(rate)})
            nest.Connect(generator, population, "all_to_all", {"weight": numbers.background_weight, "delay": 1.5})


def _truncated(nest: ModuleType, mean: float, sd: float, low: float, high: float) -> Any:
    return nest.math.redraw(nest.random.normal(mean=mean, std=sd), min=low, max=high)


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))), flush=True)
