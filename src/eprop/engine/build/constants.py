"""Constants that learn: which ones a network has, their first values, and the inner products that their gradients need.

The core multiplies the adjoint of a neuron's hidden state by rows of its state (core/lanes/constants.hpp). A gradient is the
sum of such products, each times a factor that depends on the constants alone, see `eprop.models.base.Effect`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from eprop.engine.build.neurons import Nodes, columns_of, with_columns
from eprop.engine.build.records import LEARNED, PRODUCT
from eprop.errors import NetworkError, ParameterError
from eprop.models import Learned
from eprop.models.base import DISTANCE
from eprop.models.learned import learned_of
from eprop.network import Network, PoissonDrive, Population
from eprop.parameters import Floats, in_package, parameters_of
from eprop.rules import EProp

#: Readouts keep their outputs where neurons keep the first of their rows.
OUTPUTS = 0

#: Number of a population, component (or `DISTANCE`), row of the state (or None), which is 0 of readouts.
Product = tuple[int, int, int | None]


@dataclass(frozen=True)
class Constant:
    """A constant of a population that learns.

    Attributes
    ----------
    population : Population
    name : str
        Parameter of the model.
    learned : Learned
    by_log : bool
        Whether it moves by its logarithm.
    start : (size,)
        First values.
    products : tuple
        Inner products of its gradient, in the order of the model's effects.
    kept : tuple of int
        Components of the neurons' eligibility that learning follows.
    span : slice
        Its numbers among those of all constants: one for each node, or one for all nodes.
    """

    population: Population
    name: str
    learned: Learned
    by_log: bool
    start: Floats
    products: tuple[Product, ...]
    kept: tuple[int, ...]
    span: slice

    @property
    def key(self) -> str:
        """Name among gradients and in states: ``"rec.tau_adapt"``."""
        return f"{self.population.name}.{self.name}"


def check_constants(network: Network) -> None:
    """Check that all constants that should learn can do so.

    Raises
    ------
    NetworkError
    """
    for p in network.populations:
        _check_filters(network, p)
        for name in learned_of(p.model):
            _check_rule(network, p, name)
            _check_drives(network, p, name)


def _check_rule(network: Network, p: Population, name: str) -> None:
    rules = [q.rule for q in network.projections if q.post is p]
    if not any(isinstance(rule, EProp) for rule in rules):
        others = ", ".join(sorted({type(rule).__name__ for rule in rules})) or "none"
        raise NetworkError(
            f"{p.name}.{name} learns by the rule of the projections onto {p.name!r}, and only EProp can (their rules: {others}); "
            "give one of them EProp, or give the constant as a number, a list or a distribution"
        )


def _check_filters(network: Network, p: Population) -> None:
    """Refuse readouts that learn different time constants where one of them should filter the eligibility."""
    if p.model.role != "readout" or not (how := learned_of(p.model).get("tau_m")) or how.shared:
        return
    open_ = [q for q in network.projections if isinstance(q.rule, EProp) and q.rule.kappa is None]
    if any(q.post.model.role == "neuron" for q in open_):
        raise NetworkError(
            f"{p.name}.tau_m learns a value for each readout, and EProp.kappa should be that of the readouts: set EProp.kappa, "
            "or Learned(..., shared=True)"
        )


def _is_plain(model: Any) -> bool:
    """Whether the effects of a model are its own, and not those of a class whose equations it replaces."""
    return in_package(type(model)) or "effects" in vars(type(model))


def _reason(model: Any, name: str) -> str:
    kind = type(model).__name__
    if not _is_plain(model):
        return f"{kind} needs a method effects(dt) that gives the direct effects of its constants"
    if getattr(model, "scale_input", False):
        return f"{kind}.scale_input makes the input depend on {name}"
    if getattr(model, "pause_adaptation", False):
        return f"{kind}.pause_adaptation stops the adaptation"
    if getattr(model, "tau_syn_in", None) is not None:
        return f"{kind} with tau_syn_in has one time constant for each receptor"
    return f"effects(dt) of {kind} does not have it"


def is_changed_by_currents(constant: str) -> bool:
    """Whether the effect of a current depends on a constant of its neuron."""
    return constant.startswith("tau_") and constant != "tau_adapt"


def _check_drives(network: Network, p: Population, name: str) -> None:
    if not is_changed_by_currents(name):
        return
    for s in network.stimulations:
        if s.population is p and not isinstance(s.drive, PoissonDrive):
            raise NetworkError(
                f"{s.name}: the effect of {type(s.drive).__name__} depends on {p.name}.{name}, which learns; take a "
                "PoissonDrive, or give the constant as a number"
            )


def constants_of(nodes: Nodes) -> tuple[Constant, ...]:
    """All constants of a network that learn.

    Raises
    ------
    NetworkError
        If a model has no effects of a constant, a drawn first value lies outside the bounds, or a bound contradicts another
        parameter.
    """
    network, out, stop = nodes.network, list[Constant](), 0
    for p in network.populations:
        if not (learned := learned_of(p.model)):
            continue
        info, columns = dict(parameters_of(type(p.model))), columns_of(network, p)
        effects = with_columns(p.model, columns).effects(network.dt) if _is_plain(p.model) else {}
        for name, how in learned.items():
            if name not in effects:
                raise NetworkError(f"{p.name}.{name} cannot be learned: {_reason(p.model, name)}")
            try:
                how.check_within(f"{p.name}.{name}", columns[name])
                for end in (how.low, how.high):
                    with_columns(p.model, columns | {name: np.full(p.size, end)}).validate()
            except ParameterError as error:
                raise NetworkError(str(error)) from None
            followed = nodes.components[p.index].kept if p.index in nodes.components else (0,)
            products = tuple(_product(p, e.component, e.row, followed) for e in effects[name])
            start = columns[name].astype(np.float64)
            span = slice(stop, stop := stop + (1 if how.shared else p.size))
            out.append(Constant(p, name, how, info[name].learned == "log", start, products, followed, span))
    return tuple(out)


def _product(p: Population, component: int, row: str | None, kept: tuple[int, ...]) -> Product:
    at = component if component == DISTANCE else kept.index(component)
    if row is None:
        return p.index, at, None
    return p.index, at, OUTPUTS if p.model.role == "readout" else p.model.state_rows.index(row)  # type: ignore[attr-defined]


def products_of(constants: Iterable[Constant]) -> list[Product]:
    """Different products of some constants, in order."""
    return list(dict.fromkeys(product for constant in constants for product in constant.products))


def _of_neurons(constants: Iterable[Constant]) -> set[int]:
    """Populations of neurons with constants that learn."""
    return {c.population.index for c in constants if c.population.model.role == "neuron"}


def kept_rows_of(constants: tuple[Constant, ...]) -> list[int]:
    """Rows of the state of neurons that the products read."""
    read, neurons = [product for product in products_of(constants) if product[2] is not None], _of_neurons(constants)
    rows = {row for index, _, row in read if index in neurons and row is not None}
    return sorted(rows or ({0} if read else ()))  # readouts alone need a slot for their outputs


def product_tables(constants: tuple[Constant, ...]) -> dict[str, np.ndarray]:
    """What the core needs to find gradients and move constants, see `Topology`; empty without constants that learn."""
    products, of_neurons, rows = products_of(constants), _of_neurons(constants), kept_rows_of(constants)
    slots = {row: slot for slot, row in enumerate(rows)}
    table = np.zeros(len(products), PRODUCT)
    for record, (index, component, row) in zip(table, products, strict=True):
        slot = -1 if row is None else slots[row] if index in of_neurons else OUTPUTS
        record["population"], record["component"], record["slot"] = index, component, slot
    return {"products": table, "kept_rows": np.array(rows, np.int64)} | _learned_tables(constants)


def _learned_tables(constants: tuple[Constant, ...]) -> dict[str, np.ndarray]:
    """The table of constants, and which product each of their effects reads."""
    numbers = {product: row for row, product in enumerate(products_of(constants))}
    table, effects = np.zeros(len(constants), LEARNED), list[int]()
    for record, c in zip(table, constants, strict=True):
        how, bounds = c.learned, np.array([c.learned.low, c.learned.high])
        record["population"], record["first"], record["size"] = (
            c.population.index,
            c.span.start,
            c.span.stop - c.span.start,
        )
        record["first_effect"] = len(effects)
        effects += [numbers[product] for product in c.products]
        record["stop_effect"], record["descent"], record["eta"] = len(effects), how.descent, how.eta
        record["low"], record["high"] = np.log(bounds) if c.by_log else bounds
    return {"constants": table, "effect_products": np.array(effects, np.int64)}
