"""A network that runs away causes a warning, with its population and rate."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pytest

import eprop as ep
from ranks_in_threads import on_ranks

pytestmark = pytest.mark.tiny


def network(delay: float = 1.0) -> ep.Network:
    """A quiet population, and one of which neuron ``k`` spikes at every event."""
    net = ep.Network(seed=1)
    given = net.add(ep.EventSource(), 1, "in")
    net.add(ep.LIF(v_th=1.0), 30, "quiet")
    loud, out = net.add(ep.LIF(tau_m=1.0, v_th=0.5), 10, "loud"), net.add(ep.Readout(), 1, "out")
    net.connect(given, loud, weight=0.6, delay=delay)
    net.connect(loud, out, weight=0.1)
    return net


def every(steps: int, n_steps: int) -> dict[str, Any]:
    """An event each so many steps."""
    return {"in": (np.arange(n_steps) % steps == 0).astype(float)[:, None]}


@pytest.mark.parametrize(("delay", "words"), [(20.0, "^loud: 1[0-9][0-9] Hz on average over 1,000 ms"), (1.0, None)])
def test_the_loud_population_is_named(delay: float, words: str | None) -> None:
    """Where the log is long enough to count by population; a mean of all neurons stays below the limit here."""
    sim = ep.Simulator(network(delay), threads=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if words is None:
            sim.run(1000.0, every(8, 1000))
        else:
            with pytest.warns(ep.InstabilityWarning, match=words):
                recording = sim.run(1000.0, every(8, 1000), spikes=["loud"])
            assert 1000 < len(recording.spikes["loud"][0]) < 2000


def test_short_delays_have_the_mean_of_all_neurons() -> None:
    with pytest.warns(ep.InstabilityWarning, match="^all neurons: 125 Hz on average over 200 ms"):
        ep.Simulator(network(), threads=1).run(200.0, every(2, 200))


@pytest.mark.parametrize(("steps", "duration"), [(11, 1000.0), (2, 199.0)])
def test_no_warning_below_the_rate_or_in_a_short_run(steps: int, duration: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ep.Simulator(network(20.0), threads=1).run(duration, every(steps, int(duration)))


def test_a_long_run_warns_once_and_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eprop.engine.run.long.MOST_STEPS", 150)
    sim = ep.Simulator(network(20.0), threads=1)
    with pytest.warns(ep.InstabilityWarning) as found:
        sim.run(4000.0, every(5, 4000), interval=100.0)
    assert len(found) == 1
    assert str(found[0].message).startswith("loud: 184 Hz on average over 250 ms")


@pytest.mark.parametrize(
    ("delay", "steps", "words"),
    [(20.0, 8, "^loud: 1[0-9][0-9] Hz on average over 500 ms"), (1.0, 2, "^all neurons: 12[0-9] Hz")],
)
@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_count_as_one_rank_does(delay: float, steps: int, words: str, ranks: int) -> None:
    def told(size: int) -> str:
        def work(comm: Any) -> str:
            sim = ep.Simulator(network(delay), threads=1, comm=comm)
            sim.run(500.0, every(steps, 500))
            return "ended"

        with pytest.warns(ep.InstabilityWarning, match=words) as found:
            assert on_ranks(size, work) == ["ended"] * size
        return str(found[0].message)

    assert told(ranks) == told(1)


RULES = [ep.EProp(), ep.EPropPlus(cutoff=20.0)]


def warnings_of_training(rule: ep.EProp, t_ref: float, steps: int, batches: int = 1, comm: Any = None) -> list[Any]:
    """Warnings of mini-batches of two samples of 200 ms with an event each so many steps; ten neurons spike at each."""
    net = ep.Network(seed=1)
    given, loud = net.add(ep.EventSource(), 1, "in"), net.add(ep.LIF(tau_m=1.0, v_th=0.5, t_ref=t_ref), 10, "loud")
    net.add(ep.LIF(), 30, "quiet")
    net.connect(given, loud, weight=0.6)
    net.connect(loud, net.add(ep.Readout(), 1, "out"), weight=0.1, rule=rule)
    sim = ep.Simulator(net, threads=1, comm=comm)
    inputs = {"in": np.repeat(every(steps, 200)["in"][None], 2, axis=0)}
    samples = sim.samples(2, 200, inputs, {"out": np.zeros((2, 1, 1))})
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for _ in range(batches):
            result = sim.train(samples)
    assert result.neuron_spikes is not None
    loud, quiet = result.neuron_spikes["loud"].tolist(), result.neuron_spikes["quiet"].tolist()
    assert 2 * (200 // steps) <= loud[0] <= 2 * (200 // steps + 1)
    assert (loud, quiet) == (loud[:1] * 10, [0] * 30)
    assert result.spikes is not None
    assert sum(loud) == result.spikes.sum()
    return [(each.category, str(each.message)) for each in found if issubclass(each.category, ep.InstabilityWarning)]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    ("t_ref", "steps", "words"),
    [(4.0, 6, r"loud: 1[67]\d Hz on average, of 200 Hz at the most: spikes in"), (4.0, 8, None), (0.0, 6, None)],
)
def test_training_warns_of_a_population_near_the_possible_rate(
    rule: ep.EProp, t_ref: float, steps: int, words: str | None
) -> None:
    found = warnings_of_training(rule, t_ref, steps, 3)
    assert len(found) == (words is not None)  # once
    for category, text in found:
        assert category is ep.SaturationWarning
        assert re.match(str(words), text)


@pytest.mark.parametrize("rule", RULES)
def test_training_with_rate_regularisation_warns_if_it_does_not_help(rule: ep.EProp, monkeypatch: Any) -> None:
    monkeypatch.setattr("eprop.engine.run.rates.REGULATED", 5)
    regulated = rule.replace(c_reg=1e-9)
    assert warnings_of_training(regulated, 4.0, 6, 2) == []  # four samples
    ((category, text),) = warnings_of_training(regulated, 4.0, 6, 5)
    assert category is ep.SaturationWarning
    assert re.match(
        r"loud: 1[67]\d Hz on average, of 200 Hz at the most, after 5 samples with rate regularisation", text
    )


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_count_the_spikes_of_each_neuron(rule: ep.EProp, ranks: int) -> None:
    on_ranks(ranks, lambda comm: warnings_of_training(rule, 4.0, 6, comm=comm))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("c_reg", "t_ref", "warns"), [(0.0, 4.0, True), (1.0, 4.0, False), (0.0, 0.0, False)])
def test_training_warns_above_a_quarter_of_the_possible_rate(
    rule: ep.EProp, c_reg: float, t_ref: float, warns: bool
) -> None:
    """Of 1000 or 200 Hz; a rule that regularises rates will lower them."""
    net = ep.Network(seed=1)
    given, loud = net.add(ep.EventSource(), 1, "in"), net.add(ep.LIF(tau_m=1.0, v_th=0.5, t_ref=t_ref), 10, "loud")
    net.connect(given, loud, weight=0.6)
    net.connect(loud, net.add(ep.Readout(), 1, "out"), weight=0.1, rule=rule.replace(c_reg=c_reg))
    sim = ep.Simulator(net, threads=1)
    inputs = {"in": np.repeat(every(7, 200)["in"][None], 2, axis=0)}
    samples = sim.samples(2, 200, inputs, {"out": np.zeros((2, 1, 1))})
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        result = sim.train(samples)
    assert result.spikes is not None
    assert result.spikes.sum() / (10 * 0.4) > 140.0
    told = [str(each.message) for each in found if each.category is ep.InstabilityWarning]
    assert len(told) == warns, told
    assert all(text.startswith("all neurons: 14") for text in told)
