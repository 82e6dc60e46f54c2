"""Names of models and parameters in NEST."""

from __future__ import annotations

from typing import Any

import numpy as np

from eprop.models import ALIF, LIF, DeltaALIF, DeltaLIF
from eprop.parameters import Description, parameters_of

LARGEST = 1e300  # NEST takes no infinite bounds
NEURONS: dict[type, str] = {
    LIF: "eprop_iaf",
    ALIF: "eprop_iaf_adapt",
    DeltaLIF: "eprop_iaf_psc_delta",
    DeltaALIF: "eprop_iaf_psc_delta_adapt",
}


def named(description: Description) -> dict[str, Any]:
    """Parameters under NEST's names."""
    values = {info.nest: getattr(description, name) for name, info in parameters_of(type(description)) if info.nest}
    return {name: _bounded(value) for name, value in values.items() if value is not None}


def _bounded(value: Any) -> Any:
    """Replace infinite bounds by the largest number that NEST accepts; values are a number or one for each neuron."""
    if np.asarray(value).dtype == np.bool_:
        return value
    bounded = np.clip(value, -LARGEST, LARGEST)
    return bounded if bounded.ndim else float(bounded)
