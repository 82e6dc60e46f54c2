"""Declare, check and document a parameter once.

A description (neuron, rule, optimiser, ...) is a frozen dataclass whose fields are made with `param`. The bounds are
checked when the object is made. The message names class, field, bound, unit and value.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import math
import numbers
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Literal, Self, TypeGuard

import numpy as np
import numpy.typing as npt

from eprop.errors import ParameterError

#: Types of the arrays that the package returns.
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_META = "eprop"
#: Packages of descriptions that the engine builds; most of their methods and class attributes are for the engine.
_DESCRIBING = ("eprop.models", "eprop.network", "eprop.rules")


@dataclasses.dataclass(frozen=True)
class ParameterInfo:
    """Declaration of one parameter: bounds, unit, paper symbol, NEST's name, and names in other packages.

    ``in_steps`` marks a duration that must be a multiple of the time step, see `check_steps`. ``learned`` marks a constant that
    `eprop.Learned` may stand for: it moves as it is, or by its logarithm.
    """

    kind: type | tuple[type, ...] = float
    unit: str = ""
    above: float | None = None
    at_least: float | None = None
    below: float | None = None
    at_most: float | None = None
    infinite: bool = False
    in_steps: bool = False
    optional: bool = False
    symbol: str = ""
    nest: str = ""
    also: tuple[str, ...] = ()
    doc: str = ""
    learned: Literal["", "linear", "log"] = ""

    def check(self, owner: str, name: str, value: Any, per_node: bool = False) -> Any:
        """Return ``value`` in its final type; with ``per_node``, a number may differ between nodes.

        Raises
        ------
        ParameterError
            If the type is wrong or the value violates a bound.
        """
        label = f"{owner}.{name}"
        if value is None and self.optional:
            return None
        if isinstance(value, NodeValue):
            return value.checked_for(label, self)
        if self.kind is float and per_node and not isinstance(value, numbers.Real):
            if isinstance(value, Values):
                value = value.values
            if isinstance(value, (np.ndarray, list, tuple)) and np.ndim(value) == 1 and len(value) > 0:
                each = (v.item() if isinstance(v, np.generic) else v for v in value)
                return Values(tuple(self._check_one(f"{label}[{k}]", v) for k, v in enumerate(each)))
            if isinstance(value, Description) and hasattr(value, "draw"):
                return value
        if self.kind is float:
            return self._check_one(label, value, _PER_NODE if per_node else "")
        if self.kind is int:
            if isinstance(value, bool) or not isinstance(value, numbers.Integral):
                raise ParameterError(f"{label} must be a whole number, got {brief(value)}")
            if not -(2**63) <= int(value) < 2**63:
                raise ParameterError(f"{label} must be a whole number of 64 bits, got {brief(value)}")
            return int(self._check_number(label, int(value)))
        if self.kind is bool:
            if not isinstance(value, (bool, numbers.Integral)) or value not in (0, 1):
                raise ParameterError(f"{label} must be true or false, in Python True or False, got {brief(value)}")
            return bool(value)
        if not isinstance(value, self.kind):
            kinds = self.kind if isinstance(self.kind, tuple) else (self.kind,)
            wanted = " or ".join(kind.__name__ for kind in kinds)
            article = "an" if wanted[0] in "AEIOU" else "a"
            raise ParameterError(f"{label} must be {article} {wanted}{instead_of(value, *kinds)}")
        return value

    def _check_one(self, label: str, value: object, alternatives: str = "") -> float:
        return self._check_number(label, _as_float(label, value, self.unit, alternatives))

    def _check_number(self, label: str, value: float) -> float:
        unit = f" {self.unit}" if self.unit else ""
        if math.isnan(value) or (math.isinf(value) and not self.infinite):
            raise ParameterError(f"{label} must be a finite number, got {value}")
        for bound, sign, broken in (
            (self.above, ">", lambda b: value <= b),
            (self.at_least, ">=", lambda b: value < b),
            (self.below, "<", lambda b: value >= b),
            (self.at_most, "<=", lambda b: value > b),
        ):
            if bound is not None and broken(bound):
                raise ParameterError(f"{label} must be {sign} {bound:g}{unit}, got {value:g}")
        return value


#: Types that a parameter that may differ between nodes takes in addition.
_SEVERAL = "array | Distribution"
#: The same, for messages.
_PER_NODE = ", a list with a value for each node, or a distribution"


def _as_float(label: str, value: object, unit: str, alternatives: str) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        wanted = f"a number{f' in {unit}' if unit else ''}{alternatives}"
        raise ParameterError(f"{label} must be {wanted}, got {brief(value)}")
    try:
        return float(value)
    except OverflowError:
        raise ParameterError(f"{label} must be a finite number, got one of more than 300 digits") from None


@dataclasses.dataclass(frozen=True)
class Values:
    """A parameter with a value for each node of a population."""

    values: tuple[float, ...]

    def __repr__(self) -> str:
        shown = ", ".join(f"{value:g}" for value in self.values[:3])
        return f"[{shown}{', ...' if len(self.values) > 3 else ''}]"


def is_finite_number(value: object) -> TypeGuard[float]:
    """Whether a value is a real number that fits into a float; True and False are not."""
    if type(value) is float:  # fast path, because each run checks
        return math.isfinite(value)
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def param(default: Any = dataclasses.MISSING, **info: Any) -> Any:
    """A dataclass field with bounds and documentation; see `ParameterInfo` for the keywords."""
    metadata = {_META: ParameterInfo(**info)}
    if default is dataclasses.MISSING:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def inherited(base: type, name: str, default: Any, **changes: Any) -> Any:
    """The parameter ``name`` of a base class with another default; ``changes`` replace keywords of `param`."""
    (info,) = (info for known, info in parameters_of(base) if known == name)
    return dataclasses.field(default=default, metadata={_META: dataclasses.replace(info, **changes)})


class _ClassSignature:
    """The signature that tools show for a class: its parameters with their defaults, in place of those of ``__new__``."""

    def __get__(self, instance: object, owner: type[Description]) -> inspect.Signature:
        """Parameters of a class; a number that may differ between nodes says so."""
        _, *parameters = inspect.signature(owner.__init__).parameters.values()
        numbers = {name for name, info in parameters_of(owner) if owner.per_node and info.kind is float}
        return inspect.Signature([
            each.replace(annotation=f"{each.annotation} | {_SEVERAL}") if each.name in numbers else each
            for each in parameters
        ])  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Description:
    """Base of all descriptions, which hold no arrays: frozen, comparable, printable, checked."""

    __signature__ = _ClassSignature()

    per_node: ClassVar[bool] = False
    """Whether a numeric parameter may be a distribution, or a list with a value for each node."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Add the declared parameters to the docstring, so that ``help`` shows units, bounds and defaults."""
        super().__init_subclass__(**options)
        cls.__doc__ = _documented(cls)

    def __dir__(self) -> list[str]:
        """Names that a user needs: what the package's own models and rules tell the engine is left out."""
        described = [kind for kind in type(self).__mro__ if kind.__module__.startswith(_DESCRIBING)]
        engine = {name for kind in described for name in vars(kind) if not name.startswith("_")}
        parameters = {field.name for field in dataclasses.fields(self)}
        return sorted((set(object.__dir__(self)) - engine - {"per_node", "validate"}) | parameters)

    def __new__(cls, *_: Any, **given: Any) -> Any:
        """Refuse unknown names before the dataclass does, and list the valid ones."""
        if any(isinstance(value, dataclasses.Field) for value in vars(cls).values()):
            raise ParameterError(f"{cls.__name__} is not a dataclass: write @dataclass(frozen=True) above the class")
        known = [field.name for field in dataclasses.fields(cls) if field.init]
        if unknown := sorted(set(given) - set(known)):
            raise ParameterError(_unknown(cls, unknown, known))
        return super().__new__(cls)

    def __post_init__(self) -> None:
        for name, info in parameters_of(type(self)):
            object.__setattr__(self, name, info.check(type(self).__name__, name, getattr(self, name), self.per_node))
        if not varies(self):
            self.validate()

    def validate(self) -> None:
        """Check conditions on several parameters together; the base class has none."""

    @classmethod
    def each(cls, *values: npt.ArrayLike, **given: npt.ArrayLike) -> npt.NDArray[np.object_]:
        """Return an array of descriptions, one for each entry of the parameters, which are broadcast.

        Examples
        --------
        >>> from eprop import Normal
        >>> Normal.each([0.5, -2.0], 0.1)
        array([Normal(mean=0.5, sd=0.1), Normal(mean=-2.0, sd=0.1)], dtype=object)
        """
        names = [field.name for field in dataclasses.fields(cls) if field.init]
        given = dict(zip(names, values, strict=False)) | given
        tables = np.broadcast_arrays(*given.values())
        made = np.empty(tables[0].shape, object)
        for at in np.ndindex(made.shape):
            made[at] = cls(**{name: table[at].item() for name, table in zip(given, tables, strict=True)})
        return made

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some parameters changed."""
        known = [field.name for field in dataclasses.fields(self) if field.init]
        if unknown := sorted(set(changes) - set(known)):
            raise ParameterError(_unknown(type(self), unknown, known))
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Return a plain nested dictionary with the class name under ``"type"``, for config files."""
        out: dict[str, Any] = {"type": type(self).__name__}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            out[field.name] = _plain(value)
        return out


def require_member(cls: type, member: str, advice: str) -> None:
    """Raise `ParameterError` if a new class lacks the member by which the package runs it."""
    if not hasattr(cls, member):
        raise ParameterError(f"{cls.__name__} {advice}")


class FixedProperties:
    """Base of objects whose properties, and attributes marked as ``Final``, are chosen when the object is made."""

    def __setattr__(self, name: str, value: object) -> None:
        final = "Final" in str(type(self).__annotations__.get(name)) and name in vars(self)
        if final or isinstance(getattr(type(self), name, None), property):
            label = type(self).__name__
            raise AttributeError(f"{label}.{name} is read-only; options are arguments of {label}(...)")
        super().__setattr__(name, value)


def _documented(cls: type[Description]) -> str:
    """Docstring of a class with a section of its parameters, before all other sections; what this section has stays."""
    text = inspect.cleandoc(vars(cls).get("__doc__") or f"{cls.__name__}.")
    declared: dict[str, Any] = {}
    for kind in reversed(cls.__mro__[1:]):
        declared |= getattr(kind, "__dataclass_fields__", {})
    # ``dataclass`` has not seen the class yet: its own fields are still in the namespace.
    declared |= {name: value for name, value in vars(cls).items() if isinstance(value, dataclasses.Field)}
    begun = re.search(r"^Parameters\n-{3,}$", text, re.MULTILINE)
    start = begun.end() if begun else 0
    first = re.search(r"^\w+\n-{3,}$", text[start:], re.MULTILINE)
    end = start + first.start() if first else len(text)
    known = re.findall(r"\w+", " ".join(re.findall(r"^[\w, ]+ :", text[start:end], re.MULTILINE))) if begun else []
    own = {name: field for name, field in declared.items() if _META in field.metadata and name not in known}
    if not own:
        return text
    section = "\n".join(
        [*([] if begun else ["\nParameters", "----------"]), *(_entry(*each, cls.per_node) for each in own.items())]
    )
    return f"{text[:end].rstrip()}\n{section}\n\n{text[end:]}".rstrip() + "\n"


def _entry(name: str, field: dataclasses.Field[Any], per_node: bool) -> str:
    """One parameter in numpydoc's form: kind, default, meaning, bounds with the unit, symbol, NEST's name."""
    info: ParameterInfo = field.metadata[_META]
    kinds = [kind.__name__ for kind in (info.kind if isinstance(info.kind, tuple) else (info.kind,))]
    kinds += _SEVERAL.split(" | ") if per_node and info.kind is float else []
    kinds += ["None"] if info.optional else []
    default = "" if field.default is dataclasses.MISSING else f", default {field.default!r}"
    signs = ((">", info.above), (">=", info.at_least), ("<", info.below), ("<=", info.at_most))
    bounds = ", ".join(f"{sign} {bound:g}" for sign, bound in signs if bound is not None)
    allowed = " ".join(filter(None, (bounds or (info.unit and "in"), info.unit)))
    facts = (info.doc, allowed, info.symbol and f"symbol {info.symbol}", info.nest and f"NEST: ``{info.nest}``")
    return f"{name} : {' or '.join(kinds)}{default}\n    {'; '.join(filter(None, facts)) or name}."


def _plain(value: object) -> object:
    """Convert to a form for config files: a description becomes a dictionary, values per node become a list."""
    if isinstance(value, Description):
        return value.to_dict()
    given = getattr(value, "values", value)
    return np.asarray(given).tolist() if isinstance(given, (tuple, np.ndarray)) else value


def _unknown(cls: type, unknown: list[str], known: list[str]) -> str:
    """Message for parameters that a description does not have."""
    elsewhere = {other: name for name, info in parameters_of(cls) for other in (info.nest, *info.also) if other}
    having = {name: _others_with(cls, name) for name in unknown}
    near = [elsewhere.get(name) or (nearest(name, known) if not having[name] else None) for name in unknown]
    hint = f"; did you mean {', '.join(dict.fromkeys(filter(None, near)))}?" if any(near) else ""
    for name, kinds in having.items():
        hint += f"; {', '.join(kinds)} {'has' if len(kinds) == 1 else 'have'} {name}" if kinds else ""
    return f"{cls.__name__} has no parameter {', '.join(unknown)}; it has: {', '.join(known) or 'none'}{hint}"


def _others_with(cls: type, name: str) -> list[str]:
    """Public descriptions of the same sort, such as neurons, that have a parameter of this name."""
    others = [kind for kind in _choices(cls.__mro__[-3]) if any(name == known for known, _ in parameters_of(kind))]
    packages = [sys.modules[kind.__module__.rpartition(".")[0]] for kind in others]
    public = {listed for package in packages for listed in getattr(package, "__all__", ())}
    return sorted(public & {kind.__name__ for kind in others})


@dataclasses.dataclass(frozen=True)
class NodeValue(Description):
    """Stands for a number of each node and checks itself where it does; see `eprop.models.learned.Learned`."""

    def checked_for(self, label: str, info: ParameterInfo) -> Self:
        """Return itself if it may stand for the parameter ``label``.

        Raises
        ------
        ParameterError
        """
        raise ParameterError(f"{label} takes no {type(self).__name__}")


def varies(description: Description, but: str = "") -> bool:
    """Whether a parameter of a description ``but`` one, or of a nested description, differs between nodes."""
    if not description.per_node:
        return False
    values = (getattr(description, field.name) for field in dataclasses.fields(description) if field.name != but)
    return any(
        isinstance(v, (Values, NodeValue)) or (isinstance(v, Description) and (hasattr(v, "draw") or varies(v)))
        for v in values
    )


def parameters_of(cls: type) -> Iterator[tuple[str, ParameterInfo]]:
    """Names and declarations of the parameters of a description class."""
    for field in dataclasses.fields(cls):
        info = field.metadata.get(_META)
        if info is not None:
            yield field.name, info


def in_package(thing: type) -> bool:
    """Whether a class belongs to the package."""
    return thing.__module__.split(".")[0] == "eprop"


def instead_of(value: object, *kinds: type) -> str:
    """End of a message that refuses ``value``: the descriptions of these kinds, and the given value."""
    choices = list(dict.fromkeys(choice.__name__ for kind in kinds for choice in _choices(kind)))
    listed = f" ({', '.join(choices)})" if choices else ""
    if isinstance(value, type):
        return f"{listed}, got {value!r}; call it: {value.__name__}()"
    near = nearest(value, choices) if isinstance(value, str) else None
    return f"{listed}, got {brief(value)}{f'; did you mean {near}()?' if near else ''}"


def _choices(kind: type[Any]) -> list[type[Any]]:
    """Descriptions of a kind that are part of the package and no bases."""
    if not issubclass(kind, Description):
        return []
    below = [sub for sub in kind.__subclasses__() if sub.__module__.startswith("eprop.")]
    return [each for sub in below for each in ([] if inspect.isabstract(sub) else [sub]) + _choices(sub)]


def nearest(value: str, choices: Iterable[str]) -> str | None:
    """Return the choice that was probably meant, or None."""
    spoken = {_spoken(choice): choice for choice in choices}
    near = difflib.get_close_matches(_spoken(value), list(spoken), n=1, cutoff=0.5)
    return spoken[near[0]] if near else None


def _spoken(name: str) -> str:
    """Normalise a name for comparison: ``e-prop_plus`` equals ``eprop+``."""
    return re.sub(r"[-_ ]", "", name.lower()).replace("plus", "+")


def suggestion(value: str, choices: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"``, or an empty text if no choice is near."""
    near = nearest(value, choices)
    return f"; did you mean {near!r}?" if near is not None else ""


def brief(value: object) -> str:
    """Format a value briefly for a message; an array by its shape."""
    if isinstance(value, np.ndarray) and value.ndim > 0:
        return f"an array of shape {value.shape}"
    try:
        shown = " ".join(repr(value).split())
    except (RecursionError, ValueError):  # lists within lists without end, a number of thousands of digits
        return f"{type(value).__name__} that is too long to show"
    return shown if len(shown) <= 80 else f"{shown[:77]}..."


def short(value: object) -> str:
    """Format a description with the parameters that differ from their defaults, such as ``LIF(tau_m=10)``.

    A distribution shows all finite parameters; other values are formatted as text.
    """
    if isinstance(value, float):
        return f"{value:g}"
    if not isinstance(value, Description) or not value.__dataclass_params__.repr:  # type: ignore[attr-defined]
        return str(value)
    drawn = hasattr(value, "draw")
    given = [
        f"{field.name}={short(now)}"
        for field in dataclasses.fields(value)
        if field.repr
        and (
            repr(now := getattr(value, field.name)) != repr(field.default)
            or (drawn and now not in (math.inf, -math.inf))
        )
    ]
    return f"{type(value).__name__}({', '.join(given)})"


def check_count(label: str, value: object, error: type[Exception] = ParameterError, *, at_least: int = 1) -> int:
    """A count as an int; an error if it is no whole number >= ``at_least``."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < at_least:
        raise error(f"{label} must be a whole number >= {at_least}, got {brief(value)}")
    return int(value)


def check_choice(label: str, value: object, choices: Iterable[str]) -> None:
    """Raise `ParameterError` unless ``value`` is one of ``choices``; suggest the most similar choice."""
    choices = list(choices)
    if value not in choices:
        near = suggestion(value, choices) if isinstance(value, str) else ""
        quoted = [f'"{choice}"' for choice in choices]
        listed = " or ".join(([", ".join(quoted[:-1])] if len(quoted) > 1 else []) + quoted[-1:])
        raise ParameterError(f"{label} must be {listed}, got {brief(value)}{near}")


def is_multiple(duration: float, dt: float) -> bool:
    """Whether a duration is a whole number of steps, up to rounding in single precision."""
    count = duration / dt
    return math.isfinite(count) and abs(count - round(count)) <= 1e-6 * min(max(count, 1.0), 1e3)


def check_steps(where: str, description: Description, dt: float) -> None:
    """Check that durations of a description, which is used in ``where``, are multiples of the step ``dt`` (ms).

    Drawn durations are unknown here; they are rounded to the nearest step.

    Raises
    ------
    ParameterError
        If a number, or a number in a list, is not a multiple.
    """
    for name, info in parameters_of(type(description)):
        value = getattr(description, name)
        for each in value.values if isinstance(value, Values) else (value,):
            if info.in_steps and isinstance(each, float) and not is_multiple(each, dt):
                raise ParameterError(
                    f"{where}: {type(description).__name__}.{name} must be a multiple of dt = {dt:g} ms, got {each:g} ms"
                )


def refuse_masks(label: str, values: object, error: type[Exception]) -> None:
    """Raise ``error`` for an array that masks values, or a list of such arrays: a conversion would show what is masked."""
    parts = values if isinstance(values, (list, tuple)) else (values,)
    if any(isinstance(part, np.ma.MaskedArray) and np.ma.is_masked(part) for part in parts):
        raise error(f"{label}: masked values have no meaning here; fill them (values.filled) or leave them out")


def real_numbers(label: str, values: object, error: type[Exception]) -> np.ndarray:
    """Convert to an array of whole or real numbers, keeping their type; raise ``error`` for other values."""
    if type(values) is np.ndarray and values.dtype.kind in "fiub":
        return values
    refuse_masks(label, values, error)
    try:
        array = np.asarray(values)
    except (TypeError, ValueError) as problem:
        raise error(f"{label} must be an array of numbers with rows of equal length: {problem}") from problem
    if array.dtype.kind not in "biuf":
        raise error(f"{label} must be real numbers, got {values!r:.60} of type {array.dtype}")
    return array
