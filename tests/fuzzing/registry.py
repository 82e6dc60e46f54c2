"""All targets of the fuzzer."""

from __future__ import annotations

from fuzzing.hdf5_targets import HDF5_TARGETS
from fuzzing.live_targets import LIVE_TARGETS
from fuzzing.run_targets import RUN_TARGETS
from fuzzing.state_targets import STATE_TARGETS
from fuzzing.target import Target
from fuzzing.targets import TARGETS

ALL: tuple[Target, ...] = (*TARGETS, *HDF5_TARGETS, *STATE_TARGETS, *LIVE_TARGETS, *RUN_TARGETS)
