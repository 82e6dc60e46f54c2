"""NEST's models: names of neurons and parameters, and errors for features that NEST lacks or implements differently."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from eprop.engine import Samples, Simulator
from eprop.engine.build.neurons import present_neurons
from eprop.errors import InputError, NetworkError, warn
from eprop.interop.nest_drives import check_drives
from eprop.models import ALIF, LIF, CurrentLIF, DeltaALIF, DeltaLIF, EventSource, Readout
from eprop.models.base import EXCITATORY
from eprop.models.base import steps as steps_of
from eprop.models.learned import learned_of
from eprop.models.membrane import Membrane
from eprop.network import Adaptive, Network, Population, Projection, Symmetric
from eprop.parameters import Description, parameters_of
from eprop.rules import Adam, EProp, EPropPlus, GradientDescent, PairRule

LARGEST = 1e300  # NEST takes no infinite bounds
NEURONS: dict[type, str] = {
    LIF: "eprop_iaf",
    ALIF: "eprop_iaf_adapt",
    DeltaLIF: "eprop_iaf_psc_delta",
    DeltaALIF: "eprop_iaf_psc_delta_adapt",
    CurrentLIF: "iaf_psc_exp",  # does not learn in NEST
}


def named(description: Description) -> dict[str, Any]:
    """Parameters under NEST's names."""
    values = {info.nest: getattr(description, name) for name, info in parameters_of(type(description)) if info.nest}
    out = {name: _bounded(value) for name, value in values.items() if value is not None}
    if isinstance(description, CurrentLIF):
        out.setdefault("tau_syn_in", out["tau_syn_ex"])  # one current takes both
        if not np.any(np.isfinite(description.v_min)):
            del out["V_min"]
    return out


def check_signs(p: Projection, weights: np.ndarray) -> None:
    """Check that the sign of each weight chooses the receptor of its projection, as in NEST.

    Raises
    ------
    NetworkError
    """
    wrong = weights < 0.0 if p.receptor == EXCITATORY else weights > 0.0
    if p.receptor is not None and wrong.any():
        raise NetworkError(
            f"{p.name} acts on the {p.receptor} receptor of {p.post.name!r}, with weights of {weights[wrong][0]:g} "
            f"{p.weight_unit}; in NEST the sign of a weight chooses the receptor: make a projection for each sign, and bound the "
            "weights that learn at 0"
        )


def _bounded(value: npt.ArrayLike) -> npt.ArrayLike:
    """Replace infinite bounds by the largest number that NEST accepts; values are a number or one for each neuron."""
    if np.asarray(value).dtype == np.bool_:
        return value
    bounded = np.clip(value, -LARGEST, LARGEST)
    return bounded if bounded.ndim else float(bounded)


def optimizers_of(network: Network) -> list[Any]:
    """Optimisers of all plastic projections."""
    return [p.rule.optimizer for p in network.projections if p.rule.plastic]  # type: ignore[attr-defined]


def check_network(network: Network, simulator: Simulator) -> None:
    """Raise `NetworkError` for features of a simulator's network that NEST does not have, or implements differently."""
    original = any(isinstance(p.rule, EProp) for p in network.projections)
    plastic = any(p.rule.plastic for p in network.projections)
    for population in network.populations:
        _check_population(population, original)
        for member in present_neurons(simulator, population) if population.model.per_node else []:
            _check_member(member, population.name, original, network.dt)
        if plastic and (population.dropout or getattr(population.model, "dropout", 0.0)):
            raise NetworkError(f"{population.name!r}: NEST loses no spikes; leave out dropout")
    for projection in network.projections:
        if original or isinstance(projection.rule, EPropPlus):
            _check_delay(projection.name, projection.delay, network.dt)
        _check_rule(projection)
        if projection.rewiring is not None:
            warn(f"{projection.name}: synapses do not move in NEST; it learns with the present connections")
    check_drives(network, original, any(isinstance(o, Adam) for o in optimizers_of(network)))
    for feedback in network.feedback_projections:
        back = [p for p in network.projections if p.pre is feedback.post and p.post is feedback.pre]
        if isinstance(feedback.kind, (Symmetric, Adaptive)) and any(p.rule.plastic for p in back):
            raise NetworkError(
                f"{type(feedback.kind).__name__} feedback to {feedback.post.name!r}: NEST's feedback weights are constant; "
                "use RandomFeedback, or make the readout weights static"
            )
        if isinstance(feedback.post.model, CurrentLIF):
            raise NetworkError(
                f"{feedback.post.name!r}: NEST's iaf_psc_exp takes no learning signals; leave out the feedback"
            )
        _check_delay(f"feedback to {feedback.post.name!r}", feedback.delay, network.dt)


def check_constants(network: Network, batches: int) -> None:
    """Raise `NetworkError` if constants would learn from one batch for the next one."""
    learned = [f"{p.name}.{name}" for p in network.populations for name in learned_of(p.model)]
    if learned and batches > 1:
        raise NetworkError(
            f"NEST's constants do not learn, and {', '.join(learned)} would change after the first of {batches} batches: give "
            "one batch, and call to_nest(network, simulator) again after each"
        )


def _check_delay(what: str, delay: object, dt: float) -> None:
    if not isinstance(delay, (int, float)):
        kind = "an array" if isinstance(delay, np.ndarray) else type(delay).__name__
        raise NetworkError(f"{what}: NEST's e-prop supports only delays of one step ({dt:g} ms), got {kind}")
    if steps_of(delay, dt) != 1:
        raise NetworkError(f"{what}: NEST's e-prop supports only delays of one step ({dt:g} ms), got {delay:g} ms")


def _check_rule(projection: Projection) -> None:
    rule: Any = projection.rule
    if isinstance(rule, PairRule):
        raise NetworkError(f"{projection.name}: NEST's e-prop neurons have no traces for {type(rule).__name__}")
    if rule.plastic and not isinstance(rule.optimizer, (Adam, GradientDescent)):
        kind = type(rule.optimizer).__name__
        raise NetworkError(f"{projection.name}: NEST's e-prop supports GradientDescent and Adam, not {kind}")
    if rule.plastic and rule.optimizer.decay > 0.0:
        raise NetworkError(
            f"{projection.name}: NEST's weights do not decay; set {type(rule.optimizer).__name__}.decay = 0"
        )
    if rule.plastic and isinstance(projection.post.model, CurrentLIF):
        raise NetworkError(f"{projection.name}: NEST's iaf_psc_exp does not learn; make the projection static")
    if rule.plastic and projection.precision is not None:
        raise NetworkError(
            f"{projection.name}: NEST learns in double precision; leave out precision, or make the projection static"
        )
    if isinstance(rule, EProp | EPropPlus) and rule.c_reg is None and rule.regulates_rates:
        raise NetworkError(
            f"{projection.name}: NEST has no {type(rule).__name__}.rate_reg; give c_reg, NEST's strength (0: none). "
            "docs/explanation/maths.md, Rate regularisation, has the value of the same strength"
        )
    if isinstance(rule, EPropPlus) and rule.reward is not None:
        raise NetworkError(f"{projection.name}: NEST's e-prop does not support reward; leave out EPropPlus.reward")


def _check_population(population: Population, original: bool) -> None:
    model, name = population.model, population.name
    if type(model) not in (EventSource, *NEURONS, Readout):
        names = ", ".join(kind.__name__ for kind in (EventSource, *NEURONS))
        raise NetworkError(
            f"{name!r}: NEST supports {names} and Readout, got {type(model).__name__}; "
            "for a Poisson source, record the spikes and give them to an EventSource"
        )
    if not original and getattr(model, "scale_input", False):
        raise NetworkError(f"{name!r}: NEST scales inputs (scale_input) only with EProp")
    if isinstance(model, Readout) and model.loss.in_python:
        raise NetworkError(f"{name!r}: NEST does not have the loss {type(model.loss).__name__}")
    if getattr(getattr(model, "surrogate", None), "code", 0) < 0:
        raise NetworkError(f"{name!r}: NEST does not have the surrogate gradient {type(model.surrogate).__name__}")  # type: ignore[attr-defined]
    if isinstance(model, Readout) and not original and model.loss.softmax:
        raise NetworkError(f"{name!r}: NEST's e-prop+ supports only the squared error, not softmax")


def _check_member(model: Any, name: str, original: bool, dt: float) -> None:
    if isinstance(model, Membrane):
        _check_neuron(model, name, original, dt)
    if isinstance(model, Readout) and original and model.i_e != 0.0:
        raise NetworkError(f"{name!r}: a sample of NEST's readouts starts one step later; i_e must be 0 with EProp")
    if isinstance(model, Readout) and original and model.v_init not in (None, model.e_l):
        raise NetworkError(f"{name!r}: NEST's samples start at rest; leave out v_init with EProp")


def _check_current(model: CurrentLIF, name: str, original: bool) -> None:
    if original:
        raise NetworkError(f"{name!r}: NEST has iaf_psc_exp only without EProp, since its samples do not start at rest")
    if model.v_reset is None:
        raise NetworkError(f"{name!r}: NEST's iaf_psc_exp resets to a voltage; set v_reset")
    if np.any(np.isfinite(model.v_min)):
        raise NetworkError(f"{name!r}: NEST's iaf_psc_exp has no lower bound; leave out v_min")


def _check_neuron(model: Membrane, name: str, original: bool, dt: float) -> None:
    if isinstance(model, CurrentLIF):
        _check_current(model, name, original)
    if isinstance(model, DeltaLIF) and original:
        raise NetworkError(f"{name!r}: NEST's {type(model).__name__} learns only by EPropPlus, not by EProp")
    if isinstance(model, LIF) and np.any(model.delayed_reset != original):
        wanted = "delayed_reset=True with EProp" if original else "delayed_reset=False without EProp"
        raise NetworkError(f"{name!r}: NEST has {type(model).__name__} only with {wanted}")
    if isinstance(model, DeltaALIF) and np.any((steps_of(model.t_ref, dt) > 0) > model.pause_adaptation):
        raise NetworkError(
            f"{name!r}: NEST's DeltaALIF does not adapt in its refractory time; set pause_adaptation=True, or t_ref=0"
        )
    v_th, start = model.v_th - model.e_l, 0.0 if model.v_init is None else model.v_init - model.e_l
    if original and np.any((start != 0.0) | (getattr(model, "adaptation", 0.0) != 0.0)):
        raise NetworkError(f"{name!r}: NEST's samples start at rest; leave out v_init and adaptation with EProp")
    if original and np.any(model.derived(dt)["drive"] >= v_th):
        raise NetworkError(
            f"{name!r}: i_e makes it spike in the first step of a sample, from which NEST does not learn"
        )
    if np.any(start >= v_th) and not isinstance(model, CurrentLIF):
        raise NetworkError(f"{name!r}: v_init makes it spike in the empty first step of NEST")


def check_first_step(samples: Samples, why: str, window: bool) -> None:
    """Raise `InputError` if a sample has input in its first step, or with ``window`` an open learning window."""
    starts = np.arange(len(samples)) * samples.n_steps
    if np.any(samples.event_start[:, starts + 1] > samples.event_start[:, starts]):
        raise InputError(f"to compare with NEST, the first step must have no input: {why}")
    if window and np.any(samples.window[:, 0] != 0.0):
        raise InputError(f"to compare with NEST, window must be 0 in the first step: {why}")


def check_currents(samples: Samples) -> None:
    """Raise `InputError` if neurons are given currents."""
    if samples.currents:
        raise InputError(
            f"to compare with NEST, describe currents into {', '.join(samples.currents)} by Network.stimulate with a Current"
        )


def check_targets(network: Network, samples: Samples) -> None:
    """Raise `InputError` if a readout has no target."""
    at = 0
    for p in network.populations:
        if p.model.role == "readout":
            if np.isnan(samples.target[:, :, at]).any():
                raise InputError(
                    f"to compare with NEST, samples need a target for {p.name!r}: NEST has one learning window for all readouts"
                )
            at += p.size


def learning_window_of(batches: Sequence[Samples]) -> int:
    """Number of steps of the learning window at the end of all samples."""
    if not batches:
        raise InputError("NestNetwork.train needs at least one batch of samples")
    for batch in batches:
        if not isinstance(batch, Samples):
            raise InputError(f"NestNetwork.train takes Samples (see Simulator.samples), got {type(batch).__name__}")
        if batch.signals or len(batch.modulator):
            raise InputError(
                "NEST's neurons take neither external signals nor a modulator; leave them out of the comparison"
            )
        check_currents(batch)
        if (len(batch), batch.n_steps) != (len(batches[0]), batches[0].n_steps):
            raise InputError("to compare with NEST, all batches must have the same number of samples and steps")
    windows = np.concatenate([batch.window[:, 1:] for batch in batches])
    n = int(np.count_nonzero(windows[0, :, 0]))
    if n == 0 or np.any(windows != (np.arange(windows.shape[1]) >= windows.shape[1] - n)[:, None]):
        raise InputError(
            "to compare with NEST, the learning window must be 1 in the last steps of each sample, 0 before"
        )
    return n
