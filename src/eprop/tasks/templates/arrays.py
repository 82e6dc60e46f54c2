"""my_task, a task of your own that learns from arrays. Change one part after the other; it runs at every step.

eprop train FILE
eprop train FILE --data my_data.npz --neurons 100
"""

from pathlib import Path
from typing import Annotated

import numpy as np

import eprop as ep
from eprop.tasks import Doc, task


def invented(n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Example samples (samples, steps, channels): each class activates the channels in its own order, with jitter."""
    rng, labels = np.random.default_rng(0), np.arange(n) % 3
    orders = np.stack([rng.permutation(20) for _ in range(3)])
    events = rng.random((n, 100, 20)) < 0.005
    when = 5 + orders[labels] * 90 // 20 + rng.integers(-3, 4, (n, 20))
    events[np.arange(n)[:, None], when, np.arange(20)] = True
    return events, labels


@task
def my_task(
    *,  # all parameters are keywords with a type and a default, and options of the command line; Doc is their help
    data: Annotated[Path | None, Doc("file of np.savez with events and labels")] = None,
    neurons: Annotated[int, Doc("recurrent neurons")] = 60,
    seed: Annotated[int, Doc("seed of the network")] = 1,
) -> ep.Experiment:
    """An example to replace: three classes of spikes."""
    file = None if data is None else np.load(data)
    events, labels = invented() if file is None else (file["events"], file["labels"])
    # Also a list of (times in ms, channels), or targets= in place of labels. A fifth is the test, a tenth for validation.
    samples = ep.data.from_arrays(events, labels, n_channels=20, name=str(data or "invented"))
    parts = samples.split((0.7, 0.1, 0.2))
    # The network: inputs, recurrent neurons and a readout for each class. `ep.recurrent` connects and learns by e-prop.
    net = ep.recurrent(20, neurons, 3, rule=ep.EProp(optimizer=ep.Adam(eta=5e-3), c_reg=1.0), seed=seed)
    return ep.Experiment(net, *parts, classes=("first", "second", "third"), epochs=15, batch_size=16)
