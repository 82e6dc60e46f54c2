"""THE EVENT-DRIVEN ENGINE: build a described network, run it, train it."""

from eprop.engine.run.recording import Record, Recording
from eprop.engine.run.samples import BatchResult, Samples, make_samples
from eprop.engine.simulator import Simulator

__all__ = ["BatchResult", "Record", "Recording", "Samples", "Simulator", "make_samples"]
