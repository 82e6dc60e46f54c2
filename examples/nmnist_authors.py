"""N-MNIST by e-prop+ with the settings of its authors, as a user-defined task.

Neurons that are reset to a voltage and clamped for 4 ms, an exponential surrogate gradient, random feedback, every input
connected to every neuron, squared error over the whole sample (Korcsak-Gorzo et al. 2025). It is trained by

    eprop train examples/nmnist_authors.py --mnist MNIST --range 1000:60000 --samples 40000

and ``python examples/nmnist_authors.py`` prints the network. The authors stop at an error of 5 %, or after 40,000 samples.
"""

from __future__ import annotations

from typing import Annotated, Unpack

import eprop as ep
from eprop.tasks import Doc, Recordings, RecordingSettings, task

CHANNELS, CLASSES, STEPS = 2 * 34 * 34, 10, 300


class Settings(RecordingSettings, total=False):
    """Settings of the recordings, and of the training."""

    epochs: Annotated[int, Doc("passes over the training data")]


@task
def nmnist_authors(
    *,
    neurons: Annotated[int, Doc("recurrent neurons")] = 150,
    eta: Annotated[float, Doc("learning rate of all weights")] = 5e-6,
    seed: Annotated[int, Doc("seed of connections, weights and the order of samples")] = 1,
    **settings: Unpack[Settings],
) -> ep.Experiment:
    """N-MNIST by e-prop+ with the settings of its authors."""
    recordings = Recordings.of(settings, n_steps=STEPS, dt=1.0)
    net = ep.Network(seed=seed)
    rule = ep.EPropPlus(
        optimizer=ep.GradientDescent(eta=eta), kappa=0.97, kappa_reg=0.99, c_reg=400.0, f_target=10.0, cutoff=100.0
    )
    surrogate = ep.Exponential(height=50.0, width=1.0 / 50.0)
    neuron = ep.DeltaLIF(tau_m=10.0, v_th=0.85, v_reset=-0.3, e_l=-0.1, t_ref=4.0, surrogate=surrogate)
    x = net.add(ep.EventSource(), CHANNELS, name="in")
    rec = net.add(neuron, neurons, name="rec")
    out = net.add(ep.Readout(tau_m=100.0, e_l=-0.1, loss=ep.SquaredError()), CLASSES, name="out")
    net.connect(x, rec, ep.AllToAll(), weight=ep.Normal(0.0, 0.03), rule=rule)
    net.connect(rec, rec, ep.FixedIndegree(round(0.1 * neurons)), weight=ep.Normal(0.0, 0.02), rule=rule)
    net.connect(rec, out, ep.AllToAll(), weight=ep.Uniform(-0.006, 0.006), rule=rule)
    net.feedback(out, rec, ep.RandomFeedback(ep.Normal(0.0, 10.0)))
    epochs = settings.get("epochs", 8 if recordings.embedded else 1)
    return ep.Experiment(net, recordings, classes="0123456789", epochs=epochs, schedule="constant", precision="single")


if __name__ == "__main__":
    print(nmnist_authors().network)
