"""N-MNIST by e-prop+ with the settings of its authors, as a user-defined task.

Neurons that are reset to a voltage and clamped for 4 ms, an exponential surrogate gradient, random feedback, every input
connected to every neuron, squared error over the whole sample (Korcsak-Gorzo et al. 2025). It is trained by

    eprop train examples/nmnist_authors.py --set mnist=MNIST --set range=1000:60000 --set samples=40000

and ``python examples/nmnist_authors.py`` prints the network. The authors stop at an error of 5 %, or after 40,000 samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from eprop import (
    AllToAll,
    DeltaLIF,
    EPropPlus,
    EventSource,
    Exponential,
    FixedIndegree,
    GradientDescent,
    Network,
    Normal,
    RandomFeedback,
    Readout,
    SquaredError,
    Uniform,
)
from eprop.parameters import param
from eprop.tasks import NMNIST
from eprop.tasks.nmnist import N_CHANNELS, N_CLASSES


@dataclass(frozen=True, kw_only=True)
class Authors(NMNIST):
    """The task of the package with another network, which uses these settings."""

    rule: str = param("eprop+", kind=str, doc="eprop+")
    loss: str = param("squared_error", kind=str, doc="squared_error")
    eta: float = param(5e-6, at_least=0.0, doc="learning rate of all weights")
    window_start: int = param(0, kind=int, at_least=0, doc="first step of the learning window")

    name: ClassVar[str] = "nmnist-authors"

    def default_training(self, data: Any) -> dict[str, Any]:
        """Keep the learning rate constant."""
        return {**super().default_training(data), "schedule": "constant"}

    def build_network(self) -> Network:
        """Populations ``in``, ``rec`` and ``out``, fully plastic."""
        net = Network(dt=self.dt, seed=self.seed)
        rule = EPropPlus(
            optimizer=GradientDescent(eta=self.eta),
            kappa=0.97,
            kappa_reg=0.99,
            c_reg=400.0,
            f_target=10.0,
            cutoff=100.0,
        )
        surrogate = Exponential(height=50.0, width=1.0 / 50.0)
        neuron = DeltaLIF(tau_m=10.0, v_th=0.85, v_reset=-0.3, e_l=-0.1, t_ref=4.0, surrogate=surrogate)
        x = net.add(EventSource(), N_CHANNELS, name="in")
        rec = net.add(neuron, self.neurons, name="rec")
        out = net.add(Readout(tau_m=100.0, e_l=-0.1, loss=SquaredError()), N_CLASSES, name="out")
        net.connect(x, rec, AllToAll(), weight=Normal(0.0, 0.03), rule=rule)
        net.connect(rec, rec, FixedIndegree(self.recurrent_degree), weight=Normal(0.0, 0.02), rule=rule)
        net.connect(rec, out, AllToAll(), weight=Uniform(-0.006, 0.006), rule=rule)
        net.feedback(out, rec, RandomFeedback(Normal(0.0, 10.0)))
        return net


if __name__ == "__main__":
    print(Authors().build_network())
