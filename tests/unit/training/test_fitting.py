"""`fit`: one call, its history, and the same bits for every form of the samples."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import eprop as ep
from eprop.data import BinnedDataset, from_arrays
from eprop.errors import DataError, InputError, ParameterError
from eprop.training import Experiment, SampleLearner, Stage, Trainer, Watcher
from refusals import refusals

pytestmark = pytest.mark.tiny

RNG = np.random.default_rng(0)
LABELS = np.arange(90) % 3
EVENTS = (RNG.random((90, 20, 6)) < 0.4) & (np.arange(6) // 2 == LABELS[:, None, None])
DATA = from_arrays(EVENTS, LABELS)
TRAIN, VALIDATION = DATA.split((60, 30))


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C has its usual effect, whatever the program does that runs the tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


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


@pytest.mark.parametrize("rule", ["eprop", "eprop+"])
def test_what_is_predicted_is_what_is_scored(rule: str) -> None:
    """The softmax is averaged over the window; that of the mean voltage differs, as do the samples before with e-prop+."""
    sim, window = simulator(rule), np.arange(20) >= 5
    history = ep.fit(sim, TRAIN, epochs=1, window=window, progress=False)
    wanted = history.evaluate((EVENTS, LABELS)).predictions
    samples = sim.samples(90, 20, {sim.network.populations[0].name: EVENTS}, window=window, labels=LABELS)
    for given in (EVENTS, list(EVENTS), (rows for rows in EVENTS), (EVENTS, LABELS), DATA, samples):
        assert history.predict(given).tolist() == wanted.tolist()
    assert (sim.evaluate(samples).y.mean(axis=1).argmax(axis=1) != wanted).any()


@pytest.mark.parametrize("steps", [1, 20])
def test_readouts_of_a_regression_are_predicted(steps: int) -> None:
    sim, targets = simulator(readouts=2, loss=ep.SquaredError()), RNG.normal(size=(90, steps, 2))
    window = np.arange(20) >= 5
    history = ep.fit(sim, (EVENTS, targets), epochs=1, window=window, progress=False)
    found = history.predict(EVENTS)
    assert found.shape == ((90, 2) if steps == 1 else (90, 20, 2))
    off = (found - targets[:, 0]) ** 2 if steps == 1 else ((found - targets) ** 2)[:, window].mean(axis=1)
    np.testing.assert_allclose((off / targets.var(axis=(0, 1))).mean(), history.evaluate((EVENTS, targets)).error)


def test_every_form_of_the_samples_gives_the_same_bits() -> None:
    """With a simulator and as an experiment, which is the loop of the command line; the result says all of a run."""
    rows = np.stack([TRAIN.dense(k) for k in range(len(TRAIN))])
    samples = simulator().samples(60, 20, {simulator().network.populations[0].name: rows}, labels=TRAIN.labels)
    settings = {"epochs": 3, "batch_size": 8}
    sim = simulator()
    Trainer(SampleLearner(Experiment(sim.network, TRAIN, **settings), sim), watcher=Watcher()).run()
    same: list[Any] = [
        TRAIN,
        samples,
        (rows, TRAIN.labels),
        (list(rows), TRAIN.labels.tolist()),
        (rows, np.eye(3)[TRAIN.labels]),
    ]
    for data in (*same, lambda stage: TRAIN, lambda stage: (rows, TRAIN.labels)):
        history = ep.fit(simulator(), data, **settings, progress=False)
        assert weights(history.simulator) == weights(sim)
        made = Experiment(sim.network, data, test=VALIDATION, **settings)
        other = ep.fit(made, threads=1, progress=False)
        assert weights(other.simulator) == weights(sim)
        assert history.accuracy.shape == (3,)
        assert other.evaluation.error == other.summary["test_error"] == other.evaluate(VALIDATION).error
        assert (history.evaluation, history.summary["score"], other.summary["samples_learned"]) == (None, "error", 180)


@pytest.mark.parametrize("rule", ["eprop", "eprop+"])
def test_samples_of_each_epoch_and_pieces_of_a_training(rule: str) -> None:
    """A function that makes samples gives the bits of the same samples; so does a training in pieces, for any threads."""
    epochs = [DATA.split((60, 30), seed=seed)[0] for seed in range(3)]
    stages: list[Stage] = []

    def fresh(stage: Stage) -> BinnedDataset:
        stages.append(stage)
        return epochs[stage.epoch]

    net, settings = simulator(rule).network, {"epochs": 3, "batch_size": 8, "progress": False}
    whole = ep.fit(Experiment(net, fresh), threads=1, **settings)
    assert [(stage.epoch, stage.done) for stage in stages] == [(0, 0.0), (1, 1 / 3), (2, 2 / 3)]
    assert weights(ep.fit(Experiment(net, fresh), threads=3, **settings).simulator) == weights(whole.simulator)
    assert weights(ep.fit(Experiment(net, epochs[0]), threads=1, **settings).simulator) != weights(whole.simulator)
    first = ep.fit(Experiment(net, fresh), threads=1, **settings, callbacks=[lambda trainer, _: trainer.done >= 68])
    assert 68 <= first.learner.done < 180
    assert first.stopped_early
    assert "stopped early" in repr(first)
    learner = SampleLearner(whole.experiment, ep.Simulator(net, threads=1))
    # The end of a training sets the learning rates to their first values, as a state does not have them.
    learner.simulator.set_state(first.simulator.state())
    learner.set_state(first.learner.state())
    Trainer(learner, watcher=Watcher()).run()
    assert weights(learner.simulator) == weights(whole.simulator)


NUMBERS = LABELS.astype(float)
RISING = (1.0 - np.exp(-np.arange(20) / 8.0))[None, :, None] * (1.0 + LABELS[:, None, None] * np.array([1.0, 0.5]))


@pytest.mark.parametrize(
    ("readouts", "data"),
    [
        (2, from_arrays(EVENTS, targets=RISING)),
        (2, (EVENTS, RISING)),
        (1, (EVENTS, NUMBERS)),
        (1, (EVENTS, NUMBERS[:, None].repeat(20, axis=1))),
    ],
)
def test_targets_are_learned(readouts: int, data: Any) -> None:
    sim = simulator(readouts=readouts, loss=ep.SquaredError())
    history = ep.fit(sim, data, data, epochs=40, batch_size=10, progress=False)
    assert history["validation_error"][-1] < 0.5 * history["validation_error"][0]
    with pytest.raises(TypeError, match="a regression has no accuracy"):
        history.validation_accuracy  # noqa: B018


def test_a_warning_names_the_line_of_the_user() -> None:
    sim = simulator()
    sim.set_weights(sim.network.projections[0], 1e3)
    with pytest.warns(ep.errors.SaturationWarning) as told:
        ep.fit(sim, TRAIN, epochs=4, progress=False)
    assert told[0].filename == __file__


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


def test_the_window_ends_with_the_sample() -> None:
    lengths = 8 + LABELS * 3  # 8, 11, 14 of 20 steps
    rows = [events[:length] for events, length in zip(EVENTS, lengths, strict=True)]
    padded = EVENTS & (np.arange(20) < lengths[:, None])[:, :, None]
    windows = (np.arange(14) < lengths[:, None]).astype(float)
    sims = [simulator() for _ in range(4)]
    name = sims[0].network.populations[0].name
    samples = sims[0].samples(90, 14, {name: padded[:, :14]}, window=windows, labels=LABELS)
    given = [samples, (rows, LABELS), from_arrays(rows, LABELS), from_arrays(padded[:, :14], LABELS, lengths=lengths)]
    found = [ep.fit(sim, data, data, epochs=2, progress=False) for sim, data in zip(sims, given, strict=True)]
    for one, history, data in zip(sims, found, given, strict=True):
        assert weights(one) == weights(sims[0])
        assert history["validation_loss"].tolist() == found[0]["validation_loss"].tolist()
        assert history.predict(data).tolist() == found[0].predict(samples).tolist()
    late = np.arange(14) >= 8
    with pytest.raises(InputError, match=r"window begins after the end of sample [0-9]+, which has 8 of 14 steps"):
        ep.fit(simulator(), (rows, LABELS), window=late, progress=False)


def test_the_order_of_samples_follows_the_seed() -> None:
    found = []
    for seed in (None, 1, 2):
        sim = simulator()
        ep.fit(sim, TRAIN, epochs=1, seed=seed, progress=False)
        found.append(weights(sim))
    assert found[0] == found[1] != found[2]


def test_ctrl_c_returns_the_history_so_far(ctrl_c) -> None:
    sim, seen = simulator(), []
    before = weights(sim)

    def press(trainer: Trainer, line: dict[str, object]) -> None:
        seen.append(line)
        if len(seen) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.warns(UserWarning, match="stopped by Ctrl-C after 120 of 300 samples; the network keeps what it has"):
        history = ep.fit(sim, TRAIN, VALIDATION, epochs=5, callbacks=[press], progress=False)
    assert history.interrupted
    assert not history.stopped_early
    assert "interrupted" in repr(history)
    assert history.lines == seen
    assert history.evaluate(VALIDATION).error == history["validation_error"][-1]
    assert weights(sim) != before


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


def nothing_learns() -> ep.Simulator:
    net = ep.Network()
    rec = net.add(ep.LIF(), 3)
    net.connect(net.add(ep.EventSource(), 6), rec)
    net.connect(rec, net.add(ep.Readout(), 3))
    return ep.Simulator(net, threads=1)


CURVES = from_arrays(EVENTS, targets=np.full((90, 20, 3), 1 / 3))


def made(train: Any = TRAIN, **given: Any) -> Experiment:
    return Experiment(simulator().network, train, **given)


def in_samples() -> Any:
    sim = simulator()
    return sim.samples(90, 20, {sim.network.populations[0].name: EVENTS}, labels=LABELS)


def test_a_score_and_an_evidence_of_ones_own() -> None:
    def last(samples: Any, y: np.ndarray) -> np.ndarray:
        return y[:, -1]

    one = made(evidence=last, score=lambda samples, y: np.abs(y).max(axis=(1, 2)), score_name="peak", classes="abc")
    history = ep.fit(one, threads=1, progress=False)
    samples = in_samples()
    y = history.simulator.evaluate(samples).y
    np.testing.assert_array_equal(history.evaluate(DATA).scores, np.abs(y).max(axis=(1, 2)))
    assert history.predict(EVENTS).tolist() == y[:, -1].argmax(axis=1).tolist()
    assert (history.summary["score"], history._scoring.classes) == ("peak", ("a", "b", "c"))
    regression = made(train=CURVES, score=lambda samples, y: np.arange(len(samples)) / 10.0)
    assert ep.fit(regression, threads=1, progress=False).evaluate(CURVES).error == pytest.approx(4.45)
    assert "error" not in repr(
        ep.fit(made(score=lambda samples, y: np.full(len(samples), np.nan)), threads=1, progress=False)
    )


def test_events_need_not_reach_the_last_channel() -> None:
    events = [(np.nonzero(rows[:, :4])[0] + 0.5, np.nonzero(rows[:, :4])[1]) for rows in EVENTS]
    assert from_arrays(events, LABELS).inferred
    assert len(ep.fit(simulator(), from_arrays(events, LABELS), (events, LABELS), epochs=1, progress=False)) == 1


@refusals(
    (lambda: ep.fit(two_sources(), TRAIN, progress=False), InputError, "one event source, or one named 'in'; .* 'a', 'b'"),
    (lambda: ep.fit(simulator(), (EVENTS, [[1, 0], [0]]), progress=False), DataError, "train: labels .*rows of equal length"),
    (lambda: ep.fit(simulator().network, TRAIN), InputError, "fit takes a Simulator, got a Network"),
    (lambda: ep.fit(simulator(readouts=2), (EVENTS, np.sort(LABELS)), progress=False), InputError,
     "labels must lie in 0..1, got 0..2: each class needs a readout, and there are 2"),
    (lambda: ep.fit(simulator(readouts=1, loss=ep.SquaredError()), from_arrays(EVENTS, targets=np.ones((len(EVENTS), 20)))),
     DataError, r"targets\[:, :, None\]"),
    (lambda: ep.fit(simulator(), (EVENTS.repeat(2, axis=2), LABELS), progress=False), InputError, "make an input for each"),
    *((lambda data=data: ep.fit(simulator(), data, progress=False), InputError, "have 4 channels, but the network has 6 inputs")
      for data in ((EVENTS[:, :, :4], LABELS), (list(EVENTS[:, :, :4]), LABELS), from_arrays(EVENTS[:, :, :4], LABELS))),
    (lambda: ep.fit(simulator(), TRAIN, epochs=1, progress=False).evaluate((EVENTS[:, :, :4], LABELS)), InputError,
     "have 4 channels"),
    *((lambda given=given: ep.fit(*given, progress=False), InputError, words) for given, words in (
        ((simulator(),), "^fit needs samples"), ((3, TRAIN), "^fit takes an Experiment or a Simulator, got int"),
        ((made(), TRAIN), "^an Experiment has its own samples"), ((made(), None, TRAIN), "^an Experiment has its own"))),
    *((lambda given=given: ep.fit(simulator(), TRAIN, **given, progress=False), InputError, words) for given, words in (
        ({"folder": "runs"}, "^a folder and seeds belong to an Experiment"), ({"seeds": 2}, "^a folder and seeds belong"),
        ({"threads": 2}, "belong to the Simulator"), ({"precision": "single"}, "^threads, comm and precision belong to"))),
    *((lambda given=given: ep.fit(made(), **given, progress=False), ParameterError, words) for given, words in (
        ({"force": True}, "^force needs a folder"),
        ({"jobs": 2}, "^jobs is the number of processes for seeds"), ({"formats": ["gif"]}, "^format must be "),
        ({"callbacks": [3]}, "^callbacks must be a list of functions"), ({"callbacks": print}, "^callbacks must be a list"),
        ({"seeds": 2, "callbacks": [print]}, "^callbacks do not reach"), ({"name": "x"}, "has no setting name"))),
    (lambda: made(train=from_arrays(EVENTS, LABELS, dt=0.5)), InputError, "have steps of 0.5 ms, but the network has steps of 1"),
    (lambda: ep.fit(made(window=np.ones(20), train=in_samples()), progress=False), InputError, "^window belongs to a data set"),
    (lambda: ep.fit(made(validation=CURVES), progress=False), InputError, "have labels, and these have targets"),
    (lambda: ep.fit(made(test=CURVES), progress=False), InputError, "have labels, and these have targets"),
    (lambda: ep.fit(made(train=CURVES, validation=DATA), progress=False), InputError, "have targets, and these have labels"),
    (lambda: ep.fit(made(train=CURVES, classes="abc"), progress=False), ParameterError, "^Experiment.classes changes nothing"),
    (lambda: ep.fit(made(train=CURVES, evidence=print), progress=False), ParameterError, "^Experiment.evidence changes"),
    *((lambda given=given: ep.fit(made(validation=DATA, **given), progress=False), InputError, words) for given, words in (
        ({"score": lambda samples, y: 0.0}, r"^score must return an array of shape \(samples,\)"),
        ({"score": lambda samples, y: None}, "^score must be real numbers"),
        ({"score": lambda samples, y: np.full(len(samples), np.nan)}, "^score must return finite numbers, got nan for sample 0"),
        ({"evidence": lambda samples, y: y}, r"^evidence must be an array of shape \(samples, classes\)"),
        ({"evidence": lambda samples, y: ["a"] * len(samples)}, "^evidence must be real numbers"),
        ({"evidence": lambda samples, y: np.full((len(samples), 3), np.nan)}, "^evidence must be finite numbers, got nan"))),
    (lambda: ep.fit(nothing_learns(), TRAIN, progress=False), InputError, "nothing learns in this network: give its proj"),
)  # fmt: skip
def test_what_does_not_fit_is_refused(refusal) -> None:
    refusal.check()
