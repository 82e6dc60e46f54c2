"""Bind the loop templates to the models and rules of a network; each combination is compiled once, then cached."""

from __future__ import annotations

import functools
import hashlib
import inspect
import pathlib
import types
from collections.abc import Callable
from typing import Any, NamedTuple

from eprop._jit import PACK, access, bind, laying, record_size
from eprop.equations.surrogate import surrogate
from eprop.errors import NetworkError
from eprop.kernels import (
    anchors,
    crossing,
    each_step,
    gradients,
    intervals,
    joins,
    jumps,
    lanes,
    maps,
    neurons,
    optimize_batch,
    plastic,
    plastic_readout,
    records,
    silence,
    stream,
)
from eprop.kernels import stdp as pairs
from eprop.kernels.layout import FORWARD, INVERSE
from eprop.kernels.maps import Kind, MapLayout
from eprop.models import Neuron

MAX_MODELS = 4
MAX_KINDS = 3


class Loops(NamedTuple):
    """Compiled loops of one combination of models and options."""

    stream: Callable[..., int]
    waves: Callable[..., int]
    forward: Callable[..., Any]
    backward: Callable[..., Any]
    accumulate: Callable[..., Any]
    optimize: Callable[..., Any]


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


class Options(NamedTuple):
    """What is fixed when the loops are compiled, beside the models.

    Attributes
    ----------
    kinds : tuple of Kind
        Of the eligibilities that learn by e-prop+; without any, its kernels are left out: half the time to compile.
    two_kappas, moments : bool
        Whether e-prop+ needs two traces per synapse, and moments of gradients.
    each_step, stdp, parallel : bool
    """

    kinds: tuple[Kind, ...] = ()
    two_kappas: bool = False
    moments: bool = False
    each_step: bool = False
    stdp: bool = False
    parallel: bool = False


def loops(models: list[type[Neuron]], options: Options) -> Loops:
    """Loops for a list of models (as of `model_slots`) and the options that are fixed when compiling."""
    return _loops(tuple(models), options)


@functools.cache
def _loops(models: tuple[type[Neuron], ...], options: Options) -> Loops:
    label = "_".join(_label(model) for model in models) or "none"
    rule = _rule_label(options)
    threads = "parallel" if options.parallel else "serial"
    advance = _bind_models(models, label)
    advance_partition = bind(stream.advance_partition, f"advance_partition_{label}", inlined=True, ADVANCE=advance)
    rule_kernels = _no_rule() | (_bind_rule(options) if options.kinds else {})
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
    return Loops(
        stream=bind(
            stream.run_stream,
            f"stream_{label}_{rule}_{threads}",
            parallel=options.parallel,
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


def _rule_label(options: Options) -> str:
    return f"{_plus_label(options)}{'_stdp' if options.stdp else ''}"


def _plus_label(options: Options) -> str:
    if not options.kinds:
        return "fixed"
    kinds = "_".join(_kind_label(kind) for kind in options.kinds)
    return f"{kinds}_{_kappas_label(options.two_kappas)}{_moments_label(options)}"


def _kind_label(kind: Kind) -> str:
    return f"{kind.filters}f{kind.hidden}h{'' if kind.anchored else '_crossing'}"


def _layout_label(layout: MapLayout) -> str:
    return f"{_kind_label(Kind(layout.D, layout.M, layout.ANCHORS))}_{_kappas_label(layout.BOTH)}"


def _kappas_label(two: bool) -> str:
    return f"{'two' if two else 'one'}_kappa"


def _moments_label(options: Options) -> str:
    return f"{'_moments' if options.moments else ''}{'_each' if options.each_step else ''}"


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


def advance_of(model: type[Neuron]) -> Callable[..., int]:
    """The loop that advances neurons of one model by a step, see `kernels.neurons.advance`."""
    return _bind_model(model, _label(model))


def _bind_models(models: tuple[type[Neuron], ...], label: str) -> Callable[..., Any]:
    advances = [advance_of(model) for model in models]
    if not advances:  # a network of readouts alone still needs something to compile
        advances = [_bind_update(_no_neuron(), "none")]
    slots: dict[str, Any] = {f"ADVANCE_{k}": advances[min(k, len(advances) - 1)] for k in range(MAX_MODELS)}
    return bind(stream.advance_slot, f"advance_slot_{label}", inlined=True, MODELS=len(advances), **slots)


def _bind_model(model: type[Neuron], label: str) -> Callable[..., Any]:
    """The loop over neurons of one model; a second one for the triangle if the model has the choice of surrogates.

    It has if there is a parameter row ``kind`` and `eprop.equations.surrogate.surrogate` is called with it. An
    exponential is a call, and a loop with a call in it does not vectorise, whether the call is made or not.
    """
    general = _bind_update(model.update, label)
    update = _with_triangle(model.update, label)
    if update is None or "kind" not in model.parameter_rows:
        return general
    return bind(
        neurons.advance_by_kind, f"advance_{label}_by_kind", inlined=True, outer=True, KIND=model.parameter_rows.index("kind"),
        ADVANCE_ANY=general, ADVANCE_TRIANGLE=_bind_update(update, f"{label}_triangle"),
    )  # fmt: skip


def _with_triangle(function: Any, label: str) -> Callable[..., Any] | None:
    """A compiled function, and the functions it calls, with the triangle as surrogate; None if it calls none."""
    plain = getattr(function, "py_func", function)
    if not isinstance(plain, types.FunctionType):
        return None
    replaced: dict[str, Any] = {}
    for name in plain.__code__.co_names:
        value = plain.__globals__.get(name)
        if value is surrogate:
            replaced[name] = neurons.triangle
        elif value is not None and value is not function and (made := _with_triangle(value, label)):
            replaced[name] = made
    return bind(plain, f"{plain.__name__}_{label}_triangle", inlined=True, **replaced) if replaced else None


def _bind_update(update: Callable[..., Any], label: str) -> Callable[..., Any]:
    step = bind(neurons.step_range, f"step_range_{label}", apart=True, UPDATE=update)
    alike = bind(neurons.step_range, f"step_range_alike_{label}", apart=True, UPDATE=update, ALIKE=True)
    return bind(neurons.advance, f"advance_{label}", inlined=True, outer=True, STEP=step, STEP_ALIKE=alike)


def _no_neuron() -> Callable[..., Any]:
    return bind(neurons._unbound, "no_neuron")


def _no_rule() -> dict[str, Any]:
    """Nothing learns at spikes."""
    nothing = bind(stream._unbound, "nothing")
    names = ("EXTEND", "LEARN", "DELIVER_READOUT", "SETTLE_READOUT", "DELIVER_STDP", "FOLLOW_POSTS")
    return dict.fromkeys(names, nothing)


def _bind_rule(options: Options) -> dict[str, Any]:
    """The kernels of e-prop+ for its kinds of eligibility, one or two kappas, with or without moments of gradients."""
    rule, moments = _plus_label(options), _moments_label(options)
    slots: dict[str, Any] = {"KINDS": len(options.kinds)}
    for k in range(MAX_KINDS):
        layout = MapLayout.of(options.kinds[min(k, len(options.kinds) - 1)], options.two_kappas)
        slots[f"EXTEND_{k}"], slots[f"DELIVER_{k}"], slots[f"SETTLE_{k}"] = _bind_kind(layout, options)
    readout: dict[str, Any] = {"MOMENTS": options.moments, "EACH": options.each_step}
    if options.each_step:
        readout["_deliver_each"], readout["_settle_each"] = (
            each_step.deliver_readout_each,
            each_step.settle_readout_each,
        )
    return {
        "EXTEND": bind(stream.extend_kind, f"extend_{rule}", inlined=True, **slots),
        "LEARN": bind(stream.learn_kind, f"learn_{rule}", inlined=True, **slots),
        "DELIVER_READOUT": bind(plastic_readout.deliver_readout, f"deliver_readout{moments}", inlined=True, **readout),
        "SETTLE_READOUT": bind(plastic_readout.settle_readout, f"settle_readout{moments}", inlined=True, **readout),
    }


@functools.cache
def _bind_kind(layout: MapLayout, options: Options) -> tuple[Callable[..., Any], ...]:
    """Extend, deliver and settle for one kind of eligibility."""
    room, jump_room = records_of(options)
    # Beside a kind with larger maps, the same loops find records further apart.
    own = record_size(layout.ENTRIES), record_size(layout.JUMPS)
    kind = _layout_label(layout) + (f"_in_{room}_{jump_room}" if layout.ANCHORS and (room, jump_room) != own else "")
    rule = f"{kind}{_moments_label(options)}"
    maps_of = bind_maps(layout, options.each_step)
    constants = layout._asdict() | {"ROOM": room, "JUMP_ROOM": jump_room}
    decay: dict[str, Any] = {
        f"_{name}": bind(getattr(silence, name), f"{name}_{kind}", inlined=True, **constants)
        for name in ("decay_hidden", "step_hidden")
    }
    bound: dict[str, Any] = {
        **constants,
        "MOMENTS": options.moments,
        "EACH": options.each_step,
        "MAPS": maps_of.many,
        "MAPS_WITHIN": maps_of.within,
        "MAPS_OF_ONE": maps_of.one,
        "_copy": maps_of.copy,
        "_copy_values": maps_of.copy_values,
        "_extend": maps_of.carry,
        "_look_ahead": maps_of.look_ahead,
        "_way_to_here": maps_of.way,
        "_way_of_one": maps_of.way_of_one,
        "_turn_to_block": bind(intervals.turn_to_block, "turn_to_block"),
        "_turn_to_step": bind(intervals.turn_to_step, "turn_to_step"),
    }
    bound["_maps_until_cutoff"] = bind(plastic.maps_until_cutoff, f"maps_until_cutoff_{kind}", inlined=True, **bound)
    bound |= (_bind_anchors if layout.ANCHORS else _bind_crossing)(kind, rule, bound)
    if (layout.D, layout.M, layout.BOTH) == (1, 0, False) and not options.moments and not options.each_step:
        bound["_deliver_dense"] = bind(plastic.deliver_dense, f"deliver_dense_{rule}", inlined=True, **bound)
        bound["_settle_dense"] = bind(plastic.settle_dense, f"settle_dense_{rule}", inlined=True, **bound)
        bound["DENSE"] = True
    bound["TOGETHER"] = layout.M < 2 and not options.moments
    bound["_revive_row"] = _bind_revival(rule, {**bound, **decay})
    bound["_first_row"] = bind(silence.first_row, f"first_row_{kind}", **constants)
    if options.each_step:
        row = _bind_replay(kind, rule, constants)
        still = _bind_revival(f"{kind}_each", {**bound, **decay, "MOMENTS": False, "TOGETHER": layout.M < 2})
        each: dict[str, Any] = {
            **constants, "_replay_row": row, "_first_row": bound["_first_row"], "_revive_row": still
        }  # fmt: skip
        bound["_deliver_each"] = bind(each_step.deliver_each, f"deliver_each_{rule}", **each)
        bound["_settle_each"] = bind(each_step.settle_each, f"settle_each_{rule}", **each)
    bound["_new_and_silent_rows"] = bind(silence.new_and_silent_rows, f"new_and_silent_rows_{rule}", **bound)
    if layout.ANCHORS:
        for name in ("lay_way", "find_way_ahead", "lay_due"):
            bound[f"_{name}"] = bind(getattr(plastic, name), f"{name}_{rule}", inlined=True, **bound)
    return (
        maps_of.extend,
        bind(plastic.deliver_plus, f"deliver_plus_{rule}", inlined=True, **bound),
        bind(plastic.settle_due, f"settle_due_{rule}", inlined=True, **bound),
    )


def _bind_revival(label: str, bound: dict[str, Any]) -> Callable[..., Any]:
    """Rows whose silence ends, in packs where synapses have at most one component of their own."""
    parts: dict[str, Any] = {}
    for what, size, powers in (("one", 1, silence.powers_of_target), ("pack", PACK, silence.powers_of_pack))[
        : 1 + bound["TOGETHER"]
    ]:
        how = _access(size, bound)
        how["_kept"] = bind(silence.rounded, f"rounded_{what}_{label}", inlined=True, **how)
        how["_powers"] = bind(powers, f"{powers.__name__}_{label}", inlined=True, **bound)
        parts[f"_revive_{what}"] = bind(
            silence.revive_synapses, f"revive_{what}_{label}", inlined=True, **{**bound, **how}
        )
    return bind(silence.revive_row, f"revive_row_{label}", **{**bound, **parts})


def records_of(options: Options) -> tuple[int, int]:
    """Sizes of the records of a network, in which the maps of all its kinds fit, and the jumps at anchors."""
    layouts = [MapLayout.of(kind, options.two_kappas) for kind in options.kinds]
    jumps = max((at.JUMPS for at in layouts if at.ANCHORS), default=0)
    return record_size(max(at.ENTRIES for at in layouts)), record_size(jumps)


def _access(size: int, bound: dict[str, Any]) -> dict[str, Any]:
    """Names of templates for the access to so many synapses at a time."""
    functions = access(size, bound["ENTRIES"], bound["ROOM"])
    jumped = access(size, bound["JUMPS"], bound["JUMP_ROOM"])
    return {f"_{name}": function for name, function in functions._asdict().items()} | {"_jumps": jumped.records}


def _bind_anchors(kind: str, rule: str, bound: dict[str, Any]) -> dict[str, Any]:
    """Rows of synapses that are kept at their anchors."""
    parts: dict[str, Any] = {
        f"_{short}": bind(getattr(anchors, name), f"{name}_{short}_{kind}", inlined=True, **{**bound, "WAY": way})
        for short, name, way in (
            ("back", "move_spikes", INVERSE), ("on", "move_spikes", FORWARD), ("here", "move_ahead_back", INVERSE)
        )
    }  # fmt: skip
    parts["_moved_back"] = bind(jumps.arrival_moved_back, f"arrival_moved_back_{kind}", inlined=True, **bound)
    bound = {**bound, **parts, "PACKED": not bound["MOMENTS"]}
    bound |= _bind_synapses(kind, rule, bound, "one", 1)
    if bound["PACKED"]:
        bound |= _bind_synapses(kind, rule, bound, "pack", PACK)
    bound["_refold_row"] = bind(anchors.refold_row, f"refold_row_{kind}", **bound)
    one, rows = _bind_laying(kind, bound["ENTRIES"])
    parts["_lay_rows"] = rows
    parts["_lay_out"] = bind(records.lay_out, f"lay_out_{kind}", _lay_rows=rows, _lay_one=one)
    return {
        **parts,
        **_bind_jumps(kind, bound),
        "_anchor_row": bind(anchors.anchor_row, f"anchor_row_{rule}", **bound),
        "_learn_rows_onward": bind(anchors.learn_rows_onward, f"learn_onward_{rule}", **bound),
        "_settle_rows_onward": bind(anchors.settle_rows_onward, f"settle_onward_{rule}", **bound),
    }


def _bind_laying(label: str, entries: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """What makes records with that many entries: of one neuron, of many."""
    one = bind(records.lay_one, f"lay_one_{label}", inlined=True, ENTRIES=entries)
    return one, bind(records.lay_rows, f"lay_rows_{label}", _lay=laying(entries), _lay_one=one)


def _bind_jumps(kind: str, bound: dict[str, Any]) -> dict[str, Any]:
    """What a spike needs to know of its targets at their anchors: numbers of each neuron, and as records."""
    one, rows = _bind_laying(f"jumps_{kind}", bound["JUMPS"])
    bound = {
        **bound, "_lay_rows": rows, "_lay_one": one, "_jumps": bind(jumps.jump_numbers, f"jumps_{kind}", apart=True, **bound),
        "_jumps_of_one": bind(jumps.jump_numbers, f"jumps_of_one_{kind}", inlined=True, **bound),
    }  # fmt: skip
    bound["_find"] = bind(jumps.find_jumps, f"find_jumps_{kind}", **bound)
    bound["_lay_targets"] = bind(jumps.lay_targets, f"lay_jumps_of_targets_{kind}", **bound)
    return {"_find": bound["_find"], "_lay_jumps": bind(jumps.lay_jumps, f"lay_jumps_{kind}", inlined=True, **bound)}


def _bind_synapses(kind: str, rule: str, bound: dict[str, Any], what: str, size: int) -> dict[str, Any]:
    """What `_bind_anchors` does to so many synapses at a time."""
    bound = {**bound, **_access(size, bound)}
    rows = {"e": bound["E"], "rate": bound["R"], "gradient": bound["G"], "own": bound["A"]}
    through = {row: {"FIRST": at, "SECOND": at + 1, "OWN": at + bound["D"]} for row, at in rows.items()}
    for row, entries in through.items():
        bound[f"_add_{row}"] = bind(
            anchors.add_through, f"add_{row}_{what}_{kind}", inlined=True, **{**bound, **entries}
        )
    bound["_own_back"] = bind(anchors.own_back, f"own_back_{what}_{kind}", inlined=True, **{**bound, **through["own"]})
    bound["_collect"] = bind(anchors.collect, f"collect_{what}_{kind}", inlined=True, **bound)
    bound["_stride"] = bind(anchors.stride, f"stride_{what}_{kind}", inlined=True, **bound)
    here = {"GE": bound["J_GE"], "GR": bound["J_GR"]}
    add = {"FIRST": bound["J_G"], "SECOND": bound["J_G"] + 1, "OWN": bound["J_G"] + bound["D"]}
    here["_add_gradient"] = bind(anchors.add_through, f"add_here_{what}_{kind}", inlined=True, **{**bound, **add})
    bound["_collect_here"] = bind(anchors.collect, f"collect_here_{what}_{kind}", inlined=True, **{**bound, **here})
    bound["_anchor"] = bind(anchors.anchor_synapses, f"anchor_{what}_{rule}", inlined=True, **bound)
    return {
        f"_{short}_{what}": bind(getattr(anchors, name), f"{name}_{what}_{rule}", inlined=True, **bound)
        for short, name in (("anchor", "anchor_anew"), ("learn", "learn_synapses"), ("settle", "settle_synapses"))
    }


def _bind_crossing(kind: str, rule: str, bound: dict[str, Any]) -> dict[str, Any]:
    """Rows of synapses that cross their intervals, at once and in parts."""
    bound = {**bound, "_through": bind(crossing.through, f"through_{kind}", inlined=True, **bound)}
    for short, name in (("interval", "cross_interval"), ("read", "read_synapse"), ("write", "write_synapse")):
        bound[f"_{short}"] = bind(getattr(crossing, name), f"{short}_{kind}", inlined=True, **bound)
    bound["_cross"] = bind(crossing.cross_synapse, f"cross_{kind}", inlined=True, **bound)
    bound["_change"] = bind(crossing.change_synapse, f"change_{rule}", inlined=True, **bound)
    learn_rows = bind(crossing.learn_rows, f"learn_rows_{rule}", **bound)
    rows = {
        "_learn_rows_across": bind(crossing.learn_rows_across, f"learn_across_{rule}", **bound),
        "_learn_rows": learn_rows,
        "_learn_rows_directly": bind(
            crossing.learn_rows_directly, f"learn_directly_{rule}", **bound, _learn_rows=learn_rows
        ),
        "_settle_rows": bind(crossing.settle_rows, f"settle_rows_{rule}", **bound),
        "_find_way_to_here": bind(plastic.find_way_to_here, f"find_way_to_here_{rule}", inlined=True, **bound),
    }
    crossing_rows = bind(plastic.learn_crossing_rows, f"learn_crossing_{rule}", inlined=True, **{**bound, **rows})
    return {**rows, "_learn_crossing_rows": crossing_rows}


def _bind_replay(kind: str, rule: str, constants: dict[str, Any]) -> Callable[..., Any]:
    synapse = bind(each_step.replay_synapse, f"replay_synapse_{rule}", **constants)
    return bind(each_step.replay_row, f"replay_row_{rule}", _replay=synapse, **constants)


class Maps(NamedTuple):
    """Compiled loops over the maps of one kind of eligibility."""

    extend: Callable[..., Any]
    copy: Callable[..., Any]
    copy_values: Callable[..., Any]
    carry: Callable[..., Any]
    look_ahead: Callable[..., Any]
    way: Callable[..., Any]
    way_of_one: Callable[..., Any]
    many: Callable[..., Any]
    within: Callable[..., Any]
    one: Callable[..., Any]


# Of more components than these, joining is compiled in two parts.
JOINED_AT_ONCE = 3


@functools.cache
def bind_maps(layout: MapLayout, each_step: bool = False) -> Maps:
    """The loops that extend maps by a step, and that evaluate them over an interval for many neurons and for one."""
    kind = _layout_label(layout)
    constants = layout._asdict()

    def made(module: types.ModuleType, name: str, called: str = "", /, **others: Any) -> Callable[..., Any]:
        return bind(getattr(module, name), f"{called or name}_{kind}", **constants, **others)

    joined = _bind_joins(layout, made, "", apart=True)
    alone = {} if layout.ANCHORS else _bind_joins(layout, made, "_one", inlined=True)
    ahead = made(intervals, "look_ahead", **joined)
    ends = {f"_{name}": made(intervals, name, **joined) for name in ("end_block", "end_span")}
    carry = made(maps, "extend_rows", apart=True, _eligibility_row=made(maps, "eligibility_row", apart=True))
    at_once = layout.ANCHORS and not each_step
    if at_once:
        ends["_extend_at_once"] = made(maps, "extend_at_once", apart=True)
    extend = made(
        maps, "extend_maps", "extend_maps_at_once" if at_once else "", inlined=True, AT_ONCE=at_once,
        _filter=made(maps, "filter_entry", inlined=True),
        _note_step=made(maps, "note_step", apart=True), _extend=carry, _identity=made(joins, "identity_rows"),
        _copy=joined["_copy"], **ends,
    )  # fmt: skip
    many = within = one = way = way_of_one = bind(joins._unbound, "nothing")
    if not layout.ANCHORS:
        way = made(intervals, "way_to_here", **joined)
        way_of_one = made(intervals, "way_to_here", "way_of_one", inlined=True, **alone)
        near = made(intervals, "look_near", **joined)
        near_of_one = made(intervals, "look_near", "look_near_of_one", inlined=True, KEEP=False, **alone)
        within = made(intervals, "map_within_block", "maps_within", inlined=True, _look_near=near, **joined)
        one = made(intervals, "map_within_block", "map_of_one", inlined=True, _look_near=near_of_one, **alone)
        many = made(intervals, "maps_of_interval", inlined=True, _look_ahead=ahead, _way_to_here=way, _within_block=within,
                    **joined)  # fmt: skip
    return Maps(
        extend=extend,
        copy=joined["_copy"],
        copy_values=made(joins, "copy_values", apart=True),
        carry=carry,
        look_ahead=ahead,
        way=way,
        way_of_one=way_of_one,
        many=many,
        within=within,
        one=one,
    )


def _bind_joins(layout: MapLayout, made: Callable[..., Any], suffix: str, **options: bool) -> dict[str, Any]:
    """What puts maps together, for many neurons or (``suffix``) for one."""
    nothing, follow = bind(joins._unbound, "nothing"), made(joins, "follow", inlined=True)
    out = {"_copy": made(joins, "copy_rows", f"copy_rows{suffix}", **options), "_prepend": nothing}
    for name in ("compose",) if layout.ANCHORS else ("compose", "prepend"):
        last, more = layout.P, nothing
        if layout.P > JOINED_AT_ONCE:
            last = JOINED_AT_ONCE - 1
            more = made(
                joins, f"{name}_rows", f"{name}_more{suffix}", FIRST=last, LAST=layout.P, MORE=nothing, _follow=follow,
                **options
            )  # fmt: skip
        out[f"_{name}"] = made(
            joins, f"{name}_rows", f"{name}_rows{suffix}", FIRST=0, LAST=last, MORE=more, _follow=follow, **options
        )
    return out
