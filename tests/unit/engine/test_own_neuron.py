"""A user's own neuron: compiled again when it changes and only then, wherever it was typed, and refused in words."""

from __future__ import annotations

import enum
import math
import sys
import types

import numpy as np
import pytest

import eprop as ep
from eprop.core import lib
from eprop.engine.build.records import Sharing
from eprop.engine.own_neuron import MarkedCopies, loop_of
from eprop.models import inline
from own_model import Integrator
from own_neurons import asserts

PROGRAM = """
import math
import numpy as np
import package
from eprop.models import inline

GAIN, TABLE = 2.0, np.array([1.0, 2.0])

@inline
def half(x):
    return 0.5 * x

@inline
def update(state, params, j, x):
    state[0, j] = state[0, j] * package.constants.DECAY + GAIN * half(x) + TABLE[0] + math.exp(-1.0)
    return state[0, j] > params[0, j], 0.3
"""


def contents_of(update):
    copies = MarkedCopies(None)
    copies.copy(update)
    return tuple(copies.contents)


def typed(program=PROGRAM, decay=0.9):
    """Names of a program typed at a prompt, beside a module ``package.constants``."""
    package = sys.modules["package"] = types.ModuleType("package")
    package.constants = types.ModuleType("package.constants")
    package.constants.DECAY = decay
    try:
        names = {"__name__": "__main__"}
        exec(compile(program, "<stdin>", "exec"), names)
        return names
    finally:
        del sys.modules["package"]


def contents(*program, **options):
    """Code and constants of ``update`` of a program."""
    return contents_of(typed(*program, **options)["update"])


@pytest.mark.tiny
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("+ GAIN * half", "- GAIN * half"),
        ("0.5 * x", "0.25 * x"),
        ("GAIN, TABLE = 2.0", "GAIN, TABLE = 3.0"),
        ("[1.0, 2.0]", "[1.0, 2.5]"),
        ("math.exp", "math.cos"),
        ("0.3", "0.4"),
    ],
)
def test_what_is_compiled_counts(old, new):
    assert PROGRAM.count(old) == 1
    assert contents(PROGRAM.replace(old, new)) != contents()


@pytest.mark.tiny
def test_a_constant_of_another_module_counts_and_what_else_is_in_the_file_does_not():
    assert contents(decay=0.8) != contents(decay=0.9) == contents()
    assert contents(PROGRAM + "\nOTHER = 1.0\nprint\n") == contents()


@pytest.mark.tiny
def test_members_of_classes_count():
    names = typed(PROGRAM.replace("params[0, j]", "params[Row.V_TH, j]")) | {"Row": enum.IntEnum("Row", {"V_TH": 0})}
    update = types.FunctionType(names["update"].__code__, names)
    first = contents_of(inline(update))
    assert contents_of(inline(update)) == first
    names["Row"] = enum.IntEnum("Row", {"V_TH": 1})
    assert contents_of(inline(update)) != first


@inline
def uses_libraries(state, params, j, x):
    """Calls what is no number, and asks for one of several."""
    if j in {0, 1, 2}:
        state[0, j] = min(np.clip(np.maximum(x, np.pi), 0.0, 1.0), abs(math.exp(x)))
    return state[0, j] > params[0, j], 0.3


def stepped(update):
    """Voltages of two neurons with this update after a step."""
    model = type("Own", (Integrator,), {"update": staticmethod(update), "__module__": "__main__"})
    state, params, psi = np.zeros((1, 2)), np.ones((1, 2)), np.zeros(2)
    code, address = loop_of(model(), shared=True)
    assert lib.advance(code, state, params, 0, 2, np.full(2, 2.0), psi, address, Sharing.same).tolist() == [0, 1]
    assert psi.tolist() == [0.3, 0.3]
    return state[0]


def test_a_constant_that_changes_at_a_prompt_counts():
    names = typed()
    before = stepped(names["update"])
    np.testing.assert_allclose(before, 3.0 + np.exp(-1.0), rtol=1e-15)
    names["GAIN"] = 3.0
    np.testing.assert_allclose(stepped(names["update"]), before + 1.0, rtol=1e-15)
    exec("@inline\ndef half(x):\n    return x", names)
    np.testing.assert_allclose(stepped(names["update"]), before + 4.0, rtol=1e-15)


@pytest.mark.parametrize("reached", ["by module", "by package", "by closure"])
def test_a_constant_of_a_function_elsewhere_counts(reached):
    helpers, package = types.ModuleType("helpers"), types.ModuleType("package")
    vars(helpers).update(inline=inline, GAIN=1.0)
    exec("@inline\ndef times(x):\n    return GAIN * x", vars(helpers))
    package.helpers, helpers.package, helpers.helpers = helpers, package, helpers
    call = {"by module": "helpers.times", "by package": "package.helpers.times", "by closure": "inner"}[reached]
    program = f"""
def made(inner):
    @inline
    def update(state, params, j, x):
        state[0, j] = {call}(x)
        return state[0, j] > params[0, j], 0.3
    return update
"""
    names = {"__name__": "__main__", "inline": inline, "helpers": helpers, "package": package}
    exec(program, names)
    update = names["made"](helpers.times)
    np.testing.assert_array_equal(stepped(update), 2.0)
    helpers.GAIN = 3.0
    np.testing.assert_array_equal(stepped(update), 6.0)


@inline
def makes_an_array(state, params, j, x):
    """Cannot be compiled."""
    trace = np.zeros(3)
    trace[0] = x
    return trace[0] > params[0, j], 0.3


@inline
def makes_a_text(state, params, j, x):
    """Cannot be compiled."""
    print(f"{x:.2f}")
    return x > params[0, j], 0.3


@inline
def raises(state, params, j, x):
    """Never fails in the steps that are tried at the build."""
    if x > 1e9:
        raise ValueError("too much")
    return x > params[0, j], 0.3


@inline
def calls_what_raises(state, params, j, x):
    return raises(state, params, j, x)


@pytest.mark.parametrize(
    ("update", "reason"),
    [
        (asserts, r"it may raise an error \(raise, assert"),
        (raises, "it may raise an error"),
        (calls_what_raises, "it may raise an error"),
        (makes_an_array, "it makes an array, a list"),
        (makes_a_text, "(?s:.*)(f-strings|opcode)"),
        (uses_libraries, "(?s:.*)No implementation of function .*clip"),
    ],
)
def test_what_cannot_be_compiled_is_refused(update, reason):
    first = update.py_func.__code__.co_firstlineno
    words = rf"Own.update \(.*own_neurons?.py, line {first}\) cannot be compiled. It may use numbers.* not arrays.*: {reason}"
    with pytest.raises(ep.errors.NetworkError, match=words):
        stepped(update)


@inline
def clips(state, params, j, x):
    state[0, j] = min(max(x, 0.0), 1.0)
    return state[0, j] > params[0, j], 0.3


def test_what_is_compiled_is_kept():
    model = type("Own", (Integrator,), {"update": staticmethod(clips), "__module__": "__main__"})
    assert loop_of(model(), shared=True) == loop_of(model(), shared=True) != loop_of(model(), shared=False)


def test_a_missing_compiler_is_named(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "numba"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "numba", None)
    words = r'Integrator, a neuron model of your own, needs the package "numba": pip install numba '
    with pytest.raises(ep.errors.MissingExtraError, match=words):
        loop_of(Integrator(), shared=True)
