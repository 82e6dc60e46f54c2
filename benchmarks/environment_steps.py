"""Time of a step of 32 environments side by side, ``Simulator.lanes``, on one and two threads.

    python benchmarks/environment_steps.py

The network is that of the cart-pole task: 48 channels of a population code, neurons that learn by e-prop, an actor and
a critic. A rollout ends with `backward` and `learn`. A small fraction of steps ends an episode. The numbers of threads
take turns, with the same inputs.

Times of `step`, and of `run` with four steps at once, are wall times: the median over calls, microseconds per step.
Times of `backward`, `replay`, `forward` and the first step of the next rollout are processor times of all threads,
microseconds per step; other programs change them little. There is no goal. The result is ``streams.json``.
"""

from __future__ import annotations

import time
from typing import Any

import harness
import numpy as np

import eprop as ep

INPUTS, RATE, READOUTS = 48, 0.1, 3
ENDS = 0.005  # probability that a step ends the episode of a stream
AT_ONCE = 4  # steps of one call of `run`


def network(neurons: int) -> ep.Network:
    """Return inputs and recurrent neurons that learn, and readouts with symmetric feedback."""
    net = ep.Network(dt=1.0, seed=1)
    rule = ep.EProp(optimizer=ep.Adam(eta=1e-4), c_reg=0.1, f_target=30.0)
    x, rec = net.add(ep.EventSource(), INPUTS, "in"), net.add(ep.LIF(tau_m=10.0, v_th=1.0), neurons, "rec")
    out = net.add(ep.Readout(tau_m=10.0), READOUTS, "out")
    net.connect(x, rec, weight=ep.Normal(0.0, 0.35), rule=rule)
    net.connect(rec, rec, ep.FixedIndegree(neurons // 5), weight=ep.Normal(0.0, 0.05), rule=rule)
    net.connect(rec, out, weight=ep.Glorot(), rule=rule)
    net.feedback(out, rec, ep.Symmetric())
    return net


def cpu_us(work: Any, steps: int) -> float:
    """Return the processor time of a function, microseconds per step."""
    began = time.process_time()
    work()
    return 1e6 * (time.process_time() - began) / steps


def measure(sim: ep.Simulator, streams: Any, events: np.ndarray, ends: np.ndarray) -> dict[str, float]:
    """Return the microseconds per step of all parts of a rollout."""
    n, steps = streams.n, len(events)
    lists = [[np.flatnonzero(one) for one in now] for now in events]
    errors = np.random.default_rng(1).normal(size=(n, steps, READOUTS)) * 1e-3
    clock, taken, gradients = time.perf_counter, {}, {}
    for name, given in (("step_dense_us", events), ("step_lists_us", lists)):
        each = []
        for now, ended in zip(given, ends, strict=True):
            began = clock()
            streams.step(now)
            each.append(clock() - began)
            streams.reset(ended)
        taken[name] = 1e6 * float(np.median(each))
        taken["backward_cpu_us"] = cpu_us(lambda: gradients.update(streams.backward(errors)), steps)
        taken["replay_cpu_us"] = cpu_us(streams.replay, steps)
        sim.learn(gradients)
        taken["begin_next_cpu_us"] = cpu_us(lambda first=given[0]: streams.step(first), steps)
        streams.backward(np.zeros((n, 1, READOUTS)))
    each = []
    for first in range(0, steps, AT_ONCE):
        began = clock()
        streams.run(AT_ONCE, events[first : first + AT_ONCE])
        each.append(clock() - began)
    taken["run_us"] = 1e6 * float(np.median(each)) / AT_ONCE
    streams.backward(np.zeros((n, steps, READOUTS)))
    samples = sim.samples(n, steps, {"in": events.transpose(1, 0, 2)})
    rollouts: list[ep.Rollout] = []
    taken["forward_cpu_us"] = cpu_us(lambda: rollouts.append(sim.forward(samples)), steps)
    taken["rate_Hz"] = 1e3 * float(rollouts[0].spikes.sum()) / (n * steps * sim.network.population("rec").size)
    return taken


def main() -> None:
    """Measure all sizes and numbers of threads in turns; print and record."""
    parser = harness.parser(__doc__, repeats=7)
    parser.add_argument("--streams", type=int, default=32, help="environments")
    parser.add_argument("--neurons", type=int, nargs="+", default=[100], help="recurrent neurons")
    parser.add_argument("--steps", type=int, default=256, help="steps of a rollout")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="numbers of threads")
    arguments = parser.parse_args()
    draw = np.random.default_rng(1)
    events = draw.random((arguments.steps, arguments.streams, INPUTS)) < RATE
    ends = draw.random((arguments.steps, arguments.streams)) < ENDS
    found: dict[tuple[int, int], list[dict[str, float]]] = {}
    sims = {(m, t): ep.Simulator(network(m), threads=t) for m in arguments.neurons for t in arguments.threads}
    streams = {key: sim.lanes(arguments.streams, steps=arguments.steps) for key, sim in sims.items()}
    for turn in range(arguments.repeats + 1):
        for key, sim in sims.items():
            taken = measure(sim, streams[key], events, ends)
            if turn:  # the first one warms up
                found.setdefault(key, []).append(taken)
    result = {}
    for (neurons, threads), turns in found.items():
        spreads = {name: harness.spread([turn[name] for turn in turns]) for name in turns[0]}
        result[f"{neurons} neurons, {threads} threads"] = spreads
        text = ", ".join(f"{name} {np.median([turn[name] for turn in turns]):.1f}" for name in turns[0])
        print(f"{arguments.streams} x {neurons} neurons, {threads} threads: {text}", flush=True)
    print(harness.write("streams", result))


if __name__ == "__main__":
    main()
