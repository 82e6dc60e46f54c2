"""Evidence accumulation: time of an iteration beside NEST, and beside dense methods.

    python benchmarks/task_speed.py
    python benchmarks/task_speed.py --part dense

Everything runs on one thread and in one process, in turns, with the same networks, samples and learning:

* ``nest``: the network of the task, 50 LIF and 50 ALIF neurons, in batches of 32. NEST has the neurons and synapses of its
  own example (``eprop_iaf_bsshslm_2020``, ``eprop_iaf_adapt_bsshslm_2020``, ``eprop_synapse_bsshslm_2020``, Adam). It
  records readouts only, and runs the samples of a batch one after the other. The time of building does not count. The
  script compares the losses of both.
* ``dense``: 1,000 neurons, half of them ALIF, with a connectivity of 10 %. Two methods without events, ``stepped`` and
  ``adjoint`` of `dense.py`, use NumPy in single precision. Times are those of one sample. The script compares the gradients
  of all methods, and those of `eprop.reference.TimeDriven`, with the gradients of the engine.

There is no goal. The results are ``tasks-speed-nest.json`` and ``tasks-speed-dense.json``.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import dense
import harness
import numpy as np

import eprop as ep
from eprop.checks import stimuli_of, time_driven
from eprop.engine import Samples
from eprop.interop.nest import to_nest
from eprop.training import Stage


class Compared:
    """Evidence accumulation as NEST can run it: a reset one step late, and feedback that does not follow the readout weights.

    Parameters
    ----------
    **arguments
        Of the task; ``eta`` is the rate of all weights by gradient descent, in place of the task's optimiser.
    """

    def __init__(
        self, lif: int = 50, alif: int = 50, connectivity: float = 1.0, eta: float | None = None, **arguments: Any
    ):
        self.lif, self.alif, self.neurons, self.connectivity, self.eta = lif, alif, lif + alif, connectivity, eta
        self.arguments = {"lif": lif, "alif": alif, "connectivity": connectivity, "feedback": "random", **arguments}
        self.made = ep.tasks.evidence_accumulation(**self.arguments)
        self.window: Any = self.made.window
        self.n_steps, self.group = len(self.window), self.made.network.population("in").size // 4
        self.neuron: Any = self.made.network.population("alif").model
        self.tau_out = self.made.network.population("out").model.tau_m

    def build_network(self) -> ep.Network:
        """The network of the task with these neurons."""
        of_task, net = self.made.network, ep.Network(dt=self.made.network.dt, seed=self.made.network.seed)
        for p in of_task.populations:
            late = {"delayed_reset": True} if p.model.role == "neuron" else {}
            net.add(p.model.replace(**late), p.size, name=p.name)
        for q in of_task.projections:
            rule: Any = q.rule
            if self.eta is not None:
                rule = rule.replace(optimizer=ep.GradientDescent(eta=self.eta), average_gradient=False)
            net.connect(q.pre.name, q.post.name, q.connectivity, weight=q.weight, rule=rule)
        for back in of_task.feedback_projections:
            net.feedback(back.pre.name, back.post.name, back.kind)
        return net

    def drawn(self, network: ep.Network, n: int, first: int = 0) -> Samples:
        """Return samples without input in the first step, from which NEST does not learn."""
        source = ep.data.Generated(self.made.train.draw, samples=first + n, seed=self.made.seed)
        drawn = source(Stage()).train.subset(slice(first, first + n)).drawn()
        inputs = np.stack([sample.inputs for sample in drawn])
        inputs[:, 0] = False
        labels = np.array([sample.target for sample in drawn])
        return ep.engine.make_samples(network, n, self.n_steps, {"in": inputs}, window=self.window, labels=labels)


def main() -> None:
    """Measure the parts, print and record."""
    parser = harness.parser(__doc__, repeats=5)
    parser.add_argument("--part", choices=("nest", "dense"), action="append", help="measure and record this part only")
    arguments = parser.parse_args()
    take_one_thread()
    parts: dict[str, Callable[[int], dict]] = {"nest": beside_nest, "dense": beside_dense}
    for name in arguments.part or parts:
        result = parts[name](arguments.repeats)
        print(json.dumps(result, indent=2))
        print(harness.write(f"tasks-speed-{name}", result))


# ------------------------------------------------------------------------------------------------------------- NEST


def beside_nest(repeats: int, batch: int = 32) -> dict[str, Any]:
    """Return the time of iterations of the same training here and in NEST."""
    task = Compared()
    network = task.build_network()
    batches = [task.drawn(network, batch, first=i * batch) for i in range(repeats + 1)]
    ours = {precision: ep.Simulator(network, threads=1, precision=precision) for precision in ("single", "double")}
    times: dict[str, list[float]] = {name: [] for name in (*ours, "nest")}
    losses: dict[str, list[float]] = {name: [] for name in ours}
    events = []
    for simulator in ours.values():
        warm_up(simulator, batches[0])
    for samples in batches:
        for name, simulator in ours.items():
            took, result = timed(simulator.train, samples)
            times[name].append(took)
            losses[name].append(float(result.loss.mean()))
        events.append(result.events)
    theirs = to_nest(network).train(batches, record=False)
    times["nest"] = theirs.seconds.tolist()
    # NEST computes the gradients of a batch when later spikes arrive: its first batch has no such work.
    times = {name: values[1:] for name, values in times.items()}
    wanted = theirs.loss.reshape(repeats + 1, batch).mean(axis=1)
    return {
        "network": f"{task.lif} LIF + {task.alif} ALIF, {4 * task.group} inputs, {ours['single'].n_synapses():,} synapses",
        "batch": batch, "steps": task.n_steps, "synaptic_events_of_a_batch": harness.spread(events[1:]),
        "seconds_per_iteration": {name: harness.spread(values) for name, values in times.items()},
        "times_faster_than_nest": {
            name: harness.spread([b / a for a, b in zip(times[name], times["nest"], strict=True)]) for name in ours
        },
        "largest_relative_deviation_of_losses": {
            name: float(np.max(np.abs(np.array(losses[name]) / wanted - 1.0))) for name in ours
        },
    }  # fmt: skip


# ------------------------------------------------------------------------------------------------------------ dense


def beside_dense(repeats: int, n: int = 1000, connectivity: float = 0.1, batch: int = 32) -> dict[str, Any]:
    """Return the time of samples of the same training here and with matrices."""
    task = Compared(lif=n // 2, alif=n // 2, connectivity=connectivity)
    network = task.build_network()
    samples, one = task.drawn(network, batch), task.drawn(network, 1)
    simulators = {
        precision: ep.Simulator(network, threads=1, precision=precision) for precision in ("single", "double")
    }
    deviations = compare_gradients(Compared(lif=30, alif=30, connectivity=0.3))
    matrices = matrices_of(task, ep.Simulator(network, threads=1), np.float32)
    inputs, label = dense_inputs(one), int(one.labels[0])
    ways: dict[str, Callable[[], Any]] = {
        "single": lambda: simulators["single"].train(samples),
        "double": lambda: simulators["double"].train(samples),
        "stepped": lambda: matrices.gradients("stepped", inputs, label, task.window),
        "adjoint": lambda: matrices.gradients("adjoint", inputs, label, task.window),
    }
    for simulator in simulators.values():
        warm_up(simulator, samples)
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            times[name].append(timed(way)[0] / (batch if name in simulators else 1))
    synapses, events = simulators["single"].n_synapses(), simulators["single"].train(samples).events
    return {
        "network": f"{task.lif} LIF + {task.alif} ALIF, connectivity {connectivity:g}, {synapses:,} synapses",
        "batch": batch, "steps": task.n_steps,
        "synaptic_events_of_a_trial": events / batch,
        "seconds_per_trial": {name: harness.spread(values) for name, values in times.items()},
        "times_faster_than": {
            name: {"precision": "single", **harness.spread([t / np.median(times["single"]) for t in times[name]])}
            for name in ("stepped", "adjoint")
        },
        "largest_deviation_of_gradients": deviations,
    }  # fmt: skip


def compare_gradients(task: Compared) -> dict[str, float]:
    """Return the largest deviation from the engine's gradients, relative to the largest one, on a small network."""
    task = Compared(**{**task.arguments, "delay": 200.0}, eta=1.0)
    network = task.build_network()
    one = task.drawn(network, 1)
    found = {}
    before, engines = matrices_of(task, ep.Simulator(network, threads=1, precision="double"), np.float64), {}
    for name, learn in (("engine", learn_by_events), ("reference", learn_in_time)):
        engine = ep.Simulator(network, threads=1, precision="double")
        learn(engine, one)
        after = matrices_of(task, engine, np.float64)
        engines[name] = {
            kind: (getattr(before, key) - getattr(after, key)) / 1e-3
            for kind, key in (("input", "w_in"), ("recurrent", "w_rec"), ("readout", "w_out"))
        }
    ways = {
        name: before.gradients(name, dense_inputs(one), int(one.labels[0]), task.window)
        for name in ("stepped", "adjoint")
    }
    ways["reference"] = engines["reference"]
    masks = {"input": before.w_in != 0.0, "recurrent": before.w_rec != 0.0, "readout": before.w_out != 0.0}
    for name, way in ways.items():
        found[name] = max(
            float(np.abs((way[k] - g)[masks[k]]).max() / np.abs(g).max()) for k, g in engines["engine"].items()
        )
    return found


def learn_by_events(engine: ep.Simulator, samples: ep.engine.Samples) -> None:
    """Learn a mini-batch."""
    engine.scale_learning_rates(1e-3)
    engine.train(samples)


def learn_in_time(engine: ep.Simulator, samples: ep.engine.Samples) -> None:
    """Learn a mini-batch in the time-driven reference; the simulator gets the weights."""
    stepped = time_driven(engine)
    stepped.learning_rate_factor = 1e-3
    stepped.train(stimuli_of(engine.network, samples, learns=True))
    for p in engine.network.projections:
        engine.set_weights(p.name, stepped.weights_of(p.name))


def matrices_of(task: Compared, engine: Any, dtype: Any) -> dense.Dense:
    """Return weights and constants of a network as matrices."""
    first = {"lif": 0, "alif": task.lif}
    w_in, w_rec = np.zeros((task.neurons, 4 * task.group), dtype), np.zeros((task.neurons, task.neurons), dtype)
    w_out, b = np.zeros((2, task.neurons), dtype), np.zeros((task.neurons, 2), dtype)
    for p in engine.network.projections:
        sources, targets, weights = engine.connections(p.name)
        if p.pre.name == "in":
            w_in[targets + first[p.post.name], sources] = weights
        elif p.post.name == "out":
            w_out[targets, sources + first[p.pre.name]] = weights
        else:
            w_rec[targets + first[p.post.name], sources + first[p.pre.name]] = weights
    drawn = ep.Simulator(engine.network, threads=1, precision="double")
    for name, size in (("lif", task.lif), ("alif", task.alif)):
        b[first[name] : first[name] + size] = drawn.feedback_weights("out", name)
    neuron, dt, rule = task.neuron, engine.network.dt, engine.network.projection("in->lif").rule
    return dense.Dense(
        w_in, w_rec, w_out, b, np.repeat([0.0, neuron.beta], [task.lif, task.alif]).astype(dtype),
        alpha=math.exp(-dt / neuron.tau_m), rho=math.exp(-dt / neuron.tau_adapt),
        alpha_out=math.exp(-dt / task.tau_out), kappa=math.exp(-dt / task.tau_out), v_th=neuron.v_th,
        ref_steps=round(neuron.t_ref / dt), height=neuron.surrogate.height, width=neuron.surrogate.width,
        c_reg=rule.c_reg, target_per_step=rule.f_target * dt / 1000.0,
    )  # fmt: skip


def dense_inputs(one: Samples) -> np.ndarray:
    """Return the inputs of a single sample, (steps, channels)."""
    out = np.zeros((one.n_steps, 40), np.float32)
    out[np.repeat(np.arange(one.n_steps), np.diff(one.event_start[0])), one.event_channels] = 1.0
    return out


# ------------------------------------------------------------------------------------------------------------ both


def take_one_thread() -> None:
    """Restart the script with one thread for NumPy's matrix products, which NumPy reads when it is imported."""
    wanted = dict.fromkeys(("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    if wanted.items() - os.environ.items():
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **wanted})


def warm_up(simulator: ep.Simulator, samples: Samples) -> None:
    """Train once and restore the state."""
    state = simulator.state()
    simulator.train(samples)
    simulator.set_state(state)


def timed(call: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    """Return wall time and result of a call."""
    began = time.perf_counter()
    result = call(*arguments)
    return time.perf_counter() - began, result


if __name__ == "__main__":
    main()
