"""Constants that learn, while they do: present values, their optimiser, and the tables of the core that follow from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from eprop.engine.build.built import Built
from eprop.engine.build.constants import Constant, products_of
from eprop.engine.build.neurons import columns_of, with_columns
from eprop.engine.build.populations import learning_receptor
from eprop.engine.ranks.exchange import Exchange
from eprop.errors import InputError
from eprop.models import Readout
from eprop.models.base import Eligibility
from eprop.network import Network, Population
from eprop.parameters import Floats, brief, real_numbers
from eprop.rules import EProp

#: Adam's decays of its two means, and what keeps its division finite.
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


class LearnedValues:
    """Values of one constant; every rank has those of the whole population.

    Attributes
    ----------
    constant : Constant
    moved : (size,) or (1,) if shared
        What the optimiser moves: the value, or its logarithm.
    first, second : as ``moved``
        Adam's means of the gradient and of its square.
    """

    def __init__(self, constant: Constant):
        self.constant = constant
        start = constant.start[: 1 if constant.learned.shared else None]
        self.moved = np.log(start) if constant.by_log else start.copy()
        self.first, self.second = np.zeros_like(self.moved), np.zeros_like(self.moved)

    def now(self) -> Floats:
        """Present values of all nodes, (size,)."""
        how, values = self.constant.learned, np.exp(self.moved) if self.constant.by_log else self.moved
        return np.broadcast_to(np.clip(values, how.low, how.high), self.constant.start.shape).copy()

    def step(self, gradient: Floats, factor: float, n: int) -> None:
        """Step ``n`` (from 1) of the optimiser, at ``factor`` times the learning rate."""
        how, eta = self.constant.learned, factor * self.constant.learned.eta
        if how.descent:
            self.moved -= eta * gradient
        else:
            self.first += (1.0 - BETA_1) * (gradient - self.first)
            self.second += (1.0 - BETA_2) * (gradient**2 - self.second)
            rate = eta * np.sqrt(1.0 - BETA_2**n) / (1.0 - BETA_1**n)
            self.moved -= rate * self.first / (np.sqrt(self.second) + EPSILON)
        low, high = np.log([how.low, how.high]) if self.constant.by_log else (how.low, how.high)
        np.clip(self.moved, low, high, out=self.moved)

    def arrays(self) -> dict[str, Floats]:
        """What a step changes, by its name in a state."""
        parts = {"moved": self.moved, "first": self.first, "second": self.second}
        return {f"constants/{self.constant.key}/{name}": part for name, part in parts.items()}


class Constants:
    """All constants of a network that learn.

    Attributes
    ----------
    values : dict of LearnedValues
        By `Constant.key`.
    factor : float
        Of all learning rates.
    pending : (products, targets)
        Inner products of the mini-batch so far.
    """

    def __init__(self, network: Network, built: Built):
        self._network, self._built, self.factor = network, built, 1.0
        self.values = {constant.key: LearnedValues(constant) for constant in built.constants}
        self._products = {product: row for row, product in enumerate(products_of(built.constants))}
        self._populations = list(dict.fromkeys(constant.population for constant in built.constants))
        self._kept = {constant.population.index: constant.kept for constant in built.constants}
        self._columns = {p.index: columns_of(network, p) for p in self._populations}
        self.pending = self.no_products()
        self.refresh()

    def __bool__(self) -> bool:
        return bool(self.values)

    def no_products(self) -> Floats:
        """Zeros for the sums of the core."""
        return np.zeros((len(self._products), self._built.n_neurons + self._built.n_readouts))

    def of_population(self, population: Population) -> dict[str, Floats]:
        """Present values of the constants of a population, (size,) each."""
        found = (v for v in self.values.values() if v.constant.population.index == population.index)
        return {v.constant.name: v.now() for v in found}

    def checked(self, population: Population, values: Mapping[str, object]) -> dict[str, Floats]:
        """Given values of constants, by `Constant.key`; a shared constant has one.

        Raises
        ------
        InputError
        """
        if not isinstance(values, Mapping):
            raise InputError(f"set_constants takes a dictionary of values by name, got {brief(values)}")
        known = {v.constant.name: v for v in self.values.values() if v.constant.population.index == population.index}
        out = {}
        for name, value in values.items():
            if name not in known:
                listed = ", ".join(known) or "none"
                raise InputError(
                    f"{population.name}.{name} does not learn; constants of {population.name!r} that do: {listed}"
                )
            learned, shape = known[name].constant.learned, known[name].moved.shape
            numbers = real_numbers(f"{population.name}.{name}", value, InputError).astype(np.float64)
            if numbers.shape not in ((), shape):
                raise InputError(
                    f"{population.name}.{name} takes one number or shape {shape}, got shape {numbers.shape}"
                )
            if not ((numbers >= learned.low) & (numbers <= learned.high)).all():
                raise InputError(f"{population.name}.{name} must lie in {learned.low:g}..{learned.high:g} (low..high)")
            out[known[name].constant.key] = np.broadcast_to(numbers, shape).copy()
        return out

    def set_values(self, values: Mapping[str, Floats]) -> None:
        """Set checked values, by `Constant.key`."""
        for key, value in values.items():
            self.values[key].moved[...] = np.log(value) if self.values[key].constant.by_log else value
        self.refresh()

    def gradients(self, products: Floats, scale: Floats, exchange: Exchange) -> dict[str, Floats]:
        """Gradients from sums of the core (products, targets), times a factor for each population.

        They are those by what the optimisers move: (size,), or (1,) of a shared constant.
        """
        out = {}
        for p in self._populations:
            effects = self._model(p).effects(self._network.dt)
            for key, values in self.values.items():
                if (c := values.constant).population is not p:
                    continue
                parts = zip(effects[c.name], c.products, strict=True)
                found = np.zeros(p.size)
                for effect, product in parts:
                    found += effect.factor * self._whole(p, products[self._products[product]], exchange)
                found *= scale[p.index] * (values.now() if c.by_log else 1.0)
                out[key] = found.sum(keepdims=True) if c.learned.shared else found
        return out

    def _whole(self, p: Population, products: Floats, exchange: Exchange) -> Floats:
        """A product of all nodes of a population, from the targets of all ranks."""
        row = self._built.topology.populations[p.index]
        own = products[row["target_begin"] : row["target_end"]]
        if p.model.role == "readout" or not exchange.several:
            return own
        return np.asarray(exchange.joined([own.copy()])[0])  # `own` may change while other ranks read it

    def step(self, gradients: Mapping[str, Floats], n: int) -> None:
        """Step ``n`` of all optimisers."""
        for key, values in self.values.items():
            values.step(gradients[key], self.factor, n)
        self.refresh()

    def arrays(self) -> dict[str, Floats]:
        """What learning changes, by its name in a state: the arrays themselves."""
        return {name: part for values in self.values.values() for name, part in values.arrays().items()}

    # ---------------------------------------------------------------- tables of the core

    def refresh(self) -> None:
        """Let the tables of the core follow the present values."""
        for p in self._populations:
            self._refresh_readouts(p) if p.model.role == "readout" else self._refresh_neurons(p)

    def _model(self, p: Population) -> Any:
        """The model with arrays of the present values for parameters."""
        return with_columns(p.model, self._columns[p.index] | self.of_population(p))

    def _refresh_neurons(self, p: Population) -> None:
        model, topology, dt = self._model(p), self._built.topology, self._network.dt
        own, row = slice(*self._built.rank_partition.own(p)), topology.populations[p.index]
        begin, end = row["target_begin"], row["target_end"]
        derived = model.derived(dt)
        for number, name in enumerate(model.parameter_rows):
            topology.params[number, begin:end] = np.broadcast_to(derived[name], p.size)[own]
        rows = adjoint_rows(model.eligibility(dt), learning_receptor(self._network, p), self._kept[p.index], p.size)
        topology.adjoint[: len(rows), begin:end] = rows[:, own]

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
