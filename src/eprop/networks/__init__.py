"""Published networks, each in one call: they return a `Network` to which you may add populations and projections.

::

    microcircuit        a column of cortex: eight populations, 77,169 neurons    microcircuit.py
    balanced_network    excitation and inhibition in balance                     balanced.py
"""

from eprop.networks.balanced import balanced_network
from eprop.networks.microcircuit import POPULATIONS, REFERENCE_RATES, Microcircuit, microcircuit

__all__ = ["POPULATIONS", "REFERENCE_RATES", "Microcircuit", "balanced_network", "microcircuit"]
