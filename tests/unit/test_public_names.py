"""The public surface: what completion shows, what a type checker sees, and which names exist."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import pathlib

import pytest

import eprop as ep
from eprop.parameters import Description, parameters_of

pytestmark = pytest.mark.tiny


PUBLIC = [getattr(ep, name) for name in ep.__all__]
DESCRIPTIONS = [cls for cls in PUBLIC if isinstance(cls, type) and issubclass(cls, Description)]


@pytest.mark.parametrize("cls", DESCRIPTIONS, ids=lambda cls: cls.__name__)
def test_help_and_signature_show_each_parameter_with_unit_and_default(cls):
    for name, info in parameters_of(cls):
        entry = cls.__doc__.partition("Parameters\n----------")[2].partition(f"\n{name} : ")[2].partition("\n")[2]
        assert entry, f"{cls.__name__}.{name}"
        assert (info.unit or "") in entry.split("\n")[0], f"{cls.__name__}.{name}"
    found = inspect.signature(cls).parameters
    keywords_last = sorted(dataclasses.fields(cls), key=lambda field: bool(field.kw_only))
    fields = {field.name: field for field in keywords_last if field.init}
    assert list(found) == list(fields)
    for name, field in fields.items():
        if field.default_factory is dataclasses.MISSING:
            missing = field.default is dataclasses.MISSING
            assert found[name].default is (inspect.Parameter.empty if missing else field.default)
    # Sphinx and Python 3.11 would look at __new__.
    assert inspect.getattr_static(cls, "__signature__", None) is not None


def test_the_signature_tells_what_may_differ_between_neurons():
    found = inspect.signature(ep.LIF).parameters
    assert str(found["tau_m"]) == "tau_m: 'float | array | Distribution' = 20.0"
    assert str(found["delayed_reset"]) == "delayed_reset: 'bool' = False"
    assert str(inspect.signature(ep.Adam).parameters["eta"]) == "eta: 'float' = 0.005"
    assert "tau_m : float or array or Distribution, default 20.0" in ep.LIF.__doc__


def test_completion_and_help_keep_what_stands_beside_the_parameters():
    methods = {"each", "replace", "to_dict"}
    assert {n for n in dir(ep.LIF()) if n[0] != "_"} == {f.name for f in dataclasses.fields(ep.LIF)} | methods
    assert ep.Normal.__doc__.index("Parameters\n---") < ep.Normal.__doc__.index("Examples\n---")
    assert ep.RandomFeedback.__doc__.count("Parameters\n---") == 1


def test_options_are_read_only():
    net = ep.Network(dt=0.5)
    net.add(ep.LIF(), 1)
    sim = ep.Simulator(net)
    for thing, names in ((net, ("dt", "seed")), (sim, ("precision", "network", "threads", "time"))):
        for name in names:
            with pytest.raises(AttributeError, match=f"{type(thing).__name__}.{name} is read-only"):
                setattr(thing, name, None)
    with pytest.raises(dataclasses.FrozenInstanceError):
        ep.LIF().tau_m = 3.0


def test_a_public_name_means_one_thing_in_all_namespaces():
    meanings: dict[str, dict[int, str]] = {name: {0: "eprop"} for name in ep._SUBPACKAGES}
    for namespace in ("", *sorted(ep._SUBPACKAGES)):
        module = getattr(ep, namespace) if namespace else ep
        for name in getattr(module, "__all__", ()):
            of_task = namespace == "tasks" and name in ep.tasks.TASKS  # named for eprop train: the network of the task
            if not name.startswith("__") and not of_task:
                meanings.setdefault(name, {}).setdefault(id(getattr(module, name)), f"eprop.{namespace}")
    assert {name: list(homes.values()) for name, homes in meanings.items() if len(homes) > 1} == {}


def test_type_checkers_see_what_python_does():
    """Each public name and subpackage is imported for type checkers; at run time it is found on first use."""
    tree = ast.parse(pathlib.Path(ep.__file__).read_text("utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    lines = [node for node in ast.walk(block) if isinstance(node, ast.ImportFrom)]
    imported = {alias.asname or alias.name for node in lines for alias in node.names}
    assert imported | {"__version__"} == {*ep.__all__, *ep._SUBPACKAGES}
    for name in imported:
        assert getattr(ep, name) is not None
