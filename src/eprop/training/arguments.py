"""Arguments of a task: read from the signature of its function, checked, and kept with a run."""

from __future__ import annotations

import inspect
import os
import pathlib
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_doc import Doc

from eprop.errors import ParameterError
from eprop.parameters import ParameterInfo, brief, check_choice, suggestion


@dataclass(frozen=True)
class Argument:
    """A keyword of a task's function.

    Attributes
    ----------
    name : str
    kind : type
        int, float, bool, str or `pathlib.Path`; of a tuple the type of its entries.
    default : object
        `inspect.Parameter.empty` for a keyword of ``**settings``, which has none.
    doc : str
        Help of the option; a keyword without `Doc` is an option in a file of the user's only.
    panel : str
        Group of the option.
    choices : tuple of str
        Allowed values; empty if all are.
    optional, several : bool
        Whether None is allowed; whether it is a tuple.
    """

    name: str
    kind: type
    default: Any = inspect.Parameter.empty
    doc: str = ""
    panel: str = ""
    choices: tuple[str, ...] = ()
    optional: bool = False
    several: bool = False

    def checked(self, task: str, value: Any) -> Any:
        """The value in its final type; paths are absolute text, so that a run does not depend on the working folder.

        Raises
        ------
        ParameterError
            If the value has another type, or is none of the choices.
        """
        if value is None and self.optional:
            return None
        if not self.several:
            return self._one(task, value)
        if isinstance(value, str) or not isinstance(value, (tuple, list)):
            raise ParameterError(f"{task}.{self.name} must be a list, got {brief(value)}")
        return tuple(self._one(task, each) for each in value)

    def _one(self, task: str, value: Any) -> Any:
        if self.choices:
            check_choice(f"{task}.{self.name}", value, self.choices)
            return value
        if self.kind is pathlib.Path:
            if not isinstance(value, (str, os.PathLike)):
                raise ParameterError(f"{task}.{self.name} must be a path, got {brief(value)}")
            return os.path.abspath(os.path.expanduser(value))
        return ParameterInfo(self.kind).check(task, self.name, value)


def arguments_of(function: Callable[..., Any]) -> dict[str, Argument]:
    """The keywords of a task's function by name, those of its ``**settings`` included.

    Raises
    ------
    ParameterError
        If a parameter has no default or no type, or a type that no option has.
    """
    function = inspect.unwrap(function)
    hints, found = typing.get_type_hints(function, include_extras=True), dict[str, Argument]()
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            table = get_args(hints[name])[0] if name in hints and get_args(hints[name]) else None
            if not typing.is_typeddict(table):
                raise ParameterError(f"{function.__name__}: **{name} must be typed, as in **{name}: Unpack[Settings]")
            settings = typing.get_type_hints(table, include_extras=True)
            found |= {key: _argument(function, key, hint) for key, hint in settings.items() if key not in found}
        elif parameter.default is inspect.Parameter.empty or name not in hints:
            raise ParameterError(
                f"{function.__name__}: {name} must have a type and a default, as in {name}: int = 1; all parameters of a task "
                "are keywords"
            )
        else:
            found[name] = _argument(function, name, hints[name], parameter.default)
    return found


def checked_arguments(name: str, function: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a task with its defaults, each checked.

    Raises
    ------
    ParameterError
        If the task has no such argument, or the value is wrong.
    """
    known = arguments_of(function)
    for key in given:
        if key not in known:
            near = suggestion(key, known) or f"; it has: {', '.join(known)}"
            raise ParameterError(f"{name} has no argument {key}{near}")
    values = {key: one.default for key, one in known.items() if one.default is not inspect.Parameter.empty}
    return {key: known[key].checked(name, value) for key, value in {**values, **given}.items()}


def for_function(function: Callable[..., Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as the function takes them: paths are `pathlib.Path`."""
    known = arguments_of(function)

    def made(key: str, value: Any) -> Any:
        if known[key].kind is not pathlib.Path or value is None:
            return value
        return tuple(map(pathlib.Path, value)) if known[key].several else pathlib.Path(value)

    return {key: made(key, value) for key, value in values.items()}


def _argument(function: Callable[..., Any], name: str, hint: Any, default: Any = inspect.Parameter.empty) -> Argument:
    """An argument from its annotation."""
    doc, panel = "", ""
    if get_origin(hint) is Annotated:
        hint, *extra = get_args(hint)
        doc = next((one.documentation for one in extra if isinstance(one, Doc)), "")
        panel = next((one for one in extra if isinstance(one, str)), "")
    optional, several, choices = False, False, ()
    if get_origin(hint) in (Union, types.UnionType):
        parts = [part for part in get_args(hint) if part is not type(None)]
        optional, hint = len(parts) < len(get_args(hint)), parts[0] if len(parts) == 1 else hint
    if get_origin(hint) is tuple and get_args(hint)[1:] == (...,):
        several, hint = True, get_args(hint)[0]
    if get_origin(hint) is Literal and all(isinstance(choice, str) for choice in get_args(hint)):
        choices, hint = get_args(hint), str
    if hint not in (int, float, bool, str, pathlib.Path):
        raise ParameterError(
            f"{function.__name__}: {name} has the type {hint}; a task has int, float, bool, str, Path, Literal of texts, "
            "tuple[int, ...] and the like, and None"
        )
    return Argument(name, hint, default, doc, panel, choices, optional, several)
