"""Benchmarks: the networks and their measurement. ``eprop bench`` prints the results.

::

    ScalingConfig, run_scaling                         one network, timed          scaling.py
    compare_with_nest, measure_in_subprocess           the same, in a process      in_subprocess.py
    EventCostConfig, event_cost                        the cost of one event       costs.py
    MicrocircuitConfig, run_microcircuit               a cortical microcircuit         microcircuit.py
    triad_bandwidth, bytes_per_event                   limits of memory            bandwidth.py
"""

from eprop.bench.bandwidth import bytes_per_event, triad_bandwidth
from eprop.bench.costs import EventCost, EventCostConfig, event_cost
from eprop.bench.in_subprocess import compare_with_nest
from eprop.bench.microcircuit import MicrocircuitConfig, MicrocircuitResult, compare_microcircuit, run_microcircuit
from eprop.bench.scaling import ScalingConfig, ScalingResult, run_scaling

__all__ = [
    "EventCost", "EventCostConfig", "MicrocircuitConfig", "MicrocircuitResult", "ScalingConfig", "ScalingResult",
    "bytes_per_event", "compare_microcircuit", "compare_with_nest", "event_cost", "run_microcircuit", "run_scaling",
    "triad_bandwidth",
]  # fmt: skip
