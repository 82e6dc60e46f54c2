"""Every description refuses what is out of bounds or of the wrong type, naming class, field, bound and value."""

from __future__ import annotations

import dataclasses
import fractions
import json
import pickle

import numpy as np
import pytest

import eprop as ep
from eprop.network.distributions import Distribution
from eprop.network.feedback import Feedback
from eprop.parameters import ParameterInfo, parameters_of, real_numbers
from eprop.rules.optimizers import BUILT_IN

pytestmark = pytest.mark.tiny

NAN, INF = float("nan"), float("inf")
REQUIRED = {
    "Bernoulli": {"p": 0.1},
    "FixedIndegree": {"degree": 1},
    "FixedOutdegree": {"degree": 1},
    "Constant": {"value": 1.0},
    "EPropPlus": {"c_reg": 0.0},  # without it, kappa_reg is refused
}
CLASSES = [
    ep.LIF, ep.Readout, ep.EventSource, ep.PoissonSource, ep.PiecewiseLinear, ep.Exponential, ep.FastSigmoid, ep.Arctan,
    ep.SquaredError, ep.CrossEntropy, *BUILT_IN, ep.Static, ep.EProp,
    ep.EPropPlus, ep.STDP, ep.AllToAll,
    ep.OneToOne, ep.Bernoulli, ep.FixedIndegree, ep.FixedOutdegree, ep.Constant, ep.Normal, ep.Uniform, ep.Glorot,
    ep.Symmetric, ep.RandomFeedback, ep.Adaptive, ep.ALIF, ep.DeltaLIF, ep.DeltaALIF,
]  # fmt: skip


def fields(kind: type) -> list[tuple[type, str, ParameterInfo]]:
    return [(cls, name, info) for cls in CLASSES for name, info in parameters_of(cls) if info.kind is kind]


def make(cls, **given):
    return cls(**(REQUIRED.get(cls.__name__, {}) | given))


def names(items) -> list[str]:
    return [f"{cls.__name__}.{name}" for cls, name, _ in items]


@pytest.mark.parametrize(("cls", "name", "info"), fields(float), ids=names(fields(float)))
def test_numbers(cls, name, info):
    wrong = ["1", "", {}, object(), 1j, True, b"1", NAN, 10**400, [], [[1.0]], np.ones((2, 2))]
    if not cls.per_node:
        wrong += [[1.0], (1.0,), np.array([1.0]), ep.Normal()]
    if not info.optional:
        wrong.append(None)
    if not info.infinite:
        wrong += [INF, -INF]
    for value in wrong:
        with pytest.raises(ep.errors.ParameterError, match=rf"^{cls.__name__}\.{name} must be a (finite )?number"):
            make(cls, **{name: value})
    for bound, sign, value in (
        (info.above, ">", info.above),
        (info.at_least, ">=", None if info.at_least is None else info.at_least - 1e-6),
        (info.below, "<", info.below),
        (info.at_most, "<=", None if info.at_most is None else info.at_most + 1e-6),
    ):
        if bound is not None:
            with pytest.raises(
                ep.errors.ParameterError, match=rf"^{cls.__name__}\.{name} must be {sign} {bound:g}.*, got"
            ):
                make(cls, **{name: value})
    # Whatever is a real number will do, and becomes a plain float.
    fine = {"v_th": 3, "cutoff": 3, "high": 3, "v_min": -0.5}.get(name, 0.5)
    if cls.per_node:
        for values in ([fine, fine], (fine,), np.array([fine, fine])):
            assert set(getattr(make(cls, **{name: values}), name).values) == {fine}
        with pytest.raises(ep.errors.ParameterError, match=rf"^{cls.__name__}\.{name}\[1\] must be a (finite )?number"):
            make(cls, **{name: [fine, NAN]})
    for value in (fine, np.float32(fine), np.float64(fine), fractions.Fraction(fine)):
        assert type(getattr(make(cls, **{name: value}), name)) is float


@pytest.mark.parametrize(("cls", "name", "info"), fields(int), ids=names(fields(int)))
def test_whole_numbers(cls, name, info):
    for value in ("1", 1.5, 1.0, None, True, [1], NAN, INF, 2**70, np.float64(1)):
        with pytest.raises(ep.errors.ParameterError, match=rf"^{cls.__name__}\.{name} must be a whole number"):
            make(cls, **{name: value})
    with pytest.raises(ep.errors.ParameterError, match=rf"^{cls.__name__}\.{name} must be >= 0"):
        make(cls, **{name: -1})
    assert type(getattr(make(cls, **{name: np.int32(2)}), name)) is int


@pytest.mark.parametrize(("cls", "name", "info"), fields(bool), ids=names(fields(bool)))
def test_switches(cls, name, info):
    for value in ("yes", 2, 1.0, None, [True], NAN):
        with pytest.raises(
            ep.errors.ParameterError, match=rf"^{cls.__name__}\.{name} must be true or false, in Python True or "
        ):
            make(cls, **{name: value})
    assert getattr(make(cls, **{name: 1}), name) is True


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (ep.LIF, "surrogate"),
        (ep.Readout, "loss"),
        (ep.EProp, "optimizer"),
        (ep.EPropPlus, "optimizer"),
        (ep.RandomFeedback, "connectivity"),
    ],
)
def test_parts(cls, name):
    for value in (None, "x", 5, ep.LIF()):
        with pytest.raises(ep.errors.ParameterError, match=rf"^{cls.__name__}\.{name} must be a"):
            cls(**{name: value})
    # A class instead of an object: the message says what to type.
    part = type(getattr(cls(), name))
    with pytest.raises(ep.errors.ParameterError, match=rf"call it: {part.__name__}\(\)"):
        cls(**{name: part})


@pytest.mark.parametrize(
    ("cls", "name", "given", "words"),
    [
        (ep.LIF, "surrogate", "sigmoid", r"\(PiecewiseLinear, .*, Arctan\), got 'sigmoid'; did you mean FastSigmoid\(\)\?"),
        (ep.EProp, "optimizer", "adam", r"\(GradientDescent, .*\), got 'adam'; did you mean Adam\(\)\?"),
        (ep.Readout, "loss", "mse", r"\(SquaredError, CrossEntropy\), got 'mse'$"),
    ],
)  # fmt: skip
def test_parts_by_name(cls, name, given, words):
    with pytest.raises(ep.errors.ParameterError, match=words):
        cls(**{name: given})


@pytest.mark.parametrize(
    ("cls", "given", "meant"),
    [
        (ep.LIF, "V_th", "v_th"),
        (ep.LIF, "E_L", "e_l"),
        (ep.Adam, "lr", "eta"),
        (ep.GradientDescent, "weight_decay", "decay"),
        (ep.Normal, "std", "sd"),
        (ep.FixedIndegree, "indegree", "degree"),
        (ep.STDP, "A_plus", "rate"),
        (ep.STDP, "Wmax", "w_max"),
    ],
)
def test_names_that_others_use(cls, given, meant):
    for refused in (lambda: make(cls, **{given: 1.0}), lambda: make(cls).replace(**{given: 1.0})):
        with pytest.raises(
            ep.errors.ParameterError, match=rf"has no parameter {given}; it has: .*; did you mean {meant}\?$"
        ):
            refused()


def test_a_message_shows_arrays_by_their_shape():
    words = r"^LIF.tau_m must be a number in ms, a list with a value for each node, or a distribution, got an array of shape"
    with pytest.raises(ep.errors.ParameterError, match=words + r" \(2, 3\)$"):
        ep.LIF(tau_m=np.ones((2, 3)))
    with pytest.raises(ep.errors.ParameterError, match=r"must be a number in mV, got .{77}\.\.\.$"):
        ep.Constant("x" * 1000)


def test_names_that_another_class_has():
    with pytest.raises(
        ep.errors.ParameterError, match=r"^LIF has no parameter tau_syn; .*; CurrentALIF, CurrentLIF have tau_syn$"
    ):
        ep.LIF(tau_syn=0.5)
    with pytest.raises(ep.errors.ParameterError, match=r"^EProp has no parameter cutoff; .*; EPropPlus has cutoff$"):
        ep.EProp(cutoff=20.0)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_unknown_names(cls):
    with pytest.raises(ep.errors.ParameterError, match=rf"^{cls.__name__} has no parameter speed; it has: "):
        make(cls, speed=1.0)
    with pytest.raises(ep.errors.ParameterError, match=rf"^{cls.__name__} has no parameter speed"):
        make(cls).replace(speed=1.0)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_frozen_equal_copied(cls):
    made = make(cls)
    assert made == make(cls)
    assert pickle.loads(pickle.dumps(made)) == made
    assert made.replace() == made
    assert repr(made).startswith(f"{cls.__name__}(")
    assert hash(made) == hash(make(cls))
    for field in dataclasses.fields(made):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(made, field.name, None)


@pytest.mark.parametrize(
    ("make_it", "words"),
    [
        (lambda: ep.LIF(v_th=1.0, e_l=2.0), r"LIF.v_th must be above e_l = 2 mV, got 1"),
        (lambda: ep.LIF(v_th=1.0, v_min=1.0), r"LIF.v_min must be below v_th = 1 mV, got 1"),
        (lambda: ep.Adam(w_min=1.0, w_max=-1.0), r"Adam.w_min must not exceed w_max, got 1 and -1"),
        (lambda: ep.GradientDescent(w_min=1.0, w_max=-1.0), r"GradientDescent.w_min must not exceed w_max"),
        (lambda: ep.Uniform(2.0, 1.0), r"Uniform.low must not exceed high, got 2 and 1"),
    ],
)
def test_parameters_together(make_it, words):
    with pytest.raises(ep.errors.ParameterError, match=words):
        make_it()


def test_bases_ask_for_what_is_missing():
    with pytest.raises(TypeError, match="does not define"):
        Distribution().draw(0, 1, np.zeros(2), (1.0, 1.0), 0)
    with pytest.raises(TypeError, match="does not define"):
        ep.network.ConnectionRule().make(0, 1, 1, 1, False, 0)
    assert Feedback() == Feedback()


def test_to_dict_is_plain():
    plain = ep.LIF(surrogate=ep.Arctan(0.4, 0.7)).to_dict()
    assert plain["type"] == "LIF"
    assert plain["surrogate"] == {"type": "Arctan", "height": 0.4, "width": 0.7}
    assert ep.EProp(optimizer=ep.GradientDescent(0.1)).to_dict()["optimizer"]["eta"] == 0.1
    assert json.loads(json.dumps(ep.LIF(tau_m=[1.0, 2.0]).to_dict()))["tau_m"] == [1.0, 2.0]
    assert json.loads(json.dumps(ep.RandomFeedback(np.eye(2)).to_dict()))["weight"] == [[1.0, 0.0], [0.0, 1.0]]


def test_errors_are_builtin_errors_too():
    """Ordinary ``except`` clauses work."""
    with pytest.raises(ValueError):
        ep.LIF(tau_m=-1.0)
    assert issubclass(ep.errors.ParameterError, ep.errors.EPropError)
    assert issubclass(ep.errors.NetworkError, ValueError)
    assert issubclass(ep.errors.InputError, ValueError)
    assert issubclass(ep.errors.DivergenceError, RuntimeError)
    assert issubclass(ep.errors.MissingExtraError, ImportError)


def test_arrays():
    np.testing.assert_array_equal(real_numbers("x", [[1, 2]], ep.errors.InputError), [[1, 2]])
    for values, words in (
        (["a"], "x must be real numbers"),
        ([[1], [1, 2]], "x must be an array of numbers with rows of"),
    ):
        with pytest.raises(ep.errors.InputError, match=words):
            real_numbers("x", values, ep.errors.InputError)
    with pytest.raises(ep.errors.NetworkError, match=r"real numbers, got .* of type complex128"):
        real_numbers("x", [1j], ep.errors.NetworkError)
