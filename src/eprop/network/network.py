"""A network as a description: populations, projections and feedback. This module makes no arrays."""

from __future__ import annotations

import dataclasses
import itertools
import math
import numbers
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import scipy.sparse
from numpy.typing import ArrayLike

from eprop import random
from eprop.errors import NetworkError
from eprop.markup import table
from eprop.models import EventSource, Model, Neuron, PoissonSource, Readout
from eprop.network.connectivity import AllToAll, ConnectionRule, Explicit
from eprop.network.distributions import CONNECTIONS, DELAYS, Array, Constant, Distribution, as_distribution
from eprop.network.drives import Current, Drive, GaussianNoise, PoissonDrive
from eprop.network.feedback import Adaptive, Feedback, RandomFeedback, Symmetric
from eprop.network.parts import FeedbackProjection, Population, Projection, Stimulation
from eprop.network.positions import Positions
from eprop.network.precision import FixedPoint
from eprop.network.receptors import receptor_of
from eprop.network.rewiring import Rewiring, is_silent, silent_of
from eprop.network.signs import signs_of_nodes
from eprop.network.support import check_projection
from eprop.parameters import (
    Description,
    FixedProperties,
    Values,
    brief,
    instead_of,
    is_finite_number,
    is_multiple,
    short,
)
from eprop.rules import EProp, Rule, Static

_Part = TypeVar("_Part", Population, Projection)

#: Weights or delays of connections; None takes the default.
OfConnections = float | Distribution | Array | npt.ArrayLike | None
# Ring buffers hold the spikes in flight, and are as long as the longest delay.
LONGEST_DELAY = 1_000_000


class Network(FixedProperties):
    """Collects populations, projections and feedback; `eprop.Simulator` builds and runs the network.

    Parameters
    ----------
    dt : float
        Time step, ms.
    seed : int
        Seed of every draw: connections, weights, Poisson spikes.

    Raises
    ------
    NetworkError
        If ``dt`` is not a finite number > 0, or ``seed`` is not a whole number in 0..2^63-1.
    """

    def __init__(self, dt: float = 1.0, seed: int = 0):
        self._dt = _positive("Network.dt", dt, "ms")
        self._seed = _checked_seed(seed)
        self._populations: list[Population] = []
        self._projections: list[Projection] = []
        self._feedback: list[FeedbackProjection] = []
        self._stimulations: list[Stimulation] = []

    @property
    def dt(self) -> float:
        """Time step, ms; fixed, because delays and refractory times are checked against it."""
        return self._dt

    @property
    def seed(self) -> int:
        """Seed of every draw."""
        return self._seed

    @property
    def populations(self) -> tuple[Population, ...]:
        """All populations, in the order of `add`."""
        return tuple(self._populations)

    @property
    def projections(self) -> tuple[Projection, ...]:
        """All projections, in the order of `connect`."""
        return tuple(self._projections)

    @property
    def feedback_projections(self) -> tuple[FeedbackProjection, ...]:
        """All feedback projections, in the order of `feedback`."""
        return tuple(self._feedback)

    @property
    def stimulations(self) -> tuple[Stimulation, ...]:
        """All stimulations, in the order of `stimulate`."""
        return tuple(self._stimulations)

    def add(
        self, model: Model, size: int, name: str | None = None, *, positions: Positions | ArrayLike | None = None,
        excitatory: float | npt.NDArray[np.bool_] | Sequence[bool] | None = None, dropout: float = 0.0,
    ) -> Population:  # fmt: skip
        """Add nodes of one model.

        Parameters
        ----------
        model : Model
            A model such as ``LIF()``; a parameter that is a list has a value for each node.
        size : int
            Number of nodes, 1 to 2^31-1.
        name : str, optional
            Unique, without ``"/"``. The default is the model's name in lower case and the number of populations so far,
            such as ``"lif0"``.
        positions : Positions or array (size, 1 to 3 dimensions), optional
            Points of the nodes, for `DistanceDependent` connections and values `ByPair`.
        excitatory : float or array of bool (size,), optional
            Share of excitatory nodes, for ``connect(..., sign="source")``: 1 or True for all, 0 or False for none. Of a share
            between, the nodes are drawn; their number is rounded. Or which nodes are excitatory. `Population.signs` has the
            result.
        dropout : float
            Fraction of the spikes of neurons that are lost while the network learns: in `Simulator.train`, `Lanes.forward` and
            runs that learn. A lost spike resets its neuron, and reaches no other node, learning rule or result. A draw depends on
            (seed, population, neuron, step) only.

        Returns
        -------
        Population
            The new population, an argument of `connect` and `feedback`.

        Raises
        ------
        NetworkError
            If ``model`` is no model, ``size`` or ``name`` is invalid, the name is taken, a list of parameters does not
            have ``size`` values, ``excitatory`` is no share, ``dropout`` is not in [0, 1) or given for other nodes than neurons,
            or a single readout has `CrossEntropy`.
        """
        if not isinstance(model, Model):
            raise NetworkError(f"Network.add needs a model such as LIF(){instead_of(model)}")
        if not isinstance(model, (Neuron, Readout, EventSource, PoissonSource)):
            raise NetworkError(
                f"Network.add: {type(model).__name__} must derive from Neuron, Readout, EventSource or PoissonSource, see "
                "docs/howto/extending.md"
            )
        if isinstance(size, bool) or not isinstance(size, numbers.Integral) or not 1 <= size < 2**31:
            raise NetworkError(f"Network.add: size must be a whole number from 1 to 2^31-1, got {size!r}")
        default = f"{type(model).__name__.lower()}{len(self._populations)}"
        name = _new_name("add", default if name is None else name, self._populations, self._projections)
        _check_sizes(name, model, int(size))
        if isinstance(model, Readout) and model.loss.softmax and size == 1:
            raise NetworkError(
                "Network.add: the softmax over one readout is always 1; CrossEntropy() needs a readout for each class, "
                "at least two"
            )
        if positions is not None and not isinstance(positions, Positions):
            positions = Positions(positions)
        if positions is not None and len(positions) != size:
            raise NetworkError(f"Network.add: {len(positions)} positions for {size} nodes of {name!r}")
        signs = self._signs(name, model, int(size), excitatory)
        share = _dropout(name, model, dropout)
        population = Population(name, model, int(size), len(self._populations), positions, signs, share)
        self._populations.append(population)
        return population

    def connect(
        self,
        pre: Population | str,
        post: Population | str,
        connectivity: ConnectionRule | None = None,
        *,
        weight: OfConnections = None,
        rule: Rule | None = None,
        delay: OfConnections = None,
        name: str | None = None,
        receptor: str | None = None,
        sign: str | None = None,
        rewiring: Rewiring | None = None,
        precision: FixedPoint | None = None,
    ) -> Projection:
        """Connect two populations.

        Parameters
        ----------
        pre : Population or str
            Neurons or sources, or their name.
        post : Population or str
            Neurons or readouts; may be ``pre``.
        connectivity : ConnectionRule, optional
            Which source reaches which target. The default is all-to-all.
        weight : float, Distribution or array, optional
            mV, or pA onto neurons with a current. A number for all connections, a distribution, or an array of shape
            ``(n_post, n_pre)``, of which the entries with a connection are used. For an `Explicit` rule also a list with a value
            for each connection, in the order of the connections. The default is 1; an `Explicit` matrix has its own weights.
        rule : Rule, optional
            Plasticity. The default is static.
        delay : float, Distribution or array, optional
            ms, at least one step (the default). A number is a multiple of ``dt``; an array has the shapes of ``weight``, and
            its values are multiples of ``dt``. Drawn delays must not be negative; the engine rounds them to the nearest
            step, at least one. The longest delay is a million steps.
        name : str, optional
            Unique, without ``"/"``. The default is ``"pre->post"`` with the names of the populations.
        receptor : str, optional
            ``"excitatory"`` or ``"inhibitory"``, onto neurons with a time constant for each (`CurrentLIF` with ``tau_syn_in``).
            The default is by the sign of the weights, which must all have one sign: given values, or the ends of a
            distribution. The receptor stays if learning or `Simulator.set_weights` changes the sign of a weight.
        sign : str, optional
            ``"source"``, Dale's law: weights have the sign of their source, which `add` got by ``excitatory``. Numbers and
            distributions give the absolute values; given arrays must have the signs. ``"fixed"``: each synapse keeps the sign
            of its initial weight; a zero is excitatory, but -0.0 and the zeros of a projection without positive weights are
            inhibitory. Every update clips weights at 0, and at the bounds of ``rule``.
        rewiring : Rewiring, optional
            Synapses move while the network learns. The default is that they stay.
        precision : FixedPoint, optional
            Weights of few bits, at all times: initial weights and those of `Simulator.set_weights` are rounded to the nearest
            level, and every update of ``rule`` as the format says. The default is the precision of the simulator.

        Returns
        -------
        Projection

        Raises
        ------
        NetworkError
            If a population belongs to another network, ``pre`` is a readout, ``post`` is a source, the connections are
            impossible, weights or delays do not fit the connections, weights exceed the bounds of ``rule`` or contradict
            ``sign``, the name is taken, the receptor is unknown, missing, or one of neurons with one receptor, ``rule`` cannot
            learn with weights of few bits or its bounds are between two levels, or synapses of this rule and these connections
            cannot move.
        ParameterError
            If ``weight`` is a number that is not finite.
        """
        pre, post = self._own("connect", pre, post)
        connectivity = AllToAll() if connectivity is None else connectivity
        rule = Static() if rule is None else rule
        if not isinstance(connectivity, ConnectionRule):
            wanted = f"a connection rule{instead_of(connectivity, ConnectionRule)}"
            raise NetworkError(f"Network.connect needs {wanted}{_meant_as_weight(connectivity)}")
        if not isinstance(rule, Rule):
            raise NetworkError(f"Network.connect needs a plasticity rule{instead_of(rule, Rule)}")
        if pre.model.role == "readout":
            raise NetworkError(f"{pre.name!r} is a readout and emits no spikes; to send its error back, use feedback()")
        if post.model.role == "source":
            raise NetworkError(f"{post.name!r} is a source and takes no connections")
        connectivity.check(pre.size, post.size, pre is post)
        default = f"{pre.name}->{post.name}"
        name = _new_name("connect", default if name is None else name, self._populations, self._projections)
        connectivity = connectivity.between(name, pre.positions, post.positions)
        delay = self._delays(name, connectivity, delay, pre, post)
        weights = _weights(weight, connectivity, pre, post)
        receptor = receptor_of(name, receptor, weights, (pre, post), sign)
        projection = Projection(
            name, pre, post, connectivity, weights, rule, delay, len(self._projections), receptor, sign, rewiring, precision,
        )  # fmt: skip
        check_projection(projection)
        self._projections.append(projection)
        return projection

    def connect_groups(
        self,
        pre: Sequence[Population | str],
        post: Sequence[Population | str],
        connectivity: Any = None,
        *,
        weight: Any = None,
        rule: Any = None,
        delay: Any = None,
        receptor: Any = None,
        sign: Any = None,
        rewiring: Any = None,
        precision: Any = None,
    ) -> list[Projection]:
        """Connect each population of a group to each population of another.

        Parameters
        ----------
        pre, post : sequences of Population or str
            Sources and targets.
        connectivity, weight, rule, delay, receptor, sign, rewiring, precision
            As in `connect`, for all pairs. Or arrays that can be broadcast to the shape ``(targets, sources)``, with an entry
            for each pair: numbers, or descriptions such as ``FixedTotalNumber.each(numbers)`` and ``Normal.each(means, sds)``.

        Returns
        -------
        list of Projection
            By target, then source. An entry None of ``connectivity``, or one without connections, makes no projection.

        Raises
        ------
        NetworkError
            If an array has another shape, or for a reason of `connect`.

        Examples
        --------
        >>> from eprop import LIF, Bernoulli, Constant
        >>> net = Network()
        >>> cells = [net.add(LIF(), size, name) for name, size in (("e", 80), ("i", 20))]
        >>> p = [[0.1, 0.2], [0.3, 0.2]]  # from e and i; onto e, onto i
        >>> len(net.connect_groups(cells, cells, Bernoulli.each(p), weight=Constant.each([0.5, -2.0])))
        4
        """
        shape, tables = (len(post), len(pre)), dict[str, Any]()
        given = {
            "connectivity": connectivity, "weight": weight, "rule": rule, "delay": delay, "receptor": receptor, "sign": sign,
            "rewiring": rewiring, "precision": precision,
        }  # fmt: skip
        for what, value in given.items():
            table = np.asarray(value, object)
            try:
                tables[what] = np.broadcast_to(table, shape)
            except ValueError:
                raise NetworkError(
                    f"Network.connect_groups: {what} needs shape {shape} = (targets, sources), got {table.shape}"
                ) from None
        return [
            self.connect(pre[j], post[i], **{what: table[i, j] for what, table in tables.items()})
            for i, j in np.ndindex(shape)
            if np.ndim(connectivity) == 0 or not _connects_nothing(tables["connectivity"][i, j])
        ]

    def stimulate(self, population: Population | str, drive: Drive, name: str | None = None) -> Stimulation:
        """Let a background, noise or a current act on neurons.

        Parameters
        ----------
        population : Population or str
            Neurons.
        drive : Drive
            `PoissonDrive`, `GaussianNoise` or `Current`. Draws depend on the neuron, the stimulus and the step only.
        name : str, optional
            Unique among stimulations. The default is ``"drive0"``, ``"drive1"``, ...

        Returns
        -------
        Stimulation

        Raises
        ------
        NetworkError
            If the population belongs to another network or has no neurons, ``drive`` is no drive, a list of its values does not
            fit the population, or the name is taken.

        Examples
        --------
        >>> from eprop import LIF, PoissonDrive
        >>> net = Network(dt=0.1)
        >>> net.stimulate(net.add(LIF(), 100, "cells"), PoissonDrive(rate=8000.0, weight=0.05))
        Stimulation('drive0': PoissonDrive(rate=8000, weight=0.05) onto 'cells')
        """
        (population,) = self._own("stimulate", population)
        if not isinstance(drive, (PoissonDrive, GaussianNoise, Current)):
            raise NetworkError(f"Network.stimulate needs a drive{instead_of(drive, Drive)}")
        if population.model.role != "neuron":
            kind = type(population.model).__name__
            raise NetworkError(f"Network.stimulate acts on neurons, but {population.name!r} is a {kind}")
        default = f"drive{len(self._stimulations)}"
        name = _new_name("stimulate", default if name is None else name, self._stimulations)
        _check_sizes(name, drive, population.size)
        made = Stimulation(name, population, drive, len(self._stimulations))
        self._stimulations.append(made)
        return made

    def feedback(
        self,
        pre: Population | str,
        post: Population | str,
        kind: Feedback | None = None,
        *,
        delay: OfConnections = None,
    ) -> FeedbackProjection:
        """Send the errors of readouts as learning signals to neurons.

        Parameters
        ----------
        pre : Population or str
            Readouts, or their name.
        post : Population or str
            Neurons.
        kind : Feedback, optional
            `Symmetric` (the default), `RandomFeedback` or `Adaptive`. `Symmetric` and `Adaptive` follow the weights
            of a projection from ``post`` to ``pre``; connect this projection first.
        delay : float, Distribution or array, optional
            ms. A number, a distribution or an array ``(n_post, n_pre)``, as in `connect`. The default is one step. With
            `EPropPlus` a delayed error meets a later eligibility. With `EProp` delays of errors have no effect.

        Returns
        -------
        FeedbackProjection

        Raises
        ------
        NetworkError
            If a population belongs to another network, ``pre`` is no readout population, ``post`` is no neuron population,
            feedback between them exists already, the projection to follow is missing, or weights, connections or delays do
            not fit.
        """
        pre, post = self._own("feedback", pre, post)
        kind = Symmetric() if kind is None else kind
        if not isinstance(kind, (Symmetric, RandomFeedback)):
            raise NetworkError(f"Network.feedback needs a kind of feedback{instead_of(kind, Feedback)}")
        if not isinstance(pre.model, Readout):
            raise NetworkError(f"feedback starts at a readout, but {pre.name!r} is a {type(pre.model).__name__}")
        if post.model.role != "neuron":
            raise NetworkError(f"feedback ends at neurons, but {post.name!r} is a {type(post.model).__name__}")
        if any(f.pre is pre and f.post is post for f in self._feedback):
            raise NetworkError(f"feedback from {pre.name!r} to {post.name!r} exists already")
        followed = any(p.pre is post and p.post is pre for p in self._projections)
        if isinstance(kind, (Symmetric, Adaptive)) and not followed:
            raise NetworkError(
                f"{type(kind).__name__} feedback needs a projection {post.name}->{pre.name}; connect it first"
            )
        if isinstance(kind, RandomFeedback):
            kind.connectivity.check(pre.size, post.size, False)
            if isinstance(kind.weight, Array) and kind.weight.values.shape != (post.size, pre.size):
                raise NetworkError(
                    f"{type(kind).__name__}.weight must have shape ({post.size}, {pre.size}) = (neurons, readouts), "
                    f"got {kind.weight.values.shape}"
                )
        delay = self._delays(f"feedback {pre.name}->{post.name}", AllToAll(), delay, pre, post)
        made = FeedbackProjection(pre, post, kind, delay, len(self._feedback))
        self._feedback.append(made)
        return made

    def population(self, name: Population | str) -> Population:
        """Return the population of this name.

        Parameters
        ----------
        name : Population or str
            Name; a population of this network is returned unchanged.

        Returns
        -------
        Population

        Raises
        ------
        NetworkError
            If there is no such population (the message lists all names), or the population belongs to another network.
        """
        return _found("population", name, Population, self._populations)

    def projection(self, name: Projection | str) -> Projection:
        """Return the projection of this name.

        Parameters
        ----------
        name : Projection or str
            Name such as ``"in->rec"``, or the result of `connect`.

        Returns
        -------
        Projection

        Raises
        ------
        NetworkError
            If there is no such projection (the message lists all names), or the projection belongs to another network.
        """
        return _found("projection", name, Projection, [p for p in self._projections if not is_silent(p)])

    def __repr__(self) -> str:
        lines = [f"Network(dt={self.dt:g} ms, seed={self.seed})"]
        lines += [f"  {p.name}: {p.size} x {p.model_text}" for p in self._populations]
        lines += [f"  {p.name}: {p.text}" for p in self._projections]
        lines += [f"  {s.name}: {short(s.drive)} onto {s.population.name}" for s in self._stimulations]
        lines += [f"  {f.name}: {f.text}" for f in self._feedback]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Tables of populations, projections and feedback, for notebooks; few columns, to be read on a narrow page."""
        populations = [(p.name, p.size, p.model_text) for p in self._populations]
        tables = (
            ("projection", "connections, weight, rule, delay", [(p.name, p.text) for p in self._projections]),
            ("stimulation of", "drive", [(s.population.name, short(s.drive)) for s in self._stimulations]),
            ("feedback", "weights, delay", [(f"{f.pre.name}->{f.post.name}", f.text) for f in self._feedback]),
        )
        title = f"Network, dt = {self.dt:g} ms, seed {self.seed}"
        nodes = table(title, populations, ("population", "nodes", "model"))
        return nodes + "".join(table("", rows, columns) for *columns, rows in tables if rows)

    def _own(self, call: str, *given: Population | str) -> tuple[Population, ...]:
        """Populations of this network, from populations or names."""
        for one in given:
            if not isinstance(one, (Population, str)):
                raise NetworkError(f"Network.{call} needs populations made by add(), got {brief(one)}")
        return tuple(self.population(one) for one in given)

    def copy(self) -> Network:
        """Return a network with the same parts; parts added to one network later do not appear in the other."""
        made = Network(dt=self.dt, seed=self.seed)
        made._populations, made._projections = list(self._populations), list(self._projections)
        made._feedback, made._stimulations = list(self._feedback), list(self._stimulations)
        return made

    def __deepcopy__(self, memo: object) -> Network:
        """Return a `copy`: parts never change, so that both networks can share them."""
        return self.copy()

    def with_seed(self, seed: int) -> Network:
        """Return the same network with another seed: connections, weights and spikes of Poisson sources are drawn anew.

        Raises
        ------
        NetworkError
            If ``seed`` is not valid, or `add` has already drawn which nodes of a population excite.
        """
        drawn = [p.name for p in self._populations if p.signs is not None and np.ptp(p.signs) > 0]
        if drawn and seed != self.seed:
            raise NetworkError(
                f"Network.with_seed: add() has drawn which nodes of {drawn[0]!r} excite, from the seed {self.seed}; make the "
                f"network with Network(seed={seed})"
            )
        made = self.copy()
        made._seed = _checked_seed(seed)
        return made

    def with_rules(self, change: Callable[[Projection], Rule]) -> Network:
        """Return a network with the same populations, connections and feedback, but other rules.

        Parameters
        ----------
        change : callable
            Receives each projection and returns its rule; ``lambda projection: ep.Static()`` freezes all weights.

        Returns
        -------
        Network
            Draws the same connections and weights. Synapses move only where the new rule is `EProp`, or
            of the same class as before.

        Raises
        ------
        NetworkError
            If ``change`` does not return a `Rule`, or known weights or signs do not fit the new rule.
        """
        return self._with_projections([_with_rule(p, change(p)) for p in self._projections])

    def with_precision(self, precision: FixedPoint | None) -> Network:
        """Return the same network with weights of few bits in all projections, or with ``None`` those of the simulator.

        Raises
        ------
        NetworkError
            If ``precision`` is no `FixedPoint`, or the rule of a projection cannot learn with it.

        Examples
        --------
        >>> sim = ep.Simulator(net.with_precision(ep.FixedPoint(bits=8)))
        """
        return self._with_projections([dataclasses.replace(p, precision=precision) for p in self._projections])

    def _with_projections(self, projections: list[Projection]) -> Network:
        """A copy with other projections between the same populations, which are checked."""
        made = self.copy()
        made._projections = projections
        for p in projections:
            check_projection(p)
        return made

    def has_parts_of(self, other: Network) -> bool:
        """Whether both networks consist of the same objects, as a network and its `copy` do."""
        own, others = ([*n._populations, *n._projections, *n._feedback, *n._stimulations] for n in (self, other))
        same = len(own) == len(others) and all(a is b for a, b in zip(own, others, strict=True))
        return same and (self.dt, self.seed) == (other.dt, other.seed)

    def _signs(self, name: str, model: Model, size: int, excitatory: object) -> npt.NDArray[np.int8] | None:
        """Signs of the nodes of the next population, if it has some."""
        if excitatory is None:
            return None
        if isinstance(model, Readout):
            raise NetworkError(f"Network.add: {name!r} is a readout and emits no spikes; leave out excitatory")
        return signs_of_nodes(name, excitatory, size, random.derive(self.seed, random.SHUFFLE, len(self._populations)))

    def _delays(
        self, name: str, rule: ConnectionRule, delay: object, pre: Population, post: Population
    ) -> float | Distribution | Array:
        """Check delays; the build checks the drawn ones."""
        try:
            known = (Distribution, Array, np.ndarray, list, tuple, type)
            if not isinstance(delay, known) and not scipy.sparse.issparse(delay):
                return self.dt if delay is None else self._delay(delay)
            delays = _of_connections("delay", delay, rule, pre, post)
            if isinstance(delays, Constant):
                return self._delay(delays.value)
            if isinstance(delays, Array):
                self._check_each_delay(delays.values, rule)
            else:
                self._check_drawn_delay(delays)
        except NetworkError as error:
            raise NetworkError(f"{name}: {error}") from None
        return delays

    def _delay(self, delay: object) -> float:
        value = _positive("delay", delay, "ms")
        count = value / self.dt
        if count > LONGEST_DELAY:
            raise NetworkError(f"delay must be at most {LONGEST_DELAY} steps of {self.dt:g} ms, got {value:g} ms")
        if count < 1 - 1e-9 or not is_multiple(value, self.dt):
            raise NetworkError(f"delay must be a multiple of dt = {self.dt:g} ms, at least one step, got {value:g} ms")
        return value

    def _check_each_delay(self, values: np.ndarray, rule: ConnectionRule) -> None:
        """Check delays of connections, or a matrix."""
        for value in np.unique(values):
            try:
                self._delay(float(value))
            except NetworkError as error:
                at = tuple(int(i) for i in np.argwhere(values == value)[0])
                where = f"at index {at}; entries without a connection may hold any delay"
                if isinstance(rule, Explicit):
                    where = f"from node {rule.sources[at[0]]} to node {rule.targets[at[0]]}"
                raise NetworkError(f"{error}, {where}") from None

    def _check_drawn_delay(self, delays: Distribution) -> None:
        """Check the ends of a distribution, if there are any."""
        low, high = delays.ends
        if -math.inf < low < 0.0 or high < 0.0:
            raise NetworkError(f"delay must be > 0 ms, but {delays} draws from {low:g} ms up; raise its lower end")
        if self.dt * LONGEST_DELAY < high < math.inf:
            raise NetworkError(
                f"delay must be at most {LONGEST_DELAY} steps of {self.dt:g} ms, but {delays} draws up to {high:g} ms"
            )


def _checked_seed(seed: int) -> int:
    """A seed as an int."""
    if isinstance(seed, bool) or not isinstance(seed, numbers.Integral) or not 0 <= seed < 2**63:
        raise NetworkError(f"Network.seed must be a whole number in 0..2^63-1, got {seed!r}")
    return int(seed)


def _weights(weight: object, rule: ConnectionRule, pre: Population, post: Population) -> Distribution | Array:
    """Initial weights: those of an explicit matrix, or 1, unless others are given."""
    if weight is not None:
        return _of_connections("weight", weight, rule, pre, post)
    own = getattr(rule, "weights", None)
    return Constant(1.0) if own is None else Array(own)


def _of_connections(
    what: str, given: object, rule: ConnectionRule, pre: Population, post: Population
) -> Distribution | Array:
    """Weights or delays: drawn, or as an array in the order of explicit connections, or as a matrix for a rule that draws."""
    values = as_distribution(given, what, sparse=DELAYS if what == "delay" else CONNECTIONS)
    if not isinstance(values, Array):
        return values
    array, shape = values.values, (post.size, pre.size)
    if array.ndim == 2 and array.shape != shape:
        raise NetworkError(f"{what} must have shape {shape} = (targets, sources), got {array.shape}")
    if array.ndim == 2:
        return Array(array[rule.targets, rule.sources]) if isinstance(rule, Explicit) else values
    if not isinstance(rule, Explicit) or array.size != rule.sources.size:
        made = f"{rule.sources.size} connections" if isinstance(rule, Explicit) else type(rule).__name__
        raise NetworkError(
            f"a list of {array.size} {what}s needs as many Explicit connections, got {made}; or give an (n_post, n_pre) array"
        )
    return Array(array[rule.order])  # type: ignore[attr-defined]


def _with_rule(p: Projection, rule: Rule) -> Projection:
    """The same connections with another rule; they stay where it cannot move them."""
    if not isinstance(rule, Rule):
        raise NetworkError(f"{p.name}: with_rules needs a rule for each projection, got {brief(rule)}")
    moves = isinstance(rule, EProp) or type(rule) is type(p.rule)
    return dataclasses.replace(p, rule=rule, rewiring=p.rewiring if moves else None)


def with_silent_synapses(network: Network) -> Network:
    """The network as it is built: after its own projections come silent ones, from which synapses grow by gradient."""
    made = network.copy()
    for p in network.projections:
        if (silent := silent_of(p, len(made._projections))) is not None:
            made._projections.append(silent)
    return made if len(made._projections) > len(network.projections) else network


def _connects_nothing(rule: object) -> bool:
    """Whether an entry of a table of rules stands for no projection."""
    return rule is None or 0 in (getattr(rule, each, None) for each in ("number", "degree", "p"))


def _found(what: str, wanted: object, kind: type[_Part], parts: list[_Part]) -> _Part:
    """Find a part of a network, from the part itself or its name."""
    if isinstance(wanted, kind):
        if not any(part is wanted for part in parts):
            raise NetworkError(f"{what} {wanted.name!r} belongs to another network")
        return wanted
    for part in parts:
        if part.name == wanted:
            return part
    known = ", ".join(part.name for part in parts) or "none"
    raise NetworkError(f"no {what} {brief(wanted)}; there are: {known}")


def _meant_as_weight(value: object) -> str:
    """Hint for a distribution or a number in the place of a connection rule."""
    is_weight = isinstance(value, (Distribution, numbers.Number, np.ndarray)) and not isinstance(value, bool)
    return "; give weights by name: weight=..." if is_weight else ""


def _positive(label: str, value: object, unit: str) -> float:
    if not is_finite_number(value) or value <= 0:
        raise NetworkError(f"{label} must be a finite number > 0 {unit}, got {value!r:.80}")
    return float(value)


def _new_name(call: str, name: object, *known: Sequence[Any]) -> str:
    """The name of a new part, which no known part has."""
    if not isinstance(name, str) or not name.strip() or "/" in name:
        raise NetworkError(f"Network.{call}: name must be a text without '/', got {name!r}")
    for part in itertools.chain(*known):
        if part.name == name:
            kind = type(part).__name__.lower()
            raise NetworkError(f"Network.{call}: a {kind} {name!r} exists already; give another name=")
    return name


def _dropout(name: str, model: Model, dropout: object) -> float:
    """The fraction of spikes that neurons lose."""
    if not is_finite_number(dropout) or not 0.0 <= dropout < 1.0:
        raise NetworkError(f"Network.add: dropout must be a number in [0, 1), got {brief(dropout)}")
    if dropout and not isinstance(model, Neuron):
        other = "; EventSource(dropout=...) drops events" if isinstance(model, EventSource) else ""
        raise NetworkError(f"Network.add: dropout is for neurons, and {name!r} is {type(model).__name__}{other}")
    return float(dropout)


def _check_sizes(name: str, description: Description, size: int) -> None:
    """Raise unless each list of parameter values has one value for each node."""
    for part in dataclasses.fields(description):
        value = getattr(description, part.name)
        if isinstance(value, Values) and len(value.values) != size:
            raise NetworkError(f"{name}: {part.name} has {len(value.values)} values for {size} nodes")
        if isinstance(value, Description):
            _check_sizes(name, value, size)
