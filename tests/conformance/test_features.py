"""Every feature keeps every promise: with each rule by itself, and with every other feature (pairs, by a covering array)."""

from __future__ import annotations

import copy
import itertools
import pathlib
import pickle
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
    UNSUPPORTED,
    Setting,
    alone,
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
    moves,
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


def threads_and_partitions(setting: Setting) -> None:
    wanted = whole(setting)
    for options in ({"threads": 2}, {"partitions": 3}):
        assert_same(whole(setting, **options), wanted)


def ranks(setting: Setting) -> None:
    wanted = whole(setting)
    for found in on_ranks(2, lambda comm: whole(setting, comm=comm)):
        assert_same(found, wanted)


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
    copies = [copy.copy(one), pickle.loads(pickle.dumps(one)), other]
    other.set_state(one.state())
    wanted = half(one, setting, 1)
    for sim in copies:
        assert_same(half(sim, setting, 1), wanted)
        assert_same(sim.state(), one.state())


def lanes(setting: Setting) -> None:
    """In any division, and on ranks that go on from a state."""
    wanted, last = rollouts(setting)
    for options in ({"threads": 2}, {"partitions": 3}):
        assert_same(rollouts(setting, **options), (wanted, last))
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


def signs_levels_and_targets(setting: Setting) -> None:
    """No weight crosses zero or leaves its levels; no target loses a synapse or gets one twice."""
    sim = simulator(setting)
    before = weights_of(sim)
    for which in (0, 1):
        half(sim, setting, which)
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
        told: dict[str, Any] = {"target": given.targets["out"][t]}
        if given.signals:
            told["signal"] = {name: values[t] for name, values in given.signals.items()}
        told |= {name: getattr(given, name)[t] for name in ("modulator", "reward") if getattr(given, name) is not None}
        assert_same(stepper.step(np.flatnonzero(given.spikes["in"][t]), **told), wanted["y"][t], f"y[{t}]")
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
        threads_and_partitions, ranks, pieces, a_state_and_copies_in_the_middle, lanes, weights_that_stay,
        weights_that_are_seen, signs_levels_and_targets, steps_one_by_one, parts_of_a_training, the_reference,
    )
}  # fmt: skip


def _speaks_of(promise: str, setting: Setting) -> bool:
    """Runs by e-prop begin at rest; a stepper drops nothing and has no window or currents; lanes move no synapse.

    Pairs of spikes, synapses that move and single precision have references of their own.
    """
    plain = {factor: setting[factor] == PLAIN[factor] for factor in setting}
    return {
        "the reference": setting["rule"] != "STDP" and (setting["rule"], setting["drive"]) != ("static", "currents of each step")
        and plain["rewiring"] and plain["precision"],
        "lanes": by_samples(setting) and plain["rewiring"],
        "parts of a training": by_samples(setting) and plain["rewiring"],
        "weights that are seen": plain["rewiring"] and plain["constants"] and setting["feedback"] != "adaptive",
        "steps one by one": not by_samples(setting) and plain["dropout"]
        and not {setting["signal"], setting["drive"]} & {"in a window of any sign", "currents of each step"},
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
            rule = "e-prop" if "constants" in chosen else "e-prop+"
            setting = PLAIN | {"rule": rule} | chosen
            with pytest.raises((ep.errors.NetworkError, ep.errors.ParameterError, ep.errors.InputError), match=words):
                half(simulator(setting), setting, 0)


def test_networks_spike_and_learn() -> None:
    """Or promises would be kept by doing nothing."""
    stopped = 0
    for setting in in_pairs():
        sim = simulator(setting)
        before = weights_of(sim)
        half(sim, setting, 0)
        spikes = sim.run(STEPS, stimuli_of(setting)[0].spikes, spikes=["a", "b"], learn=False).spikes
        assert min(emitted[0].size for emitted in spikes.values()) > 2, setting
        assert differ(weights_of(sim), before) == (setting["rule"] != "static"), setting
        if setting["sign"] != "any" and not moves(setting):
            stopped += sum(np.count_nonzero(weights == 0.0) for _, _, weights in weights_of(sim).values())
    assert stopped > 10, "no weight stops at zero"


def test_the_page_shows_what_goes_together() -> None:
    assert PAGE.read_text().split(MARK)[1].strip() == support_table().strip(), support_table()
