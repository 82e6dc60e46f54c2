"""The scaling benchmark in NEST: `scaling.py` runs this script with the configuration as JSON; it prints the result as JSON.

The network is that of `scaling_network.py`: the same sizes, rates, parameters and delays; connections and weights
are NEST's own draws from the same distributions. Both rules of e-prop use the memory-saving synapse (``_hpc``). e-prop+
takes one optimiser step per spike (or, with ``each_step``, per time step), with flush events, as in the benchmark of
Korcsak-Gorzo et al. 2025; the original rule (``_bsshslm_2020``) one per update interval, which is as long as a sample here.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
from scaling_network import STDP_W_MAX

from eprop.interop.nest import FIRST_STEP, SUFFIX, nest_module
from eprop.training.system_info import resident_memory

# Interval of spikes that let NEST delete histories of silent neurons, ms.
FLUSH_INTERVAL = 300.0
OPTIMIZER = {"batch_size": 1, "Wmin": -100.0, "Wmax": 100.0, "eta": 1e-4}
SIGNAL = {"eprop+": "eprop_learning_signal_connection", "eprop": f"eprop_learning_signal_connection{SUFFIX}"}


def main(config: dict[str, Any], clock: Callable[[], float] = time.perf_counter) -> dict[str, Any]:
    """Build and run; return the fields of `scaling.ScalingResult`, with the times of a clock, in s."""
    nest = nest_module()
    nest.ResetKernel()
    nest.set(resolution=1.0, local_num_threads=config["threads"], rng_seed=config["seed"] + 1)
    if config["mode"] == "eprop":
        nest.set(eprop_update_interval=float(config["sample"]), eprop_learning_window=float(config["sample"]))
    nest.verbosity = nest.VerbosityLevel.ERROR
    before = resident_memory() or 0
    began = clock()
    synapses, plastic, events_per_ms = _build(nest, config)
    built = clock() - began
    nest.Simulate(float(config["warm_up"]))
    began = clock()
    nest.Simulate(float(config["steps"]))
    seconds = clock() - began
    memory = resident_memory() or 0
    events = events_per_ms * config["steps"]
    return {
        "simulator": f"NEST {nest.__version__}", "mode": config["mode"], "neurons": config["neurons"],
        "synapses": synapses, "plastic_synapses": plastic, "threads": config["threads"], "precision": "double",
        "steps": config["steps"], "build_seconds": built, "run_seconds": seconds,
        "synaptic_events": int(events), "ns_per_synaptic_event": 1e9 * seconds / max(events, 1),
        "real_time_factor": seconds / (config["steps"] * 1e-3), "bytes_per_synapse": (memory - before) / synapses,
        "resident_bytes_per_synapse": (memory - before) / synapses,
        "propagator_bytes": 0, "peak_memory_bytes": (resident_memory() or 0),
    }  # fmt: skip


def _build(nest: ModuleType, c: dict[str, Any]) -> tuple[int, int, float]:
    """Build the network; return (synapses, plastic synapses, expected synaptic events per ms)."""
    n, k, mode = c["neurons"], c["indegree"], c["mode"]
    into, out = min(100, c["inputs"]), min(1000, n)
    rec = _neurons(nest, c)
    interval = 1000.0 / c["rate"]
    # The original rule has no history of the first steps: a spike there would raise an error.
    first = FIRST_STEP if mode == "eprop" else 0
    phases = first + np.random.default_rng(c["seed"]).integers(1, int(interval) + 1, n)
    rec.set({"ignore_and_spike": True})
    rec.set([{"ignore_and_spike_interval": interval, "ignore_and_spike_offset": float(p)} for p in phases])
    parrots = nest.Create("parrot_neuron", c["inputs"])
    nest.Connect(nest.Create("poisson_generator", params={"rate": 5.0}), parrots)

    def synapse(model: str, degree: int) -> dict[str, Any]:
        if model == "stdp_synapse":
            return {"synapse_model": model, "delay": 1.0, "weight": nest.random.uniform(0.0, STDP_W_MAX)}
        return {"synapse_model": model, "delay": 1.0, "weight": nest.random.normal(0.0, 0.1 / np.sqrt(degree))}

    def indegree(degree: int) -> dict[str, Any]:
        return {"rule": "fixed_indegree", "indegree": degree, "allow_multapses": True}

    nest.Connect(parrots, rec, indegree(into), synapse("static_synapse", into))
    nest.Connect(rec, rec, indegree(k), synapse(_plastic_model(nest, c), k))
    readouts = _readouts(nest, c)
    nest.Connect(rec, readouts, indegree(out), synapse("static_synapse", out))
    if mode in SIGNAL:
        _signals(nest, c, readouts, rec)
    per_ms = n * into * 0.005 + (n * k + c["readouts"] * out) * c["rate"] / 1000.0
    return n * (into + k) + c["readouts"] * out, 0 if mode == "static" else n * k, per_ms


def _neurons(nest: ModuleType, c: dict[str, Any]) -> Any:
    common = {"C_m": 1.0, "E_L": 0.0, "t_ref": 0.0, "tau_m": 30.0, "V_m": 0.0, "V_th": 0.6}
    if c["mode"] not in SIGNAL:
        return nest.Create("iaf_psc_delta", c["neurons"], {**common, "V_reset": 0.0})
    surrogate = {
        "surrogate_gradient_function": "piecewise_linear",
        "surrogate_gradient_height": 0.5,
        "surrogate_gradient_width": 1.0 / 1.7,
    }
    learning = {"c_reg": 0.1, "f_target": 10.0}
    if c["mode"] == "eprop":
        return nest.Create(f"eprop_iaf{SUFFIX}", c["neurons"], {**common, **surrogate, **learning})
    filters = {"kappa": 0.97, "kappa_reg": 0.97}
    flush = {"eprop_isi_trace_cutoff": c["cutoff"], "flush_event_send_interval": FLUSH_INTERVAL}
    return nest.Create("eprop_iaf", c["neurons"], {**common, **surrogate, **learning, **filters, **flush})


def _plastic_model(nest: ModuleType, c: dict[str, Any]) -> str:
    if c["mode"] == "static":
        return "static_synapse"
    if c["mode"] == "stdp":
        pairs = {"lambda": 0.01, "alpha": 1.05, "mu_plus": c["mu"], "mu_minus": c["mu"], "Wmax": STDP_W_MAX}
        nest.SetDefaults("stdp_synapse", pairs)
        return "stdp_synapse"
    if c["mode"] == "eprop":
        model = f"eprop_synapse{SUFFIX}_hpc"
        optimizer = OPTIMIZER | {"type": c["optimizer"], "optimize_each_step": False}
        nest.SetDefaults(model, {"optimizer": optimizer, "tau_m_readout": 100.0})
        return model
    optimizer = OPTIMIZER | {"type": c["optimizer"], "optimize_each_step": c["each_step"]}
    nest.SetDefaults("eprop_synapse_hpc", {"optimizer": optimizer})
    return "eprop_synapse_hpc"


def _readouts(nest: ModuleType, c: dict[str, Any]) -> Any:
    """Make leaky integrators, of the kind that fits the rule of the recurrent neurons."""
    common = {"C_m": 1.0, "E_L": 0.0, "tau_m": 100.0}
    if c["mode"] == "eprop+":
        return nest.Create("eprop_readout", c["readouts"], {**common, "eprop_isi_trace_cutoff": c["cutoff"]})
    if c["mode"] == "eprop":
        return nest.Create(f"eprop_readout{SUFFIX}", c["readouts"], {**common, "V_m": 0.0})
    return nest.Create("iaf_psc_delta", c["readouts"], {**common, "V_m": 0.0, "V_th": 1e300})


def _signals(nest: ModuleType, c: dict[str, Any], readouts: Any, rec: Any) -> None:
    """Connect targets to the readouts, and the errors of the readouts to the neurons."""
    nest.Connect(
        readouts, rec, {"rule": "fixed_outdegree", "outdegree": min(100, c["neurons"]), "allow_multapses": False},
        {"synapse_model": SIGNAL[c["mode"]], "delay": 1.0, "weight": nest.random.normal(0.0, 1.0)},
    )  # fmt: skip
    for receptor in (1, 2) if c["mode"] == "eprop+" else (2,):  # learning window, target
        generator = nest.Create("step_rate_generator", params={"amplitude_times": [1.0], "amplitude_values": [1.0]})
        rate = {"synapse_model": "rate_connection_delayed", "delay": 1.0, "receptor_type": receptor}
        nest.Connect(generator, readouts, "all_to_all", rate)


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))), flush=True)
