"""Every feature keeps every promise: with each rule by itself, and with every other feature (pairs, by a covering array)."""

from __future__ import annotations

import copy
import itertools
import pathlib
import pickle
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import eprop as ep
from compare import assert_close, assert_same, differ
from conformance.features import (
    FACTORS,
    PLAIN,
    RULES,
    STEPS,
    UNLEARNED,
    UNSUPPORTED,
    Setting,
    alone,
    has_readouts,
    in_pairs,
    stimuli_of,
    support_table,
    unsupported,
)  # fmt: skip
from conformance.outcomes import (
    CUT,
    arguments_of,
    by_samples,
    feedback_of,
    half,
    has_lanes,
    moves,
    plain,
    rollouts,
    run,
    samples_of,
    simulator,
    weights_of,
    whole,
)  # fmt: skip
from eprop.checks import stimuli_of as stimuli
from eprop.checks import time_driven
from eprop.engine.run.samples import without_dropped
from networks import check_run
from ranks_in_threads import on_ranks

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]

PAGE, MARK = pathlib.Path(__file__).parents[2] / "docs/reference/support.md", "<!-- table -->"


def spikes_and_learning(setting: Setting) -> None:
    """Or promises would be kept by doing nothing."""
    _, weights, (one, other, *_), sim = plain(setting)
    for name in "ab":
        spikes = f"spikes of {name}"
        n = one["neuron_spikes"][name].sum() if by_samples(setting) else len(one[spikes]) + len(other[spikes])
        assert n > 2, f"{name} is silent"
    learned = (
        differ(weights_of(sim), weights) or sim.state()["synapses/moment_1"].any()
    )  # few bits may round to what was
    assert learned == (setting["rule"] != "static")


def threads_and_partitions(setting: Setting) -> None:
    assert_same(whole(setting, threads=2, partitions=3), plain(setting).outcome)


def ranks(setting: Setting) -> None:
    for found in on_ranks(2, lambda comm: whole(setting, comm=comm)):
        assert_same(found, plain(setting).outcome)


def pieces(setting: Setting) -> None:
    one, several = simulator(setting), simulator(setting)
    wanted = run(one, setting, 0, STEPS)
    parts = [run(several, setting, a, b) for a, b in ((0, 1), (1, CUT), (CUT, STEPS))]
    assert_same({name: np.concatenate([part[name] for part in parts]) for name in wanted}, wanted)
    assert_same(several.state(), one.state())


def a_state_and_copies_in_the_middle(setting: Setting) -> None:
    """They go on as the one that they were taken of, which they do not touch."""
    one, other = simulator(setting), simulator(setting, partitions=3)
    half(one, setting, 0)
    for sim in (one, other):
        sim.scale_learning_rates(0.5)
    copies = [pickle.loads(pickle.dumps(copy.copy(one))), other]
    other.set_state(one.state())
    wanted = half(one, setting, 1)
    for sim in copies:
        assert_same(half(sim, setting, 1), wanted)
        assert_same(sim.state(), one.state())


def lanes(setting: Setting) -> None:
    """In any division, and on ranks that go on from a state."""
    wanted, last = rollouts(setting)
    assert_same(rollouts(setting, threads=2, partitions=3), (wanted, last))
    first, states = rollouts(setting, (0,))
    for found, after in on_ranks(2, lambda comm: rollouts(setting, (1,), states, comm=comm)):
        assert_same([*first, *found], wanted)
        assert_same(after, last)


def weights_that_stay(setting: Setting) -> None:
    """Without learning, in an evaluation, at a rate of zero; runs without learning are those at a rate of zero."""
    sim, other = simulator(setting), simulator(setting)
    before, state = weights_of(sim) | feedback_of(sim), sim.state()
    for reset in (None, True):
        sim.evaluate(samples_of(sim, setting, 0), reset=reset)
    assert_same(without_counters(sim), {name: state[name] for name in without_counters(sim)})
    other.scale_learning_rates(0.0)
    found = half(other, setting, 0)
    assert moves(setting) or not differ(weights_of(other) | feedback_of(other), before)
    if not by_samples(setting):
        frozen = run(sim, setting, 0, CUT, learn=False)
        assert_same(weights_of(sim) | feedback_of(sim), before)
        assert setting["dropout"] != "none" or moves(setting) or not differ(found, frozen)


def without_counters(sim: ep.Simulator) -> dict[str, np.ndarray]:
    return {name: values for name, values in sim.state().items() if name != "counters"}


def weights_that_are_seen(setting: Setting) -> None:
    """An evaluation reads them; after a reset, they are all that is left."""
    used, fresh = simulator(setting), simulator(setting)
    half(used, setting, 0)
    for name, (_, _, values) in weights_of(used).items():
        fresh.set_weights(name, values)
    assert_same(*(sim.evaluate(samples_of(sim, setting, 1), reset=True).y for sim in (used, fresh)))
    used.reset()
    if not by_samples(setting):  # whose draws are never repeated
        assert_same(*(half(sim, setting, 0) for sim in (used, fresh)))


#: Arrays of a state that outlast `Simulator.reset`; with e-prop also those that `OPTIMISED` names. It clears all others.
LASTING = re.compile("synapses/weight|neurons/feedback|wiring/|constants/|network|counters")
OPTIMISED = re.compile("synapses/moment")
#: Arrays of the state of a lane that its history does not fill.
RESTED = ("neurons", "y", "begin_neurons", "begin_y", "traces", "product_traces")


def a_reset(setting: Setting) -> None:
    """It clears what `LASTING` does not name; what e-prop learns is the same with resets between its mini-batches."""
    sim, rest, batches = simulator(setting), plain(setting).rest, by_samples(setting)
    half(sim, setting, 0)
    if batches:
        run(sim, setting, 0, CUT, learn=False)
    before, weights = sim.state(), weights_of(sim)
    sim.reset()
    after = sim.state()
    assert_same(weights_of(sim), weights)
    before["counters"][0] = 0  # steps; updates, events and steps of training stay
    moved = set[str]()
    if setting["rule"] == "e-prop+":  # weights are now those that were seen, and feedback that is tied to them follows
        moved = {"synapses/weight"} if setting["feedback"] == "random" else {"synapses/weight", "neurons/feedback"}
    for name in after.keys() - moved:
        lasting = LASTING.match(name) or (batches and OPTIMISED.match(name))
        assert_same(after[name], (before if lasting else rest)[name], name)
    if batches:
        wanted = plain(setting).outcome
        assert_same(half(sim, setting, 1), wanted[1])
        assert_same(without_counters(sim), {name: wanted[-1][name] for name in without_counters(sim)})


def a_lane_in_the_middle(setting: Setting) -> None:
    """A lane goes on from the state of another, with the traces of earlier rollouts and the begin of this one."""
    sim = simulator(setting)
    one, other = sim.lanes(1), sim.lanes(1)
    rollout(one, setting, 0, 11)
    rollout(one, setting, 11, 16, learn=False)
    other.set_state(one.state())
    for lanes in (one, other):
        rollout(lanes, setting, 16, 20, learn=False)
    assert_same(*([lanes.backward(errors_of(lanes)), lanes.replay(), lanes.state()] for lanes in (one, other)))


def the_end_of_an_episode(setting: Setting) -> None:
    """It brings a lane to rest, and no error reaches back beyond it."""
    sim = simulator(setting)
    used, fresh = sim.lanes(1), sim.lanes(1)
    rollout(used, setting, 0, 11)
    used.reset([0])
    found = []
    for lanes in (used, fresh):
        gradient = rollout(lanes, setting, 11, 20)
        state = lanes.state()
        found.append([lanes.y, gradient, {name: state[name] for name in RESTED}])
    assert_same(*found)


def rollout(lanes: ep.engine.Lanes, setting: Setting, a: int, b: int, learn: bool = True) -> Any:
    """Steps ``a`` to ``b`` of a lane, and their gradient."""
    lanes.run(b - a, {"in": stimuli_of(setting)[0].spikes["in"][a:b, None]})
    return lanes.backward(errors_of(lanes)) if learn else None


def errors_of(lanes: ep.engine.Lanes) -> np.ndarray:
    return np.ones((1, lanes.steps, lanes.y.shape[-1]))


def signs_levels_and_targets(setting: Setting) -> None:
    """No weight crosses zero or leaves its levels; no target loses a synapse or gets one twice."""
    _, before, _, sim = plain(setting)
    for p in sim.network.projections:
        (sources, targets, was), (now, same, found) = before[p.name], sim.connections(p.name)
        assert_same(same, targets)
        assert repeats(now, same) <= repeats(sources, targets)
        assert p.pre is not p.post or (now != same).all()
        if p.sign == "source" or (p.sign is not None and p.rewiring is None):
            assert (found * (p.pre.signs[now] if p.sign == "source" else was) >= 0.0).all()
        if p.name in sim.formats:
            np.testing.assert_allclose(found, sim.formats[p.name].rounded(found), rtol=1e-7, atol=0.0)


def repeats(sources: np.ndarray, targets: np.ndarray) -> int:
    return len(sources) - len(set(zip(sources.tolist(), targets.tolist(), strict=True)))


def steps_one_by_one(setting: Setting) -> None:
    """The steps of `Simulator.stepper` are those of a run."""
    one, other, given = simulator(setting), simulator(setting), stimuli_of(setting)[0]
    wanted, stepper = run(one, setting, 0, STEPS), other.stepper()
    for t in range(STEPS):
        told: dict[str, Any] = {"target": given.targets["out"][t]} if given.targets else {}
        if given.signals:
            told["signal"] = {name: values[t] for name, values in given.signals.items()}
        told |= {name: getattr(given, name)[t] for name in ("modulator", "reward") if getattr(given, name) is not None}
        y = wanted["out"][t] if has_readouts(setting) else {}
        assert_same(stepper.step(np.flatnonzero(given.spikes["in"][t]), **told), y, f"y[{t}]")
        assert_same(stepper.loss, wanted["loss"][t], f"loss[{t}]")
    assert_same(other.state(), one.state())


def parts_of_a_training(setting: Setting) -> None:
    """`Lanes.forward`, `Lanes.backward` and `Lanes.learn` do what `Simulator.train` does."""
    one, other = simulator(setting), simulator(setting)
    for k in range(2):
        rollout = other.lanes(samples_of(other, setting, k))
        wanted = one.train(samples_of(one, setting, k))
        assert_same(
            [getattr(rollout, name) for name in ("y", "loss", "spikes")], [wanted.y, wanted.loss, wanted.spikes]
        )
        gradient = rollout.backward()
        assert_same(rollout.replay(), wanted.y)
        rollout.learn(gradient)
    assert_same(weights_of(other), weights_of(one))


def the_reference(setting: Setting) -> None:
    """Outputs, losses and weights are those of the network stepped through time."""
    sim = simulator(setting)
    net, stepped = sim.network, time_driven(sim)
    if not by_samples(setting) and setting["drive"] != "currents of each step":
        samples, learns = sim.samples(1, STEPS, **arguments_of(stimuli_of(setting))), setting["rule"] != "static"
        (given,) = stimuli(net, without_dropped(net, samples, 0) if learns else samples, learns=learns)
        check_run(stepped, stepped.run(given, record_weights=True), given)
        return
    for k in range(2 if by_samples(setting) else 1):
        samples = samples_of(sim, setting, k, 3 if by_samples(setting) else 1)
        first = k * len(samples) * samples.n_steps
        wanted = stepped.train(stimuli(net, without_dropped(net, samples, first), first, learns=True))
        found = sim.train(samples)
        assert_close(found.y, np.stack([one.y for one in wanted]), 1e-9, "y")
        assert_close(found.loss, np.array([one.loss.sum() for one in wanted]), 1e-9, "loss")
        # Of e-prop+, the reference applies the last gradients of a synapse at its next spike.
        for p in net.projections if by_samples(setting) else ():
            assert_close(sim.connections(p.name)[2], stepped.weights_of(p.name), 1e-9, p.name)


PROMISES: dict[str, Callable[[Setting], None]] = {
    promise.__name__.replace("_", " "): promise
    for promise in (
        spikes_and_learning, threads_and_partitions, ranks, pieces, a_state_and_copies_in_the_middle, lanes, weights_that_stay,
        weights_that_are_seen, a_reset, a_lane_in_the_middle, the_end_of_an_episode, signs_levels_and_targets, steps_one_by_one,
        parts_of_a_training, the_reference,
    )
}  # fmt: skip


def _speaks_of(promise: str, setting: Setting) -> bool:
    """Runs by e-prop begin at rest; a stepper drops nothing and has no window or currents; lanes move no synapse; both
    have no time by which drives could change. An episode that ends draws on.

    Pairs of spikes, synapses that move and single precision have references of their own.
    """
    is_plain = {factor: setting[factor] == PLAIN[factor] for factor in setting}
    return {
        "the reference": setting["rule"] != "STDP" and (setting["rule"], setting["drive"]) != ("static", "currents of each step")
        and is_plain["rewiring"] and is_plain["precision"],
        "lanes": has_lanes(setting),
        "a lane in the middle": has_lanes(setting),
        "the end of an episode": has_lanes(setting) and is_plain["drive"],
        "parts of a training": by_samples(setting) and is_plain["rewiring"],
        "weights that are seen": is_plain["rewiring"] and is_plain["constants"] and setting["feedback"] != "adaptive",
        "steps one by one": not by_samples(setting) and is_plain["dropout"]
        and setting["signal"] != "in a window of any sign"
        and setting["drive"] not in ("currents of each step", "that change with time"),
        "pieces": not by_samples(setting),
    }.get(promise, True)  # fmt: skip


def label(setting: Setting) -> str:
    return ", ".join(
        [setting["rule"], *(value for factor, value in setting.items() if value != PLAIN[factor] and factor != "rule")]
    )


def check(setting: Setting) -> None:
    for name, promise in PROMISES.items():
        if _speaks_of(name, setting):
            try:
                promise(setting)
            except AssertionError as error:
                raise AssertionError(f"{name}: {error}") from error


def settings(some: Iterator[Setting]) -> list[Any]:
    return [pytest.param(setting, id=label(setting)) for setting in some if unsupported(setting) is None]


@pytest.mark.parametrize("setting", settings(alone()))
def test_a_feature_keeps_every_promise(setting: Setting) -> None:
    check(setting)


@pytest.mark.parametrize("setting", settings(in_pairs()))
def test_a_feature_beside_any_other_keeps_every_promise(setting: Setting) -> None:
    check(setting)


def test_every_pair_of_features_is_there_or_refused() -> None:
    """Or it is impossible because of the only rule that one of them allows."""
    pairs = {pair for setting in in_pairs() for pair in itertools.combinations(setting.items(), 2)}
    for one, other in itertools.combinations(FACTORS, 2):
        for values in itertools.product(FACTORS[one], FACTORS[other]):
            pair = dict(zip((one, other), values, strict=True))
            possible = any(unsupported({"rule": rule} | pair) is None for rule in RULES)
            assert (tuple(pair.items()) in pairs) == possible, pair


def test_what_is_not_supported_is_refused_in_words() -> None:
    for values, words in UNSUPPORTED:
        for some in itertools.product(*values.values()):
            chosen = dict(zip(values, some, strict=True))
            rule = "e-prop" if "constants" in chosen else "static" if chosen.get("neuron") == UNLEARNED else "e-prop+"
            setting = PLAIN | {"rule": rule} | chosen
            with pytest.raises((ep.errors.NetworkError, ep.errors.ParameterError, ep.errors.InputError), match=words):
                half(simulator(setting), setting, 0)


def test_weights_stop_at_zero() -> None:
    """Or signs would be kept by chance."""
    stopped, signed = 0, (s for s in in_pairs() if s["sign"] != "any" and not moves(s))
    for setting in signed:
        stopped += sum(np.count_nonzero(weights == 0.0) for _, _, weights in weights_of(plain(setting).sim).values())
        if stopped > 10:
            return
    pytest.fail("no weight stops at zero")


#: Networks that have all arrays of a state.
WITH_ARRAYS: tuple[Setting, ...] = (
    {"rule": "e-prop+", "optimiser": "Adam", "neuron": "own neuron that rings", "rewiring": "at random", "delay": "drawn"},
    {"rule": "e-prop+"},
    {"rule": "e-prop+", "optimiser": "weight decay", "feedback": "adaptive"},
    {"rule": "e-prop+", "regularisation": "with a filter of its own", "signal": "reward", "neuron": "ALIF",
     "cutoff": "beyond spans"},
    {"rule": "e-prop", "optimiser": "Adam", "constants": "learned", "feedback": "adaptive", "rewiring": "by gradient"},
    {"rule": "STDP", "delay": "several steps"},
)  # fmt: skip


def test_a_reset_is_seen_in_every_array() -> None:
    """Or `a_reset` would hold for an array that never changes."""
    changed, every = set[str](), set[str]()
    for some in WITH_ARRAYS:
        sim = simulator(PLAIN | some)
        rest = sim.state()
        half(sim, PLAIN | some, 0)
        changed |= {
            name
            for name, values in sim.state().items()
            if values.shape != rest[name].shape or differ(values, rest[name])
        }
        every |= rest.keys()
    assert every - changed == {"network", "neurons/input", "neurons/readout_input"}  # between steps, inputs are 0


def test_the_page_shows_what_goes_together() -> None:
    assert PAGE.read_text().split(MARK)[1].strip() == support_table().strip(), support_table()
