"""Evidence accumulation: decide, a second after the last cue, which side had more cues.

Seven cues on the left or right, a pause, then a decision (Bellec et al. 2020, figure 3; see `eprop.tasks.cues`).
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Unpack

import numpy as np
from annotated_doc import Doc

from eprop.data.generated import Generated, Sample
from eprop.errors import ParameterError
from eprop.models import CrossEntropy, EventSource, Readout
from eprop.network import AllToAll, Bernoulli, Glorot, Network, Normal
from eprop.tasks import cues as shown
from eprop.tasks import settings as shared
from eprop.training import Experiment, task

#: Inputs of each of the four groups: left, right, recall, background.
GROUP = 10
#: Default settings for both rules, and for each. 200 epochs of 320 samples are 2000 mini-batches.
COMMON: dict[str, Any] = {
    **shown.NEURONS, "tau_out": 20.0, "average_gradient": True,
    "epochs": 200, "batch_size": 32, "schedule": "cosine", "eta_final": 0.05,
}  # fmt: skip
SETTINGS: dict[str, dict[str, Any]] = {
    "eprop": {**COMMON, "optimizer": "adam", "eta": 5e-3, "eta_out": 5e-3, "c_reg": 300.0},
    # Errors come in the recall only, regularisation acts at all times: it must be weak.
    "eprop+": {
        **COMMON, "optimizer": "gradient_descent", "eta": 2.5e-5, "eta_out": 5e-3, "c_reg": 1.0, "kappa": 0.97, "cutoff": 2500.0,
    },
}  # fmt: skip


@task
def evidence_accumulation(
    *,
    rule: shared.RuleName = "eprop",
    cues: shown.Count = 7,
    cue: shown.Cue = 100.0,
    delay: shown.Delay = 1050.0,
    recall: shown.Recall = 150.0,
    samples: shared.MadeSamples = 320,
    test_samples: shared.MadeTestSamples = 512,
    validation: shared.Validation = 0,
    lif: shared.LIFNeurons = 50,
    alif: shared.ALIFNeurons = 50,
    connectivity: Annotated[float, Doc("probability of an input or recurrent connection"), shared.LEARNING] = 1.0,
    bits: shared.Bits = None,
    rounding: shared.Rounding = "stochastic",
    seed: shared.Seed = 1,
    **settings: Unpack[shared.Settings],
) -> Experiment:
    """Cues on two sides, and a second later the question which side had more.

    Parameters
    ----------
    rule, cues, cue, delay, recall, samples, test_samples, validation, lif, alif, connectivity, bits, seed
        See ``eprop train evidence-accumulation --help``; `SETTINGS` has the defaults for each rule.
    rounding : {"stochastic", "nearest"}
        Of weights of few bits, after each update.
    **settings
        Settings of `eprop.tasks.settings.Settings`.

    Examples
    --------
    >>> ep.fit(evidence_accumulation(cues=3, delay=300.0), seeds=3)
    """
    sample, chosen = (
        shown.Cues(cues=cues, cue=cue, delay=delay, recall=recall),
        shared.Chosen(rule, SETTINGS[rule], settings),
    )
    if lif == alif == 0:
        raise ParameterError("evidence_accumulation.lif and alif must not both be 0")
    if not 0.0 < connectivity <= 1.0:
        raise ParameterError(f"evidence_accumulation.connectivity must be > 0 and <= 1, got {connectivity:g}")

    net, rule_out = Network(seed=seed), chosen.rule("eta_out")
    x = net.add(EventSource(), 4 * GROUP, name="in")
    hidden = [net.add(chosen.neuron(kind), n, name=kind) for kind, n in (("lif", lif), ("alif", alif)) if n != 0]
    out = net.add(Readout(tau_m=chosen["tau_out"], scale_input=True, loss=CrossEntropy()), 2, name="out")
    who, plastic = AllToAll() if connectivity == 1.0 else Bernoulli(connectivity), chosen.rule("eta")
    for post in hidden:
        net.connect(x, post, who, weight=Normal(0.0, 1.0 / math.sqrt(connectivity * x.size)), rule=plastic)
        for pre in hidden:
            net.connect(pre, post, who, weight=Normal(0.0, 1.0 / math.sqrt(connectivity * (lif + alif))), rule=plastic)
        net.connect(post, out, weight=Glorot(), rule=rule_out)
        net.feedback(out, post, chosen.feedback())

    def draw(rng: np.random.Generator) -> Sample:
        sides, answer = sample.draw(rng)
        chance = np.repeat(sample.rates(sides, net.dt) * net.dt / 1000.0, GROUP, axis=1)
        return Sample(rng.random(chance.shape) < chance, answer)

    source = Generated(draw, samples, test_samples, validation, seed, name="evidence-accumulation")
    asked = sample.recall_length(net.dt)
    window = np.repeat([0.0, 1.0], [sample.sample_length(net.dt) - asked, asked])
    return Experiment(
        shared.with_bits(net, bits, rounding), source, window=window, classes=("left", "right"), **chosen.training
    )
