"""Networks in one call: a first one that learns, and published ones. They return a `Network` to which you may add more.

::

    recurrent           inputs, recurrent neurons and readouts that learn        recurrent_network.py
    microcircuit        a column of cortex: eight populations, 77,169 neurons    microcircuit.py
    balanced_network    excitation and inhibition in balance                     balanced.py
"""

from eprop.networks.balanced import balanced_network
from eprop.networks.microcircuit import POPULATIONS, REFERENCE_RATES, Microcircuit, microcircuit
from eprop.networks.recurrent_network import recurrent

__all__ = ["POPULATIONS", "REFERENCE_RATES", "Microcircuit", "balanced_network", "microcircuit", "recurrent"]
