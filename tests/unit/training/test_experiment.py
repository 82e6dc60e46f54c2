"""An experiment is checked when it is made, and shown; a function with arguments that makes one is a task."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Annotated, Any, Literal, TypedDict, Unpack

import numpy as np
import pytest
from annotated_doc import Doc

import eprop as ep
from eprop.data import Splits, from_arrays
from eprop.data.generated import Generated, Sample
from eprop.errors import DataError, InputError, NetworkError, ParameterError
from eprop.tasks import nmnist
from eprop.training import Experiment, Stage, task
from eprop.training.arguments import arguments_of, checked_arguments, for_function
from refusals import Refusal, refusals
from small_learner import experiment as digits_experiment
from worlds import corridor

pytestmark = pytest.mark.tiny

RNG = np.random.default_rng(0)
LABELS = np.arange(12) % 3
EVENTS = (RNG.random((12, 20, 6)) < 0.4) & (np.arange(6) // 2 == LABELS[:, None, None])
DATA, FEWER = from_arrays(EVENTS, LABELS), from_arrays(EVENTS[:, :, :3], LABELS)
NET = ep.recurrent(6, 5, 3)
CONTROL: Any = corridor().environments
STAGE = Stage()


def drawn(rng: np.random.Generator) -> Sample:
    return Sample(rng.random((20, 6)) < 0.2, int(rng.integers(3)))


GENERATED = Generated(drawn, samples=5, test_samples=4, validation=3)


def made(*given: Any, **settings: Any) -> Experiment:
    return Experiment(NET, *(given or (DATA,)), **settings)


def dale() -> ep.Network:
    net = ep.Network(seed=1)
    for model, name in ((ep.EventSource(), "in"), (ep.LIF(), "rec"), (ep.Readout(), "out")):
        net.add(model, 6 if name == "in" else 3, name, excitatory=0.5 if name == "rec" else None)
    return net


def split(*given: Any) -> Splits:
    return made(*given).splits(STAGE)


# ---------------------------------------------------------------- parts


@refusals(
    (lambda: Experiment(NET), InputError, "needs something to learn from: samples .*, environments .*, or a learner"),
    (lambda: Experiment(ep.Simulator(NET, threads=1), DATA), InputError, "^Experiment.network must be a Network, got Simulator"),
    (lambda: made(EVENTS), DataError, "^train must be a data set .*got ndarray"),
    (lambda: made("digits.npz"), DataError, "^train must be .*got str"),
    (lambda: made((EVENTS, LABELS, LABELS)), DataError, "^train must be .*got tuple"),
    (lambda: made(DATA, [1, 2]), DataError, "^validation must be .*got list"),
    (lambda: made(DATA, None, Splits(DATA, DATA, DATA)), DataError, "^test must be .*got Splits"),
    *((lambda given=given: made(*given), InputError, "have 3 channels, but the network has 6 inputs")
      for given in ((FEWER,), (DATA, FEWER), (DATA, None, FEWER), (lambda stage: DATA, FEWER))),
    (lambda: made(window=np.ones(3)), InputError, r"^window must have shape \(20,\), a weight for each step, got \(3,\)$"),
    (lambda: made(window=lambda n: np.ones(n + 1)), InputError, r"^window must have shape \(20,\), .*got \(21,\)$"),
    (lambda: made(window=lambda n: None), InputError, "^window must be real numbers, got None"),
    (lambda: made(window="late"), InputError, "^window must be real numbers, got 'late'"),
    (lambda: made(window=np.full(20, np.nan)), InputError, "^window must hold finite numbers"),
    (lambda: made(window=np.zeros(20)), InputError, "^window is zero in every step"),
    (lambda: made(classes=("a", "b")), ParameterError, "^Experiment.classes has 2 names, but the network has 3 readouts"),
    (lambda: made(classes=3), ParameterError, "^Experiment.classes must be names, as in .*, got 3$"),
    (lambda: made(classes=[1, 2, 3]), ParameterError, "^Experiment.classes must be names"),
    *((lambda name=name: made(**{name: 3}), InputError, f"^Experiment.{name} must be a function, got 3$")
      for name in ("learner", "evidence", "score")),
    *((lambda seed=seed: made(seed=seed), ParameterError, "^Experiment.seed must be a whole number >= 0")
      for seed in (1.5, -5, "a")),
    (lambda: made(images={"nothing": (2, 3)}), NetworkError, "no population 'nothing'"),
    (lambda: made(images={"in": (2, 2)}), ParameterError, "^Experiment.images: 6 nodes of 'in' are no 2 x 2 pixels$"),
    (lambda: made(epochs=0), ParameterError, "^Experiment.epochs must be >= 1, got 0$"),
    (lambda: made(epoch=3), ParameterError, "^Experiment has no parameter epoch; it has: epochs"),
    (lambda: made(schedule="liner"), ParameterError, "^Experiment.schedule must be .* did you mean 'linear'"),
    (lambda: Experiment(NET, environments=3), InputError, "^Experiment.environments must be a Control"),
    (lambda: Experiment(NET, DATA, environments=CONTROL), InputError, "^Experiment.train changes nothing"),
    (lambda: Experiment(NET, environments=CONTROL, epochs=3), InputError, "^Experiment.epochs changes nothing"),
)  # fmt: skip
def test_parts_that_do_not_fit_are_refused(refusal: Refusal) -> None:
    refusal.check()


def test_an_experiment_is_frozen_and_shown() -> None:
    one = made(DATA, lambda stage: DATA, GENERATED, epochs=3, name="mine", images={"in": (2, 3)})
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.epochs = 4  # type: ignore[misc]
    assert repr(one).splitlines() == [
        "Experiment mine",
        "  network: Network(dt=1 ms, seed=1)",
        "  train: arrays, 12 samples",
        "  validation: <lambda>",
        "  test: generated",
        "  training: epochs = 3",
    ]
    assert ">arrays, 12 samples</td>" in one._repr_html_()
    assert (made(classes="abc").classes, made().seed, made(seed=7).seed) == (("a", "b", "c"), 1, 7)
    acting = Experiment(NET, environments=CONTROL, precision="single")
    assert repr(acting).splitlines()[0] == "Experiment without a name"
    assert "training" not in repr(acting)


def test_a_learner_of_ones_own_reads_samples_that_fit_no_usual_network() -> None:
    assert len(Experiment(NET, FEWER, learner=lambda *_: None).splits(STAGE).train) == 12


def test_settings_are_changed() -> None:
    one = made(epochs=3, name="mine")
    other = one.changed(batch_size=5, window=np.ones(20), seed=9)
    assert (other.epochs, other.batch_size, other.name, one.batch_size) == (3, 5, "mine", 32)
    assert (other.seed, other.network.seed, one.network.seed) == (9, 9, 1)
    acting = Experiment(NET, environments=CONTROL)
    assert (acting.changed(steps=99).environments.steps, acting.environments.steps) == (99, CONTROL.steps)


def test_a_seed_draws_everything_anew() -> None:
    one = made(GENERATED, GENERATED, name="mine", epochs=3).with_seed(5)
    assert (one.seed, one.network.seed, one.train.seed, one.validation.seed, one.epochs) == (5, 5, 5, 0, 3)
    series = ep.data.from_series(RNG.random((4, 20)), np.arange(4) % 3)
    assert Experiment(ep.recurrent(series.n_channels, 5, 3), series).with_seed(6).train.seed == 6
    assert made(seed=5).with_seed(5).network.seed == 5
    acting = Experiment(NET, environments=CONTROL).with_seed(4)
    assert (acting.seed, acting.network.seed) == (4, 4)
    task_made = small(seed=3).changed(epochs=4).with_seed(5)
    assert (task_made.origin.arguments["seed"], task_made.epochs, task_made.seed) == (5, 4, 5)


def test_an_experiment_with_another_part_is_made_by_no_function() -> None:
    one = small()
    assert dataclasses.replace(one, epochs=3, name="other").origin is one.origin
    assert dataclasses.replace(one, train=FEWER, network=ep.recurrent(3, 5, 3)).origin is None


@refusals(
    (lambda: made().changed(epoch=3), ParameterError, "^an experiment has no setting epoch; did you mean 'epochs'"),
    (lambda: made().changed(network=NET), ParameterError, "^an experiment has no setting network"),
    (lambda: made().changed(epochs=0), ParameterError, "^Experiment.epochs must be >= 1"),
    (lambda: Experiment(NET, environments=CONTROL).changed(epochs=3), ParameterError, "has no setting epochs"),
    (lambda: made(lambda stage: None).with_seed(2), ParameterError,
     "^a seed does not reach the function that makes the training samples: write @ep.tasks.task"),
    (lambda: Experiment(dale(), DATA).with_seed(2), NetworkError, "has drawn which nodes of 'rec' excite, from the seed 1"),
    (lambda: made().changed(seed=-1), ParameterError, "^Experiment.seed must be a whole number >= 0"),
    (lambda: made().fresh(2), ParameterError, "^fresh samples need samples that are made from a seed"),
    (lambda: made().test_samples(STAGE), DataError, "^the experiment has no test samples$"),
    (lambda: made(lambda stage: DATA, name="mine").test_samples(STAGE), DataError, "^mine has no test samples$"),
    (lambda: split(lambda stage: EVENTS), DataError, "^the function of the train samples must return .*got ndarray$"),
    (lambda: split(DATA, lambda stage: None), DataError, "^the function of the validation samples must .*got NoneType$"),
    (lambda: split(lambda stage: GENERATED), DataError, "^the function of the train samples must return .*got Generated$"),
    (lambda: split(lambda stage: (EVENTS,)), DataError, "^train must be a data set .*got tuple$"),
)  # fmt: skip
def test_what_an_experiment_cannot_do(refusal: Refusal) -> None:
    refusal.check()


def sizes(parts: Splits) -> list[int | None]:
    return [None if part is None else len(part) for part in (parts.train, parts.validation, parts.test)]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ((DATA,), [12, None, None]),
        ((DATA, DATA[:4], DATA[:2]), [12, 4, 2]),
        (((EVENTS, LABELS), (EVENTS[:4], np.eye(3)[LABELS[:4]])), [12, 4, None]),
        ((lambda stage: DATA, lambda stage: DATA[:3]), [12, 3, None]),
        ((lambda stage: Splits(DATA, None, DATA[:2]),), [12, None, 2]),
        ((GENERATED,), [5, 3, 4]),
        ((GENERATED, DATA[:2]), [5, 2, 4]),
        ((DATA, GENERATED, GENERATED), [12, 3, 4]),  # of the parts of a function, the one with the name
        ((lambda stage: GENERATED(stage), None, DATA), [5, 3, 12]),
    ],
)
def test_the_parts_of_the_samples(given: tuple[Any, ...], wanted: list[int | None]) -> None:
    one = made(*given)
    assert sizes(one.splits(STAGE)) == wanted
    assert len(one.training_samples(Stage(1))) == wanted[0]
    if wanted[2] is not None:
        assert len(one.test_samples(STAGE)) == wanted[2]


def test_a_test_reads_no_training_samples() -> None:
    class Source:
        def __call__(self, stage: Stage) -> Splits:
            raise AssertionError("the training samples are not needed")

        def read_test(self, stage: Stage) -> Any:
            return DATA[:2]

    assert len(made(Source()).test_samples(STAGE)) == 2
    assert len(made(Source(), None, DATA[:3]).test_samples(STAGE)) == 3


def test_the_error_of_targets_needs_the_training_samples() -> None:
    """Their variance: of a test in any form, as after the training."""
    net = ep.recurrent(6, 5, 2, readout=ep.Readout(loss=ep.SquaredError()))
    targets = RNG.normal(size=(12, 20, 2))
    curves, samples = (
        from_arrays(EVENTS, targets=targets),
        ep.Simulator(net, threads=1).samples(12, 20, {"in": EVENTS}, {"out": targets}),
    )
    drawn_curves = Generated(lambda rng: Sample(rng.random((20, 6)) < 0.2, rng.normal(size=(20, 2))), 5, 4)
    for given in (curves, samples, drawn_curves):
        one = Experiment(net, curves, None, given)
        assert one.needs_variances(one.test_samples(STAGE))
    assert not made(DATA, None, DATA).needs_variances(DATA)


def test_nothing_is_read_when_an_experiment_is_made() -> None:
    def fails(stage: Stage) -> Any:
        raise AssertionError("nothing was asked for")

    assert "fails" in repr(made(fails, fails, fails).changed(epochs=2))


def test_fresh_samples_and_other_epochs() -> None:
    assert len(made(GENERATED).fresh(7)) == 7
    assert made(GENERATED).fresh_epochs
    assert not made().fresh_epochs
    series = ep.data.from_series(RNG.random((12, 5, 2)), LABELS)
    assert Experiment(ep.recurrent(series.n_channels, 5, 3), series).fresh_epochs


# ---------------------------------------------------------------- tasks: functions with arguments


class Settings(TypedDict, total=False):
    epochs: Annotated[int, Doc("passes"), "Learning"]
    eta: float | None


@task
def small(
    *,
    neurons: Annotated[int, Doc("recurrent neurons"), "Learning"] = 5,
    rule: Literal["eprop", "eprop+"] = "eprop",
    rate: float = 1.0,
    fast: bool = False,
    label: str | None = None,
    data: pathlib.Path | None = None,
    others: tuple[pathlib.Path, ...] = (),
    scales: tuple[float, ...] | None = None,
    kinds: tuple[Literal["a", "b"], ...] = ("a",),
    seed: int = 1,
    **settings: Unpack[Settings],
) -> Experiment:
    """A small network."""
    assert data is None or isinstance(data, pathlib.Path)
    assert all(isinstance(path, pathlib.Path) for path in others)
    settings.pop("eta", None)
    return Experiment(ep.recurrent(6, neurons, 3, seed=seed), DATA, **settings)


def test_arguments_are_those_of_the_signature() -> None:
    found = arguments_of(small)
    assert list(found)[:3] == ["neurons", "rule", "rate"]
    assert list(found)[-2:] == ["epochs", "eta"]
    one = found["neurons"]
    assert (one.kind, one.default, one.doc, one.panel) == (int, 5, "recurrent neurons", "Learning")
    assert (found["rule"].choices, found["kinds"].choices, found["kinds"].several) == (
        ("eprop", "eprop+"),
        ("a", "b"),
        True,
    )
    assert (found["scales"].kind, found["scales"].several, found["scales"].optional) == (float, True, True)
    assert (found["rate"].doc, found["label"].optional, found["epochs"].doc) == ("", True, "passes")


def test_a_task_returns_an_experiment_that_knows_its_arguments(monkeypatch: Any, tmp_path: pathlib.Path) -> None:
    monkeypatch.chdir(tmp_path)
    one = small(neurons=np.int64(7), rate=2, scales=[1, 2.5], data="here", others=["there", tmp_path], epochs=3)
    origin = one.origin
    assert origin.arguments == {
        "neurons": 7, "rule": "eprop", "rate": 2.0, "fast": False, "label": None, "data": str(tmp_path / "here"),
        "others": (str(tmp_path / "there"), str(tmp_path)), "scales": (1.0, 2.5), "kinds": ("a",), "seed": 1, "epochs": 3,
    }  # fmt: skip
    assert type(origin.arguments["neurons"]) is int
    assert (one.name, origin.task, origin.file, one.epochs) == ("small-eprop", "small", __file__, 3)
    assert origin.function is small
    again = origin.changed(neurons=4)
    assert (again.origin.arguments["neurons"], again.epochs, again.network.populations[1].size) == (4, 3, 4)
    assert (one.with_seed(5).network.seed, one.with_seed(5).seed, one.with_seed(5).origin.arguments["seed"]) == (
        5,
        5,
        5,
    )
    assert nmnist(neurons=4, epochs=3).origin.task == "nmnist"
    assert digits_experiment(epochs=3).origin is None  # it has other samples
    assert for_function(small, {"data": "x", "others": ("y",), "seed": 1})["others"] == (pathlib.Path("y"),)
    assert one.changed(epochs=9).origin is origin


@refusals(
    (lambda: small(neuron=3), ParameterError, "^small has no argument neuron; did you mean 'neurons'"),
    (lambda: small(xyzzy=3), ParameterError, "^small has no argument xyzzy; it has: neurons, rule"),
    (lambda: small(3), ParameterError, r"^small: arguments have names, as in small\(seed=1\)$"),
    (lambda: small(neurons="x"), ParameterError, "^small.neurons must be a whole number, got 'x'$"),
    (lambda: small(rate=float("nan")), ParameterError, "^small.rate must be a finite number, got nan$"),
    (lambda: small(fast=2), ParameterError, "^small.fast must be true or false"),
    (lambda: small(data=1), ParameterError, "^small.data must be a path, got 1$"),
    (lambda: small(others="here"), ParameterError, "^small.others must be a list, got 'here'$"),
    (lambda: small(scales=[1.0, "x"]), ParameterError, "^small.scales must be a number, got 'x'$"),
    (lambda: small(rule="epro"), ParameterError, "^small.rule must be .* got 'epro'; did you mean 'eprop'"),
    (lambda: small(kinds=["c"]), ParameterError, "^small.kinds must be "),
    (lambda: small(epochs="x"), ParameterError, "^small.epochs must be a whole number, got 'x'$"),
    (lambda: checked_arguments("mine", small, {"x": 1}), ParameterError, "^mine has no argument x"),
)  # fmt: skip
def test_wrong_arguments_are_refused(refusal: Refusal) -> None:
    refusal.check()


def no_default(*, neurons: int) -> Experiment: ...
def no_type(*, neurons=5) -> Experiment: ...
def positional(*neurons: int) -> Experiment: ...
def untyped(**settings) -> Experiment: ...
def typed_alike(**settings: int) -> Experiment: ...
def of_a_list(*, sizes: list[int] = []) -> Experiment: ...  # noqa: B006
def of_two(*, size: int | str = 1) -> Experiment: ...
def of_a_pair(*, size: tuple[int, str] = (1, "")) -> Experiment: ...
def of_numbers(*, size: Literal[1, 2] = 1) -> Experiment: ...
def of_nothing(*, seed: int = 1) -> Experiment:
    return None  # type: ignore[return-value]


@refusals(
    *((lambda one=one: task(one), ParameterError, f"^{one.__name__}: neurons must have a type and a default")
      for one in (no_default, no_type, positional)),
    *((lambda one=one: task(one), ParameterError, rf"^{one.__name__}: \*\*settings must be typed, as in ")
      for one in (untyped, typed_alike)),
    *((lambda one=one: task(one), ParameterError, rf"^{one.__name__}: sizes? has the type .*; a task has int, float, bool")
      for one in (of_a_list, of_two, of_a_pair, of_numbers)),
    (task(of_nothing), InputError, "^the task of-nothing must return an Experiment, got None$"),
)  # fmt: skip
def test_functions_that_are_no_tasks(refusal: Refusal) -> None:
    refusal.check()
