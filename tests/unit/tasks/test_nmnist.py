"""The task N-MNIST: what its arguments make of the network, the window and the training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import digits
import eprop as ep
from eprop.data.nmnist import N_CHANNELS
from eprop.tasks import pattern_generation, spoken_digits
from eprop.tasks.nmnist import SETTINGS, nmnist
from eprop.tasks.recordings import Recordings
from eprop.training.forms import samples_of
from eprop.training.scoring import scoring_of

pytestmark = pytest.mark.tiny


@pytest.mark.parametrize(("rule", "loss"), SETTINGS)
def test_the_network_and_its_training(rule: Any, loss: Any) -> None:
    """Few embedded digits take more epochs; data is lazy, and those of the task's steps."""
    settings, made = SETTINGS[rule, loss], nmnist(rule=rule, loss=loss, neurons=20)
    net = made.network
    assert [(p.name, p.size) for p in net.populations] == [("in", N_CHANNELS), ("rec", 20), ("out", 10)]
    assert [p.name for p in net.projections] == ["in->rec", "rec->rec", "rec->out"]
    assert net.projection("rec->rec").connectivity.degree == 2
    assert [p.rule.learning_rate for p in net.projections] == [settings["eta"], settings["eta"], settings["eta_out"]]
    assert {(p.rule.c_reg, getattr(p.rule, "kappa", None)) for p in net.projections} == {
        (settings["c_reg"], settings.get("kappa"))
    }
    assert isinstance(net.population("out").model.loss, ep.CrossEntropy) == (loss == "softmax")
    real = nmnist(rule=rule, loss=loss, data="/nowhere", samples=5, n_steps=20, dt=2.0)
    assert (made.epochs, real.epochs, real.precision) == (8, 1, "single")
    assert (made.fresh_epochs, real.fresh_epochs) == (True, False)
    assert real.train == Recordings(data=real.train.data, samples=5, n_steps=20, dt=2.0)
    assert np.array_equal(made.window, np.arange(300) >= 100)
    assert np.array_equal(real.window, np.ones(20))


def test_a_single_neuron_has_no_recurrent_connection() -> None:
    assert nmnist(neurons=1).network.projection("rec->rec").connectivity.degree == 0
    ep.Simulator(nmnist(neurons=1).network, threads=1)


def test_a_class_is_chosen_by_what_is_summed_over_the_window() -> None:
    y = np.zeros((1, 120, 10))
    y[0, :100, 7] = 100.0  # outside the window
    y[0, 100, 3] = 200.0  # a single loud step
    y[0, 101:, 4] = 8.0
    data = digits.recordings(1, 120)
    for loss, expected in (("softmax", 4), ("squared_error", 3)):
        experiment = nmnist(neurons=3, loss=loss, n_steps=120)
        samples = samples_of(experiment.network, data, experiment.window)
        assert samples.window.sum() == 20
        assert scoring_of(experiment, data).answers(samples, y).tolist() == [expected]


@pytest.mark.parametrize(
    ("rule", "given", "every"),
    [("eprop", {}, 25), ("eprop+", {}, 30_000), ("eprop+", {"rewiring_every": 3, "n_steps": 150, "dt": 2.0}, 900)],
)
def test_rewiring_counts_mini_batches_or_samples(rule: Any, given: dict[str, Any], every: int) -> None:
    net = nmnist(rule=rule, rewiring="random", **given).network
    moves = {p.name: p.rewiring for p in net.projections}
    assert moves == {name: ep.Rewiring(every=every, grow="random") for name in ("in->rec", "rec->rec")} | {
        "rec->out": None
    }


def test_a_network_for_a_chip_has_all_constraints() -> None:
    sim = ep.Simulator(nmnist(neurons=30, chip=True).network, threads=1)
    signs = sim.network.population("rec").signs
    assert (signs > 0).sum() == 24
    assert {p.precision.bits for p in sim.network.projections} == {8}
    sources, _, weights = sim.connections("rec->rec")
    assert (weights * signs[sources] >= 0.0).all()
    assert [p.name for p in sim.network.projections if p.rewiring is not None] == ["in->rec", "rec->rec"]
    assert nmnist(chip=True, bits=4).network.projection("in->rec").precision.bits == 4
    pytest.importorskip("nir", reason="needs the extra nir")
    from eprop.interop.nir import to_nir

    assert {"in", "rec", "out"} <= to_nir(sim).nodes.keys()  # a warning would be an error


@pytest.mark.parametrize(
    ("task", "given", "kind"),
    [
        (nmnist, {}, ep.LIF),
        (nmnist, {"chip": True}, ep.DeltaLIF),
        (nmnist, {"chip": True, "neuron": "lif"}, ep.LIF),
        *((task, {"neuron": "delta"}, ep.DeltaLIF) for task in (nmnist, pattern_generation, spoken_digits)),
    ],
)
def test_a_task_has_the_neuron_that_is_named(task: Any, given: dict[str, Any], kind: type) -> None:
    assert type(task(neurons=5, **given).network.population("rec").model) is kind
