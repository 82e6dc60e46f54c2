"""my_task, a task of your own that learns from sounds. Change one part after the other; it runs at every step.

eprop train FILE
eprop train FILE --data recordings/ --neurons 100
"""

from pathlib import Path
from typing import Annotated, Any

import numpy as np

import eprop as ep
from eprop.data.audio import Cochlea, SyntheticWords, read_sounds
from eprop.tasks import Doc, task

CLASSES = SyntheticWords.classes  # the labels of your recordings


@task
def my_task(
    *,  # all parameters are keywords with a type and a default, and options of the command line; Doc is their help
    data: Annotated[Path | None, Doc("folder or archive of WAV files LABEL_SPEAKER_NUMBER.wav")] = None,
    neurons: Annotated[int, Doc("recurrent neurons")] = 60,
    places: Annotated[int, Doc("places of the cochlea; each has two channels")] = 20,
    steps: Annotated[int, Doc("time steps of 5 ms of a recording; later sound is dropped")] = 80,
    seed: Annotated[int, Doc("seed of the network")] = 1,
) -> ep.Experiment:
    """An example to replace: ten spoken words, as spikes of a cochlea."""
    # `read_sounds` finds labels in the names of the files, or takes the names of their folders.
    sounds: Any = SyntheticWords(300) if data is None else read_sounds(data, classes=CLASSES)
    samples = Cochlea(places=places).binned(sounds, sounds.labels, seed=0, n_steps=steps, dt=5.0)
    parts = samples.split((0.7, 0.1, 0.2))  # training, validation, test

    # The network: an input for each channel, a readout for each class. All weights learn by e-prop.
    rule, readout = ep.EProp(optimizer=ep.Adam(eta=2e-3), c_reg=1.0), ep.Readout(tau_m=30.0, loss=ep.CrossEntropy())
    net = ep.recurrent(
        samples.n_channels, neurons, len(CLASSES), readout=readout, rule=rule, w_in=0.5, dt=5.0, seed=seed
    )

    window = (np.arange(steps) >= steps // 4).astype(float)  # the first quarter does not count in loss and error
    return ep.Experiment(net, *parts, window=window, classes=CLASSES, epochs=15, batch_size=16)
