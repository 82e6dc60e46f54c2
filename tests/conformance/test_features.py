"""Every feature keeps every promise: with each rule by itself, and with every other feature (pairs, by a covering array)."""

from __future__ import annotations

import copy
import itertools
import pathlib
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
    network_of,
    stimuli_of,
    support_table,
    unsupported,
)  # fmt: skip
from eprop.checks import stimuli_of as stimuli
from eprop.checks import time_driven
from eprop.engine.run.sample_events import without_dropped
from eprop.reference import Stimulus
from networks import check_run, part_of
from ranks_in_threads import on_ranks

pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")]

Outcome = dict[str, Any]
CUT = 25
PAGE, MARK = pathlib.Path(__file__).parents[2] / "docs/reference/support.md", "<!-- table -->"


def simulator(setting: Setting, **options: Any) -> ep.Simulator:
    return ep.Simulator(network_of(setting), **{"threads": 1, "precision": setting["precision"]} | options)


def by_samples(setting: Setting) -> bool:
    return setting["rule"] == "e-prop"


def given_to_run(stimulus: Any) -> dict[str, Any]:
    names = ("signals", "modulator", "reward")
    return {name: value for name in names if (value := getattr(stimulus, name)) is not None}


def run(sim: ep.Simulator, setting: Setting, a: int, b: int, **options: Any) -> Outcome:
    """Steps ``a`` to ``b``: what is recorded, spikes, outputs and losses."""
    one = part_of(stimuli_of(setting)[0], a, b)
    found = sim.run(
        b - a,
        one.spikes,
        one.targets,
        one.window,
        record=[("a", "v"), ("b", "learning_signal")],
        **given_to_run(one),
        **options,
    )
    return found.traces | {"y": found.y["out"], "loss": found.loss}


def samples_of(sim: ep.Simulator, setting: Setting, seed: int) -> ep.engine.Samples:
    return sim.samples(3, STEPS, **_given(stimuli_of(setting, 3, seed)))


def _given(samples: list[Stimulus]) -> Outcome:
    """Arguments of `Simulator.samples`."""

    def stacked(name: str) -> Any:
        values = [getattr(each, name) for each in samples]
        if isinstance(values[0], dict):
            return {key: np.stack([each[key] for each in values]) for key in values[0]}
        return None if values[0] is None else np.stack(values)

    names = {"spikes": "inputs", **{name: name for name in ("targets", "window", "signals", "modulator", "reward")}}
    return {argument: stacked(name) for name, argument in names.items()}


def half(sim: ep.Simulator, setting: Setting, which: int) -> Outcome:
    """The first or the second half of what the network sees."""
    if not by_samples(setting):
        return run(sim, setting, *((0, CUT), (CUT, STEPS))[which])
    result = sim.train(samples_of(sim, setting, which))
    return {name: value for name, value in vars(result).items() if isinstance(value, np.ndarray)}


def whole(setting: Setting, **options: Any) -> tuple[Outcome, Outcome, Outcome]:
    sim = simulator(setting, **options)
    return half(sim, setting, 0), half(sim, setting, 1), sim.state()


def weights_of(sim: ep.Simulator) -> dict[str, Any]:
    return {p.name: sim.connections(p.name) for p in sim.network.projections}


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


def a_state_in_the_middle(setting: Setting) -> None:
    _, wanted, last = whole(setting)
    first, other = simulator(setting), simulator(setting, partitions=3)
    half(first, setting, 0)
    other.set_state(first.state())
    assert_same(half(other, setting, 1), wanted)
    assert_same(other.state(), last)


def a_copy(setting: Setting) -> None:
    _, wanted, last = whole(setting)
    first = simulator(setting)
    half(first, setting, 0)
    second = copy.copy(first)
    for sim in (second, first):
        assert_same(half(sim, setting, 1), wanted)
        assert_same(sim.state(), last)


def frozen_weights(setting: Setting) -> None:
    sim = simulator(setting)
    before = weights_of(sim)
    if by_samples(setting):
        sim.evaluate(samples_of(sim, setting, 0))
    else:
        run(sim, setting, 0, STEPS, learn=False)
    assert_same(weights_of(sim), before)


def steps_one_by_one(setting: Setting) -> None:
    """The steps of `Simulator.stepper` are those of a run."""
    one, other, given = simulator(setting), simulator(setting), stimuli_of(setting)[0]
    wanted, stepper = run(one, setting, 0, STEPS), other.stepper()
    for t in range(STEPS):
        told: dict[str, Any] = {"target": given.targets["out"][t]}
        if given.reward is not None:
            told["reward"] = given.reward[t]
        assert_same(stepper.step(np.flatnonzero(given.spikes["in"][t]), **told), wanted["y"][t], f"y[{t}]")
    assert_same(other.state(), one.state())


def parts_of_a_training(setting: Setting) -> None:
    """`Lanes.forward`, `Lanes.backward` and `Lanes.learn` do what `Simulator.train` does."""
    one, other = simulator(setting), simulator(setting)
    for k in range(2):
        rollout = other.lanes(samples_of(other, setting, k))
        wanted = half(one, setting, k)
        assert_same(
            {name: getattr(rollout, name) for name in ("y", "loss", "spikes")},
            {name: wanted[name] for name in ("y", "loss", "spikes")},
        )
        rollout.learn(rollout.backward())
    assert_same(weights_of(other), weights_of(one))


def the_reference(setting: Setting) -> None:
    """Outputs, losses and weights are those of the network stepped through time."""
    sim = simulator(setting)
    net, stepped = sim.network, time_driven(sim)
    if not by_samples(setting):
        samples, learns = sim.samples(1, STEPS, **_given(stimuli_of(setting))), setting["rule"] != "static"
        (given,) = stimuli(net, without_dropped(net, samples, 0) if learns else samples, learns=learns)
        check_run(stepped, stepped.run(given, record_weights=True), given)
        return
    for k in range(2):
        samples = samples_of(sim, setting, k)
        first = k * len(samples) * samples.n_steps
        wanted = stepped.train(stimuli(net, without_dropped(net, samples, first), first, learns=True))
        assert_close(sim.train(samples).y, np.stack([one.y for one in wanted]), 1e-9, "y")
        for p in net.projections:
            assert_close(sim.connections(p.name)[2], stepped.weights_of(p.name), 1e-9, p.name)


PROMISES: dict[str, Callable[[Setting], None]] = {
    promise.__name__.replace("_", " "): promise
    for promise in (
        threads_and_partitions, ranks, pieces, a_state_in_the_middle, a_copy, frozen_weights, steps_one_by_one,
        parts_of_a_training, the_reference,
    )
}  # fmt: skip


def _speaks_of(promise: str, setting: Setting) -> bool:
    """Runs by e-prop begin at rest; a stepper drops nothing and has no window; lanes move no synapse.

    Pairs of spikes, synapses that move, single precision and one's own loss have a reference of their own.
    """
    if promise == "the reference":
        return (
            setting["rule"] != "STDP"
            and setting["rewiring"] == "none"
            and setting["precision"] == "double"
            and setting["loss"] != "own loss"
        )
    if promise == "parts of a training":
        return by_samples(setting) and setting["rewiring"] == "none"
    if promise == "steps one by one" and (setting["dropout"] != "none" or setting["signal"].startswith("given")):
        return False
    return promise not in ("pieces", "steps one by one") or not by_samples(setting)


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
            with pytest.raises((ep.errors.NetworkError, ep.errors.ParameterError), match=words):
                ep.Simulator(network_of(PLAIN | {"rule": rule} | chosen))


def test_networks_spike_and_learn() -> None:
    """Or promises would be kept by doing nothing."""
    for setting in in_pairs():
        sim = simulator(setting)
        before = weights_of(sim)
        half(sim, setting, 0)
        spikes = sim.run(STEPS, stimuli_of(setting)[0].spikes, spikes=["a", "b"], learn=False).spikes
        assert min(emitted[0].size for emitted in spikes.values()) > 2, setting
        assert differ(weights_of(sim), before) == (setting["rule"] != "static"), setting


def test_the_page_shows_what_goes_together() -> None:
    assert PAGE.read_text().split(MARK)[1].strip() == support_table().strip(), support_table()
