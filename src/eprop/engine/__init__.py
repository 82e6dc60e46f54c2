"""The event-driven engine: build a described network, run it, train it."""

from eprop.engine.few_bits import Quantised, quantise
from eprop.engine.run.inputs import make_samples
from eprop.engine.run.lanes import Lanes
from eprop.engine.run.results import BatchResult, Record, Recording, RunStopped
from eprop.engine.run.rewiring import Moved
from eprop.engine.run.samples import Samples
from eprop.engine.run.stepper import Stepper
from eprop.engine.simulator import Simulator

__all__ = [
    "BatchResult", "Lanes", "Moved", "Quantised", "Record", "Recording", "RunStopped", "Samples",
    "Simulator", "Stepper", "make_samples", "quantise",
]  # fmt: skip
