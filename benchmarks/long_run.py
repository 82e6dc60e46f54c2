"""Memory and numerical drift of a run of a million steps.

    python benchmarks/long_run.py

Three parts measure memory over many calls of `Simulator.run`: eprop, NEST with flush events, and NEST without. Half of
the neurons are silent and receive spikes of silent neurons only. The goal is that memory does not grow: nothing may
wait for their next spike. The fourth part, ``drift``, compares the outputs with those of the time-driven reference,
which has no propagators. Each part runs in a process of its own, so that its memory counts alone. The result is
``long_run.json``.
"""

from __future__ import annotations

import json
import time

import harness
import numpy as np

import eprop as ep
from eprop.checks import time_driven
from eprop.reference import Stimulus
from eprop.training.system_info import resident_memory

NEURONS, INTERVAL, CUTOFF, NEVER = 10, 100.0, 100.0, 1e7
PIECE = 1000


def ours(steps: int) -> dict:
    """Memory of the engine; each call of `Simulator.run` advances ``PIECE`` steps."""
    from eprop.models import ForcedLIF

    net = ep.Network(seed=1)
    spiking, silent = (
        net.add(ForcedLIF(interval=INTERVAL), NEURONS, "spiking"), net.add(ForcedLIF(interval=NEVER), NEURONS, "silent"),
    )  # fmt: skip
    out = net.add(ep.Readout(), 1, "out")
    for half in (spiking, silent):
        rule = ep.EPropPlus(ep.GradientDescent(1e-4), cutoff=CUTOFF)
        net.connect(half, half, ep.AllToAll(autapses=True), weight=0.0, rule=rule)
        net.connect(half, out, weight=0.1)
        net.feedback(out, half, ep.RandomFeedback())
    sim = ep.Simulator(net, threads=1)
    return _curve(steps, lambda: sim.run(float(PIECE), targets={"out": np.ones(1)}), lambda: sum(sim.memory().values()))


def nest(steps: int, flush: bool) -> dict:
    """Memory of NEST with the same network."""
    from eprop.interop.nest import nest_module

    nest = nest_module()
    nest.ResetKernel()
    nest.set(resolution=1.0)
    nest.verbosity = nest.VerbosityLevel.ERROR
    common = {"C_m": 1.0, "E_L": 0.0, "t_ref": 0.0, "tau_m": 30.0, "V_m": 0.0, "V_th": 1e6}
    extra = {"eprop_isi_trace_cutoff": CUTOFF, **({"flush_event_send_interval": 300.0} if flush else {})}
    rec = nest.Create("eprop_iaf", 2 * NEURONS, {**common, **extra})
    rec.set({"ignore_and_spike": True, "ignore_and_spike_interval": INTERVAL})
    # After one spike: NEST flushes only what has spiked before.
    rec[NEURONS:].set({"ignore_and_spike_interval": NEVER, "ignore_and_spike_offset": 5.0})
    nest.SetDefaults("eprop_synapse_hpc", {"optimizer": {"type": "gradient_descent", "optimize_each_step": False}})
    for half in (rec[:NEURONS], rec[NEURONS:]):
        nest.Connect(half, half, "all_to_all", {"synapse_model": "eprop_synapse_hpc", "delay": 1.0, "weight": 0.0})
    out = nest.Create("eprop_readout", 1, {"C_m": 1.0, "E_L": 0.0, "V_m": 0.0, "eprop_isi_trace_cutoff": CUTOFF})
    nest.Connect(rec, out, "all_to_all", {"synapse_model": "static_synapse", "delay": 1.0, "weight": 0.1})
    signal = {"synapse_model": "eprop_learning_signal_connection", "delay": 1.0, "weight": 1.0}
    nest.Connect(out, rec, "all_to_all", signal)
    for receptor in (1, 2):
        generator = nest.Create("step_rate_generator", params={"amplitude_times": [1.0], "amplitude_values": [1.0]})
        rate = {"synapse_model": "rate_connection_delayed", "delay": 1.0, "receptor_type": receptor}
        nest.Connect(generator, out, "all_to_all", rate)
    return _curve(steps, lambda: nest.Simulate(float(PIECE)), lambda: 0)


def _curve(steps: int, piece, held) -> dict:
    """Resident memory and bytes of arrays after the first call, and at ten more moments."""
    at, memory, arrays, began = [], [], [], time.perf_counter()
    for k in range(steps // PIECE):
        piece()
        if k == 0 or (k + 1) % max(steps // PIECE // 10, 1) == 0:
            at.append((k + 1) * PIECE)
            memory.append(resident_memory())
            arrays.append(held())
    return {"steps": at, "resident_bytes": memory, "array_bytes": arrays, "seconds": time.perf_counter() - began}


def drift(steps: int) -> dict:
    """Largest difference between an output and that of the reference so far, as the run goes on.

    The drift is that of outputs, not of weights. The reference keeps a gradient until the synapse's next spike; the
    engine applies the gradient as soon as it is final.
    """
    rng = np.random.default_rng(1)
    sizes, rates = (4, 5, 2), (0.05, 0.01, 0.001, 0.0001)
    shapes = {"input": (5, 4), "recurrent": (5, 5), "readout": (2, 5)}
    weights = {
        name: rng.normal(0.0, 0.5, shape) * (0.1 if name == "recurrent" else 1.0) for name, shape in shapes.items()
    }
    np.fill_diagonal(weights["recurrent"], 0.0)
    feedback = rng.normal(0.0, 1.0, (5, 2))
    eta = 1e-6
    net = ep.Network(seed=1)
    x, rec, out = (
        net.add(ep.EventSource(), sizes[0], "in"), net.add(ep.LIF(tau_m=20.0, v_th=0.6), sizes[1], "rec"),
        net.add(ep.Readout(tau_m=20.0), sizes[2], "out"),
    )  # fmt: skip
    rule = ep.EPropPlus(ep.GradientDescent(eta), kappa=0.97, c_reg=0.1, cutoff=CUTOFF)
    net.connect(x, rec, weight=weights["input"], rule=rule)
    net.connect(rec, rec, weight=weights["recurrent"], rule=rule)
    net.connect(rec, out, weight=weights["readout"], rule=rule)
    net.feedback(out, rec, ep.RandomFeedback(feedback))
    sim = ep.Simulator(net, threads=1)
    theirs = time_driven(sim)
    found: dict[str, list] = {"steps": [], "largest_difference_mV": [], "largest_output_mV": [], "spikes": []}
    spikes, done, report, worst, largest = 0, 0, 1000, 0.0, 0.0
    while done < steps:
        inputs = (rng.random((PIECE, sizes[0])) < rates).astype(float)
        targets = np.sin(np.arange(done, done + PIECE)[:, None] * (0.02, 0.03))
        run = theirs.run(Stimulus(PIECE, {"in": inputs}, {"out": targets}))
        ours_now = sim.run(float(PIECE), {"in": inputs}, {"out": targets})
        worst = max(worst, float(np.abs(ours_now.y["out"] - run.y).max()))
        largest = max(largest, float(np.abs(run.y).max()))
        spikes += int(run.spikes[:, sizes[0] :].sum())
        done += PIECE
        if done in (report, steps):
            report *= 10
            for name, value in zip(found, (done, worst, largest, spikes), strict=True):
                found[name].append(value)
    return found


PARTS = {
    "eprop": ours,
    "nest with flush events": lambda steps: nest(steps, True),
    "nest without": lambda steps: nest(steps, False),
    "drift": drift,
}


def main() -> None:
    """Run each part in a process of its own, and record."""
    parser = harness.parser(__doc__)
    parser.add_argument("--steps", type=int, default=1_000_000, help="steps of 1 ms")
    parser.add_argument("--part", choices=PARTS, help="run this part only, print and do not record")
    arguments = parser.parse_args()
    if arguments.part:
        print(json.dumps(PARTS[arguments.part](arguments.steps)))
        return
    found = {}
    for part in PARTS:
        found[part] = harness.in_process("--steps", arguments.steps, "--part", part)
        print(part, json.dumps(found[part]), flush=True)
    print(harness.write("long_run", found))


if __name__ == "__main__":
    main()
