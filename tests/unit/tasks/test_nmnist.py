"""The task N-MNIST: what its arguments make of the network, the window and the training."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

import digits
import eprop as ep
from eprop.data.nmnist import N_CHANNELS
from eprop.errors import EPropError
from eprop.rules.optimizers import BY_NAME as OPTIMIZERS
from eprop.tasks.nmnist import SETTINGS, nmnist
from eprop.tasks.recordings import Recordings
from eprop.training.forms import samples_of
from eprop.training.scoring import scoring_of

pytestmark = pytest.mark.tiny


@pytest.mark.parametrize(("rule", "loss"), SETTINGS)
def test_settings_suit_rule_and_loss(rule: Any, loss: Any) -> None:
    settings, net = SETTINGS[rule, loss], nmnist(rule=rule, loss=loss).network
    cells, readouts = net.projection("in->rec").rule, net.projection("rec->out").rule
    assert type(cells.optimizer) is OPTIMIZERS[settings["optimizer"]]
    assert (cells.optimizer.eta, readouts.optimizer.eta) == (settings["eta"], settings["eta_out"])
    assert (cells.c_reg, cells.f_target, getattr(cells, "kappa", None)) == (
        settings["c_reg"],
        10.0,
        settings.get("kappa"),
    )
    assert (net.population("rec").model.tau_m, net.population("out").model.tau_m) == (
        settings["tau_m"],
        settings["tau_out"],
    )
    assert isinstance(net.population("out").model.loss, ep.CrossEntropy) == (loss == "softmax")
    given = nmnist(rule=rule, loss=loss, eta=0.25, eta_out=0.0).network
    assert [given.projection(name).rule.optimizer.eta for name in ("rec->rec", "rec->out")] == [0.25, 0.0]


def test_the_window_ends_with_the_sample() -> None:
    for given, first, n_steps in (({}, 100, 300), ({"n_steps": 40}, 0, 40), ({"window_start": 10}, 10, 300)):
        assert np.array_equal(nmnist(**given).window, np.arange(n_steps) >= first)


def test_the_training() -> None:
    """Few embedded digits take more epochs; data is lazy, and those of the task's steps."""
    embedded, real = nmnist(), nmnist(data="/nowhere", samples=5, n_steps=20, dt=2.0, data_seed=1)
    assert (embedded.epochs, real.epochs, real.precision) == (8, 1, "single")
    assert (embedded.fresh_epochs, real.fresh_epochs) == (True, False)
    assert real.train == Recordings(data=real.train.data, samples=5, n_steps=20, dt=2.0, data_seed=1)
    assert embedded.classes == tuple("0123456789")
    assert embedded.images == {"in": (34, 34)}
    assert [nmnist(rule=rule).name for rule in ("eprop", "eprop+")] == ["nmnist-eprop", "nmnist-eprop+"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rule": "e-prop"}, "nmnist.rule must be \"eprop\" or \"eprop+\", got 'e-prop'; did you mean 'eprop'?"),
        ({"loss": "soft-max"}, "did you mean 'softmax'"),
        ({"feedback": "rand"}, "did you mean 'random'"),
        ({"optimizer": "sgd"}, "nmnist.optimizer must be"),
        ({"rewiring": "up"}, 'nmnist.rewiring must be "gradient" or "random", got \'up\''),
        ({"eta": math.nan}, "nmnist.eta must be a finite number, got nan"),
        ({"eta": "fast"}, "nmnist.eta must be a number, got 'fast'"),
        ({"neurons": 1.5}, "nmnist.neurons must be a whole number, got 1.5"),
        ({"bias": "yes"}, "nmnist.bias must be true or false, in Python True or False, got 'yes'"),
        ({"nuerons": 3}, "nmnist has no argument nuerons; did you mean 'neurons'?"),
        ({"window_start": 300}, "nmnist.window_start must be >= 0 and < n_steps = 300, got 300"),
        ({"kappa": 0.9}, "kappa changes nothing: it belongs to eprop+"),
        ({"eta": -1.0}, "eta must be >= 0, got -1"),
        ({"neurons": 0}, "nmnist.neurons must be a whole number >= 1, got 0"),
        ({"rewiring": "random", "rewiring_every": 0}, "Rewiring.every must be >= 1"),
        ({"dt": 0.0}, "Recordings.dt must be > 0 ms"),
        ({"bits": 1}, "FixedPoint.bits must be >= 2"),
        ({"input_probability": 1.5}, "must be <= 1"),
    ],
)
def test_a_wrong_value_is_refused_by_name(given: dict[str, Any], message: str) -> None:
    with pytest.raises(EPropError) as caught:
        nmnist(**given)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("rule", "feedback", "optimizer"),
    list(
        zip(
            itertools.cycle(["eprop", "eprop+"]),
            itertools.cycle(["symmetric", "random", "adaptive"]),
            sorted(OPTIMIZERS),
        )
    ),
)
def test_the_network(rule: Any, feedback: Any, optimizer: Any) -> None:
    net = nmnist(
        rule=rule, feedback=feedback, optimizer=optimizer, neurons=20, bias=True, eta=0.5, eta_out=0.25, decay=0.01,
        **({"each_step": True} if rule == "eprop+" else {}),
    ).network  # fmt: skip
    assert [(p.name, p.size) for p in net.populations] == [("in", N_CHANNELS), ("rec", 20), ("out", 10), ("bias", 1)]
    assert [p.name for p in net.projections] == ["in->rec", "rec->rec", "rec->out", "bias->out"]
    assert net.projection("rec->rec").connectivity.degree == 2
    assert [p.rule.optimizer.eta for p in net.projections] == [0.5, 0.5, 0.25, 0.25]
    assert {type(p.rule.optimizer) for p in net.projections} == {OPTIMIZERS[optimizer]}
    assert {type(p.rule) for p in net.projections} == {ep.EProp if rule == "eprop" else ep.EPropPlus}
    assert {p.rule.optimizer.decay for p in net.projections} == {0.01}
    assert rule == "eprop" or all(p.rule.each_step for p in net.projections)
    kinds = {"symmetric": ep.Symmetric, "random": ep.RandomFeedback, "adaptive": ep.Adaptive}
    assert type(net.feedback_projections[0].kind) is kinds[feedback]


def test_a_single_neuron_has_no_recurrent_connection() -> None:
    degrees = [
        nmnist(neurons=neurons, recurrent_fraction=1.0).network.projection("rec->rec").connectivity.degree
        for neurons in (1, 5)
    ]
    assert degrees == [0, 4]
    ep.Simulator(nmnist(neurons=1).network, threads=1)


def test_a_class_is_chosen_by_what_is_summed_over_the_window() -> None:
    y = np.zeros((1, 20, 10))
    y[0, :5, 7] = 100.0  # outside the window
    y[0, 5, 3] = 100.0  # a single loud step
    y[0, 6:, 4] = 4.0
    data = digits.recordings(1)
    for loss, expected in (("softmax", 4), ("squared_error", 3)):
        experiment = nmnist(neurons=3, loss=loss, n_steps=20, window_start=5)
        samples = samples_of(experiment.network, data, experiment.window)
        assert samples.window.sum() == 15
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
