"""my_task, a task of your own that learns from an event camera. Change one part after the other; it runs at every step.

eprop train FILE
eprop train FILE --data recordings/ --neurons 100
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np

import eprop as ep
from eprop.tasks import Doc, task

CLASSES, WIDTH, HEIGHT, STEPS = ("left", "right"), 10, 8, 80


def recordings(folder: Path | None) -> Iterator[tuple[np.ndarray, int]]:
    """Pairs (events, label) of files ``CLASS/*.npy``; events are rows of x, y, time in microseconds, polarity."""
    for label, name in enumerate(CLASSES if folder else ()):
        for file in sorted(Path(folder or "", name).glob("*.npy")):
            yield np.load(file), label
    rng, (x, y, p) = np.random.default_rng(0), np.indices((WIDTH, HEIGHT, 2)).reshape(3, -1)
    for k in range(
        0 if folder else 200
    ):  # invented: a bar crosses the field to one side and switches pixels on, then off
        place = x if k % 2 else WIDTH - 1 - x
        t = 1000 * STEPS * (0.8 * (place + 1 - p) / WIDTH + rng.uniform(0.0, 0.1, x.size))
        yield np.column_stack([x, y, t.astype(int), p])[rng.random(x.size) < 0.5], k % 2


@task
def my_task(
    *,  # all parameters are keywords with a type and a default, and options of the command line; Doc is their help
    data: Annotated[Path | None, Doc("folder with a folder of .npy files for each class")] = None,
    neurons: Annotated[int, Doc("recurrent neurons")] = 60,
    seed: Annotated[int, Doc("seed of the network")] = 1,
) -> ep.Experiment:
    """An example to replace: bars that move to the left or to the right."""
    samples = ep.data.from_iterable(recordings(data), sensor_size=(WIDTH, HEIGHT, 2), n_steps=STEPS)
    # The network: an input for each pixel and polarity, a readout for each class. It learns by e-prop.
    net = ep.recurrent(samples.n_channels, neurons, 2, rule=ep.EProp(optimizer=ep.Adam(eta=5e-3), c_reg=1.0), seed=seed)
    window = np.repeat([0.0, 1.0], STEPS // 2)  # the second half counts in loss and error
    return ep.Experiment(net, *samples.split((0.7, 0.1, 0.2)), window=window, classes=CLASSES, epochs=10, batch_size=16)
