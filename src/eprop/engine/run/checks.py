"""Checks of a call: its arguments, and that values stay finite."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from eprop.core import lib
from eprop.engine.build.check import check_results
from eprop.engine.ranks.collective import BATCH, checksum, run_on_all_ranks
from eprop.engine.run.inputs import Arrangement, Given
from eprop.engine.run.long import Keeping
from eprop.engine.run.probes import NOTHING, Probes, make_probes
from eprop.engine.run.samples import NO_REWARD_TRACE, SampleLayout, Samples
from eprop.engine.state.arrays import Arrays
from eprop.errors import InputError, Status, check_status, warn
from eprop.network import Network, Population
from eprop.parallel import Communicator
from eprop.parameters import brief, is_finite_number
from eprop.rules import EProp, EPropPlus


def steps_in(label: str, duration: Any, dt: float) -> int:
    """Convert a duration (ms) to steps."""
    if type(duration) is not float and not is_finite_number(duration):
        raise InputError(f"{label} must be a number of ms, got {duration!r:.80}")
    count = float(duration) / dt
    if not 1 - 1e-9 <= count < math.inf or abs(count - (steps := round(count))) > 1e-6:
        raise InputError(f"{label} must be a multiple of dt = {dt:g} ms, at least one step, got {duration!r}")
    return steps


def check_switch(label: str, value: object) -> None:
    """Refuse values other than True and False: any text, even ``"no"``, would count as True."""
    if value is not True and value is not False and not isinstance(value, (bool, np.bool_)):
        raise InputError(f"{label} must be True or False, got {brief(value)}")


def populations_that_spike(network: Network, names: object) -> list[Population]:
    """Return the populations whose spikes are requested, each once."""
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise InputError(f'spikes takes a list of names such as ["rec"], got {names!r:.80}')
    found = list({p.index: p for p in (network.population(name) for name in names)}.values())
    for p in found:
        if p.model.role == "readout":
            raise InputError(f"{p.name!r} is a readout and has no spikes; its outputs are in Recording.y")
    return found


class RunPlan(NamedTuple):
    """A run: steps, one sample, recorded variables, populations whose spikes are recorded, whether weights change.

    ``sample`` is None for a run at spikes that is given nothing, and ``keeping`` is not None for a long run.
    """

    n_steps: int
    sample: Samples | None
    probes: Probes
    spiking: list[Population]
    learn: bool
    keeping: Keeping | None

    def keys(self) -> dict[str, Any]:
        """Values that must be the same on all ranks."""
        columns, nodes = [key for key, _ in self.probes.columns], checksum(*self.probes.index.values())
        return keys_of(
            self.sample, self.learn, [p.name for p in self.spiking], columns, nodes, self.n_steps, self.keeping
        )


def plan_run(
    arrays: Arrays,
    layout: SampleLayout,
    duration: Any,
    learn: Any,
    given: Given | None,
    record: Any,
    spikes: Any,
    keeping: Keeping | None,
) -> RunPlan:
    """Check the arguments of `Simulator.run`; ``keeping`` are those of a long one.

    Raises
    ------
    InputError
        If an argument does not fit the network.
    MemoryLimitError
        If the results do not fit into memory.
    """
    check_switch("learn", learn)
    n_steps, found = steps_in("duration", duration, layout.dt), None
    if keeping is not None:
        check_switch("progress", keeping.progress)
        found = keeping.in_steps(lambda label, value: steps_in(label, value, layout.dt)) if keeping.wanted else None
    if found and arrays.built.learning.eprop and learn:
        raise InputError(
            "a network with EProp learns from a run as from one sample, not in pieces: leave out spikes_to, interval, "
            "checkpoint and progress, or give learn=False"
        )
    if keeping and found and found.interval > n_steps and arrays.exchange.comm.rank == 0:
        warn(
            f"run: the recording has no rows, because interval={keeping.interval:g} ms is longer than the run of {duration:g} "
            "ms: give a shorter interval or a longer run"
        )
    sample = None if given is None else Arrangement(layout, 1, n_steps, run=True).samples(given)
    probes = NOTHING if isinstance(record, tuple) and not record else make_probes(arrays, record)
    spiking = [] if isinstance(spikes, tuple) and not spikes else populations_that_spike(arrays.network, spikes)
    if learn and probes.index:
        _check_recorded(arrays, probes)
    check_results(n_steps // found.interval if found else n_steps, layout.n_readouts, probes.count)
    if found and found.spikes_to is not None:
        spiking = spiking or [p for p in arrays.network.populations if p.model.role == "neuron"]
        if not spiking:
            raise InputError("spikes_to: the network has no neurons; name sources of spikes, as in spikes=[...]")
    return RunPlan(n_steps, sample, probes, spiking, learn, found)


def _check_recorded(arrays: Arrays, probes: Probes) -> None:
    """Check that the recorded synapses stay where they are."""
    moving = {p.name for p in arrays.network.projections if p.rewiring is not None}
    for name, variable in probes.index:
        if name in moving and arrays.built.learning.at_spikes:
            raise InputError(
                f"record: synapses of {name} move while the network learns, so that no {variable} can be followed; read "
                f"sim.connections({name!r}) between runs, or give learn=False"
            )


def check_call(
    comm: Communicator, call: str, layout: SampleLayout, samples: Samples, progress: object, **switches: object
) -> None:
    """Refuse samples or switches (True, False or None) of a call that do not fit on one rank, or differ between ranks.

    Raises
    ------
    EPropError
        On all ranks; the message names the first difference.
    """

    def check() -> None:
        check_samples(layout, samples, progress)
        for name, value in switches.items():
            if value is not None:
                check_switch(name, value)

    run_on_all_ranks(comm, call, check, lambda _: keys_of(samples, *switches.values()), BATCH)


def check_errors(network: Network, samples: Samples) -> None:
    """Refuse samples from which a network cannot learn, because nothing says what is wrong.

    Raises
    ------
    InputError
        If they have neither targets nor signals, synapses learn by e-prop or e-prop+, and none learns without errors.
    """
    rules = [p.rule for p in network.projections if p.rule.plastic]
    led = [rule for rule in rules if isinstance(rule, (EProp, EPropPlus))]
    if samples.signals or len(led) < len(rules) or not led or any(rule.c_reg for rule in led):
        return
    if np.isnan(samples.target).all():
        raise InputError(
            "train: the samples have neither labels nor targets, so nothing can be learned; give labels= or targets= to "
            "sim.samples(...), signals= if learning signals come from outside, or use sim.evaluate(samples)"
        )


def keys_of(samples: Samples | None, *others: object) -> dict[str, Any]:
    """Consistency keys of a call: values that must be the same on all ranks."""
    if samples is None:
        return {"number of samples": 1, "inputs": None, "options": str(others)}
    return {
        "number of samples": len(samples),
        "inputs": checksum(samples.event_start, samples.event_channels),
        "number of steps": samples.n_steps,
        "targets": checksum(samples.target),
        "window": checksum(samples.window),
        "signals": (list(samples.signals), checksum(*samples.signals.values())),
        "modulator": checksum(samples.modulator),
        "reward": checksum(samples.reward),
        "currents": (list(samples.currents), checksum(*samples.currents.values())),
        "options": str(others),
    }


def check_samples(layout: SampleLayout, samples: object, progress: object = None) -> None:
    """Check that samples belong to this network, because the core does not check its array indices, and that results fit."""
    if not isinstance(samples, Samples):
        raise InputError(f"train and evaluate take Samples (see Simulator.samples), got {type(samples).__name__}")
    if progress is not None and not callable(progress):
        raise InputError(f"progress must be a function of the number of samples done, got {brief(progress)}")
    if samples.made_for != layout.made_for:
        raise InputError(
            f"the samples were made for another network: {_sizes(*samples.made_for)} instead of {_sizes(*layout.made_for)}"
        )
    if len(samples.reward) and not layout.rewarded:
        raise InputError(NO_REWARD_TRACE)
    for what, given in (("signals for", samples.signals), ("currents into", samples.currents)):
        for name, values in given.items():
            if layout.neurons.get(name) != values.shape[2]:
                raise InputError(
                    f"the samples were made for another network: they have {what} {values.shape[2]} neurons {name!r}"
                )
    for p, start in zip(layout.sources, samples.event_start, strict=True):
        channels = samples.event_channels[start[0] : start[-1]]
        if channels.size and (channels.min() < 0 or channels.max() >= p.size):
            raise InputError(f"the samples were made for another network: {p.name!r} has {p.size} channels")
    check_results(len(samples) * samples.n_steps, layout.n_readouts)


def _sizes(sources: tuple[int, ...], readouts: tuple[tuple[int, bool], ...]) -> str:
    """Sizes of the sources and readouts of samples, in words."""
    given = " + ".join(map(str, sources)) or "no"
    taken = " + ".join(f"{size}{' (softmax)' if softmax else ''}" for size, softmax in readouts) or "no"
    return f"{given} inputs and {taken} readouts"


def check_state(arrays: Arrays, where: str, found: int) -> None:
    """Raise with advice for a divergence that the online loop has found on some rank."""
    check_status(arrays.exchange.worst(Status(found)), where)


def check_weights(arrays: Arrays, where: str, finite: bool) -> None:
    """Raise with advice if a weight is not finite on some rank; ``finite``: all weights of this rank are finite."""
    if not finite or arrays.exchange.several:
        check_status(arrays.exchange.worst(Status.OK if finite else Status.WEIGHT_NOT_FINITE), where)


def check_losses(losses: np.ndarray, y: np.ndarray) -> None:
    """Raise for the first sample whose loss is not finite; without a loss, check the outputs."""
    if not np.all(np.isfinite(losses)):
        check_status(Status.NOT_FINITE, f"sample {int(np.argmin(np.isfinite(losses)))}")
    check_outputs("samples", y)


def check_outputs(where: str, y: np.ndarray) -> None:
    """Raise with advice if an output is not finite, or implausibly large."""
    largest = max(y.max(initial=0.0), -y.min(initial=0.0))
    if not largest <= lib.largest_voltage:  # also true for NaN
        check_status(Status.EXPLODED if largest > lib.largest_voltage else Status.NOT_FINITE, where)
