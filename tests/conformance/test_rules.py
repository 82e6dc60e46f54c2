"""Promises of every rule, with every neuron model, in every engine."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest

from compare import assert_close, assert_same
from conformance.registry import ENGINES, MODELS, RULES, Outcome, small
from eprop.parameters import varies
from networks import PROJECTIONS

pytestmark = pytest.mark.filterwarnings("ignore::eprop.errors.SilenceWarning")


# The engine agrees with the reference for each model with a third of the rules, in turn. Promises that do not depend on constants
# are kept by a model of each class with a third of the rules, and by one model in the reference. Long tests take all rules.
CLASSES = {(type(neuron), varies(neuron)): name for name, neuron in MODELS.items()}.values()


def in_thirds(models: Iterable[str], *more: str) -> list[Any]:
    """Each model with a third of the rules, in turn, and with the others in long tests; ``more`` stands behind them."""
    cases, rules = [], list(RULES)
    for k, model in enumerate(models):
        third = rules[k % 3 :: 3]
        others = [rule for rule in rules if rule not in third]
        name = ", ".join([model, *more])
        cases.append(pytest.param(model, third, *more, id=name))
        cases.append(pytest.param(model, others, *more, id=f"{name}, other rules", marks=pytest.mark.slow))
    return cases


def for_each_rule(promise: Callable[[str, str, str], None]) -> Callable[[str, list[str], str], None]:
    """A test of a promise: by a model of each class in the engine with rules in turn, by one model in the others with all."""

    others = [("ALIF", list(RULES), engine) for engine in ENGINES if engine != "event-driven"]

    @pytest.mark.parametrize(("model", "rules", "engine"), [*in_thirds(CLASSES, "event-driven"), *others])
    def test(model: str, rules: list[str], engine: str) -> None:
        for rule in rules:
            promise(model, rule, engine)

    test.__doc__ = promise.__doc__
    return test


@functools.cache
def learned(model: str, rule: str, engine: str) -> Outcome:
    return ENGINES[engine](small(model, RULES[rule]))


def initial(c) -> dict[str, np.ndarray]:
    return {name: np.where(c.masks[name], c.weights[name], 0.0) for name in PROJECTIONS}


@pytest.mark.parametrize(("model", "rules"), in_thirds(MODELS))
def test_the_engine_agrees_with_the_reference(model, rules):
    for rule in rules:  # under sanitizers, these take minutes
        wanted, found = learned(model, rule, "time-driven"), learned(model, rule, "event-driven")
        assert_close(found.y, wanted.y, what="y")
        for name in PROJECTIONS:
            # Between its last spike and the end, the engine may have settled what the reference keeps for the next one.
            same = (
                unsettled(model, rule, name) if rule.startswith("e-prop+") else np.ones(found.weights[name].shape, bool)
            )
            assert_close(found.weights[name][same], wanted.weights[name][same], what=name)


def unsettled(model: str, rule: str, name: str) -> np.ndarray:
    """Synapses whose source spiked so late that nothing of theirs can have been settled."""
    c = small(model, RULES[rule])
    cutoff = int(RULES[rule].cutoff)
    if reward := RULES[rule].reward:
        cutoff = reward.cutoff_steps(c.network.dt, cutoff)
    late = max(len(c.inputs) - cutoff + 1, 0)
    emitted = c.inputs if name == "input" else spikes(model, rule)
    return np.broadcast_to(emitted[late:-1].any(axis=0), c.masks[name].shape)


def spikes(model: str, rule: str) -> np.ndarray:
    found = learned(model, rule, "time-driven").spikes
    assert found is not None
    return found


@for_each_rule
def test_weights_stay_within_their_bounds(model, rule, engine):
    optimizer = RULES[rule].optimizer
    scale = 10.0 if "original" in model else 1.0
    bounds = {"w_min": -0.1 * scale, "w_max": 0.2 * scale, "eta": 10.0 * optimizer.eta}
    c = small(model, RULES[rule].replace(optimizer=optimizer.replace(**bounds)), rate=0.6)
    found = ENGINES[engine](c)
    for weights in found.weights.values():
        assert weights.min() >= bounds["w_min"]
        assert weights.max() <= bounds["w_max"]
    at_bounds = [np.isin(weights, [bounds["w_min"], bounds["w_max"]]) for weights in found.weights.values()]
    assert any(where.any() for where in at_bounds)


@for_each_rule
def test_what_teaches_nothing_changes_no_weight(model, rule, engine):
    """No learning rate; no input, which momentum and regularisation need, too; no errors, without regularisation."""
    learns = RULES[rule]
    still = small(model, learns.replace(optimizer=learns.optimizer.replace(eta=0.0)))
    silent, closed = small(model, learns), small(model, learns.replace(c_reg=0.0))
    silent.inputs[:] = 0.0
    closed.window[:] = 0.0
    for c in (still, silent, closed):
        assert_same(ENGINES[engine](c).weights, initial(c))


@for_each_rule
def test_no_feedback_readouts_learn_alone(model, rule, engine):
    c = small(model, RULES[rule].replace(c_reg=0.0), feedback_scale=0.0)
    found = ENGINES[engine](c)
    start = initial(c)
    for name in ("input", "recurrent"):
        np.testing.assert_array_equal(found.weights[name], start[name])
    assert np.any(found.weights["readout"] != start["readout"])


def test_the_cases_are_alive():
    """Or the promises would be kept by doing nothing."""
    for model in MODELS:
        for rule in ("e-prop+", "e-prop+, Adam"):
            assert spikes(model, rule).sum() > 20, (model, rule)
