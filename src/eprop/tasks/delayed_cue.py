"""Delayed cue: keep one of four cues in mind for seconds, with neurons that forget within a fifth of a second at first.

A group of inputs fires for 100 ms and says which cue it is. After a delay a go signal asks for it. All that lasts is the
adaptation of the neurons' thresholds, so the network has to learn how long it lasts (`eprop.Learned`). A time constant far below
the delay has almost no gradient: the delay therefore grows during training.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Unpack

import numpy as np
from annotated_doc import Doc

from eprop.data.generated import Draw, Generated, Sample
from eprop.errors import ParameterError
from eprop.models import CrossEntropy, EventSource, Learned, Readout
from eprop.network import Glorot, Network, Normal
from eprop.parameters import check_count, is_multiple
from eprop.tasks import settings as shared
from eprop.training import Experiment, summed, task

CLASSES = ("a", "b", "c", "d")
#: Length of a step, of a cue and of the go signal, ms; inputs of a group; rates of a group that is on, and of all others, Hz.
DT, CUE, GROUP, CUE_RATE, BACKGROUND_RATE = 10.0, 100.0, 10, 100.0, 5.0
#: Default settings for both rules, and for each; only e-prop learns constants. 30 epochs of 320 samples are 300 mini-batches.
COMMON: dict[str, Any] = {
    "c_reg": 0.0, "beta": 0.3, "epochs": 30, "batch_size": 32, "schedule": "linear", "eta_final": 0.1,
}  # fmt: skip
SETTINGS: dict[str, dict[str, Any]] = {
    "eprop": {**COMMON, "optimizer": "adam", "eta": 0.01, "eta_out": 0.01, "learn": "tau_adapt"},
    "eprop+": {
        **COMMON, "optimizer": "gradient_descent", "eta": 1e-4, "eta_out": 1e-3, "cutoff": 4000.0, "learn": "none",
    },
}  # fmt: skip
#: Delay with which a growing delay begins, ms, and the fraction of the training after which it has grown.
SHORTEST, GROWN = 200.0, 2.0 / 3.0
#: Longest time constant that can be learned, ms.
LONGEST = 5000.0


@task
def delayed_cue(
    *,
    rule: shared.RuleName = "eprop",
    delay: Annotated[float, Doc("time from the cue to the go signal, ms"), shared.DATA] = 3000.0,
    grow: Annotated[bool, Doc("let the delay grow from 200 ms during two thirds of the training"), shared.DATA] = True,
    samples: shared.MadeSamples = 320,
    test_samples: shared.MadeTestSamples = 1000,
    validation: shared.Validation = 0,
    neurons: Annotated[int, Doc("neurons, all with adaptation"), shared.LEARNING] = 40,
    learn: Annotated[
        Literal["none", "tau_adapt"] | None, Doc("constants that learn; with eprop+ there are none"), shared.LEARNING
    ] = None,
    eta_constants: Annotated[float, Doc("learning rate of constants, relative"), shared.LEARNING] = 0.05,
    seed: shared.Seed = 1,
    **settings: Unpack[shared.Settings],
) -> Experiment:
    """A cue that must be kept in mind: time constants of the neurons learn until it outlasts a delay of seconds.

    Parameters
    ----------
    rule, delay, grow, samples, test_samples, validation, neurons, learn, eta_constants, seed
        See ``eprop train delayed-cue --help``; `SETTINGS` has the defaults for each rule.
    **settings
        Settings of `eprop.tasks.settings.Settings`.

    Examples
    --------
    >>> ep.fit(delayed_cue(delay=1000.0))
    """
    if not is_multiple(delay, DT) or delay < 0.0:
        raise ParameterError(f"delayed_cue.delay must be a multiple of {DT:g} ms, got {delay:g} ms")
    check_count("delayed_cue.neurons", neurons)
    chosen = shared.Chosen(rule, SETTINGS[rule], {**settings, "learn": learn})
    tau_adapt = chosen["tau_adapt"]
    if chosen["learn"] == "tau_adapt":
        tau_adapt = Learned(tau_adapt, low=DT, high=LONGEST, eta=eta_constants)

    net, plastic, asked = Network(dt=DT, seed=seed), chosen.rule("eta"), round(CUE / DT)
    x = net.add(EventSource(), (len(CLASSES) + 2) * GROUP, name="in")
    rec = net.add(chosen.neuron("alif").replace(tau_adapt=tau_adapt), neurons, name="rec")
    out = net.add(Readout(tau_m=chosen["tau_out"], loss=CrossEntropy()), len(CLASSES), name="out")
    net.connect(x, rec, weight=Normal(0.0, 0.5), rule=plastic)
    net.connect(rec, rec, weight=Normal(0.0, 0.15), rule=plastic)
    net.connect(rec, out, weight=Glorot(), rule=chosen.rule("eta_out"))
    net.feedback(out, rec, chosen.feedback())

    def drawing(pause: float) -> Draw:
        """The function that draws a cue, background, and the go signal."""

        def draw(rng: np.random.Generator) -> Sample:
            which, n = int(rng.integers(len(CLASSES))), len(CLASSES)
            rate = np.full((2 * asked + round(pause / DT), n + 2), BACKGROUND_RATE)
            rate[:asked, which] = rate[-asked:, n] = CUE_RATE
            chance = np.repeat(rate * DT / 1000.0, GROUP, axis=1)
            return Sample(rng.random(chance.shape) < chance, which)

        return draw

    def staged(done: float) -> Draw:
        """The same, with the delay as far as it has grown after the fraction ``done`` of the training."""
        shortest = min(SHORTEST, delay)
        return drawing(shortest + (delay - shortest) * min(done / GROWN, 1.0))

    source = Generated(
        drawing(delay), samples, test_samples, validation, seed, name="delayed-cue", staged=staged if grow else None
    )
    return Experiment(
        net, source, window=lambda n: np.repeat([0.0, 1.0], [n - asked, asked]), classes=CLASSES, evidence=summed,
        **chosen.training,
    )  # fmt: skip
