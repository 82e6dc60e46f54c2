"""Bind the kernels of e-prop+ to kinds of eligibility, kappas and optimisers; `eprop.engine.compile` puts them into loops."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any, NamedTuple

from eprop._jit import PACK, access, bind, laying, record_size, rows_of
from eprop.engine.options import MAX_KINDS, Options, layout_label, moments_label, plus_label
from eprop.kernels import (
    anchors,
    crossing,
    each_step,
    intervals,
    joins,
    jumps,
    maps,
    plastic,
    plastic_readout,
    records,
    silence,
    stream,
)
from eprop.kernels.layout import FORWARD, INVERSE
from eprop.kernels.maps import MapLayout


def bind_plus(options: Options) -> dict[str, Any]:
    """The kernels of e-prop+ for its kinds of eligibility, one or two kappas, with or without moments of gradients."""
    rule, moments = plus_label(options), moments_label(options)
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
    kind = layout_label(layout) + (f"_in_{room}_{jump_room}" if layout.ANCHORS and (room, jump_room) != own else "")
    rule = f"{kind}{moments_label(options)}"
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
    kind = layout_label(layout)
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
        ends |= {"_extend_at_once": made(maps, "extend_at_once", apart=True), "_rows": rows_of(layout.ENTRIES)}
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
