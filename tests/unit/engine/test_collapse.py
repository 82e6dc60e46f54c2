"""A network that collapses causes one warning for each cause, wherever it runs and learns."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import eprop as ep
from eprop.engine.run.collapse import QUIET
from ranks_in_threads import on_ranks

pytestmark = pytest.mark.tiny

Told = list[tuple[type[Warning], str]]


def told(work: Callable[[], object]) -> Told:
    """The warnings of some work."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        work()
    return [(each.category, str(each.message)) for each in found]


def every(steps: int, n_steps: int) -> dict[str, Any]:
    """An event each so many steps."""
    return {"in": (np.arange(n_steps) % steps == 0).astype(float)[:, None]}


# ---------------------------------------------------------------- mean rates


def static(delay: float = 1.0) -> ep.Network:
    """A quiet population, and one of which each neuron spikes at every event."""
    net = ep.Network(seed=1)
    given = net.add(ep.EventSource(), 1, "in")
    net.add(ep.LIF(v_th=1.0), 30, "quiet")
    loud, out = net.add(ep.LIF(tau_m=1.0, v_th=0.5), 10, "loud"), net.add(ep.Readout(), 1, "out")
    net.connect(given, loud, weight=0.6, delay=delay)
    net.connect(loud, out, weight=0.1)
    return net


@pytest.mark.parametrize("delay", [20.0, 1.0])
@pytest.mark.parametrize(("steps", "duration"), [(8, 1000.0), (8, 200.0)])
def test_the_loud_population_is_named(delay: float, steps: int, duration: float) -> None:
    sim = ep.Simulator(static(delay), threads=1)
    ((category, text),) = told(lambda: sim.run(duration, every(steps, int(duration)), spikes=["loud"]))
    assert category is ep.errors.InstabilityWarning
    assert re.match(rf"loud: 1[12]\d Hz on average over {duration:,.0f} ms", text)


@pytest.mark.parametrize(("steps", "duration"), [(11, 1000.0), (2, 199.0)])
def test_no_warning_below_the_rate_or_in_a_short_run(steps: int, duration: float) -> None:
    assert told(lambda: ep.Simulator(static(20.0), threads=1).run(duration, every(steps, int(duration)))) == []


def test_many_runs_warn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eprop.engine.run.long.MOST_STEPS", 150)
    sim = ep.Simulator(static(20.0), threads=1)

    def work() -> None:
        for _ in range(5):
            sim.run(2000.0, every(5, 2000), interval=100.0)

    ((_, text),) = told(work)
    assert text.startswith("loud: 196 Hz on average over 1,000 ms")


# ---------------------------------------------------------------- neurons that always fire

RULES = [
    ep.EProp(optimizer=ep.GradientDescent(eta=0.0)),
    ep.EPropPlus(cutoff=20.0, optimizer=ep.GradientDescent(eta=0.0), c_reg=0.0),
]
EACH = pytest.mark.parametrize("rule", RULES)


def learning(rule: ep.EProp, high: int = 3, size: int = 100, t_ref: float = 0.0, comm: Any = None) -> ep.Simulator:
    """Of ``size`` neurons that learn, ``high`` spike at every event."""
    net = ep.Network(seed=1)
    given, rec = net.add(ep.EventSource(), 1, "in"), net.add(ep.LIF(tau_m=1.0, v_th=0.5, t_ref=t_ref), size, "rec")
    out = net.add(ep.Readout(loss=ep.CrossEntropy()), 2, "out")
    net.connect(given, rec, weight=0.0, rule=rule)
    net.connect(rec, out, weight=0.01, rule=rule)
    net.feedback(out, rec)
    sim = ep.Simulator(net, threads=1, comm=comm)
    sim.set_weights("in->rec", np.where(np.arange(size) < high, 0.6, 0.0)[:, None])
    return sim


def batch(sim: ep.Simulator, steps: int = 1, n: int = 5) -> Any:
    """A mini-batch of samples of 200 ms, with an event each so many steps."""
    return sim.samples(n, 200, {"in": np.repeat(every(steps, 200)["in"][None], n, axis=0)}, labels=np.arange(n) % 2)


def trained(sim: ep.Simulator, *steps: int) -> Told:
    """Warnings of a mini-batch for each interval of events."""
    batches = [batch(sim, each) for each in steps]
    return told(lambda: [sim.train(each) for each in batches])


@EACH
def test_a_few_neurons_that_always_fire_are_told_once(rule: ep.EProp) -> None:
    """At a mean rate of 30 Hz, from the second mini-batch."""
    sim = learning(rule)
    assert trained(sim, 1) == []
    ((category, text),) = trained(sim, 1, 1, 1)
    assert category is ep.errors.SaturationWarning
    assert text.startswith("rec: 3 of 100 neurons fire in almost every step and can no longer learn, 30 Hz on average.")
    assert "rate regularisation" in text
    assert "a third of eta" in text


@EACH
@pytest.mark.parametrize(
    ("high", "size", "steps", "t_ref", "tells"),
    [
        (1, 100, (1, 1, 1), 0.0, False),  # 1 %
        (1, 10, (1, 1, 1), 0.0, False),  # a single neuron
        (2, 10, (1, 1, 1), 0.0, True),
        (3, 100, (1, 9, 1, 9, 1), 0.0, False),  # not in a row
        (3, 100, (3, 3, 3), 0.0, False),  # a third of the possible rate
        (3, 100, (5, 5, 5), 4.0, True),  # the possible rate, 200 Hz
        (3, 100, (7, 7, 7), 4.0, False),
        (100, 100, (3, 3, 3), 0.0, True),  # 333 Hz on average
        (100, 100, (5, 5, 5), 0.0, False),
    ],
)
def test_what_is_a_collapse(
    rule: ep.EProp, high: int, size: int, steps: tuple[int, ...], t_ref: float, tells: bool
) -> None:
    found = trained(learning(rule, high, size, t_ref), *steps)
    assert [category is ep.errors.SaturationWarning for category, _ in found] == [True] * tells


@EACH
def test_a_few_neurons_that_always_fire_are_not_told_while_the_network_learns(
    rule: ep.EProp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eprop.engine.run.collapse.LEARNED", math.inf)  # of any loss
    assert trained(learning(rule), 1, 1, 1, 1) == []
    assert trained(learning(rule, 100), 3, 3, 3) != []


@EACH
def test_with_rate_regularisation_the_advice_is_the_learning_rate(rule: ep.EProp) -> None:
    ((_, text),) = trained(learning(rule.replace(c_reg=1e-9)), 1, 1)
    assert "Start again with a third of eta." in text


def test_runs_and_steps_tell_too() -> None:
    sim = learning(RULES[1])
    ((category, _),) = told(lambda: [sim.run(500.0, every(1, 500)) for _ in range(8)])
    assert category is ep.errors.SaturationWarning
    for learn in (True, False):
        stepper = learning(RULES[1]).stepper(learn=learn)
        found = told(lambda: [stepper.step([0], target=[0.5, 0.5]) for _ in range(2500)])  # noqa: B023
        assert [category for category, _ in found] == [ep.errors.SaturationWarning]


def test_samples_one_by_one_are_judged_as_in_one_call() -> None:
    """The windows do not depend on the calls, so neither on how fast the machine is."""
    sim = learning(RULES[1])
    one = batch(sim, n=1)
    assert told(lambda: [sim.train(one) for _ in range(9)]) == []
    assert len(told(lambda: [sim.train(one) for _ in range(3)])) == 1


@EACH
@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_count_the_spikes_of_each_neuron(rule: ep.EProp, ranks: int) -> None:
    def of(size: int) -> Told:
        def work(comm: Any) -> list[int]:
            sim = learning(rule, comm=comm)
            results = [sim.train(batch(sim)) for _ in range(3)]
            counts = results[-1].neuron_spikes["rec"]
            assert counts.sum() == results[-1].spikes.sum()
            assert counts[:3].min() > 900
            return [int(n) for n in counts]

        return told(lambda: on_ranks(size, work))

    assert of(ranks) == of(1)
    assert [category for category, _ in of(1)] == [ep.errors.SaturationWarning]


def test_fit_tells_once_also_with_patience() -> None:
    sim = learning(RULES[1])
    samples = batch(sim, n=10)
    found = told(lambda: ep.fit(sim, samples, samples, epochs=4, batch_size=5, patience=3, progress=False))
    assert [category for category, _ in found] == [ep.errors.SaturationWarning]


# ---------------------------------------------------------------- loss and silence


@EACH
def test_a_loss_of_several_times_that_of_silent_readouts_is_told(rule: ep.EProp) -> None:
    """Also of labels in `fit`, whose task does not know this loss."""
    sim = learning(rule, 1)
    sim.set_weights("rec->out", np.outer([50.0, 0.0], np.arange(100) == 0))
    samples = batch(sim, 2, n=10)
    found = told(lambda: ep.fit(sim, samples, epochs=4, batch_size=5, progress=False))
    ((category, text),) = found
    assert category is ep.errors.InstabilityWarning
    assert text.startswith("the loss is ")
    assert "times that of readouts that do nothing. Start again with" in text


@EACH
def test_silence_is_told_where_regularisation_does_not_end_it(rule: ep.EProp) -> None:
    sim = learning(rule.replace(c_reg=1e-9), 0)
    assert trained(sim, *[1] * (QUIET - 1)) == []
    ((category, text),) = trained(sim, 1, 1, 1)
    assert category is ep.errors.SilenceWarning
    assert text.startswith("rec: 0 Hz on average, and the loss stays")


@EACH
def test_silence_without_regularisation_is_told_at_once_and_once(rule: ep.EProp) -> None:
    found = trained(learning(rule, 0), *[1] * 12)
    assert [category for category, _ in found] == [ep.errors.SilenceWarning]


@EACH
@pytest.mark.parametrize(("weight", "tells"), [(0.0, True), (1.0, False)])
def test_rare_spikes_are_no_silence_while_the_loss_is_low(rule: ep.EProp, weight: float, tells: bool) -> None:
    """One of 500 neurons at 100 Hz: 0.2 Hz on average."""
    sim = learning(rule.replace(c_reg=1e-9), 1, 500)
    sim.set_weights("rec->out", np.outer([weight, 0.0], np.arange(500) == 0))
    inputs = {"in": np.repeat(every(10, 200)["in"][None], 5, axis=0)}
    samples = sim.samples(5, 200, inputs, labels=np.zeros(5, int))
    found = told(lambda: [sim.train(samples) for _ in range(QUIET + 2)])
    assert [category for category, _ in found] == [ep.errors.SilenceWarning] * tells


def asked_at_the_end(sim: ep.Simulator, steps: int, label: int) -> Any:
    """A sample of 2,500 ms whose last 500 ms count: several samples make a window of the loss."""
    window = np.arange(2500) >= 2000
    return sim.samples(1, 2500, {"in": every(steps, 2500)["in"][None]}, labels=[label], window=window)


def test_wrong_answers_between_right_ones_are_no_explosion() -> None:
    sim = learning(RULES[1], 1)
    sim.set_weights("rec->out", np.outer([1.5, 0.0], np.arange(100) == 0))
    right, wrong = (asked_at_the_end(sim, 10, label) for label in (0, 1))
    assert told(lambda: [sim.train(each) for each in (right, right, *(wrong, right) * 6)]) == []
    ((category, text),) = told(lambda: [sim.train(wrong) for _ in range(6)])
    assert category is ep.errors.InstabilityWarning
    assert 3.0 < float(re.findall(r"the loss is (\d+\.\d) times", text)[0]) < 6.0


def test_silence_is_told_also_if_errors_count_rarely() -> None:
    sim = learning(RULES[1].replace(c_reg=1e-9), 0)
    samples = asked_at_the_end(sim, 1, 0)
    ((category, _),) = told(lambda: [sim.train(samples) for _ in range(2 * QUIET + 2)])
    assert category is ep.errors.SilenceWarning
