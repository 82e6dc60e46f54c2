"""NeuroBench's metrics of a small network, by this package or by NeuroBench's own code, as JSON.

    python benchmarks/neurobench_package.py                     # by this package
    ENVIRONMENT/bin/python benchmarks/neurobench_package.py     # by neurobench, where it is installed instead of eprop

The network is the same: 20 inputs, 30 LIF neurons, 4 leaky readouts, feed-forward, with some weights of 0. Its weights and inputs
are drawn by NumPy. In snnTorch a spike arrives in the step of its emission, here one step later; the last steps are silent.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

INPUTS, NEURONS, READOUTS, SAMPLES, STEPS, SILENT = 20, 30, 4, 6, 100, 10
DECAY, THRESHOLD = 0.9, 1.0


def drawn() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights (neurons, inputs) and (readouts, neurons); input spikes (samples, steps, inputs)."""
    rng = np.random.default_rng(5)
    first, second = (
        rng.normal(0.1, 0.3, shape) * (rng.random(shape) < 0.7) for shape in ((NEURONS, INPUTS), (READOUTS, NEURONS))
    )
    spikes = rng.random((SAMPLES, STEPS, INPUTS)) < 0.1
    spikes[:, STEPS - SILENT :] = False
    return first.astype(np.float32), second.astype(np.float32), spikes


def by_eprop() -> dict[str, Any]:
    """The metrics of `eprop.training.neurobench`."""
    import eprop as ep
    from eprop.training import neurobench

    first, second, spikes = drawn()
    net = ep.Network(dt=1.0)
    x = net.add(ep.EventSource(), INPUTS, "in")
    rec = net.add(ep.LIF(tau_m=-1.0 / np.log(DECAY), v_th=THRESHOLD, delayed_reset=True), NEURONS, "rec")
    out = net.add(ep.Readout(tau_m=20.0), READOUTS, "out")
    net.connect(x, rec, weight=first)
    net.connect(rec, out, weight=second)
    sim = ep.Simulator(net, threads=1, precision="single")
    return neurobench(sim, sim.samples(SAMPLES, STEPS, {"in": spikes})).summary()


def by_neurobench() -> dict[str, Any]:
    """The metrics of the package neurobench, of a model in snnTorch."""
    import snntorch
    import torch
    from neurobench.benchmarks import Benchmark
    from neurobench.metrics.static import ConnectionSparsity, Footprint, ParameterCount
    from neurobench.metrics.workload import ActivationSparsity, SynapticOperations
    from neurobench.models import SNNTorchModel

    first, second, spikes = drawn()

    class Net(torch.nn.Module):
        """Two layers; the readouts are leaky sums without spikes."""

        def __init__(self) -> None:
            super().__init__()
            self.first = torch.nn.Linear(INPUTS, NEURONS, bias=False)
            self.second = torch.nn.Linear(NEURONS, READOUTS, bias=False)
            self.first.weight.data, self.second.weight.data = torch.tensor(first), torch.tensor(second)
            self.rec = snntorch.Leaky(beta=DECAY, threshold=THRESHOLD, init_hidden=True, reset_mechanism="subtract")

        def forward(self, x: Any) -> tuple[Any, None]:
            return self.second(self.rec(self.first(x))), None

    net = Net()
    data = torch.utils.data.TensorDataset(torch.tensor(spikes, dtype=torch.float32), torch.zeros(SAMPLES))
    metrics = [[Footprint, ParameterCount, ConnectionSparsity], [ActivationSparsity, SynapticOperations]]
    loader = torch.utils.data.DataLoader(data, batch_size=SAMPLES)
    found = Benchmark(SNNTorchModel(net), loader, [], [], metrics).run(quiet=True)
    return {
        "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_"): value for name, value in found.items()
    }


if __name__ == "__main__":
    try:
        import neurobench  # noqa: F401
    except ImportError:
        print(json.dumps(by_eprop(), indent=1))
    else:
        print(json.dumps(by_neurobench(), indent=1))
