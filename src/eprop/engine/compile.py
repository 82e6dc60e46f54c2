"""Bind the loop templates to the models and rules of a network; each combination is compiled once, then cached."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from eprop._jit import bind
from eprop.engine.bind_plus import bind_plus
from eprop.engine.options import Options, plus_label
from eprop.engine.own_code import as_it_is_now, digest_of, explaining, is_own
from eprop.equations.surrogate import surrogate
from eprop.errors import NetworkError
from eprop.kernels import gradients, lanes, neurons, optimize_batch, stream
from eprop.kernels import stdp as pairs
from eprop.models import Neuron

MAX_MODELS = 4


class Loops(NamedTuple):
    """Compiled loops of one combination of models and options."""

    stream: Callable[..., int]
    waves: Callable[..., int]
    forward: Callable[..., Any]
    backward: Callable[..., Any]
    accumulate: Callable[..., Any]
    optimize: Callable[..., Any]


def model_slots(models: list[Any]) -> list[type[Neuron]]:
    """The distinct neuron models of a network; their position is their slot.

    In the order of their names: one loop serves networks whose populations come in any order.

    Raises
    ------
    NetworkError
        If there are more than four.
    """
    distinct = sorted({type(model) for model in models}, key=lambda model: (model.__qualname__, model.__module__))
    if len(distinct) > MAX_MODELS:
        raise NetworkError(f"a network can have {MAX_MODELS} different neuron models, got {len(distinct)}")
    return distinct


def loops(models: list[type[Neuron]], options: Options) -> Loops:
    """Loops for a list of models (as of `model_slots`) and the options that are fixed when compiling."""
    return _loops(tuple(models), tuple(_label(model) for model in models), options)


@functools.cache
def _loops(models: tuple[type[Neuron], ...], labels: tuple[str, ...], options: Options) -> Loops:
    label = "_".join(labels) or "none"
    rule = _rule_label(options)
    along, threads = ("parallel" if several else "serial" for several in (options.divided, options.parallel))
    advance = _bind_models(models, labels, label)
    advance_partition = bind(stream.advance_partition, f"advance_partition_{label}", inlined=True, ADVANCE=advance)
    rule_kernels = _no_rule() | (bind_plus(options) if options.kinds else {})
    if options.stdp:
        rule_kernels |= {"DELIVER_STDP": pairs.deliver_stdp, "FOLLOW_POSTS": pairs.follow_posts}
    step = bind(
        stream.step_partition,
        f"step_{label}_{rule}",
        inlined=True,
        _advance_partition=advance_partition,
        **rule_kernels,
    )
    forward = bind(lanes.forward, f"forward_{label}", ADVANCE=advance)
    run_lanes = bind(lanes.run_lanes, f"lanes_{label}_{threads}", parallel=options.parallel, FORWARD=forward)
    accumulate = bind(gradients.accumulate, f"accumulate_{threads}", parallel=options.parallel)
    made = Loops(
        stream=bind(
            stream.run_stream,
            f"stream_{label}_{rule}_{along}",
            parallel=options.divided,
            outer=True,
            STEP_PARTITION=step,
        ),
        waves=bind(lanes.run_waves, f"waves_{label}_{threads}", outer=True, RUN_LANES=run_lanes, ACCUMULATE=accumulate),
        # With several ranks the parts of a wave are called one by one.
        forward=bind(
            lanes.forward_lanes,
            f"forward_lanes_{label}_{threads}",
            parallel=options.parallel,
            outer=True,
            FORWARD=forward,
        ),
        backward=bind(lanes.backward_lanes, f"backward_lanes_{threads}", parallel=options.parallel, outer=True),
        accumulate=bind(gradients.accumulate, f"accumulate_lanes_{threads}", parallel=options.parallel, outer=True),
        optimize=bind(optimize_batch.optimize, f"optimize_{threads}", parallel=options.parallel, outer=True),
    )
    return Loops(*(explaining(loop, models) for loop in made))


def _rule_label(options: Options) -> str:
    return f"{plus_label(options)}{'_stdp' if options.stdp else ''}"


def _label(model: type[Neuron]) -> str:
    """A name that changes when a user's own model does: its code is not part of the package's digest."""
    name = model.__name__.lower()
    return f"{name}_{digest_of(model.update)}" if is_own(model) else name


def advance_of(model: type[Neuron]) -> Callable[..., int]:
    """The loop that advances neurons of one model by a step, see `kernels.neurons.advance`, to be called from Python."""
    label = _label(model)
    advance = bind(neurons.advance_alone, f"advance_alone_{label}", outer=True, ADVANCE=_bind_model(model, label))
    return explaining(advance, [model])


def _bind_models(models: tuple[type[Neuron], ...], labels: tuple[str, ...], label: str) -> Callable[..., Any]:
    advances = [_bind_model(*both) for both in zip(models, labels, strict=True)]
    if not advances:  # a network of readouts alone still needs something to compile
        advances = [_bind_update(Neuron, _no_neuron(), "none")]
    slots: dict[str, Any] = {f"ADVANCE_{k}": advances[min(k, len(advances) - 1)] for k in range(MAX_MODELS)}
    return bind(stream.advance_slot, f"advance_slot_{label}", inlined=True, MODELS=len(advances), **slots)


def _bind_model(model: type[Neuron], label: str) -> Callable[..., Any]:
    """The loop over neurons of one model; a second one for the triangle if the model has the choice of surrogates.

    It has if there is a parameter row ``kind`` and `eprop.equations.surrogate.surrogate` is called with it. An
    exponential is a call, and a loop with a call in it does not vectorise, whether the call is made or not.
    """
    own = as_it_is_now(model.update, label) if is_own(model) else model.update
    triangle = f"{label}_triangle"
    general, update = _bind_update(model, own, label), _with(own, {surrogate: neurons.triangle}, triangle)
    if update is None or "kind" not in model.parameter_rows:
        return general
    return bind(
        neurons.advance_by_kind, f"advance_{label}_by_kind", inlined=True, KIND=model.parameter_rows.index("kind"),
        ADVANCE_ANY=general, ADVANCE_TRIANGLE=_bind_update(model, update, triangle),
    )  # fmt: skip


def _with(function: Any, instead: Mapping[Any, Any], label: str) -> Callable[..., Any] | None:
    """A compiled function, and the functions it calls, with others instead of some; None if it calls none of these."""
    plain = getattr(function, "py_func", function)
    if not isinstance(plain, types.FunctionType):
        return None
    replaced: dict[str, Any] = {}
    for name in plain.__code__.co_names:
        value = plain.__globals__.get(name)
        if other := next((new for old, new in instead.items() if old is value), None):
            replaced[name] = other
        elif value is not None and value is not function and (made := _with(value, instead, label)):
            replaced[name] = made
    return bind(plain, f"{plain.__name__}_{label}", inlined=True, **replaced) if replaced else None


def _bind_update(model: type[Neuron], update: Callable[..., Any], label: str) -> Callable[..., Any]:
    """The loops over neurons of one model with one ``update``: with parameters of each, of all, and with a shortcut."""
    step = bind(neurons.step_range, f"step_range_{label}", apart=True, UPDATE=update)
    alike = short = bind(neurons.step_range, f"step_range_alike_{label}", apart=True, UPDATE=update, ALIKE=True)
    if model.shortcut and not is_own(model) and (less := _with(update, model.shortcut.instead, f"{label}_short")):
        short = bind(neurons.step_range, f"step_range_short_{label}", apart=True, UPDATE=less, ALIKE=True)
    return bind(neurons.advance, f"advance_{label}", inlined=True, STEP=step, STEP_ALIKE=alike, STEP_SHORT=short)


def _no_neuron() -> Callable[..., Any]:
    return bind(neurons._unbound, "no_neuron")


def _no_rule() -> dict[str, Any]:
    """Nothing learns at spikes."""
    nothing = bind(stream._unbound, "nothing")
    names = ("EXTEND", "LEARN", "DELIVER_READOUT", "SETTLE_READOUT", "DELIVER_STDP", "FOLLOW_POSTS")
    return dict.fromkeys(names, nothing)
