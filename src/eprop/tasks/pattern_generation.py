"""Pattern generation: readouts learn to follow a curve; frozen noise is the only clock.

The task comes with the code of Bellec et al. 2020 (Nat. Commun. 11:3625): 100 neurons get the same second of noise in every
iteration, and a readout learns a sum of four sines. With two readouts the pattern is a path: a lemniscate, or handwriting.
"""

from __future__ import annotations

import functools
import math
import pathlib
from typing import Annotated, Any, Literal, Unpack

import numpy as np
from annotated_doc import Doc

from eprop.data.generated import Generated, Sample
from eprop.errors import ParameterError
from eprop.models import EventSource, Readout
from eprop.network import Network, Normal
from eprop.tasks.curves import pattern
from eprop.tasks.settings import DATA, LEARNING, Chosen, NeuronName, Neurons, RuleName, Seed, Settings
from eprop.training import Experiment, normalised_error, task

#: Default settings for each rule. e-prop+ gets twice as many presentations.
SETTINGS: dict[str, dict[str, Any]] = {
    "eprop": {
        "tau_m": 30.0, "tau_out": 30.0, "optimizer": "adam", "eta": 3e-3, "eta_out": 3e-3, "c_reg": 0.0,
        "lead": 0.0, "w_in": 1.0, "w_rec": 1.0, "epochs": 3000, "batch_size": 1,
    },
    "eprop+": {
        "tau_m": 30.0, "tau_out": 30.0, "optimizer": "gradient_descent", "eta": 1.5e-3, "eta_out": 5e-4, "c_reg": 0.0,
        "kappa": 0.97, "lead": 200.0, "w_in": 2.0, "w_rec": 0.5, "epochs": 6000, "batch_size": 1, "schedule": "cosine",
    },
}  # fmt: skip
#: Rate of the frozen noise of a channel, Hz.
INPUT_RATE = 50.0
#: Streams of random numbers, combined with the seed.
_NOISE, _LEAD = 1, 3


@task
def pattern_generation(
    *,
    rule: RuleName = "eprop",
    target: Annotated[Literal["sines", "lemniscate", "handwriting"], Doc("the curve to learn"), DATA] = "sines",
    path: Annotated[
        pathlib.Path | None, Doc("CSV file with a column for each readout, in place of target"), DATA
    ] = None,
    duration: Annotated[float, Doc("length of the pattern, ms"), DATA] = 1000.0,
    inputs: Annotated[int, Doc("channels of the frozen noise"), LEARNING] = 100,
    neurons: Neurons = 100,
    neuron: NeuronName = "lif",
    seed: Seed = 1,
    validation: int = 0,
    lead: float | None = None,
    w_in: float | None = None,
    w_rec: float | None = None,
    **settings: Unpack[Settings],
) -> Experiment:
    """A curve, or a path of two readouts or more, that a network draws by itself. An epoch is one presentation.

    Parameters
    ----------
    rule, target, path, duration, inputs, neurons, neuron, seed
        See ``eprop train pattern-generation --help``; `SETTINGS` has the defaults for each rule. The seed is also that of sines
        and noise.
    validation : int
        How often the same sample is evaluated as validation, 0 or 1.
    lead : float, optional
        Length of the noise before the pattern begins, ms.
    w_in, w_rec : float, optional
        Standard deviations of the first weights, times the root of the number of presynaptic nodes, mV.
    **settings
        Settings of `eprop.tasks.settings.Settings`.

    Raises
    ------
    DataError
        If the file is missing, or no table of numbers.

    Examples
    --------
    >>> ep.fit(pattern_generation(target="lemniscate"), folder="runs/lemniscate")
    """
    chosen = Chosen(rule, SETTINGS[rule], {**settings, "lead": lead, "w_in": w_in, "w_rec": w_rec})
    steps, before = round(duration), round(chosen["lead"])  # of 1 ms
    if steps < 2 or before < 0:
        raise ParameterError(
            f"pattern_generation.duration must be >= 2 ms and lead >= 0, got {duration:g} and {chosen['lead']:g}"
        )
    curve, net, plastic = pattern(target, path, steps, seed), Network(seed=seed), chosen.rule("eta")
    x = net.add(EventSource(), inputs, name="in")
    rec = net.add(chosen.neuron(neuron), neurons, name="rec")
    out = net.add(Readout(tau_m=chosen["tau_out"]), curve.shape[1], name="out")
    net.connect(x, rec, weight=Normal(0.0, chosen["w_in"] / math.sqrt(inputs)), rule=plastic)
    net.connect(rec, rec, weight=Normal(0.0, chosen["w_rec"] / math.sqrt(neurons)), rule=plastic)
    net.connect(rec, out, weight=Normal(0.0, 0.3 / math.sqrt(neurons)), rule=chosen.rule("eta_out"))
    net.feedback(out, rec, chosen.feedback())

    @functools.cache
    def frozen() -> Sample:
        spikes = [
            np.random.default_rng([seed, stream]).random((n, inputs)) < INPUT_RATE / 1000.0
            for stream, n in ((_LEAD, before), (_NOISE, steps))
        ]
        return Sample(np.concatenate(spikes), np.concatenate([np.zeros((before, curve.shape[1])), curve]))

    source = Generated(lambda rng: frozen(), 1, 1, validation, seed, name="pattern-generation", one_sample=True)
    return Experiment(
        net, source, window=np.repeat([0.0, 1.0], [before, steps]), score=normalised_error, score_name="normalised error",
        name=f"pattern-generation-{target if path is None else path.stem}-{rule}", **chosen.training,
    )  # fmt: skip
