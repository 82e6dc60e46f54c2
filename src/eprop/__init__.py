"""Event-driven eligibility propagation for recurrent spiking networks.

Describe a network, build it, run it::

    network/   populations, connection rules, feedback     models/  LIF, readout, sources
    rules/     static, e-prop, e-prop+, optimisers         engine/  build, simulate, record

The mathematics is in ``equations/`` (one scalar function each), the compiled loops are in ``kernels/``, a slow
time-driven version straight from the equations is in ``reference/``. ``data/`` reads and simulates event recordings,
``tasks/`` says what to learn, ``training/`` learns it, ``plot/`` draws, ``interop/`` speaks to other simulators,
``cli/`` is the command ``eprop``. Imports run one way, from the command line down to the equations.
"""

from eprop.engine import Record, Recording, Samples, Simulator, make_samples
from eprop.errors import (
    CheckpointError,
    DataError,
    DivergenceError,
    EPropError,
    InputError,
    MissingExtraError,
    NetworkError,
    ParameterError,
    SilenceWarning,
)
from eprop.models import (
    LIF,
    Arctan,
    CrossEntropy,
    EventSource,
    Exponential,
    FastSigmoid,
    PiecewiseLinear,
    PoissonSource,
    Readout,
    SquaredError,
)
from eprop.network import (
    AllToAll,
    Bernoulli,
    Constant,
    Explicit,
    FixedIndegree,
    FixedOutdegree,
    Glorot,
    Network,
    Normal,
    OneToOne,
    RandomFeedback,
    Symmetric,
    Uniform,
)
from eprop.rules import Adam, EProp, EPropPlus, GradientDescent, Static

__version__ = "0.1.0"

__all__ = [
    "LIF", "Adam", "AllToAll", "Arctan", "Bernoulli", "CheckpointError", "Constant", "CrossEntropy", "DataError",
    "DivergenceError", "EProp", "EPropError", "EPropPlus", "EventSource", "Explicit", "Exponential", "FastSigmoid",
    "FixedIndegree", "FixedOutdegree", "Glorot", "GradientDescent", "InputError", "MissingExtraError", "Network",
    "NetworkError", "Normal", "OneToOne", "ParameterError", "PiecewiseLinear", "PoissonSource", "RandomFeedback",
    "Readout", "Record", "Recording", "Samples", "SilenceWarning", "Simulator", "SquaredError", "Static", "Symmetric",
    "Uniform", "__version__", "make_samples",
]  # fmt: skip
