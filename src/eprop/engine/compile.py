"""Bind the loop templates to the models and rules of a network; each combination is compiled once, then cached."""

from __future__ import annotations

import functools
import hashlib
import inspect
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

from eprop._jit import bind
from eprop.equations.surrogate import surrogate
from eprop.errors import NetworkError
from eprop.kernels import lanes, maps, neurons, plastic, plastic_readout, stream
from eprop.models import Neuron

MAX_MODELS = 4


class Loops(NamedTuple):
    """Compiled loops of one combination of models and options."""

    stream: Callable[..., int]
    waves: Callable[..., int]


def model_slots(models: list[Any]) -> list[type[Neuron]]:
    """The distinct neuron models of a network, in order; their position is their slot.

    Raises
    ------
    NetworkError
        If there are more than four.
    """
    distinct = list(dict.fromkeys(type(model) for model in models))
    if len(distinct) > MAX_MODELS:
        raise NetworkError(f"a network can have {MAX_MODELS} different neuron models, got {len(distinct)}")
    return distinct


def loops(models: list[type[Neuron]], plus: bool, two_kappas: bool, adam: bool, parallel: bool) -> Loops:
    """Loops for a list of models (as of `model_slots`) and the options that are fixed when compiling.

    Without e-prop+ (``plus``), its kernels are left out: half the time to compile.
    """
    return _loops(tuple(models), plus, two_kappas, adam, parallel)


@functools.cache
def _loops(models: tuple[type[Neuron], ...], plus: bool, two_kappas: bool, adam: bool, parallel: bool) -> Loops:
    label = "_".join(_label(model) for model in models) or "none"
    rule = f"{'two' if two_kappas else 'one'}_kappa{'_adam' if adam else ''}" if plus else "fixed"
    threads = "parallel" if parallel else "serial"
    advance = _bind_models(models, label)
    advance_partition = bind(stream.advance_partition, f"advance_partition_{label}", ADVANCE=advance)
    rule_kernels = _bind_rule(two_kappas, adam, rule) if plus else _no_rule()
    step = bind(stream.step_partition, f"step_{label}_{rule}", _advance_partition=advance_partition, **rule_kernels)
    forward = bind(lanes.forward, f"forward_{label}", ADVANCE=advance)
    run_lanes = bind(lanes.run_lanes, f"lanes_{label}_{threads}", parallel=parallel, FORWARD=forward)
    accumulate = bind(lanes.accumulate, f"accumulate_{threads}", parallel=parallel)
    return Loops(
        stream=bind(stream.run_stream, f"stream_{label}_{rule}_{threads}", parallel=parallel, STEP_PARTITION=step),
        waves=bind(lanes.run_waves, f"waves_{label}_{threads}", RUN_LANES=run_lanes, ACCUMULATE=accumulate),
    )


def _label(model: type[Neuron]) -> str:
    """A name that changes when a user's own model does: its code is not part of the package's digest."""
    if model.__module__.split(".")[0] == "eprop":
        return model.__name__.lower()
    update = getattr(model.update, "py_func", model.update)
    try:  # the whole file: what the function calls and the constants it freezes count as well
        source = pathlib.Path(inspect.getfile(update)).read_bytes()
    except (OSError, TypeError) as problem:
        raise NetworkError(
            f"{model.__name__} must be defined in a file, not at a prompt, for its compiled code to be kept"
        ) from problem
    return f"{model.__name__.lower()}_{hashlib.sha256(source).hexdigest()[:8]}"


def _bind_models(models: tuple[type[Neuron], ...], label: str) -> Callable[..., Any]:
    advances = [_bind_model(model, _label(model)) for model in models]
    if not advances:  # a network of readouts alone still needs something to compile
        advances = [_bind_update(_no_neuron(), "none")]
    slots: dict[str, Any] = {f"ADVANCE_{k}": advances[min(k, len(advances) - 1)] for k in range(MAX_MODELS)}
    return bind(stream.advance_slot, f"advance_slot_{label}", inlined=True, **slots)


def _bind_model(model: type[Neuron], label: str) -> Callable[..., Any]:
    """The loop over neurons of one model; a second one for the triangle if the model has the choice of surrogates.

    It has if there is a parameter row ``kind`` and `eprop.equations.surrogate.surrogate` is called with it. An
    exponential is a call, and a loop with a call in it does not vectorise, whether the call is made or not.
    """
    general = _bind_update(model.update, label)
    function = getattr(model.update, "py_func", model.update)
    names = [n for n in function.__code__.co_names if function.__globals__.get(n) is surrogate]
    if not names or "kind" not in model.parameter_rows:
        return general
    replaced: dict[str, Any] = dict.fromkeys(names, neurons.triangle)
    update = bind(function, f"update_{label}_triangle", inlined=True, **replaced)
    return bind(
        neurons.advance_by_kind, f"advance_{label}_by_kind", inlined=True, KIND=model.parameter_rows.index("kind"),
        ADVANCE_ANY=general, ADVANCE_TRIANGLE=_bind_update(update, f"{label}_triangle"),
    )  # fmt: skip


def _bind_update(update: Callable[..., Any], label: str) -> Callable[..., Any]:
    step = bind(neurons.step_range, f"step_range_{label}", apart=True, UPDATE=update)
    return bind(neurons.advance, f"advance_{label}", inlined=True, STEP=step)


def _no_neuron() -> Callable[..., Any]:
    return bind(neurons._unbound, "no_neuron")


def _no_rule() -> dict[str, Any]:
    """Nothing learns at spikes."""
    nothing = bind(stream._unbound, "nothing")
    return dict.fromkeys(("EXTEND", "DELIVER_PLUS", "SETTLE_DUE", "DELIVER_READOUT", "SETTLE_READOUT"), nothing)


def _bind_rule(two_kappas: bool, adam: bool, rule: str) -> dict[str, Any]:
    """The kernels of e-prop+ with one or two kappas, with or without Adam."""
    kappa = "two_kappa" if two_kappas else "one_kappa"
    rows = bind(maps.extend_rows, f"extend_rows_{kappa}", BOTH=two_kappas)
    extend = bind(maps.extend_maps, f"extend_{kappa}", _extend=rows)
    entries = bind(maps.entries_of, f"entries_{kappa}", BOTH=two_kappas)
    one = bind(maps.map_of_interval, f"map_{kappa}", BOTH=two_kappas, _entries=entries)
    many = bind(
        maps.maps_of_interval, f"maps_{kappa}",
        _divide=bind(maps.divide_rows, f"divide_rows_{kappa}", BOTH=two_kappas),
        _compose=bind(maps.compose_rows, f"compose_rows_{kappa}", BOTH=two_kappas),
    )  # fmt: skip
    adam_synapse = bind(plastic.adam_synapse, "adam_synapse")
    flags: dict[str, Any] = {"BOTH": two_kappas, "ADAM": adam, "_adam": adam_synapse}
    deliver = bind(
        plastic.deliver_plus, f"deliver_plus_{rule}", MAPS=many, **flags,
        _learn_rows=bind(plastic.learn_rows, f"learn_rows_{rule}", **flags),
        _learn_rows_directly=bind(plastic.learn_rows_directly, f"learn_directly_{rule}", MAP=one, **flags),
        _learn_rows_within=bind(plastic.learn_rows_within, "learn_within"),
        _revive_row=bind(plastic.revive_row, f"revive_row_{rule}", **flags),
    )  # fmt: skip
    readout: dict[str, Any] = {"ADAM": adam, "_adam": adam_synapse}
    return {
        "EXTEND": extend,
        "DELIVER_PLUS": deliver,
        "SETTLE_DUE": bind(plastic.settle_due, f"settle_due_{rule}", MAPS=many, **flags),
        "DELIVER_READOUT": bind(plastic_readout.deliver_readout, f"deliver_readout_{rule}", **readout),
        "SETTLE_READOUT": bind(plastic_readout.settle_readout, f"settle_readout_{rule}", **readout),
    }
