"""The plan of a run: its checked arguments in the form that the engine runs."""

from __future__ import annotations

from typing import Any, NamedTuple

from eprop.engine.build.memory import check_results
from eprop.engine.ranks.collective import checksum
from eprop.engine.run.inputs import check_switch, keys_of, one_sample, spiking, steps_in
from eprop.engine.run.layout import Given, SampleLayout
from eprop.engine.run.probes import Probes, make_probes
from eprop.engine.run.samples import Samples
from eprop.engine.state.arrays import Arrays
from eprop.network import Population


class RunPlan(NamedTuple):
    """A run: one sample, recorded variables, populations whose spikes are recorded, and whether weights change."""

    sample: Samples
    probes: Probes
    wanted: list[Population]
    learn: bool

    def keys(self) -> dict[str, Any]:
        """Values that must be the same on all ranks."""
        columns, nodes = [key for key, _ in self.probes.columns], checksum(*self.probes.index.values())
        return keys_of(self.sample, self.learn, [p.name for p in self.wanted], columns, nodes)


def plan_run(
    arrays: Arrays,
    layout: SampleLayout,
    duration: Any,
    learn: Any,
    given: Given,
    record: Any,
    spikes: Any,
) -> RunPlan:
    """Check the arguments of `Simulator.run`.

    Raises
    ------
    InputError
        If an argument does not fit the network.
    MemoryLimitError
        If the results do not fit into memory.
    """
    check_switch("learn", learn)
    n_steps = steps_in("duration", duration, layout.dt)
    sample = one_sample(layout, n_steps, given)
    probes = make_probes(arrays, record)
    check_results(n_steps, layout.n_readouts, probes.count)
    return RunPlan(sample, probes, spiking(arrays.network, spikes), learn)
