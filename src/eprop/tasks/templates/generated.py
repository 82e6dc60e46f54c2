"""my_task, a task of your own whose samples are made from a seed. Change one part after the other; it runs at every step.

eprop train FILE
eprop train FILE --neurons 50 --seeds 3
"""

from typing import Annotated

import numpy as np

import eprop as ep
from eprop.tasks import Doc, task


@task
def my_task(
    *,  # all parameters are keywords with a type and a default, and options of the command line; Doc is their help
    neurons: Annotated[int, Doc("recurrent neurons")] = 30,
    eta: Annotated[float, Doc("learning rate")] = 5e-3,
    epochs: Annotated[int, Doc("passes over the training samples")] = 3,
    seed: Annotated[int, Doc("seed of network and samples")] = 1,
) -> ep.Experiment:
    """An example to replace: the class is the group of ten inputs with the higher rate."""
    # The network: inputs, recurrent neurons, a readout for each class. All weights learn by e-prop.
    net, rule = ep.Network(seed=seed), ep.EProp(optimizer=ep.Adam(eta=eta), c_reg=1.0)
    x = net.add(ep.EventSource(), 20, name="in")
    rec = net.add(ep.LIF(tau_m=20.0), neurons, name="rec")
    out = net.add(ep.Readout(tau_m=30.0, loss=ep.CrossEntropy()), 2, name="out")
    net.connect(x, rec, weight=ep.Normal(0.0, 0.22), rule=rule)
    net.connect(rec, rec, weight=ep.Normal(0.0, 0.5 / neurons**0.5), rule=rule)
    net.connect(rec, out, weight=ep.Normal(0.0, 0.2 / neurons**0.5), rule=rule)
    net.feedback(out, rec)

    # A sample: spikes (steps, inputs) and a class; or an array (steps, readouts) for readouts without CrossEntropy.
    def draw(rng: np.random.Generator) -> ep.data.Sample:
        label = int(rng.integers(2))
        rate = np.where(np.arange(20) // 10 == label, 80.0, 40.0)  # Hz
        return ep.data.Sample(rng.random((100, 20)) < rate / 1000.0, label)

    # Each epoch draws 320 new samples. The window says which steps count in loss and error: the second half.
    samples = ep.data.Generated(draw, samples=320, test_samples=200, seed=seed)
    window = np.repeat([0.0, 1.0], 50)
    return ep.Experiment(net, samples, window=window, classes=("first", "second"), epochs=epochs, batch_size=16)
