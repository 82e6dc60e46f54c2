"""`fit`: one call, the loop of the command line, and a history."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import eprop as ep
from eprop.data import from_arrays
from eprop.errors import DataError, InputError, ParameterError
from eprop.training import SampleLearner, Stopped, Trainer, Training, Watcher
from eprop.training.fitting import GivenClasses
from refusals import refusals

pytestmark = pytest.mark.tiny

RNG = np.random.default_rng(0)
LABELS = np.arange(90) % 3
EVENTS = (RNG.random((90, 20, 6)) < 0.4) & (np.arange(6) // 2 == LABELS[:, None, None])
DATA = from_arrays(EVENTS, LABELS)
TRAIN, VALIDATION = DATA.split((60, 30))


def simulator(rule: str = "eprop", readouts: int = 3, loss: ep.models.Loss | None = None) -> ep.Simulator:
    net = ep.Network(seed=1)
    eprop = ep.EProp(optimizer=ep.Adam(eta=2e-2))
    learns = eprop if rule == "eprop" else ep.EPropPlus(optimizer=ep.GradientDescent(eta=2e-3))
    x, rec = net.add(ep.EventSource(), 6), net.add(ep.LIF(tau_m=5.0), 20)
    out = net.add(ep.Readout(tau_m=5.0, loss=loss or ep.CrossEntropy()), readouts)
    net.connect(x, rec, weight=ep.Normal(0.0, 1.0), rule=learns)
    net.connect(rec, out, weight=ep.Glorot(), rule=learns)
    net.feedback(out, rec, ep.Symmetric())
    return ep.Simulator(net, threads=1)


def weights(sim: ep.Simulator) -> bytes:
    return sim.state()["synapses/weight"].tobytes()


@pytest.mark.parametrize(
    ("rule", "loss", "accuracy"),
    [
        ("eprop", 0.5, 0.9),
        ("eprop+", 0.85, 0.8),
    ],  # e-prop+ is not reset: a sample begins with the answer to the last one
    ids=["eprop", "eprop+"],
)
def test_classes_are_learned(rule: str, loss: float, accuracy: float) -> None:
    sim = simulator(rule)
    history = ep.fit(sim, TRAIN, VALIDATION, epochs=8, batch_size=10, progress=False)
    assert len(history) == 8
    assert history["epoch"].tolist() == list(range(1, 9))
    assert history["loss"][-1] < loss * history["loss"][0]
    assert history.validation_accuracy[-1] > accuracy
    assert np.isnan(history.accuracy).all() == (rule == "eprop+")
    assert history.evaluate(VALIDATION).error == history["validation_error"][-1]
    assert not history.stopped_early


def test_it_is_the_loop_of_the_command_line() -> None:
    """The same weights as `Trainer` with a `SampleLearner` of the same task, whatever the form of the samples."""
    sim = simulator()
    learner = SampleLearner(GivenClasses(n_classes=3, seed=1), sim, TRAIN, Training(epochs=3, batch_size=8))
    Trainer(learner, watcher=Watcher()).run()
    rows = np.stack([TRAIN.dense(k) for k in range(len(TRAIN))])
    made = simulator()
    samples = made.samples(60, 20, {made.network.populations[0].name: rows}, labels=TRAIN.labels)
    for data in (
        TRAIN,
        samples,
        (rows, TRAIN.labels),
        (list(rows), TRAIN.labels.tolist()),
        (rows, np.eye(3)[TRAIN.labels]),
    ):
        one = simulator()
        history = ep.fit(one, data, epochs=3, batch_size=8, progress=False)
        assert history.accuracy.shape == (3,)
        assert weights(one) == weights(sim)


def test_targets_are_learned() -> None:
    curves = (1.0 - np.exp(-np.arange(20) / 8.0))[None, :, None] * (1.0 + LABELS[:, None, None] * np.array([1.0, 0.5]))
    for data in (from_arrays(EVENTS, targets=curves), (EVENTS, curves)):
        sim = simulator(readouts=2, loss=ep.SquaredError())
        history = ep.fit(sim, data, data, epochs=60, batch_size=10, progress=False)
        assert history["validation_error"][-1] < 0.3 < history["validation_error"][0]
        with pytest.raises(TypeError, match="a regression has no accuracy"):
            history.validation_accuracy  # noqa: B018


def test_one_readout_takes_numbers_and_curves_as_targets() -> None:
    numbers = LABELS.astype(float)
    for targets in (numbers, numbers[:, None].repeat(20, axis=1)):
        sim = simulator(readouts=1, loss=ep.SquaredError())
        history = ep.fit(sim, (EVENTS, targets), epochs=20, batch_size=10, progress=False)
        assert history["loss"][-1] < 0.5 * history["loss"][0]


def test_a_warning_names_the_line_of_the_user() -> None:
    sim = simulator()
    sim.set_weights(sim.network.projections[0], 1e3)
    with pytest.warns(ep.SaturationWarning) as told:
        ep.fit(sim, TRAIN, epochs=4, progress=False)
    assert told[0].filename == __file__


def test_patience_ends_the_training_with_the_best_network() -> None:
    sim, wrong = simulator(), dataclasses.replace(VALIDATION, labels=(VALIDATION.labels + 1) % 3)
    history = ep.fit(sim, TRAIN, wrong, epochs=50, batch_size=10, patience=2, progress=False)
    assert history.stopped_early
    assert len(history) < 50
    assert history.evaluate(wrong).error == history["validation_error"].min() < history["validation_error"][-1]
    assert "stopped early" in repr(history)


def test_a_callback_ends_the_training() -> None:
    seen = []
    history = ep.fit(
        simulator(), TRAIN, epochs=9, callbacks=[lambda trainer, line: seen.append(line) or line["epoch"] == 3], progress=False
    )  # fmt: skip
    assert [line["epoch"] for line in seen] == [1, 2, 3]
    assert seen == history.lines
    assert history.stopped_early


def test_only_the_window_counts() -> None:
    window = np.zeros(20)
    window[15:] = 1.0
    sims = [simulator() for _ in range(2)]
    name = sims[1].network.populations[0].name
    samples = sims[1].samples(60, 20, {name: (TRAIN.ptr, TRAIN.channels)}, labels=TRAIN.labels, window=window)
    first = ep.fit(sims[0], TRAIN, epochs=2, window=window, progress=False)
    second = ep.fit(sims[1], samples, epochs=2, progress=False)
    assert weights(sims[0]) == weights(sims[1])
    assert first["loss"].tolist() == second["loss"].tolist()
    assert first["error"].tolist() == second["error"].tolist()


def test_the_order_of_samples_follows_the_seed() -> None:
    found = []
    for seed in (None, 1, 2):
        sim = simulator()
        ep.fit(sim, TRAIN, epochs=1, seed=seed, progress=False)
        found.append(weights(sim))
    assert found[0] == found[1] != found[2]


def test_a_stop_keeps_what_was_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    sim = simulator()
    before = weights(sim)

    def press(trainer: Trainer, line: dict[str, object]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ep.fit(sim, TRAIN, epochs=3, callbacks=[press], progress=False)
    assert weights(sim) != before
    assert issubclass(Stopped, KeyboardInterrupt)


def test_the_history_is_drawn_and_shown() -> None:
    history = ep.fit(simulator(), TRAIN, VALIDATION, epochs=3, progress=False)
    top, bottom = history.plot().axes
    assert "error" in top.get_ylabel()
    assert "loss" in bottom.get_ylabel()
    assert "validation error" in history._repr_html_()
    assert repr(history).startswith("History(epochs 3, loss ")
    assert f"rate of lif1 {history['rate_lif1'][-1]:.1f} ± " in repr(history)
    with pytest.raises(KeyError, match=r"no report has 'los'; they have: .*loss"):
        history["los"]


def two_sources() -> ep.Simulator:
    net = ep.Network()
    rec = net.add(ep.LIF(), 3)
    for name in ("a", "b"):
        net.connect(net.add(ep.EventSource(), 6, name), rec, weight=0.1)
    net.add(ep.Readout(), 3)
    return ep.Simulator(net, threads=1)


@refusals(
    (lambda: ep.fit(two_sources(), TRAIN, progress=False), InputError, "one event source, or one named 'in'; .* 'a', 'b'"),
    (lambda: ep.fit(simulator(), (EVENTS, [[1, 0], [0]]), progress=False), DataError, "train: labels .*rows of equal length"),
    (lambda: ep.fit(simulator(), EVENTS, progress=False), DataError, "train must be a data set .*got ndarray"),
    (lambda: ep.fit(simulator().network, TRAIN), InputError, "fit takes a Simulator, got a Network"),
    (lambda: ep.fit(simulator(), TRAIN, EVENTS, progress=False), DataError, "validation must be a data set"),
    (lambda: ep.fit(simulator(), TRAIN, patience=2, progress=False), ParameterError, "patience needs validation samples: ep.fit"),
    (lambda: ep.fit(simulator(), TRAIN, epoch=2, progress=False), ParameterError, "Training has no parameter epoch; .*epochs"),
    (lambda: ep.fit(simulator(), TRAIN, epochs=0, progress=False), ParameterError, "epochs must be >= 1"),
    (lambda: ep.fit(simulator(readouts=2), (EVENTS, np.sort(LABELS)), progress=False), InputError,
     "labels must lie in 0..1, got 0..2: each class needs a readout, and there are 2"),
    (lambda: ep.fit(simulator(readouts=1, loss=ep.SquaredError()), from_arrays(EVENTS, targets=np.ones((len(EVENTS), 20)))),
     DataError, r"targets\[:, :, None\]"),
    (lambda: ep.fit(simulator(), TRAIN, window=np.ones(3), progress=False), InputError, "window must have shape .20,."),
    (lambda: ep.fit(simulator(), (EVENTS.repeat(2, axis=2), LABELS), progress=False), DataError, "more than n_channels = 6"),
)  # fmt: skip
def test_what_does_not_fit_is_refused(refusal) -> None:
    refusal.check()
