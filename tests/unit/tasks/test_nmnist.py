from __future__ import annotations

import math

import numpy as np
import pytest

import digits
import eprop as ep
from eprop.errors import InputError, ParameterError
from eprop.parameters import parameters_of
from eprop.tasks import NMNIST, TASKS, task_named
from eprop.tasks.nmnist import N_CHANNELS, SETTINGS
from eprop.tasks.recurrent import FEEDBACKS, LOSSES, OPTIMIZERS, RULES

pytestmark = pytest.mark.tiny


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("loss", LOSSES)
def test_every_open_parameter_has_a_value_that_suits_rule_and_loss(rule: str, loss: str) -> None:
    task = NMNIST(rule=rule, loss=loss)
    values = {name: getattr(task, name) for name, _ in parameters_of(NMNIST)}
    unused = ["kappa"] if rule == "eprop" else []
    # Without clipping, and at full precision.
    assert [name for name, value in values.items() if value is None] == ["clip_norm", *unused, "bits"]
    assert NMNIST(**values) == task  # the table's values pass the checks
    for name, value in SETTINGS[rule, loss].items():
        assert values[name] == value


def test_a_given_value_wins_over_the_table() -> None:
    assert NMNIST(rule="eprop+", eta=0.25).eta == 0.25
    assert NMNIST(eta=0).eta == 0.0


def test_the_window_ends_with_the_sample() -> None:
    task = NMNIST(n_steps=40)
    assert (task.window_start, task.window_stop) == (0, 40)
    assert NMNIST().window.sum() == 200
    assert NMNIST(window_start=10, window_stop=20).window.tolist() == [0] * 10 + [1] * 10 + [0] * 280


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rule": "e-prop"}, "NMNIST.rule must be \"eprop\" or \"eprop+\", got 'e-prop'; did you mean 'eprop'?"),
        ({"loss": "soft-max"}, "did you mean 'softmax'"),
        ({"feedback": "rand"}, "did you mean 'random'"),
        ({"optimizer": "sgd"}, "NMNIST.optimizer must be"),
        ({"eta": math.nan}, "NMNIST.eta must be a finite number, got nan"),
        ({"rule": 3}, "NMNIST.rule must be a str, got 3"),
        ({"eta": math.inf}, "NMNIST.eta must be a finite number, got inf"),
        ({"eta": "fast"}, "NMNIST.eta must be a number, got 'fast'"),
        ({"eta": -1.0}, "NMNIST.eta must be >= 0, got -1"),
        ({"neurons": 0}, "NMNIST.neurons must be >= 1, got 0"),
        ({"neurons": 1.5}, "NMNIST.neurons must be a whole number, got 1.5"),
        ({"seed": -1}, "NMNIST.seed must be >= 0"),
        ({"recurrent_fraction": 1.5}, "NMNIST.recurrent_fraction must be <= 1"),
        ({"tau_m": 0.0}, "NMNIST.tau_m must be > 0 ms, got 0"),
        ({"window_start": 100, "window_stop": 100}, "0 <= start < stop <= n_steps = 300, got 100 and 100"),
        ({"window_stop": 301}, "0 <= start < stop <= n_steps = 300"),
        ({"rewiring": "up"}, 'NMNIST.rewiring must be "none", "gradient" or "random", got \'up\''),
        ({"bias": "yes"}, "NMNIST.bias must be true or false, in Python True or False, got 'yes'"),
    ],
)
def test_a_wrong_value_is_refused_by_name(values: dict, message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        NMNIST(**values)
    assert message in str(caught.value)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("feedback", FEEDBACKS)
@pytest.mark.parametrize("rule", RULES)
def test_the_network_is_as_described(rule: str, feedback: str, optimizer: str) -> None:
    task = NMNIST(
        rule=rule, feedback=feedback, optimizer=optimizer, neurons=20, bias=True, eta=0.5, eta_out=0.25, decay=0.01,
        each_step=True,
    )  # fmt: skip
    net = task.build_network()
    assert [(p.name, p.size) for p in net.populations] == [("in", N_CHANNELS), ("rec", 20), ("out", 10), ("bias", 1)]
    assert [p.name for p in net.projections] == ["in->rec", "rec->rec", "rec->out", "bias->out"]
    assert net.projection("rec->rec").connectivity.degree == 2
    assert [p.rule.optimizer.eta for p in net.projections] == [0.5, 0.5, 0.25, 0.25]
    assert {type(p.rule.optimizer).__name__ for p in net.projections} == {OPTIMIZERS[optimizer].__name__}
    assert {type(p.rule) for p in net.projections} == {ep.EProp if rule == "eprop" else ep.EPropPlus}
    assert {p.rule.optimizer.decay for p in net.projections} == {0.01}
    assert rule == "eprop" or all(p.rule.each_step for p in net.projections)
    kinds = {"symmetric": ep.Symmetric, "random": ep.RandomFeedback, "adaptive": ep.Adaptive}
    assert type(net.feedback_projections[0].kind) is kinds[feedback]


def test_a_single_neuron_has_no_recurrent_connection() -> None:
    assert NMNIST(neurons=1).recurrent_degree == 0
    assert NMNIST(neurons=5, recurrent_fraction=1.0).recurrent_degree == 4
    ep.Simulator(NMNIST(neurons=1).build_network(), threads=1)


def test_samples_carry_events_labels_and_window() -> None:
    task, data = NMNIST(neurons=3, n_steps=20, window_start=5), digits.recordings(6)
    samples = task.make_samples(task.build_network(), data)
    assert len(samples) == 6
    assert samples.labels.tolist() == data.labels.tolist()
    assert samples.window.sum() == 15
    assert samples.event_channels.size == data.counts.sum()


@pytest.mark.parametrize("change", [{"n_steps": 21}, {"dt": 0.5}])
def test_recordings_of_another_shape_are_refused(change: dict) -> None:
    task = NMNIST(neurons=3, **{"n_steps": 20, **change})
    with pytest.raises(InputError, match="the task takes recordings with 2312 channels"):
        task.make_samples(task.build_network(), digits.recordings(2))


def test_a_class_is_chosen_by_what_is_summed_over_the_window() -> None:
    y = np.zeros((1, 20, 10))
    y[0, :5, 7] = 100.0  # outside the window
    y[0, 5, 3] = 100.0  # a single loud step
    y[0, 6:, 4] = 4.0
    for loss, expected in (("softmax", 4), ("squared_error", 3)):
        task = NMNIST(loss=loss, n_steps=20, window_start=5)
        samples = task.make_samples(task.build_network(), digits.recordings(1))
        assert task.predict(samples, y).tolist() == [expected]
        assert task.score(samples, y).tolist() == [1.0]


def test_evidence_is_the_softmax_of_the_readouts() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(0.0, 30.0, (4, 20, 10))
    task = NMNIST(n_steps=20)
    samples = task.make_samples(task.build_network(), digits.recordings(4))
    exact = np.exp(y) / np.exp(y).sum(axis=2, keepdims=True)
    np.testing.assert_allclose(task.evidence(samples, y), exact.sum(axis=1), rtol=1e-5, atol=1e-6)


def test_tasks_are_found_by_name() -> None:
    assert task_named("nmnist") is NMNIST
    assert {"pattern-generation", "evidence-accumulation", "nmnist", "cartpole", "delayed-reward"} <= TASKS.keys()
    with pytest.raises(
        ParameterError,
        match=r"unknown task 'mnist'; the tasks are: pattern-generation, .*, nmnist, .*; did you mean 'nmnist'",
    ):
        task_named("mnist")


def test_the_preset_for_a_chip_is_a_network_with_all_constraints():
    sim = ep.Simulator(NMNIST(neurons=30, **NMNIST.presets["chip"]).build_network(), threads=1)
    network = sim.network
    signs = network.population("rec").signs
    assert (signs > 0).sum() == 24
    for p in network.projections:
        assert p.precision.bits == 8
    sources, _, weights = sim.connections("rec->rec")
    assert (weights * signs[sources] >= 0.0).all()
    assert [p.name for p in network.projections if p.rewiring is not None] == ["in->rec", "rec->rec"]
