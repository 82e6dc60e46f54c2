"""BENCHMARKS: the networks that are measured, and how; ``eprop bench`` prints them."""

from eprop.bench.scaling import ScalingConfig, ScalingResult, compare_with_nest, run_scaling

__all__ = ["ScalingConfig", "ScalingResult", "compare_with_nest", "run_scaling"]
