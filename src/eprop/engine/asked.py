"""What a run is asked for, checked and brought into the form in which it is carried out."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

from eprop.engine import inputs as given
from eprop.engine.agreement import checksum, contents_of
from eprop.engine.arrays import Arrays
from eprop.engine.order import order_on_all_ranks
from eprop.engine.record import Probes
from eprop.engine.samples import Samples
from eprop.network import Population


class Asked(NamedTuple):
    """A run: one sample, what is recorded, and populations whose spikes are wanted."""

    sample: Samples
    probes: Probes
    wanted: list[Population]
    learn: bool

    def told(self) -> dict[str, Any]:
        """What must be the same on all ranks."""
        columns, nodes = [key for key, _ in self.probes.columns], checksum(*self.probes.index.values())
        return contents_of(self.sample, self.learn, [p.name for p in self.wanted], columns, nodes)


def asked(
    arrays: Arrays, duration: Any, inputs: Any, targets: Any, window: Any, learn: Any, record: Any, spikes: Any
) -> Asked:
    """What `Simulator.run` is given.

    Raises
    ------
    InputError
        If it does not fit the network.
    """
    network = arrays.network
    given.check_switch("learn", learn)
    n_steps = given.steps_in("duration", duration, network.dt)
    sample = given.one_sample(network, n_steps, inputs, targets, window)
    probes = Probes(network, arrays.built, record, partial(order_on_all_ranks, arrays))
    return Asked(sample, probes, given.spiking(network, spikes), learn)
