"""Event-driven eligibility propagation for recurrent spiking networks.

Describe a network, build it, run it::

    network/   populations, connection rules, feedback     models/  LIF, ALIF, readout, sources
    rules/     static, e-prop, e-prop+, STDP, optimisers   engine/  build, simulate, record

The loops over time, neurons and synapses are in C++, in the folder ``core/`` of the sources; `eprop.core` loads them.
``networks/`` has published networks. ``reference/`` is a slow time-driven version straight from the equations. ``data/``
reads and simulates event recordings, ``encoders.py`` turns numbers into spikes, ``analysis.py`` has statistics of spikes,
``rl/`` learns from reward, ``plot/`` draws, ``training/`` trains networks, ``tasks/`` are functions that return experiments,
``runs/`` keeps trainings in folders, ``interop/`` exchanges networks with other simulators, ``cli/`` is the command ``eprop``.
Imports run one way, from the command line down to the
core.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eprop import (  # noqa: I001
        analysis as analysis, cli as cli, core as core, data as data, encoders as encoders, engine as engine,
        errors as errors, interop as interop, models as models, network as network, networks as networks,
        parallel as parallel, parameters as parameters, plot as plot, random as random, reference as reference, rl as rl,
        rules as rules, runs as runs, tasks as tasks, training as training,
    )  # fmt: skip
    from eprop.engine import Record, Simulator, quantise
    from eprop.models import (
        ALIF,
        LIF,
        Arctan,
        CrossEntropy,
        CurrentALIF,
        CurrentLIF,
        DeltaALIF,
        DeltaLIF,
        EventSource,
        Exponential,
        FastSigmoid,
        Learned,
        PiecewiseLinear,
        PoissonSource,
        Readout,
        SquaredError,
    )
    from eprop.network import (
        Adaptive,
        AllToAll,
        Balanced,
        Bernoulli,
        ByPair,
        Clipped,
        Constant,
        Current,
        DistanceDependent,
        Explicit,
        FixedIndegree,
        FixedOutdegree,
        FixedPoint,
        FixedTotalNumber,
        GaussianNoise,
        Glorot,
        LogNormal,
        Network,
        Normal,
        OneToOne,
        PoissonDrive,
        Positions,
        Pulse,
        RandomFeedback,
        Rewiring,
        Symmetric,
        Uniform,
    )
    from eprop.networks import recurrent
    from eprop.rules import STDP, Adam, EProp, EPropPlus, GradientDescent, Momentum, RewardTrace, RMSprop, Static
    from eprop.runs import fit, load
    from eprop.training import Experiment

__version__ = "0.3.0.dev0"

# Subpackages with the public names, searched in this order on first use, so that `eprop --help` does not load libraries.
_HOMES = ("models", "network", "rules", "engine", "training", "networks", "runs")
_SUBPACKAGES = frozenset(
    ("analysis", "cli", "core", "data", "encoders", "engine", "errors", "interop", "models", "network",
     "networks", "parallel", "parameters", "plot", "random", "reference", "rl", "rules", "runs", "tasks", "training")
)  # fmt: skip

__all__ = [
    "ALIF", "LIF", "STDP", "Adam", "Adaptive", "AllToAll", "Arctan", "Balanced", "Bernoulli", "ByPair", "Clipped", "Constant",
    "CrossEntropy", "Current", "CurrentALIF", "CurrentLIF", "DeltaALIF", "DeltaLIF", "DistanceDependent", "EProp",
    "EPropPlus", "EventSource", "Experiment", "Explicit", "Exponential", "FastSigmoid", "FixedIndegree", "FixedOutdegree",
    "FixedPoint", "FixedTotalNumber", "GaussianNoise", "Glorot", "GradientDescent", "Learned", "LogNormal", "Momentum",
    "Network", "Normal", "OneToOne", "PiecewiseLinear", "PoissonDrive", "PoissonSource", "Positions", "Pulse", "RMSprop",
    "RandomFeedback", "Readout", "Record", "RewardTrace", "Rewiring", "Simulator", "SquaredError", "Static", "Symmetric",
    "Uniform", "__version__", "fit", "load", "quantise", "recurrent",
]  # fmt: skip


if not TYPE_CHECKING:  # type checkers use the imports above

    def __getattr__(name: str) -> Any:
        """Import a public name, or a subpackage, on first use."""
        if name in _SUBPACKAGES:
            return importlib.import_module(f"eprop.{name}")
        if name not in __all__:
            raise AttributeError(f"module 'eprop' has no attribute {name!r}")
        homes = (importlib.import_module(f"eprop.{home}") for home in _HOMES)
        value = globals()[name] = next(getattr(home, name) for home in homes if hasattr(home, name))
        return value


def __dir__() -> list[str]:
    # List public names only, not this file's own imports.
    return sorted({*__all__, *_SUBPACKAGES, *(name for name in globals() if name.startswith("__"))})
