"""Neurons and readouts: models with plain numbers for each node, arrays of parameters and initial states, classes of readouts."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from eprop import random
from eprop.engine.build.records import READOUT, Sharing
from eprop.engine.ranks.partition import RankPartition
from eprop.errors import NetworkError, ParameterError
from eprop.models import Learned, Neuron, Readout
from eprop.models.base import has_eligibility
from eprop.models.learned import learned_of
from eprop.models.membrane import Membrane
from eprop.network import Distribution, Network, Population
from eprop.parameters import Description, ParameterInfo, Values, in_package, parameters_of, varies

if TYPE_CHECKING:
    from eprop.engine.build.eligibility import Components
    from eprop.engine.simulator import Simulator


def neurons_of(network: Network, population: Population, values: Mapping[str, np.ndarray] | None = None) -> list[Any]:
    """The model of each neuron or readout, or a list with one model if all are alike.

    A drawn parameter depends only on (the network's seed, population, parameter, neuron). Constants that learn have their first
    values, or those of ``values`` (size,), such as `Simulator.parameters`.

    Raises
    ------
    NetworkError
        If a drawn value violates a bound of its parameter, or values do not fit together.
    """
    if not varies(population.model):
        return [population.model]
    given = values or {}
    columns = {name: given.get(name, column) for name, column in columns_of(network, population).items()}
    if _valid_together(population.model, columns):
        named = {name: column.tolist() for name, column in columns.items()}
        return [
            with_columns(population.model, dict(zip(named, row, strict=True)))
            for row in zip(*named.values(), strict=True)
        ]
    found = []
    for j in range(population.size):
        try:
            found.append(_neuron(population.model, columns, j))
        except ParameterError as error:
            raise NetworkError(f"{population.name}, {population.model.role} {j}: {error}") from None
    return found


def present_neurons(simulator: Simulator, population: Population) -> list[Any]:
    """As `neurons_of`, with the present values of constants that learn."""
    return neurons_of(simulator.network, population, simulator.parameters(population))


def columns_of(network: Network, population: Population) -> dict[str, Any]:
    """Values of the parameters that vary, ``(size,)`` each; those of a part as a nested dictionary."""
    return _columns(population.model, population.size, random.derive(network.seed, random.PARAMETER, population.index))


def with_columns(description: Any, columns: dict[str, Any]) -> Any:
    """Return an unchecked copy with other values of parameters, such as arrays with a value for each node."""
    made = object.__new__(type(description))
    vars(made).update(vars(description) | columns)
    for name, column in columns.items():
        if isinstance(column, dict):
            vars(made)[name] = with_columns(getattr(description, name), column)
    return made


def parameters_of_neurons(network: Network, population: Population) -> dict[str, np.ndarray]:
    """Values of all numeric parameters, ``(size,)`` each; parameters of a part are called ``part.parameter``."""
    numbers = _numbers_of(population.model, columns_of(network, population))
    return {name: np.broadcast_to(values, population.size).astype(np.float64) for name, values in numbers.items()}


def values_of(description: Description, size: int, seed: int, name: str) -> dict[str, np.ndarray]:
    """Values of all numeric parameters of a description for each of ``size`` nodes, (size,) each.

    Raises
    ------
    NetworkError
        If a drawn value violates a bound of its parameter.
    """
    columns = _columns(description, size, seed)
    for parameter, column in columns.items():
        for value in (column.min(), column.max()):
            try:
                description.replace(**{parameter: float(value)})
            except ParameterError as error:
                raise NetworkError(f"{name}: {error}") from None
    numbers = {field.name: getattr(description, field.name) for field in dataclasses.fields(description)}
    plain = {n: np.full(size, value) for n, value in numbers.items() if isinstance(value, float)}
    return plain | columns


def _numbers_of(description: Description, columns: dict[str, Any]) -> dict[str, Any]:
    """Numeric parameters of a description, and of its parts; ``columns`` has those that vary."""
    out: dict[str, Any] = {}
    for field in dataclasses.fields(description):
        value, column = getattr(description, field.name), columns.get(field.name)
        if isinstance(column, np.ndarray):
            out[field.name] = column
        elif isinstance(value, Description):
            part = _numbers_of(value, column or {})
            out |= {f"{field.name}.{name}": numbers for name, numbers in part.items()}
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            out[field.name] = value
    return out


def _columns(description: Description, size: int, seed: int) -> dict[str, Any]:
    """Values of the parameters that vary, each ``(size,)``; nested descriptions give a nested dictionary."""
    out: dict[str, Any] = {}
    for k, field in enumerate(dataclasses.fields(description)):
        value: Any = getattr(description, field.name)
        own = random.derive(seed, k)
        if isinstance(value, Learned):
            value = value.start
            if isinstance(value, float):
                out[field.name] = np.full(size, value)
        if isinstance(value, Values):
            out[field.name] = np.array(value.values)
        elif isinstance(value, Distribution):
            each = np.arange(size + 1)
            out[field.name] = value.drawn(field.name, 0, size, each, (1.0, 1.0), random.derive(own, random.WEIGHT))
        elif isinstance(value, Description) and varies(value):
            out[field.name] = _columns(value, size, own)
    return out


def _neuron(description: Any, columns: dict[str, Any], j: int) -> Any:
    changes = {}
    for name, column in columns.items():
        nested = isinstance(column, dict)
        changes[name] = _neuron(getattr(description, name), column, j) if nested else float(column[j])
    kind: Any = type(description)
    if kind.__post_init__ is not Description.__post_init__:
        return description.replace(**changes)
    # What `replace` does, but only changed parameters are checked: a large population has many neurons.
    declared = _declared(kind)
    for name, value in changes.items():
        changes[name] = declared[name].check(kind.__name__, name, value) if name in declared else value
    made = with_columns(description, changes)
    made.validate()
    return made


def _valid_together(model: Any, columns: dict[str, Any]) -> bool:
    """Whether one check of arrays finds all neurons valid; otherwise each neuron is checked, to name it.

    Only for built-in neurons: their checks take arrays. A network of a cortex has 77,000 neurons, and each check takes 50 us.
    """
    kind: Any = type(model)
    declared = _declared(kind)
    if not (isinstance(model, Membrane) and in_package(kind)) or not all(name in declared for name in columns):
        return False
    if any(isinstance(column, dict) or declared[name].kind is not float for name, column in columns.items()):
        return False
    try:
        for name, column in columns.items():
            for value in (column.min(), column.max()):
                declared[name].check(kind.__name__, name, float(value))
        with_columns(model, columns).validate()
    except ParameterError:
        return False
    return True


@functools.cache
def _declared(kind: type) -> dict[str, ParameterInfo]:
    return dict(parameters_of(kind))


def neuron_arrays(
    network: Network, neurons: dict[int, list[Any]], ranks: RankPartition
) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[int, Sharing]]:
    """``(params, initial, leak, sharing)`` of a rank's ``n`` own neurons.

    Parameters are (parameter rows, n), initial states (state rows, n), leak potentials (n,); ``sharing`` has an entry for each
    population with own neurons, by its index.
    """
    n = ranks.n_neurons
    populations = [p for p in network.populations if isinstance(p.model, Neuron)]
    params, initial, leak = np.zeros((n_parameter_rows(network), n)), np.zeros((n_state_rows(network), n)), np.zeros(n)
    sharing: dict[int, Sharing] = {}
    first_target = 0
    for p in populations:
        first, stop = ranks.own(p)
        if first == stop:
            continue
        span, own = slice(first_target, first_target + stop - first), neurons[p.index]
        own = own if len(own) == 1 else own[first:stop]
        others = own[:1] if _differ_at_start(p.model) else own
        derived = [neuron.derived(network.dt) for neuron in others]
        for row, name in enumerate(own[0].parameter_rows):
            params[row, span] = [values[name] for values in derived]
        seed = random.derive(network.seed, random.PHASE, p.index)
        for name, values in _initial_values(own, network.dt, range(first, stop), seed).items():
            initial[own[0].state_rows.index(name), span] = values
        sharing[p.index] = Sharing.each
        alike = (params[:, span] == params[:, span.start, None]).all() and not learned_of(p.model)
        if alike and _same_eligibility(others, network.dt):
            sharing[p.index] = Sharing.shortcut if _takes_shortcut(own[0], params[:, span]) else Sharing.same
        leak[span] = [getattr(neuron, "e_l", 0.0) for neuron in own]
        first_target += stop - first
    return params, initial, leak, sharing


def row_of(model: Any, name: str | None) -> int:
    """Row of the state of that name, or -1."""
    return model.state_rows.index(name) if isinstance(model, Neuron) and name in model.state_rows else -1


def n_state_rows(network: Network) -> int:
    """Rows of the state of all neurons."""
    return max((len(p.model.state_rows) for p in network.populations if isinstance(p.model, Neuron)), default=1)


def n_parameter_rows(network: Network) -> int:
    """Rows of the parameters of all neurons."""
    return max((len(p.model.parameter_rows) for p in network.populations if isinstance(p.model, Neuron)), default=1)


def n_receptors(network: Network) -> int:
    """Rows of the inputs of all neurons: a second one if some have an inhibitory receptor."""
    return 2 if any(getattr(p.model, "inhibitory_row", None) is not None for p in network.populations) else 1


def _same_eligibility(neurons: list[Any], dt: float) -> bool:
    """Whether all neurons learn with the same constants, which may depend on parameters that `update` does not read."""
    if not has_eligibility(neurons[0]):
        return True
    found = [[np.asarray(part).tolist() for part in dataclasses.astuple(m.eligibility(dt))] for m in neurons]
    return all(each == found[0] for each in found)


def _takes_shortcut(model: Neuron, params: np.ndarray) -> bool:
    """Whether all parameters that the shortcut of a built-in model requires to be zero are zero, if it has a shortcut."""
    if not model.shortcut or not in_package(type(model)):
        return False
    return not params[[model.parameter_rows.index(name) for name in model.shortcut]].any()


def differing(population: Population, models: dict[int, list[Any]]) -> list[Any]:
    """The neurons of a population, or one of them if they differ at the start only."""
    neurons = models[population.index]
    return neurons[:1] if _differ_at_start(population.model) else neurons


def _differ_at_start(model: Any) -> bool:
    """Whether the neurons of a built-in model differ in their initial voltage only."""
    return isinstance(model, Membrane) and in_package(type(model)) and not varies(model, but="v_init")


def _initial_values(neurons: list[Any], dt: float, nodes: range, seed: int) -> dict[str, Any]:
    """Initial values of the rows of state that do not start at 0, for some neurons of a population."""
    rows, one = neurons[0].state_rows, range(1)
    if len(neurons) == 1:
        found = neurons[0].initial(dt, nodes, seed)
        return {name: found[name] for name in rows if name in found}
    each = [m.initial(dt, one, random.derive(seed, j)) for j, m in zip(nodes, neurons, strict=True)]
    named = {name for found in each for name in found}
    return {name: [np.ravel(found.get(name, 0.0))[0] for found in each] for name in rows if name in named}


@dataclass
class ReadoutClasses:
    """Readouts of one population, sorted by their spike filter.

    Attributes
    ----------
    of_readout : (size,) class of each readout
    decay, scale : (classes,) their ``alpha_o`` and ``zeta``
    """

    of_readout: np.ndarray
    decay: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, readouts: list[Readout], size: int, dt: float) -> ReadoutClasses:
        """Classes of a population's readouts; one class if all are alike."""
        pairs = np.array([(m.membrane_decay(dt), m.input_scale(dt)) for m in readouts])
        distinct, of_readout = np.unique(pairs, axis=0, return_inverse=True)
        return cls(np.broadcast_to(of_readout.ravel(), size), distinct[:, 0], distinct[:, 1])

    @property
    def filters(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """For each class, as for neurons: the decay (1, 1) and the increase at a spike (1,)."""
        return [(np.array([[d]]), np.array([s])) for d, s in zip(self.decay, self.scale, strict=True)]


@dataclass(frozen=True)
class Nodes:
    """All populations before their connections are drawn; dictionaries have the index of a population as key.

    Attributes
    ----------
    network : Network
    ranks : RankPartition
    models : dict of list
        Models of the nodes, one if all are alike.
    classes : dict of ReadoutClasses
    components : dict of Components
    left : dict of float
        `eprop.engine.build.eligibility.least_left` of neurons.
    """

    network: Network
    ranks: RankPartition
    models: dict[int, list[Any]]
    classes: dict[int, ReadoutClasses]
    components: dict[int, Components]
    left: dict[int, float]

    def sent_decays(self, post: Population) -> list[float]:
        """Decays of the readouts that send errors to a population, or of the first ones: for rules without ``kappa``."""
        senders = [f.pre.index for f in self.network.feedback_projections if f.post is post]
        return [float(decay) for index in senders or list(self.classes)[:1] for decay in self.classes[index].decay]


def readout_table(nodes: Nodes, trace_groups: np.ndarray) -> np.ndarray:
    """Constants of all readouts (readouts,), voltages relative to the leak potential.

    ``trace_groups`` (populations,) has the first trace group of each population.
    """
    network = nodes.network
    populations_of_readouts = [p for p in network.populations if isinstance(p.model, Readout)]
    table = np.zeros(sum(p.size for p in populations_of_readouts), READOUT)
    first, dt = 0, network.dt
    for p in populations_of_readouts:
        part, own = table[first : first + p.size], nodes.models[p.index]
        alpha = np.array([m.membrane_decay(dt) for m in own])
        part["alpha"] = alpha
        part["zeta"] = [m.input_scale(dt) for m in own]
        part["drive"] = (1.0 - alpha) * [m.tau_m / m.c_m * m.i_e for m in own]
        part["y_min"] = [m.v_min - m.e_l for m in own]
        part["y_start"] = [0.0 if m.v_init is None else m.v_init - m.e_l for m in own]
        part["trace_group"] = trace_groups[p.index] + nodes.classes[p.index].of_readout
        part["leak"] = [m.e_l for m in own]
        first += p.size
    return table
