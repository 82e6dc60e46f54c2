"""Spoken digits: a recurrent network names a word from the spikes of a cochlea that hears recordings, or synthetic words.

Free Spoken Digit Dataset: Jackson et al. 2018, doi 10.5281/zenodo.1342401, CC BY-SA 4.0.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Unpack

import numpy as np
from annotated_doc import Doc

from eprop.data.audio import Cochlea, MelSpikes, Variety
from eprop.errors import ParameterError
from eprop.models import ALIF, CrossEntropy, EventSource, Learned, Neuron, Readout
from eprop.network import Clipped, Glorot, LogNormal, Network, Normal, Uniform
from eprop.parameters import check_count
from eprop.tasks.files import FileSettings
from eprop.tasks.settings import DATA, LEARNING, Chosen, NeuronName, Neurons, RuleName, Seed, Settings
from eprop.tasks.words import DIGITS, SpokenWords
from eprop.training import Experiment, summed, task

#: Default settings for each rule.
COMMON: dict[str, Any] = {
    "tau_m": 20.0, "tau_out": 50.0, "c_reg": 0.0, "epochs": 20, "input_delay": 60.0, "window_start": 20, "w_in": 0.15,
    "w_rec": 0.1, "stretch": 0.15,
}  # fmt: skip
SETTINGS: dict[str, dict[str, Any]] = {
    "eprop": {**COMMON, "optimizer": "adam", "eta": 5e-3, "eta_out": 5e-3},
    "eprop+": {**COMMON, "optimizer": "gradient_descent", "eta": 5e-4, "eta_out": 5e-4},
}
LONGEST, ETA_TAUS = 5000.0, 0.02  # time constants of neurons, ms, and their learning rate


class WordSettings(Settings, FileSettings, total=False):
    """Settings of learning, neurons and recordings; shift and stretch are those of `eprop.data.audio.Variety`."""

    shift: float
    stretch: float
    input_delay: float
    window_start: int
    w_in: float
    w_rec: float


@task
def spoken_digits(
    *,
    rule: RuleName = "eprop",
    neurons: Neurons = 200,
    neuron: NeuronName = "alif",
    encoder: Annotated[Literal["cochlea", "mel"], Doc("cochlea, or mel for a log-mel spectrum"), DATA] = "cochlea",
    channels: Annotated[int, Doc("places of the cochlea, or mel bands; each has two channels"), DATA] = 35,
    download: Annotated[bool, Doc("download the Free Spoken Digit Dataset (12 MB, once)"), DATA] = False,
    leave: Annotated[tuple[str, ...], Doc("speakers whose recordings are the test, and no others"), DATA] = (),
    spread: Annotated[float, Doc("sd of the logarithm of tau_m and tau_adapt of each neuron"), LEARNING] = 0.0,
    learn_taus: Annotated[bool, Doc("eprop: tau_m and tau_adapt of each neuron learn"), LEARNING] = False,
    seed: Seed = 1,
    variants: int = 4,
    loudness: float = 6.0,
    colour: float = 12.0,
    n_steps: int = 100,
    dt: float = 5.0,
    **settings: Unpack[WordSettings],
) -> Experiment:
    """Spoken digits, as spikes of a cochlea: name the word. Without data, the words are synthetic.

    Parameters
    ----------
    rule, neurons, neuron, encoder, channels, download, leave, spread, learn_taus, seed
        See ``eprop train spoken-digits --help``; `SETTINGS` has the defaults for each rule.
    variants, loudness, colour : int, float, float
        Training recordings are encoded so many times, with another loudness and spectrum (dB); epochs take them in turns.
    n_steps, dt : int, float
        Steps of a sample, and their length, ms.
    **settings
        See `WordSettings`: ``input_delay`` is the longest delay of an input, ``window_start`` the first step that counts.

    Examples
    --------
    >>> ep.fit(spoken_digits(rule="eprop+", neurons=300), folder="runs/digits")
    """
    ear = Cochlea(places=channels) if encoder == "cochlea" else MelSpikes(bands=channels)
    chosen = Chosen(rule, {**SETTINGS[rule], "shift": channels * 0.04}, settings)
    words = SpokenWords.of(
        settings, encoder=ear, download=download, leave=leave, variants=variants, loudness=loudness, colour=colour,
        variety=Variety(shift=chosen["shift"], stretch=chosen["stretch"]), n_steps=n_steps, dt=dt,
    )  # fmt: skip
    start, longest = chosen["window_start"], chosen["input_delay"]
    if not 0 <= start < n_steps:
        raise ParameterError(f"spoken_digits.window_start must be >= 0 and < n_steps = {n_steps}, got {start}")
    for name, value, most in (("spread", spread, 3.0), ("input_delay", longest, 1e4)):
        if not 0.0 <= value <= most:
            raise ParameterError(f"spoken_digits.{name} must lie in 0..{most:g}, got {value:g}")
    check_count("spoken_digits.neurons", neurons)
    net, plastic = Network(dt=dt, seed=seed), chosen.rule("eta")
    x = net.add(EventSource(), ear.n_channels, name="in")
    rec = net.add(_cell(chosen, neuron, spread, learn_taus, dt), neurons, name="rec")
    out = net.add(Readout(tau_m=chosen["tau_out"], loss=CrossEntropy()), len(DIGITS), name="out")
    delay = Uniform(dt, longest) if longest > dt else None
    net.connect(x, rec, weight=Normal(0.0, chosen["w_in"]), rule=plastic, delay=delay)
    net.connect(rec, rec, weight=Normal(0.0, chosen["w_rec"]), rule=plastic)
    net.connect(rec, out, weight=Glorot(), rule=chosen.rule("eta_out"))
    net.feedback(out, rec, chosen.feedback())
    window = (np.arange(n_steps) >= start).astype(np.float64)
    return Experiment(net, words, window=window, classes=DIGITS, evidence=summed, **chosen.training)


def _cell(chosen: Chosen, kind: str, spread: float, learn: bool, dt: float) -> Neuron:
    """The neuron model; its time constants may be drawn, and learn."""

    def constant(tau: float) -> Any:
        drawn: Any = LogNormal(math.log(tau), spread) if spread > 0.0 else tau
        start: Any = Clipped(drawn, dt, LONGEST) if learn and spread > 0.0 else drawn
        return Learned(start, low=dt, high=LONGEST, eta=ETA_TAUS) if learn else start

    made = chosen.neuron(kind)
    names = ["tau_m", *(["tau_adapt"] if isinstance(made, ALIF) else [])]
    return made.replace(**{name: constant(chosen[name]) for name in names})
