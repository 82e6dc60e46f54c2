"""Evidence accumulation: decide, a second after the last cue, which side had more cues.

Seven cues on the left or right, a pause, then a decision (Bellec et al. 2020, figure 3; see `eprop.tasks.cues`).
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Unpack

import numpy as np
from annotated_doc import Doc

from eprop.data.generated import Generated, Sample
from eprop.errors import ParameterError
from eprop.models import CrossEntropy, EventSource, Readout
from eprop.network import AllToAll, Bernoulli, Glorot, Network, Normal
from eprop.tasks.cues import NEURONS, Cues
from eprop.tasks.settings import DATA, LEARNING, Bits, Chosen, Eta, EtaOut, RuleName, Seed, Settings, few_bits
from eprop.training import Experiment, task

#: Default settings for both rules, and for each. 200 epochs of 320 samples are 2000 mini-batches.
COMMON: dict[str, Any] = {
    **NEURONS, "tau_out": 20.0, "average_gradient": True, "cutoff": 2500.0,
    "epochs": 200, "batch_size": 32, "schedule": "cosine", "eta_final": 0.05,
}  # fmt: skip
SETTINGS: dict[str, dict[str, Any]] = {
    "eprop": {"optimizer": "adam", "eta": 5e-3, "eta_out": 5e-3, "c_reg": 300.0},
    # Errors come in the recall only, regularisation acts at all times: it must be weak.
    "eprop+": {"optimizer": "gradient_descent", "eta": 2.5e-5, "eta_out": 5e-3, "c_reg": 1.0, "kappa": 0.97},
}


@task
def evidence_accumulation(
    *,
    rule: RuleName = "eprop",
    cues: Annotated[int, Doc("cues of a sample; an odd number has a majority"), DATA] = 7,
    delay: Annotated[float, Doc("pause between the cues and the recall, ms"), DATA] = 1050.0,
    samples: Annotated[int, Doc("training samples of an epoch"), DATA] = 320,
    test_samples: Annotated[int, Doc("test samples"), DATA] = 512,
    validation: Annotated[int, Doc("validation samples; never learned from"), DATA] = 0,
    lif: Annotated[int, Doc("neurons without adaptation"), LEARNING] = 50,
    alif: Annotated[int, Doc("neurons with adaptation"), LEARNING] = 50,
    bits: Bits = None,
    eta: Eta = None,
    eta_out: EtaOut = None,
    seed: Seed = 1,
    data_seed: int = 0,
    cue: float = 100.0,
    gap: float = 50.0,
    recall: float = 150.0,
    bias: float = 0.3,
    group: int = 10,
    cue_rate: float = 40.0,
    background_rate: float = 10.0,
    connectivity: float = 1.0,
    w_in: float = 1.0,
    w_rec: float = 1.0,
    rounding: Literal["stochastic", "nearest"] = "stochastic",
    dt: float = 1.0,
    **settings: Unpack[Settings],
) -> Experiment:
    """Cues on two sides, and a second later the question which side had more.

    Parameters
    ----------
    rule, cues, delay, samples, test_samples, validation, lif, alif, bits, eta, eta_out, seed
        See ``eprop train evidence-accumulation --help``; `COMMON` and `SETTINGS` have the defaults.
    data_seed : int
        Seed of all samples; training samples also depend on ``seed``.
    cue, gap, recall, bias, cue_rate, background_rate : float
        See `eprop.tasks.cues.Cues`.
    group : int
        Inputs of each of the four groups: left, right, recall, background.
    connectivity : float
        Probability of an input or recurrent connection.
    w_in, w_rec : float
        Standard deviations of the first weights, times the root of the expected in-degree, mV.
    rounding : {"stochastic", "nearest"}
        Of weights of few bits, after each update.
    dt : float
        Length of a step, ms.
    **settings
        Settings of `eprop.tasks.settings.Settings`.

    Raises
    ------
    ParameterError
        If a value is wrong.

    Examples
    --------
    >>> ep.fit(evidence_accumulation(cues=3, delay=300.0), seeds=3)
    """
    shown = Cues(
        cues=cues, cue=cue, gap=gap, delay=delay, recall=recall, bias=bias, cue_rate=cue_rate, background_rate=background_rate
    )  # fmt: skip
    chosen = Chosen(rule, {**COMMON, **SETTINGS[rule]}, {**settings, "eta": eta, "eta_out": eta_out})
    neurons = {kind: n for kind, n in (("lif", lif), ("alif", alif)) if n != 0}
    if not neurons:
        raise ParameterError("evidence_accumulation.lif and alif must not both be 0")
    if not 0.0 < connectivity <= 1.0:
        raise ParameterError(f"evidence_accumulation.connectivity must be > 0 and <= 1, got {connectivity:g}")

    net = Network(dt=dt, seed=seed)
    few, readout = few_bits(bits, rounding), Readout(tau_m=chosen["tau_out"], scale_input=True, loss=CrossEntropy())
    x = net.add(EventSource(), 4 * group, name="in")
    hidden = [net.add(chosen.neuron(kind), n, name=kind) for kind, n in neurons.items()]
    out = net.add(readout, 2, name="out")
    plastic: Any = {"rule": chosen.rule(chosen["eta"]), "precision": few}
    who = AllToAll() if connectivity == 1.0 else Bernoulli(connectivity)
    for post in hidden:
        net.connect(x, post, who, weight=Normal(0.0, w_in / math.sqrt(connectivity * x.size)), **plastic)
        for pre in hidden:
            net.connect(pre, post, who, weight=Normal(0.0, w_rec / math.sqrt(connectivity * (lif + alif))), **plastic)
        net.connect(post, out, weight=Glorot(), rule=chosen.rule(chosen["eta_out"]), precision=few)
        net.feedback(out, post, chosen.feedback())

    def draw(rng: np.random.Generator) -> Sample:
        sides, answer = shown.draw(rng)
        chance = np.repeat(shown.rates(sides, dt) * dt / 1000.0, group, axis=1)
        return Sample(rng.random(chance.shape) < chance, answer)

    asked = shown.recall_length(dt)
    source = Generated(draw, samples, test_samples, validation, seed, data_seed, "evidence-accumulation")
    window = np.repeat([0.0, 1.0], [shown.sample_length(dt) - asked, asked])
    return Experiment(net, source, window=window, classes=("left", "right"), **chosen.training)
