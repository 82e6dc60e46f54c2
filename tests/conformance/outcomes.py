"""What a network with any choice of features does, in any division and from any state; ranks of MPI import it as well."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import eprop as ep
from conformance.features import N_IN, STEPS, Setting, has_readouts, network_of, stimuli_of
from eprop.reference import Stimulus
from networks import part_of

Outcome = dict[str, Any]
CUT, LANES = 25, 3


def simulator(setting: Setting, **options: Any) -> ep.Simulator:
    return ep.Simulator(network_of(setting), **{"threads": 1, "precision": setting["precision"]} | options)


def by_samples(setting: Setting) -> bool:
    return setting["rule"] == "e-prop"


def moves(setting: Setting) -> bool:
    return setting["rewiring"] != "none"


def has_lanes(setting: Setting) -> bool:
    """Lanes move no synapse, and have no time by which drives could change."""
    return by_samples(setting) and not moves(setting) and setting["drive"] != "that change with time"


def given_to_run(stimulus: Any) -> Outcome:
    names = ("signals", "modulator", "reward")
    return {name: value for name in names if (value := getattr(stimulus, name)) is not None}


def run(sim: ep.Simulator, setting: Setting, a: int, b: int, **options: Any) -> Outcome:
    """Steps ``a`` to ``b``: what is recorded, spikes, outputs and losses."""
    one = part_of(stimuli_of(setting)[0], a, b)
    record: list[Any] = [("a", "v"), ("b", "surrogate", [0, 4, 2]), ("b", "learning_signal")]
    record += [("out", "error")] * has_readouts(setting) + [("a->b", "weight")] * (not moves(setting))
    record += [("b->out", "weight", [3])] * (has_readouts(setting) and not moves(setting))
    options |= given_to_run(one)
    found = sim.run(b - a, one.spikes, one.targets, one.window, record=record, spikes=["in", "a", "b"], **options)
    spikes = {f"spikes of {name}": np.stack(pair, axis=1) for name, pair in found.spikes.items()}
    return found.traces | spikes | dict(found.y) | {"loss": found.loss}


def samples_of(sim: ep.Simulator, setting: Setting, seed: int, n: int = 3) -> ep.engine.Samples:
    return sim.samples(n, STEPS, **arguments_of(stimuli_of(setting, n, seed)))


def arguments_of(samples: list[Stimulus]) -> Outcome:
    """Arguments of `Simulator.samples`."""

    def stacked(name: str) -> Any:
        values = [getattr(each, name) for each in samples]
        if isinstance(values[0], dict):
            return {key: np.stack([each[key] for each in values]) for key in values[0]}
        return None if values[0] is None else np.stack(values)

    names = {"spikes": "inputs", **{name: name for name in ("targets", "window", "signals", "modulator", "reward")}}
    return {argument: stacked(name) for name, argument in names.items()}


def results_of(result: ep.engine.BatchResult) -> Outcome:
    return {name: value for name, value in vars(result).items() if value is not None}


def half(sim: ep.Simulator, setting: Setting, which: int) -> Outcome:
    """The first or the second half of what the network sees."""
    if not by_samples(setting):
        return run(sim, setting, *((0, CUT), (CUT, STEPS))[which])
    return results_of(sim.train(samples_of(sim, setting, which)))


def whole(setting: Setting, **options: Any) -> list[Outcome]:
    """Both halves, an evaluation, and all that a simulator knows at the end."""
    return whole_of(simulator(setting, **options), setting)


def whole_of(sim: ep.Simulator, setting: Setting) -> list[Outcome]:
    halves = [half(sim, setting, which) for which in (0, 1)]
    return [*halves, results_of(sim.evaluate(samples_of(sim, setting, 2))), known_of(sim)]


class Plain(NamedTuple):
    """What one thread and one partition do: the state and the weights before, `whole`, and the simulator after it."""

    rest: Outcome
    weights: Outcome
    outcome: list[Outcome]
    sim: ep.Simulator


_last: list[tuple[Setting, Plain]] = []


def plain(setting: Setting) -> Plain:
    """Made once for all promises of a setting; they must not change it."""
    if not _last or _last[0][0] != setting:
        sim = simulator(setting)
        _last[:] = [(setting, Plain(sim.state(), weights_of(sim), whole_of(sim, setting), sim))]
    return _last[0][1]


def known_of(sim: ep.Simulator) -> Outcome:
    """The state, connections with their delays, weights of the feedback, and counters."""
    names = [p.name for p in sim.network.projections]
    found = {f"delays of {name}": sim.delays(name) for name in names}
    return sim.state() | weights_of(sim) | feedback_of(sim) | found | {"events": sim.events, "updates": sim.updates}


def weights_of(sim: ep.Simulator) -> Outcome:
    return {p.name: sim.connections(p.name) for p in sim.network.projections}


def feedback_of(sim: ep.Simulator) -> Outcome:
    return {f.name: sim.feedback_weights(f.pre, f.post) for f in sim.network.feedback_projections}


def rollouts(
    setting: Setting, which: tuple[int, ...] = (0, 1), states: Any = None, **options: Any
) -> tuple[list[Any], tuple[Outcome, Outcome]]:
    """Rollouts of lanes, with the end of an episode in each, that learn and are replayed; and the states after them."""
    sim = simulator(setting, **options)
    lanes = sim.lanes(LANES)
    if states is not None:
        sim.set_state(states[0])
        lanes.set_state(states[1])
    found: list[Any] = []
    for seed in which:
        rng, y = np.random.default_rng(seed), []
        for t in range(18):
            y.append(lanes.step({"in": rng.random((LANES, N_IN)) < 0.15}).copy())
            if t == 11 + seed:
                lanes.reset([1 + seed])
        found += [y, lanes.run(2, {"in": rng.random((2, LANES, N_IN)) < 0.15}), lanes.spikes]
        gradient = lanes.backward(rng.normal(size=(LANES, 20, y[0].shape[1])))
        lanes.learn(gradient)
        found += [gradient, lanes.replay()]
    return found, (sim.state(), lanes.state())
