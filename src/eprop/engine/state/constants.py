"""Constants that learn, while they do: present values, and the tables of the core that follow from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from eprop.core import lib
from eprop.engine.build.built import Built
from eprop.engine.build.constants import Constant
from eprop.engine.build.eligibility import learning_receptor
from eprop.engine.build.neurons import columns_of, with_columns
from eprop.errors import InputError
from eprop.models import Readout
from eprop.models.base import Eligibility
from eprop.network import Network, Population
from eprop.parameters import Floats, brief, real_numbers
from eprop.rules import EProp


class Constants:
    """All constants of a network that learn; the core moves them with the weights.

    Attributes
    ----------
    core : lib.Constants
        What the optimiser moves, its means, and the gradients of a mini-batch.
    """

    def __init__(self, network: Network, built: Built, core: lib.Constants):
        self._network, self._built, self.core = network, built, core
        self._known = {constant.key: constant for constant in built.constants}
        self._populations = list(dict.fromkeys(constant.population for constant in built.constants))
        self._kept = {constant.population.index: constant.kept for constant in built.constants}
        self._columns = {p.index: columns_of(network, p) for p in self._populations}
        self.set_values({c.key: c.start[: 1 if c.learned.shared else None] for c in built.constants})

    def spans(self) -> dict[str, slice]:
        """Numbers of each constant in the arrays of the core, by `Constant.key`."""
        return {key: constant.span for key, constant in self._known.items()}

    def no_products(self) -> Floats:
        """Zeros for sums of inner products."""
        return np.zeros_like(self.core.products)

    def _now(self, constant: Constant) -> Floats:
        """Present values of all nodes, (size,)."""
        how, moved = constant.learned, self.core.moved[constant.span]
        values = np.exp(moved) if constant.by_log else moved
        return np.broadcast_to(np.clip(values, how.low, how.high), constant.start.shape).copy()

    def of_population(self, population: Population) -> dict[str, Floats]:
        """Present values of the constants of a population, (size,) each."""
        found = (c for c in self._known.values() if c.population.index == population.index)
        return {c.name: self._now(c) for c in found}

    def checked(self, population: Population, values: Mapping[str, object]) -> dict[str, Floats]:
        """Given values of constants, by `Constant.key`; a shared constant has one.

        Raises
        ------
        InputError
        """
        if not isinstance(values, Mapping):
            raise InputError(f"set_constants takes a dictionary of values by name, got {brief(values)}")
        known = {c.name: c for c in self._known.values() if c.population.index == population.index}
        out = {}
        for name, value in values.items():
            if name not in known:
                listed = ", ".join(known) or "none"
                raise InputError(
                    f"{population.name}.{name} does not learn; constants of {population.name!r} that do: {listed}"
                )
            learned, shape = known[name].learned, self.core.moved[known[name].span].shape
            numbers = real_numbers(f"{population.name}.{name}", value, InputError).astype(np.float64)
            if numbers.shape not in ((), shape):
                raise InputError(
                    f"{population.name}.{name} takes one number or shape {shape}, got shape {numbers.shape}"
                )
            if not ((numbers >= learned.low) & (numbers <= learned.high)).all():
                raise InputError(f"{population.name}.{name} must lie in {learned.low:g}..{learned.high:g} (low..high)")
            out[known[name].key] = np.broadcast_to(numbers, shape).copy()
        return out

    def set_values(self, values: Mapping[str, Floats]) -> None:
        """Set checked values, by `Constant.key`."""
        for key, value in values.items():
            self.core.moved[self._known[key].span] = np.log(value) if self._known[key].by_log else value
        self.refresh()

    def scale_learning_rates(self, factor: float) -> None:
        """Set the factor of all learning rates."""
        self._built.topology.constants["eta"] = [factor * c.learned.eta for c in self._known.values()]

    # ---------------------------------------------------------------- tables of the core

    def refresh(self) -> None:
        """Let the tables of the core follow the present values."""
        for p in self._populations:
            self._refresh_readouts(p) if p.model.role == "readout" else self._refresh_neurons(p)
            self._refresh_effects(p)

    def _model(self, p: Population) -> Any:
        """The model with arrays of the present values for parameters."""
        return with_columns(p.model, self._columns[p.index] | self.of_population(p))

    def _refresh_neurons(self, p: Population) -> None:
        model, topology, dt = self._model(p), self._built.topology, self._network.dt
        begin, end = topology.populations[p.index][["target_begin", "target_end"]]
        derived = model.derived(dt)
        for number, name in enumerate(model.parameter_rows):
            topology.params[number, begin:end] = derived[name]
        rows = adjoint_rows(model.eligibility(dt), learning_receptor(self._network, p), self._kept[p.index], p.size)
        topology.adjoint[: len(rows), begin:end] = rows

    def _refresh_effects(self, p: Population) -> None:
        """Factors of the inner products in the gradients of a population's constants."""
        topology, effects = self._built.topology, self._model(p).effects(self._network.dt)
        begin, end = topology.populations[p.index][["target_begin", "target_end"]]
        for record, c in zip(topology.constants, self._known.values(), strict=True):
            if c.population is p:
                for row, effect in enumerate(effects[c.name], record["first_effect"]):
                    topology.effects[row, begin:end] = effect.factor
                if c.by_log:
                    topology.gains[c.span] = self._now(c)[: c.span.stop - c.span.start]

    def _refresh_readouts(self, p: Population) -> None:
        model, topology, dt = self._model(p), self._built.topology, self._network.dt
        row = topology.populations[p.index]
        part = topology.readouts[
            row["target_begin"] - self._built.n_neurons : row["target_end"] - self._built.n_neurons
        ]
        part["alpha"] = model.membrane_decay(dt)
        part["drive"] = (1.0 - part["alpha"]) * (model.tau_m / model.c_m * model.i_e)
        for index in self._taught(p):  # their learning signals are filtered as the outputs are
            topology.populations["kappa"][index] = part["alpha"][0]

    def _taught(self, p: Population) -> set[int]:
        """Neurons whose `EProp` takes its filter from some readouts."""
        open_ = {q.post.index for q in self._network.projections if isinstance(q.rule, EProp) and q.rule.kappa is None}
        readouts = [q for q in self._network.populations if isinstance(q.model, Readout)]
        out = set()
        for q in (q for q in self._network.populations if q.index in open_ and q.model.role == "neuron"):
            senders = [f.pre for f in self._network.feedback_projections if f.post is q] or readouts[:1]
            if any(sender.index == p.index for sender in senders):
                out.add(q.index)
        return out


def adjoint_rows(whole: Eligibility, receptor: str | None, kept: tuple[int, ...], n: int) -> Floats:
    """Rows of `Topology.adjoint` (rows, n), from an eligibility whose entries are numbers or arrays (n,)."""

    def spread(part: Iterable[Any]) -> Floats:
        return np.stack([np.broadcast_to(entry, n) for entry in part])[list(kept)]

    decay = [spread(row) for k, row in enumerate(whole.decay) if k in kept]
    return np.concatenate([*decay, spread(whole.arrival_at(receptor)), spread(whole.output), spread(whole.spike)])
