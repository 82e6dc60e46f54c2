"""The native core, whose loops are in `core/`. Made by ``build_backend/core_stub.py`` from ``core/bindings/``."""

import enum
from typing import overload

import numpy
from numpy.typing import NDArray


level: str

features: str

flags: str

compiler: str

def available_threads() -> int: ...

def triad(a: NDArray[numpy.float64], b: NDArray[numpy.float64], c: NDArray[numpy.float64], scale: float, threads: int) -> None:
    """a = b + scale * c; 24 bytes are transferred per entry."""

class Role(enum.IntEnum):
    """Content of a population."""

    events = 0

    poisson = 1

    neuron = 2

    readout = 3

class Rule(enum.IntEnum):
    """Learning rule of the synapses of a delay group."""

    fixed = 0

    eprop = 1

    eprop_plus = 2

    pairs = 3

class DriveKind(enum.IntEnum):
    """What a stimulus adds to neurons."""

    poisson = 0

    noise = 1

    current = 2

class Tied(enum.IntEnum):
    """How feedback depends on the readout weights of a delay group."""

    no = 0

    weight = 1

    change = 2

class Topology:
    """
    Arrays from the build: `Topology` in core/network/tables.hpp. Connections that move, learning rates and constants that learn change them in place.
    """

    def __init__(self, **arrays: numpy.ndarray) -> None: ...

    def arrays(self) -> dict[str, numpy.ndarray]:
        """All arrays by name."""

    @property
    def populations(self) -> numpy.ndarray: ...

    @property
    def groups(self) -> numpy.ndarray: ...

    @property
    def trace_groups(self) -> numpy.ndarray: ...

    @property
    def readouts(self) -> numpy.ndarray: ...

    @property
    def poisson_rates(self) -> numpy.ndarray: ...

    @property
    def decays(self) -> numpy.ndarray: ...

    @property
    def filters(self) -> numpy.ndarray: ...

    @property
    def doublings(self) -> numpy.ndarray: ...

    @property
    def arrivals(self) -> numpy.ndarray: ...

    @property
    def trace_consumers(self) -> numpy.ndarray: ...

    @property
    def kinds(self) -> numpy.ndarray: ...

    @property
    def eligibility(self) -> numpy.ndarray: ...

    @property
    def adjoint(self) -> numpy.ndarray: ...

    @property
    def branch_start(self) -> numpy.ndarray: ...

    @property
    def targets(self) -> numpy.ndarray: ...

    @property
    def near_targets(self) -> numpy.ndarray: ...

    @property
    def params(self) -> numpy.ndarray: ...

    @property
    def bounds(self) -> numpy.ndarray: ...

    @property
    def signal_delay(self) -> numpy.ndarray: ...

    @property
    def error_latency(self) -> numpy.ndarray: ...

    @property
    def adaptive(self) -> numpy.ndarray: ...

    @property
    def pair_powers(self) -> numpy.ndarray: ...

    @property
    def drives(self) -> numpy.ndarray: ...

    @property
    def drive_values(self) -> numpy.ndarray: ...

    @property
    def out_degrees(self) -> numpy.ndarray: ...

    @property
    def source_nodes(self) -> numpy.ndarray: ...

    @property
    def products(self) -> numpy.ndarray: ...

    @property
    def kept_rows(self) -> numpy.ndarray: ...

    @property
    def constants(self) -> numpy.ndarray: ...

    @property
    def effect_products(self) -> numpy.ndarray: ...

    @property
    def effects(self) -> numpy.ndarray: ...

    @property
    def gains(self) -> numpy.ndarray: ...

    @property
    def initial(self) -> numpy.ndarray: ...

    @property
    def leak(self) -> numpy.ndarray: ...

most_filters: int

most_own_beside_filters: int

most_own: int

own_optimizer: int

doublings: int

drive_rows: int

def padded(neurons: int) -> int:
    """Length of a row of propagators for so many neurons."""

def record_size(entries: int) -> int:
    """Length of a neuron-major copy of so many entries."""

def kind_layout(n_filters: int, n_own: int, anchored: bool, two_kappas: bool, reward: bool) -> dict[str, int]:
    """See `Kind.layout` in eprop.engine.build.records."""

def kinds(single: bool) -> list[tuple[int, int, bool, bool, bool]]:
    """
    Fields of the compiled kinds of e-prop+ for a precision, the preferred ones first.
    """

def record_fields() -> dict[str, list[tuple[str, str]]]:
    """
    Names and NumPy types of the fields of each record, in their order; each has eight bytes.
    """

class SynapseList:
    """
    Synapses of the branches `first + order` onto the targets `begin` to `end`, by target, then in the order of the branches.

    C++: core/network/listed_synapses.hpp.
    """

    def __init__(self, topology: Topology, first: int, order: NDArray[numpy.int64], begin: int, end: int, threads: int) -> None: ...

    def positions(self) -> NDArray[numpy.int64]:
        """Positions of the synapses."""

    def targets(self, first: int) -> NDArray[numpy.int64]:
        """Targets of the synapses; `begin` counts as `first`."""

    @overload
    def of_branches(self, values: NDArray[numpy.int64]) -> NDArray[numpy.int64]: ...

    @overload
    def of_branches(self, values: NDArray[numpy.float64]) -> NDArray[numpy.float64]:
        """Values of the synapses' branches."""

    @overload
    def of_synapses(self, values: NDArray[numpy.float64]) -> NDArray[numpy.float64]: ...

    @overload
    def of_synapses(self, values: NDArray[numpy.float32]) -> NDArray[numpy.float64]:
        """Values of the synapses, of those of all synapses."""

class Profile(enum.IntEnum):
    """How the probability of a connection falls with distance."""

    gaussian = 0

    exponential = 1

    box = 2

def bernoulli(first: int, stop: int, n_pre: int, probability: float, autapses: bool, seed: int) -> tuple[NDArray[numpy.int64], NDArray[numpy.int32]]:
    """
    Return (indptr, sources) of the targets `first` to `stop`: each source with a probability; `autapses` are allowed or not.
    """

def fixed_indegree(first: int, stop: int, n_pre: int, degree: int, autapses: bool, multapses: bool, seed: int) -> tuple[NDArray[numpy.int64], NDArray[numpy.int32]]:
    """
    Return (indptr, sources) of the targets `first` to `stop`: `degree` sources for each target.
    """

def fixed_total_number(first: int, stop: int, n_pre: int, n_post: int, total: int, autapses: bool, seed: int) -> tuple[NDArray[numpy.int64], NDArray[numpy.int32]]:
    """
    Return (indptr, sources) of the targets `first` to `stop`: `total` connections onto all targets together.
    """

def by_distance(first: int, stop: int, sources: NDArray[numpy.float64], targets: NDArray[numpy.float64], extent: NDArray[numpy.float64], shape: Profile, most: float, width: float, farthest: float, autapses: bool, seed: int) -> tuple[NDArray[numpy.int64], NDArray[numpy.int32]]:
    """
    Return (indptr, sources) of the targets `first` to `stop`: each source with a probability that falls with distance.
    """

def fixed_outdegree(first: int, stop: int, n_pre: int, n_post: int, degree: int, autapses: bool, multapses: bool, seed: int) -> tuple[NDArray[numpy.int64], NDArray[numpy.int32]]:
    """
    Return (indptr, sources) of the targets `first` to `stop`: `degree` targets for each source.
    """

def all_to_all(first: int, stop: int, n_pre: int, autapses: bool) -> tuple[NDArray[numpy.int64], NDArray[numpy.int32]]:
    """
    Return (indptr, sources) of the targets `first` to `stop`: all sources.
    """

def one_to_one(first: int, stop: int) -> tuple[NDArray[numpy.int64], NDArray[numpy.int32]]:
    """
    Return (indptr, sources) of the targets `first` to `stop`: the source with the same index.
    """

def normal_weights(first: int, stop: int, indptr: NDArray[numpy.int64], mean: float, sd: float, seed: int) -> NDArray[numpy.float64]:
    """Normal weights of the connections of the targets `first` to `stop`."""

def lognormal_weights(first: int, stop: int, indptr: NDArray[numpy.int64], mu: float, sigma: float, seed: int) -> NDArray[numpy.float64]:
    """Lognormal weights; `mu` and `sigma` are those of the logarithm."""

def truncated_weights(first: int, stop: int, indptr: NDArray[numpy.int64], mean: float, sd: float, low: float, high: float, seed: int) -> NDArray[numpy.float64]:
    """Normal weights; those outside `low` to `high` are drawn again."""

def uniform_weights(first: int, stop: int, indptr: NDArray[numpy.int64], low: float, high: float, seed: int) -> NDArray[numpy.float64]:
    """Uniform weights of the connections of the targets `first` to `stop`."""

@overload
def count_synapses(branches: NDArray[numpy.int32], counts: NDArray[numpy.int64]) -> None: ...

@overload
def count_synapses(branches: NDArray[numpy.int64], counts: NDArray[numpy.int64]) -> None:
    """Add the synapses of each branch to `counts` (branches,)."""

@overload
def place_synapses(indptr: NDArray[numpy.int64], branches: NDArray[numpy.int32], values: NDArray[numpy.float64], first_target: int, next: NDArray[numpy.int64], target: NDArray[numpy.uint32], weight: NDArray[numpy.float64], tile: int) -> None: ...

@overload
def place_synapses(indptr: NDArray[numpy.int64], branches: NDArray[numpy.int32], values: NDArray[numpy.float64], first_target: int, next: NDArray[numpy.int64], target: NDArray[numpy.uint32], weight: NDArray[numpy.float32], tile: int) -> None: ...

@overload
def place_synapses(indptr: NDArray[numpy.int64], branches: NDArray[numpy.int32], values: NDArray[numpy.float64], first_target: int, next: NDArray[numpy.int64], target: NDArray[numpy.uint16], weight: NDArray[numpy.float64], tile: int) -> None: ...

@overload
def place_synapses(indptr: NDArray[numpy.int64], branches: NDArray[numpy.int32], values: NDArray[numpy.float64], first_target: int, next: NDArray[numpy.int64], target: NDArray[numpy.uint16], weight: NDArray[numpy.float32], tile: int) -> None: ...

@overload
def place_synapses(indptr: NDArray[numpy.int64], branches: NDArray[numpy.int64], values: NDArray[numpy.float64], first_target: int, next: NDArray[numpy.int64], target: NDArray[numpy.uint32], weight: NDArray[numpy.float64], tile: int) -> None: ...

@overload
def place_synapses(indptr: NDArray[numpy.int64], branches: NDArray[numpy.int64], values: NDArray[numpy.float64], first_target: int, next: NDArray[numpy.int64], target: NDArray[numpy.uint32], weight: NDArray[numpy.float32], tile: int) -> None: ...

@overload
def place_synapses(indptr: NDArray[numpy.int64], branches: NDArray[numpy.int64], values: NDArray[numpy.float64], first_target: int, next: NDArray[numpy.int64], target: NDArray[numpy.uint16], weight: NDArray[numpy.float64], tile: int) -> None: ...

@overload
def place_synapses(indptr: NDArray[numpy.int64], branches: NDArray[numpy.int64], values: NDArray[numpy.float64], first_target: int, next: NDArray[numpy.int64], target: NDArray[numpy.uint16], weight: NDArray[numpy.float32], tile: int) -> None:
    """
    Put synapses where their branches have room: advance `next` (branches,), write `target` and `weight`.
    """

def synapse_places(counts: NDArray[numpy.int64], indptr: NDArray[numpy.int64], first: int) -> None:
    """Turn `counts` (parts, branches) into positions, and write `indptr`."""

@overload
def mark_known(bits: NDArray[numpy.uint64], first: int, neurons: NDArray[numpy.int32]) -> None: ...

@overload
def mark_known(bits: NDArray[numpy.uint64], first: int, neurons: NDArray[numpy.int64]) -> None:
    """
    Add neurons `first + neurons` to `bits`, which have one word more than needed.
    """

@overload
def local_ids(bits: NDArray[numpy.uint64], counts: NDArray[numpy.uint32], first: int, neurons: NDArray[numpy.int32]) -> NDArray[numpy.int32]: ...

@overload
def local_ids(bits: NDArray[numpy.uint64], counts: NDArray[numpy.uint32], first: int, neurons: NDArray[numpy.int64]) -> NDArray[numpy.int32]:
    """Ids of neurons among the known ones from `first` on."""

def count_known(bits: NDArray[numpy.uint64], counts: NDArray[numpy.uint32]) -> None:
    """Write the known neurons before each word to `counts`."""

def known_before(bits: NDArray[numpy.uint64], counts: NDArray[numpy.uint32], neuron: int) -> int: ...

def list_known(bits: NDArray[numpy.uint64], first: int, stop: int) -> NDArray[numpy.int64]:
    """Known neurons of `first` to `stop`, relative to `first`."""

data_version: int

def bin_events(times: NDArray[numpy.int32], channels: NDArray[numpy.int32], offsets: NDArray[numpy.int64], n_channels: int, n_steps: int, step_us: float, threads: int) -> tuple[NDArray[numpy.int32], NDArray[numpy.int64]]: ...

def renumber_channels(ptr: NDArray[numpy.int64], channels: NDArray[numpy.int32], number: NDArray[numpy.int32]) -> tuple[NDArray[numpy.int32], NDArray[numpy.int64]]: ...

def find_fault(ptr: NDArray[numpy.int64], channels: NDArray[numpy.int32], n_channels: int) -> tuple[int, int]: ...

def decode_nmnist(raw: NDArray[numpy.uint8], offsets: NDArray[numpy.int64], size: int) -> tuple[tuple[NDArray[numpy.int32], NDArray[numpy.int32], NDArray[numpy.int64]], tuple[int, int, int]]: ...

def deskew_events(ptr: NDArray[numpy.int64], channels: NDArray[numpy.int32], side: int, path: NDArray[numpy.float64], centre: float, steepest: float) -> tuple[NDArray[numpy.int32], NDArray[numpy.int64]]: ...

def vary_events(ptr: NDArray[numpy.int64], channels: NDArray[numpy.int32], n_channels: int, places: int, most: tuple[float, float, float, float], seed: int, numbers: NDArray[numpy.int64], threads: int) -> tuple[NDArray[numpy.int32], NDArray[numpy.int64]]: ...

camera_constants: dict[str, int]

def distort_digit(settings: object, images: NDArray[numpy.uint8], indices: NDArray[numpy.int64], seed: int, i: int) -> tuple[NDArray[numpy.uint8], NDArray[numpy.float64]]: ...

def record_digits(settings: object, images: NDArray[numpy.uint8], indices: NDArray[numpy.int64], seed: int, most: int, threads: int) -> tuple[NDArray[numpy.int32], NDArray[numpy.int32], NDArray[numpy.int64]] | None: ...

cochlea_constants: dict[str, int]

class Cochlea:
    """One ear that hears one sound."""

    def __init__(self, settings: object, filters: NDArray[numpy.float64], seed: int) -> None: ...

    def hear(self, samples: NDArray[numpy.float64], gain: float) -> tuple[NDArray[numpy.int64], NDArray[numpy.int32]]:
        """
        Hear further samples; return steps and channels of the spikes.

        C++: `Cochlea::hear` in core/data/cochlea.hpp.
        """

    @property
    def steps(self) -> int:
        """Steps that were heard."""

def hear_sounds(settings: object, samples: NDArray[numpy.float64], offsets: NDArray[numpy.int64], filters: NDArray[numpy.float64], gains: NDArray[numpy.float64], seeds: NDArray[numpy.uint64], threads: int) -> tuple[NDArray[numpy.int64], NDArray[numpy.int32], NDArray[numpy.int64]]: ...

@overload
def find_ones(dense: NDArray[numpy.float64], start: NDArray[numpy.int64]) -> NDArray[numpy.int32] | None: ...

@overload
def find_ones(dense: NDArray[numpy.bool_], start: NDArray[numpy.int64]) -> NDArray[numpy.int32] | None: ...

@overload
def find_ones(dense: NDArray[numpy.float32], start: NDArray[numpy.int64]) -> NDArray[numpy.int32] | None: ...

@overload
def find_ones(dense: NDArray[numpy.int64], start: NDArray[numpy.int64]) -> NDArray[numpy.int32] | None: ...

@overload
def find_ones(dense: NDArray[numpy.uint8], start: NDArray[numpy.int64]) -> NDArray[numpy.int32] | None:
    """Columns of the ones, row by row; None if there are other numbers."""

def bin_spikes(times: NDArray[numpy.float64], channels: NDArray[numpy.int64], size: int, dt: float, precision: float, start: NDArray[numpy.int64]) -> NDArray[numpy.int32] | None:
    """
    Channels of spikes step by step; None if a time or channel is out of range.
    """

@overload
def copy_events(ptr: NDArray[numpy.int64], channels: NDArray[numpy.int32], size: int, start: NDArray[numpy.int64]) -> NDArray[numpy.int32] | None: ...

@overload
def copy_events(ptr: NDArray[numpy.int64], channels: NDArray[numpy.int64], size: int, start: NDArray[numpy.int64]) -> NDArray[numpy.int32] | None:
    """
    Channels of samples, ascending within a step; None if offsets or channels are not valid.
    """

def all_finite(numbers: NDArray[numpy.float64]) -> bool:
    """Whether all numbers are finite."""

def philox(seed: int, purpose: int, target: int, index: int) -> tuple[int, int]:
    """Two independent words for a counter."""

@overload
def uniform(seed: int, purpose: int, target: int, index: int) -> float: ...

@overload
def uniform(seed: int, purpose: int, targets: NDArray[numpy.uint64], indices: NDArray[numpy.uint64]) -> NDArray[numpy.float64]: ...

@overload
def normal(seed: int, purpose: int, target: int, index: int) -> float: ...

@overload
def normal(seed: int, purpose: int, targets: NDArray[numpy.uint64], indices: NDArray[numpy.uint64]) -> NDArray[numpy.float64]: ...

def permutation(seed: int, purpose: int, target: int, n: int) -> NDArray[numpy.int64]:
    """Random order of `n` indices."""

class Purpose(enum.IntEnum):
    """Purposes separate draws with the same seed, target and index."""

    connect = 1

    weight = 2

    poisson = 3

    feedback = 4

    shuffle = 5

    delay = 6

    camera = 7

    phase = 8

    parameter = 9

    deskew = 10

    total = 11

    stimulus = 12

    cochlea = 13

    vary = 14

    dropout = 15

    round = 16

    tie = 17

def advance(model: int, state: NDArray[numpy.float64], params: NDArray[numpy.float64], begin: int, end: int, input: NDArray[numpy.float64], psi: NDArray[numpy.float64], own_function: int = 0, sharing: int = 0) -> NDArray[numpy.int32]:
    """
    Advance neurons `begin` to `end` by one step; return those that spike. `own_function` is an address: of a user's loop (model -1) or of a user's surrogate gradient.
    """

models: dict[str, int]

pair_rules: dict[str, int]

class testing:
    """Scalar equations, for tests."""

    @staticmethod
    def surrogate(kind: int, u: float, height: float, width: float) -> float:
        """Surrogate gradient by the code of its kind."""

    @staticmethod
    def clip(w: float, w_min: float, w_max: float) -> float: ...

    @staticmethod
    def power(arg0: float, arg1: int, /) -> float: ...

    @staticmethod
    def skip_regions(n: int) -> None:
        """Count `n` calls of the pool of threads that do nothing."""

    @staticmethod
    def potentiate(arg0: float, arg1: float, arg2: float, arg3: float, /) -> float: ...

    @staticmethod
    def depress(arg0: float, arg1: float, arg2: float, arg3: float, /) -> float: ...

    @staticmethod
    def optimize_synapse(before: tuple[float, float, float], g: float, first_step: int, last_step: int, groups: object) -> tuple[float, float, float]:
        """New (w, m, v) by the optimiser of the first delay group."""

class Axis(enum.IntEnum):
    """What the entries of the last axis of an array belong to."""

    same = 0
    """All ranks have the same array."""

    neuron = 1

    source = 2

    synapse = 3

class Sizes:
    """
    The numbers on which the shapes of all arrays depend, see core/network/fields.hpp.
    """

    def __init__(self, **numbers: int) -> None: ...

class SynapsesSingle:
    """See `Synapses` in core/network/network.hpp."""

    @property
    def weight(self) -> numpy.ndarray: ...

    @property
    def trace(self) -> numpy.ndarray: ...

    @property
    def trace_reg(self) -> numpy.ndarray: ...

    @property
    def trace_reward(self) -> numpy.ndarray: ...

    @property
    def own(self) -> numpy.ndarray: ...

    @property
    def pending(self) -> numpy.ndarray: ...

    @property
    def moment_1(self) -> numpy.ndarray: ...

    @property
    def moment_2(self) -> numpy.ndarray: ...

    @property
    def levels(self) -> numpy.ndarray: ...

    @property
    def wide_levels(self) -> numpy.ndarray: ...

class SynapsesDouble:
    """See `Synapses` in core/network/network.hpp."""

    @property
    def weight(self) -> numpy.ndarray: ...

    @property
    def trace(self) -> numpy.ndarray: ...

    @property
    def trace_reg(self) -> numpy.ndarray: ...

    @property
    def trace_reward(self) -> numpy.ndarray: ...

    @property
    def own(self) -> numpy.ndarray: ...

    @property
    def pending(self) -> numpy.ndarray: ...

    @property
    def moment_1(self) -> numpy.ndarray: ...

    @property
    def moment_2(self) -> numpy.ndarray: ...

    @property
    def levels(self) -> numpy.ndarray: ...

    @property
    def wide_levels(self) -> numpy.ndarray: ...

class Moves:
    """See `Moves` in core/network/network.hpp."""

    @property
    def born(self) -> numpy.ndarray: ...

    @property
    def moved(self) -> numpy.ndarray: ...

    @property
    def last(self) -> numpy.ndarray: ...

class Feedback:
    """See `Feedback` in core/network/network.hpp."""

    @property
    def feedback(self) -> numpy.ndarray: ...

    @property
    def feedback_offset(self) -> numpy.ndarray: ...

class Constants:
    """See `Constants` in core/network/network.hpp."""

    @property
    def moved(self) -> numpy.ndarray: ...

    @property
    def first(self) -> numpy.ndarray: ...

    @property
    def second(self) -> numpy.ndarray: ...

    @property
    def gradient(self) -> numpy.ndarray: ...

    @property
    def products(self) -> numpy.ndarray: ...

class NetworkSingle:
    """
    A network: topology, weights and what learning keeps for each synapse, feedback.
    """

    def __init__(self, topology: Topology, sizes: Sizes, weight: object, feedback: NDArray[numpy.float64]) -> None:
        """
        `weight` (synapses,) are numbers or levels, `feedback` (readouts, neurons); both change in place.
        """

    def at_rest(self, weight: NDArray[numpy.float32]) -> NetworkSingle:
        """The same network with other weights, which does not learn."""

    @property
    def synapses(self) -> SynapsesSingle: ...

    @property
    def moves(self) -> Moves: ...

    @property
    def feedback(self) -> Feedback: ...

    @property
    def constants(self) -> Constants: ...

    def tie_feedback(self, like: int = -1) -> None:
        """
        Copy weights to the feedback that follows them: all, or those of delay groups with the sources and targets of one.
        """

    def measure_offsets(self, first: int, stop: int) -> None:
        """
        Keep adaptive feedback unchanged after the weights of delay groups were set.
        """

    def means(self, pending: NDArray[numpy.float32], products: NDArray[numpy.float64], samples: float, length: float) -> NDArray[numpy.float64]:
        """
        Turn `pending` (synapses,), sums of gradients over samples, into means, `length` is that of the first learning window; return those of the constants that learn, from sums (products, targets).
        """

    def optimize(self, update: int, samples: float, length: float, threads: int) -> None:
        """
        One optimiser step of all e-prop synapses with the means of `pending`, clipped, which is cleared; of an optimiser in Python, `pending` is the gradient then. The same of the constants that learn and `products`; with 0 samples `pending` and `gradient` are means already.

        C++: `optimize` in core/network/optimizer_step.hpp.
        """

    def settle(self, update: int, threads: int) -> bool:
        """
        Round weights of few bits after the optimiser step `update`, and tie feedback; return whether all are finite.

        C++: `settle` in core/network/optimizer_step.hpp.
        """

class NetworkDouble:
    """
    A network: topology, weights and what learning keeps for each synapse, feedback.
    """

    def __init__(self, topology: Topology, sizes: Sizes, weight: object, feedback: NDArray[numpy.float64]) -> None:
        """
        `weight` (synapses,) are numbers or levels, `feedback` (readouts, neurons); both change in place.
        """

    def at_rest(self, weight: NDArray[numpy.float64]) -> NetworkDouble:
        """The same network with other weights, which does not learn."""

    @property
    def synapses(self) -> SynapsesDouble: ...

    @property
    def moves(self) -> Moves: ...

    @property
    def feedback(self) -> Feedback: ...

    @property
    def constants(self) -> Constants: ...

    def tie_feedback(self, like: int = -1) -> None:
        """
        Copy weights to the feedback that follows them: all, or those of delay groups with the sources and targets of one.
        """

    def measure_offsets(self, first: int, stop: int) -> None:
        """
        Keep adaptive feedback unchanged after the weights of delay groups were set.
        """

    def means(self, pending: NDArray[numpy.float64], products: NDArray[numpy.float64], samples: float, length: float) -> NDArray[numpy.float64]:
        """
        Turn `pending` (synapses,), sums of gradients over samples, into means, `length` is that of the first learning window; return those of the constants that learn, from sums (products, targets).
        """

    def optimize(self, update: int, samples: float, length: float, threads: int) -> None:
        """
        One optimiser step of all e-prop synapses with the means of `pending`, clipped, which is cleared; of an optimiser in Python, `pending` is the gradient then. The same of the constants that learn and `products`; with 0 samples `pending` and `gradient` are means already.

        C++: `optimize` in core/network/optimizer_step.hpp.
        """

    def settle(self, update: int, threads: int) -> bool:
        """
        Round weights of few bits after the optimiser step `update`, and tie feedback; return whether all are finite.

        C++: `settle` in core/network/optimizer_step.hpp.
        """

class Request:
    """
    Samples, and arrays for the results of their steps; see core/step/request.hpp.
    """

    @overload
    def __init__(self) -> None: ...

    @overload
    def __init__(self, other: Request) -> None:
        """The same samples and arrays for results."""

    @overload
    def __init__(self, options: Request, learn: bool, clock: int, y: NDArray[numpy.float64], loss: NDArray[numpy.float64], times: NDArray[numpy.float64]) -> None:
        """A run with other results; neurons drop spikes only if it learns."""

    @property
    def y(self) -> NDArray[numpy.float64]:
        """
        Out: (samples, steps, readouts) mV; of a run without the leak potential.
        """

    @y.setter
    def y(self, value: NDArray[numpy.float64]) -> None: ...

    @property
    def loss(self) -> NDArray[numpy.float64]:
        """
        Out: (steps of all samples,) of a run, where losses are added; (samples,) of lanes.
        """

    @loss.setter
    def loss(self, value: NDArray[numpy.float64]) -> None: ...

    @property
    def times(self) -> NDArray[numpy.float64]:
        """
        Out: (steps of all samples or 0,) steps of the network at the end of each.
        """

    @times.setter
    def times(self, value: NDArray[numpy.float64]) -> None: ...

    @property
    def seed(self) -> int: ...

    @seed.setter
    def seed(self, arg: int, /) -> None: ...

    @property
    def drops(self) -> bool:
        """Whether spikes of neurons are lost, see `Population::dropout`."""

    @drops.setter
    def drops(self, arg: bool, /) -> None: ...

    @property
    def n_steps(self) -> int:
        """Of a sample."""

    @n_steps.setter
    def n_steps(self, arg: int, /) -> None: ...

    @property
    def learn(self) -> bool:
        """Whether weights change at spikes, or lanes prepare a backward pass."""

    @learn.setter
    def learn(self, arg: bool, /) -> None: ...

    @property
    def event_start(self) -> NDArray[numpy.int64]:
        """(event sources, steps of all samples + 1)"""

    @event_start.setter
    def event_start(self, value: NDArray[numpy.int64]) -> None: ...

    @property
    def event_channels(self) -> NDArray[numpy.int32]:
        """Channels of all events, in order."""

    @event_channels.setter
    def event_channels(self, value: NDArray[numpy.int32]) -> None: ...

    @property
    def target(self) -> NDArray[numpy.float64]:
        """(samples, steps or 1, readouts)"""

    @target.setter
    def target(self, value: NDArray[numpy.float64]) -> None: ...

    @property
    def window(self) -> NDArray[numpy.float64]:
        """(samples or 1, steps or 1, readout populations or 1)"""

    @window.setter
    def window(self, value: NDArray[numpy.float64]) -> None: ...

    @property
    def drive(self) -> NDArray[numpy.float64]:
        """(steps of a sample or 0, stimuli): factors of the stimuli in time."""

    @drive.setter
    def drive(self, value: NDArray[numpy.float64]) -> None: ...

    @property
    def external(self) -> tuple[NDArray[numpy.float64], NDArray[numpy.int64], NDArray[numpy.float64], NDArray[numpy.float64]]:
        """
        Signals, their first columns, modulator and reward; see `ExternalSignals`.
        """

    @external.setter
    def external(self, value: tuple[NDArray[numpy.float64], NDArray[numpy.int64], NDArray[numpy.float64], NDArray[numpy.float64]]) -> None: ...

    @property
    def currents(self) -> tuple[NDArray[numpy.float64], NDArray[numpy.int64], NDArray[numpy.int64], NDArray[numpy.float64]]:
        """
        Currents of the neurons in each step, their first columns, rows of the state, and what remains; see `GivenCurrents`.
        """

    @currents.setter
    def currents(self, value: tuple[NDArray[numpy.float64], NDArray[numpy.int64], NDArray[numpy.int64], NDArray[numpy.float64]]) -> None: ...

    @property
    def spikes(self) -> NDArray[numpy.int64]:
        """Out: (samples or 0,) spikes of own neurons; a run adds them."""

    @spikes.setter
    def spikes(self, value: NDArray[numpy.int64]) -> None: ...

    @property
    def of_neurons(self) -> NDArray[numpy.int64]:
        """Out: (own neurons or 0,) spikes of each; they are added."""

    @of_neurons.setter
    def of_neurons(self, value: NDArray[numpy.int64]) -> None: ...

    @property
    def clock(self) -> int:
        """First step of the random numbers."""

    @clock.setter
    def clock(self, arg: int, /) -> None: ...

    @property
    def threads(self) -> int: ...

    @threads.setter
    def threads(self, arg: int, /) -> None: ...

    @property
    def probes(self) -> NDArray[numpy.int64]:
        """
        (probes, 4): a `Probe`, row of the state or branch, index, delay group.
        """

    @probes.setter
    def probes(self, value: NDArray[numpy.int64]) -> None: ...

    @property
    def probed(self) -> NDArray[numpy.float64]:
        """Out: (steps of all samples, probes)"""

    @probed.setter
    def probed(self, value: NDArray[numpy.float64]) -> None: ...

    @property
    def sums(self) -> NDArray[numpy.float64]:
        """Out: (5 or 0,) numbers that are added up, see `Sum`."""

    @sums.setter
    def sums(self, value: NDArray[numpy.float64]) -> None: ...

    @property
    def samples(self) -> NDArray[numpy.int64]:
        """(n,) indices among all samples."""

    @samples.setter
    def samples(self, value: NDArray[numpy.int64]) -> None: ...

    @property
    def clocks(self) -> NDArray[numpy.int64]:
        """(n,) first step of the random numbers of each sample."""

    @clocks.setter
    def clocks(self, value: NDArray[numpy.int64]) -> None: ...

    @property
    def feedback(self) -> NDArray[numpy.float64]: ...

    @feedback.setter
    def feedback(self, value: NDArray[numpy.float64]) -> None: ...

    @property
    def shares(self) -> NDArray[numpy.float64]:
        """
        (n,) factors of gradients that are means over the steps of a learning window.
        """

    @shares.setter
    def shares(self, value: NDArray[numpy.float64]) -> None: ...

    @property
    def given_errors(self) -> NDArray[numpy.float64]: ...

    @given_errors.setter
    def given_errors(self, value: NDArray[numpy.float64]) -> None: ...

    @property
    def products(self) -> NDArray[numpy.float64]: ...

    @products.setter
    def products(self, value: NDArray[numpy.float64]) -> None: ...

    @property
    def error(self) -> NDArray[numpy.float64]: ...

    @error.setter
    def error(self, value: NDArray[numpy.float64]) -> None: ...

    @property
    def events(self) -> NDArray[numpy.int64]: ...

    @events.setter
    def events(self, value: NDArray[numpy.int64]) -> None: ...

LANES_PER_THREAD: int

class EpisodesDouble:
    """
    Lanes of e-prop in parallel, samples or environments; weights of one type.
    """

    def __init__(self, network: NetworkDouble, lanes: int, steps: int, continues: bool, learns: bool, threads: int) -> None: ...

    @staticmethod
    def bytes_before(network: NetworkDouble, lanes: int, steps: int, continues: bool, learns: bool, threads: int) -> int:
        """
        Bytes of lanes, and of all that they share.

        C++: `episode_bytes` in core/lanes/state.hpp.
        """

    @property
    def lanes(self) -> int: ...

    @property
    def steps(self) -> int: ...

    @property
    def rows(self) -> int: ...

    @property
    def learns(self) -> bool: ...

    @property
    def history(self) -> int: ...

    def set_weights(self, weight: NDArray[numpy.float64]) -> None:
        """Use these weights from the next step on."""

    def set_absent(self, topology: Topology, gradients: NDArray[numpy.float64]) -> None:
        """
        Add the gradients that the synapses of `topology` would have to the sums `gradients`, until `forget_absent`.
        """

    def forget_absent(self) -> None:
        """Forget absent connections."""

    def diverged(self) -> int:
        """
        The first lane with a voltage that is not finite, or an output beyond 1e9 mV; -1: none.
        """

    def spikes_of_sample(self, lane: int, first_source: int, stop_source: int) -> tuple[NDArray[numpy.int64], NDArray[numpy.int64]]:
        """
        Steps and sources of the spikes of sources first_source:stop_source of the last sample of a lane.
        """

    def begin_steps(self, n_steps: int) -> None:
        """Begin more steps of the rollout of all lanes."""

    def begin_replay(self) -> None:
        """
        Set all lanes to the start of their rollout; the steps that follow take the spikes of sources from the log.
        """

    def end_replay(self) -> None:
        """End a replay that has run all steps."""

    def forward(self, request: Request) -> None:
        """Run all lanes for the steps of a request that have begun."""

    def backward(self, request: Request, pending: NDArray[numpy.float64]) -> None:
        """
        Add the gradients of all lanes to the sums `pending`, see `core/lanes/episodes.hpp`.
        """

    def run_samples(self, begin: int, stop: int, width: int, request: Request, pending: NDArray[numpy.float64]) -> int:
        """
        Run samples begin:stop of a request, `width` at a time; returns the next sample, after the chunk during which 50 ms have passed.
        """

    def step(self, channels: tuple[object, ...], y: NDArray[numpy.float64]) -> bool | None:
        """
        One step of all lanes. Returns whether all outputs are plausible; None, and has done nothing, if Python must read the events.
        """

    def reset(self, lanes: NDArray[numpy.int64]) -> None:
        """End the episodes of some lanes: they are at rest."""

    def begin_next(self) -> None:
        """Begin the next rollout; synapses keep their traces."""

    def set_random(self, seeds: NDArray[numpy.uint64], clocks: NDArray[numpy.int64]) -> None:
        """Random spikes of the rollout that begins."""

    def kept(self, filled: bool = True) -> list[tuple[str, Axis, numpy.ndarray]]:
        """
        Names, axes and arrays of the state of these lanes: everything that a step changes; of no lane if not `filled`.
        """

    def set_kept(self, n: int, first: int, steps: int, state: dict[str, NDArray[numpy.generic]]) -> str:
        """
        Take the lanes from `first` on from a state of all lanes; returns what is wrong with it, or nothing.
        """

    def spikes(self) -> NDArray[numpy.int64]:
        """Spikes of the neurons of each lane in this rollout."""

class EpisodesSingle:
    """
    Lanes of e-prop in parallel, samples or environments; weights of one type.
    """

    def __init__(self, network: NetworkSingle, lanes: int, steps: int, continues: bool, learns: bool, threads: int) -> None: ...

    @staticmethod
    def bytes_before(network: NetworkSingle, lanes: int, steps: int, continues: bool, learns: bool, threads: int) -> int:
        """
        Bytes of lanes, and of all that they share.

        C++: `episode_bytes` in core/lanes/state.hpp.
        """

    @property
    def lanes(self) -> int: ...

    @property
    def steps(self) -> int: ...

    @property
    def rows(self) -> int: ...

    @property
    def learns(self) -> bool: ...

    @property
    def history(self) -> int: ...

    def set_weights(self, weight: NDArray[numpy.float32]) -> None:
        """Use these weights from the next step on."""

    def set_absent(self, topology: Topology, gradients: NDArray[numpy.float32]) -> None:
        """
        Add the gradients that the synapses of `topology` would have to the sums `gradients`, until `forget_absent`.
        """

    def forget_absent(self) -> None:
        """Forget absent connections."""

    def diverged(self) -> int:
        """
        The first lane with a voltage that is not finite, or an output beyond 1e9 mV; -1: none.
        """

    def spikes_of_sample(self, lane: int, first_source: int, stop_source: int) -> tuple[NDArray[numpy.int64], NDArray[numpy.int64]]:
        """
        Steps and sources of the spikes of sources first_source:stop_source of the last sample of a lane.
        """

    def begin_steps(self, n_steps: int) -> None:
        """Begin more steps of the rollout of all lanes."""

    def begin_replay(self) -> None:
        """
        Set all lanes to the start of their rollout; the steps that follow take the spikes of sources from the log.
        """

    def end_replay(self) -> None:
        """End a replay that has run all steps."""

    def forward(self, request: Request) -> None:
        """Run all lanes for the steps of a request that have begun."""

    def backward(self, request: Request, pending: NDArray[numpy.float32]) -> None:
        """
        Add the gradients of all lanes to the sums `pending`, see `core/lanes/episodes.hpp`.
        """

    def run_samples(self, begin: int, stop: int, width: int, request: Request, pending: NDArray[numpy.float32]) -> int:
        """
        Run samples begin:stop of a request, `width` at a time; returns the next sample, after the chunk during which 50 ms have passed.
        """

    def step(self, channels: tuple[object, ...], y: NDArray[numpy.float64]) -> bool | None:
        """
        One step of all lanes. Returns whether all outputs are plausible; None, and has done nothing, if Python must read the events.
        """

    def reset(self, lanes: NDArray[numpy.int64]) -> None:
        """End the episodes of some lanes: they are at rest."""

    def begin_next(self) -> None:
        """Begin the next rollout; synapses keep their traces."""

    def set_random(self, seeds: NDArray[numpy.uint64], clocks: NDArray[numpy.int64]) -> None:
        """Random spikes of the rollout that begins."""

    def kept(self, filled: bool = True) -> list[tuple[str, Axis, numpy.ndarray]]:
        """
        Names, axes and arrays of the state of these lanes: everything that a step changes; of no lane if not `filled`.
        """

    def set_kept(self, n: int, first: int, steps: int, state: dict[str, NDArray[numpy.generic]]) -> str:
        """
        Take the lanes from `first` on from a state of all lanes; returns what is wrong with it, or nothing.
        """

    def spikes(self) -> NDArray[numpy.int64]:
        """Spikes of the neurons of each lane in this rollout."""

@overload
def add_terms(total: NDArray[numpy.float64], terms: NDArray[numpy.float64]) -> None: ...

@overload
def add_terms(total: NDArray[numpy.float32], terms: NDArray[numpy.float32]) -> None:
    """Add terms (terms, n) to a total (n,), one after the other."""

class Drop(enum.IntEnum):
    """Which synapses a target drops."""

    weight = 0

    zero = 1

@overload
def rewire(network: NetworkSingle, absent: Topology, score: NDArray[numpy.float32], shape: NDArray[numpy.int64], signs: NDArray[numpy.int64], drop: Drop, share: float, by_gradient: bool, now: int, threads: int) -> int: ...

@overload
def rewire(network: NetworkDouble, absent: Topology, score: NDArray[numpy.float64], shape: NDArray[numpy.int64], signs: NDArray[numpy.int64], drop: Drop, share: float, by_gradient: bool, now: int, threads: int) -> int:
    """
    Let the weakest synapses of each target of a projection make room for candidates; return how many have moved.

    C++: `rewire` in core/network/rewiring.hpp.
    """

@overload
def perturb(network: NetworkSingle, shape: NDArray[numpy.int64], signs: NDArray[numpy.int64], bounds: NDArray[numpy.float64], nodes: NDArray[numpy.int64], first_node: int, l1: float, noise: float, seed: int, threads: int) -> None: ...

@overload
def perturb(network: NetworkDouble, shape: NDArray[numpy.int64], signs: NDArray[numpy.int64], bounds: NDArray[numpy.float64], nodes: NDArray[numpy.int64], first_node: int, l1: float, noise: float, seed: int, threads: int) -> None:
    """
    Shrink the weights of a projection, and add noise; `bounds` (2, sign classes * delays).
    """

class Reading:
    """Context of a read, see `InUse`."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, problem: object, trace: object) -> None: ...

class Open:
    """Context in which nothing changes, see `InUse`."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, problem: object, trace: object) -> None: ...

class InUse:
    """
    Context of a call that uses a network and may change it: one thread at a time.
    """

    def __init__(self, refuse: object, no_memory: object, reads_wait: bool) -> None:
        """
        `refuse` takes this object, `no_memory` an error; both raise. With `reads_wait`, a read of another thread waits for the end of a call, or of a piece of its run; without, it is refused.
        """

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, problem: object, trace: object) -> None: ...

    @property
    def reading(self) -> Reading:
        """Context of a read."""

    @property
    def open(self) -> Open:
        """
        Context in which the network does not change: others may read, nobody may change it.
        """

    @property
    def is_open_here(self) -> bool:
        """Whether this thread uses the network and has opened it."""

class StepStatus(enum.IntEnum):
    """Result of a step, or the reason why it was refused."""

    done = 0

    target = 1
    """The target is not finite."""

    shares = 2
    """The target is no class probabilities."""

    signal = 3
    """The signal is not finite."""

    modulator = 4
    """The modulator is not finite."""

    error = 5
    """The error is infinite."""

    no_step_before = 6
    """There is no step that the error could belong to."""

    check = 7
    """Done; it is time to check for values that are not finite."""

    reward = 8
    """The reward is not finite."""

    no_reward = 9
    """No synapse has a reward trace."""

    form = 10
    """An argument needs conversion, or is invalid."""

    busy = 11
    """Another thread uses the network."""

class Given(enum.IntEnum):
    """Bits of arguments that a stepper already holds."""

    target = 1

    signal = 2

    error = 4

class Stepper:
    """Arguments and results of single steps."""

    def __init__(self, topology: Topology, seed: int, frozen: bool, threads: int, source: int, readouts: tuple[int, int], neurons: tuple[int, int], of_neurons: NDArray[numpy.int64], sums: NDArray[numpy.float64]) -> None:
        """
        `source`, `readouts` and `neurons` are the only ones that an argument can mean: index of the source or -1, and (first, size) with size -1 if there are several. `of_neurons` and `sums` are those of a `Request`.
        """

    def take(self, source: int, channels: object) -> bool:
        """
        Read the events of a source in the next step; return whether that was possible.
        """

    def forget(self) -> None:
        """Drop the arguments of the step."""

    @property
    def target(self) -> NDArray[numpy.float64]:
        """Of all readouts, for the next step."""

    @property
    def signal(self) -> NDArray[numpy.float64]:
        """Of all neurons, for the next step."""

    @property
    def error(self) -> NDArray[numpy.float64]:
        """Of all readouts, for the next step."""

    @property
    def y(self) -> NDArray[numpy.float64]:
        """Outputs of the last step, mV."""

    @property
    def rewarded(self) -> bool:
        """Whether synapses have reward traces."""

    @property
    def loss(self) -> float: ...

    @property
    def spikes(self) -> int: ...

class Divergence(enum.IntEnum):
    """Result of `judge`; the numbers are those of `eprop.errors.Status`."""

    none = 0

    not_finite = 1

    weight = 2

    voltage = 4

class Probe(enum.IntEnum):
    """Recorded variable."""

    state = 0

    psi = 1

    signal = 2

    readout = 3

    error = 4

    weight = 5

    trace = 6

class Sum(enum.IntEnum):
    """Entry of `sums`."""

    steps = 0

    learned = 1
    """Steps with learning."""

    counted = 2
    """Steps with learning in which outputs at zero have a loss."""

    loss = 3
    """Of the steps with learning."""

    silent = 4
    """
    Loss of outputs at zero in these steps; NaN, unknown, if a weight of the window is negative.
    """

    left = 5
    """Steps that are left until a run returns; they count down."""

class Phase(enum.IntEnum):
    """Column of `phases`."""

    between = 0
    """Between calls, and between steps of a partition."""

    propagators = 1

    deliver = 2

    advance = 3

    readout = 4

    exchange = 5

    region = 6

largest_voltage: float

class NeuronsSingle:
    """See `Neurons` in core/online/state.hpp."""

    @property
    def state(self) -> numpy.ndarray: ...

    @property
    def input(self) -> numpy.ndarray: ...

    @property
    def psi(self) -> numpy.ndarray: ...

    @property
    def signal(self) -> numpy.ndarray: ...

    @property
    def rate(self) -> numpy.ndarray: ...

    @property
    def y(self) -> numpy.ndarray: ...

class NeuronsDouble:
    """See `Neurons` in core/online/state.hpp."""

    @property
    def state(self) -> numpy.ndarray: ...

    @property
    def input(self) -> numpy.ndarray: ...

    @property
    def psi(self) -> numpy.ndarray: ...

    @property
    def signal(self) -> numpy.ndarray: ...

    @property
    def rate(self) -> numpy.ndarray: ...

    @property
    def y(self) -> numpy.ndarray: ...

class OnlineSingle:
    """A network that runs on in continuous time."""

    def __init__(self, network: object, timed: bool, in_use: InUse | None = None) -> None:
        """
        At rest; `timed` measures `phases`; between pieces of a run, `in_use` lets other threads read.
        """

    def reset(self) -> None:
        """Return to rest; weights, feedback and `events` stay."""

    @staticmethod
    def bytes_before(sizes: Sizes) -> dict[str, int]:
        """Bytes that the arrays of each struct will take."""

    @staticmethod
    def vectors_before(sizes: Sizes) -> dict[str, int]:
        """
        Bytes that the vectors will probably take.

        C++: `vector_bytes_before` in core/online/run.hpp.
        """

    def kept(self) -> list[tuple[str, Axis, numpy.ndarray]]:
        """Name, axis and view of each array that is part of a state."""

    def run(self, n_steps: int, offset: int, request: Request) -> tuple[int, int]:
        """
        Run steps `offset` to `offset + n_steps` of a request; return the number of steps done, at least one, and the `Divergence`.

        There are fewer steps once 50 ms have passed (5 ms if a read waits), or no step is left in `sums`. Reads that wait come first.

        C++: `run_online` in core/online/run.cpp.
        """

    @property
    def t(self) -> int:
        """Steps since the start."""

    @t.setter
    def t(self, arg: int, /) -> None: ...

    @property
    def events(self) -> int:
        """Synaptic events since the start."""

    @events.setter
    def events(self, arg: int, /) -> None: ...

    @property
    def neurons(self) -> NeuronsSingle: ...

    @property
    def logged_steps(self) -> int:
        """Steps whose spikes the log keeps."""

    @property
    def record_steps(self) -> int:
        """Steps whose spikes axons process again in a state."""

    @property
    def collect(self) -> bool:
        """Whether spikes of own neurons go to `message` instead of the log."""

    @collect.setter
    def collect(self, arg: bool, /) -> None: ...

    def judge(self, loss: float, threads: int) -> int:
        """
        Whether the loss or some state is not finite, a voltage beyond `largest_voltage`, or a weight known that is not finite.
        """

    def spikes(self, first_source: int, stop_source: int, first_step: int, stop_step: int) -> tuple[NDArray[numpy.int64], NDArray[numpy.int64]]:
        """Steps and sources of the spikes that are still in the log."""

    def effective_weights(self) -> NDArray[numpy.float32]:
        """
        Weights as of the last spike of each synapse, not of the start of a block.
        """

    def materialise_weights(self) -> None:
        """Store the effective weights, until the next spike."""

    def follow_connections(self) -> None:
        """Make room for the present connections, after some have moved."""

    def begin_synapses(self, now: int) -> None:
        """
        Let the synapses that were made at time `now` begin with the last spikes of their sources.

        C++: `begin_synapses` in core/eprop_plus/effective_weights.hpp.
        """

    def phases(self) -> NDArray[numpy.float64]:
        """Seconds since the last call, (partitions and the loop, `Phase`)."""

    def bytes(self) -> dict[str, int]:
        """Bytes of the arrays of each struct, and of the vectors."""

    def spike_state(self) -> dict[str, NDArray[numpy.generic]]:
        """
        What a state keeps of spikes, with its names.

        C++: core/online/spike_state.hpp.
        """

    def spike_shapes(self) -> dict[str, tuple[int, ...]]:
        """
        Shapes of the arrays of `spike_state`; spikes, and the first axis of their times at neurons, grow.
        """

    def set_spike_state(self, counts: NDArray[numpy.int64], sources: NDArray[numpy.int64], axon_times: NDArray[numpy.int64], axon_z: NDArray[numpy.float64], post_times: NDArray[numpy.int64]) -> None:
        """Continue from `spike_state`; set `t` and all other arrays first."""

    def set_room(self, spikes: int, records: int) -> None:
        """
        Begin with another capacity of the log and of the spike records, powers of two.
        """

    def message(self) -> NDArray[numpy.uint8]:
        """The spikes of own neurons since the last message, for the other ranks."""

    def receive(self, n_steps: int, offset: int, request: Request, messages: NDArray[numpy.uint8], begin: NDArray[numpy.int64], first: NDArray[numpy.int64], bits: NDArray[numpy.uint64], counts: NDArray[numpy.uint32]) -> None:
        """
        Log the spikes of all ranks in the last `n_steps` steps, from their messages.
        """

    def losses_of_steps(self, y: NDArray[numpy.float64], target: NDArray[numpy.float64], window: NDArray[numpy.float64], loss: NDArray[numpy.float64]) -> None:
        """Losses of all steps of one sample, from its outputs in mV."""

    def silent_loss(self, target: NDArray[numpy.float64], window: NDArray[numpy.float64]) -> tuple[int, float]:
        """
        Number of steps of samples in which outputs at zero have a loss, and its sum; NaN, unknown, if a weight of the window is negative.
        """

    def step(self, stepper: Stepper, channels: object, target: object, signal: object, error: object, modulator: float, reward: float, given: int) -> int:
        """
        One step; return its `StepStatus`.

        Arguments are those of the only population, or None. Bits of `given` (`Given`) name those that the stepper already holds.

        C++: `take_step` in core/online/stepper.hpp.
        """

class OnlineDouble:
    """A network that runs on in continuous time."""

    def __init__(self, network: object, timed: bool, in_use: InUse | None = None) -> None:
        """
        At rest; `timed` measures `phases`; between pieces of a run, `in_use` lets other threads read.
        """

    def reset(self) -> None:
        """Return to rest; weights, feedback and `events` stay."""

    @staticmethod
    def bytes_before(sizes: Sizes) -> dict[str, int]:
        """Bytes that the arrays of each struct will take."""

    @staticmethod
    def vectors_before(sizes: Sizes) -> dict[str, int]:
        """
        Bytes that the vectors will probably take.

        C++: `vector_bytes_before` in core/online/run.hpp.
        """

    def kept(self) -> list[tuple[str, Axis, numpy.ndarray]]:
        """Name, axis and view of each array that is part of a state."""

    def run(self, n_steps: int, offset: int, request: Request) -> tuple[int, int]:
        """
        Run steps `offset` to `offset + n_steps` of a request; return the number of steps done, at least one, and the `Divergence`.

        There are fewer steps once 50 ms have passed (5 ms if a read waits), or no step is left in `sums`. Reads that wait come first.

        C++: `run_online` in core/online/run.cpp.
        """

    @property
    def t(self) -> int:
        """Steps since the start."""

    @t.setter
    def t(self, arg: int, /) -> None: ...

    @property
    def events(self) -> int:
        """Synaptic events since the start."""

    @events.setter
    def events(self, arg: int, /) -> None: ...

    @property
    def neurons(self) -> NeuronsDouble: ...

    @property
    def logged_steps(self) -> int:
        """Steps whose spikes the log keeps."""

    @property
    def record_steps(self) -> int:
        """Steps whose spikes axons process again in a state."""

    @property
    def collect(self) -> bool:
        """Whether spikes of own neurons go to `message` instead of the log."""

    @collect.setter
    def collect(self, arg: bool, /) -> None: ...

    def judge(self, loss: float, threads: int) -> int:
        """
        Whether the loss or some state is not finite, a voltage beyond `largest_voltage`, or a weight known that is not finite.
        """

    def spikes(self, first_source: int, stop_source: int, first_step: int, stop_step: int) -> tuple[NDArray[numpy.int64], NDArray[numpy.int64]]:
        """Steps and sources of the spikes that are still in the log."""

    def effective_weights(self) -> NDArray[numpy.float64]:
        """
        Weights as of the last spike of each synapse, not of the start of a block.
        """

    def materialise_weights(self) -> None:
        """Store the effective weights, until the next spike."""

    def follow_connections(self) -> None:
        """Make room for the present connections, after some have moved."""

    def begin_synapses(self, now: int) -> None:
        """
        Let the synapses that were made at time `now` begin with the last spikes of their sources.

        C++: `begin_synapses` in core/eprop_plus/effective_weights.hpp.
        """

    def phases(self) -> NDArray[numpy.float64]:
        """Seconds since the last call, (partitions and the loop, `Phase`)."""

    def bytes(self) -> dict[str, int]:
        """Bytes of the arrays of each struct, and of the vectors."""

    def spike_state(self) -> dict[str, NDArray[numpy.generic]]:
        """
        What a state keeps of spikes, with its names.

        C++: core/online/spike_state.hpp.
        """

    def spike_shapes(self) -> dict[str, tuple[int, ...]]:
        """
        Shapes of the arrays of `spike_state`; spikes, and the first axis of their times at neurons, grow.
        """

    def set_spike_state(self, counts: NDArray[numpy.int64], sources: NDArray[numpy.int64], axon_times: NDArray[numpy.int64], axon_z: NDArray[numpy.float64], post_times: NDArray[numpy.int64]) -> None:
        """Continue from `spike_state`; set `t` and all other arrays first."""

    def set_room(self, spikes: int, records: int) -> None:
        """
        Begin with another capacity of the log and of the spike records, powers of two.
        """

    def message(self) -> NDArray[numpy.uint8]:
        """The spikes of own neurons since the last message, for the other ranks."""

    def receive(self, n_steps: int, offset: int, request: Request, messages: NDArray[numpy.uint8], begin: NDArray[numpy.int64], first: NDArray[numpy.int64], bits: NDArray[numpy.uint64], counts: NDArray[numpy.uint32]) -> None:
        """
        Log the spikes of all ranks in the last `n_steps` steps, from their messages.
        """

    def losses_of_steps(self, y: NDArray[numpy.float64], target: NDArray[numpy.float64], window: NDArray[numpy.float64], loss: NDArray[numpy.float64]) -> None:
        """Losses of all steps of one sample, from its outputs in mV."""

    def silent_loss(self, target: NDArray[numpy.float64], window: NDArray[numpy.float64]) -> tuple[int, float]:
        """
        Number of steps of samples in which outputs at zero have a loss, and its sum; NaN, unknown, if a weight of the window is negative.
        """

    def step(self, stepper: Stepper, channels: object, target: object, signal: object, error: object, modulator: float, reward: float, given: int) -> int:
        """
        One step; return its `StepStatus`.

        Arguments are those of the only population, or None. Bits of `given` (`Given`) name those that the stepper already holds.

        C++: `take_step` in core/online/stepper.hpp.
        """
