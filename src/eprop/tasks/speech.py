"""Spoken words: a recurrent network names a word from the spikes of a cochlea, of recordings or of the files of SHD and SSC.

Free Spoken Digit Dataset: Jackson et al. 2018, doi 10.5281/zenodo.1342401, CC BY-SA 4.0. Spiking Heidelberg Digits: Cramer,
Stradmann, Schemmel and Zenke 2020, doi 10.1109/TNNLS.2020.3044364.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Unpack

import numpy as np
from annotated_doc import Doc

from eprop.data.audio import Cochlea, MelSpikes
from eprop.data.audio.spiking_datasets import UNITS
from eprop.errors import ParameterError
from eprop.models import ALIF, CrossEntropy, EventSource, Learned, Neuron, Readout
from eprop.network import Clipped, Glorot, LogNormal, Network, Normal, Uniform
from eprop.parameters import check_count
from eprop.tasks.settings import DATA, LEARNING, Chosen, Eta, EtaOut, RuleName, Seed, Settings
from eprop.tasks.words import SpikingSpeech, SpokenWords, Words, WordSettings
from eprop.training import Experiment, summed, task

#: Default settings for each rule.
COMMON: dict[str, Any] = {"tau_m": 20.0, "tau_out": 50.0, "c_reg": 0.0, "epochs": 20}
SETTINGS: dict[str, dict[str, Any]] = {
    "eprop": {**COMMON, "optimizer": "adam", "eta": 5e-3, "eta_out": 5e-3},
    "eprop+": {**COMMON, "optimizer": "gradient_descent", "eta": 5e-4, "eta_out": 5e-4},
}
#: Names of the classes.
DIGITS = tuple("0123456789")
#: Longest time constant of a neuron, ms, and the learning rate of time constants that learn.
LONGEST, ETA_TAUS = 5000.0, 0.02

Neurons = Annotated[int, Doc("recurrent neurons"), LEARNING]
NeuronName = Annotated[Literal["lif", "alif"], Doc("lif, or alif with an adaptive threshold"), LEARNING]
Spread = Annotated[float, Doc("sd of the logarithm of tau_m and tau_adapt, then drawn for each neuron"), LEARNING]
LearnTaus = Annotated[bool, Doc("eprop: tau_m and tau_adapt of each neuron learn"), LEARNING]


class _NetworkSettings(Settings, WordSettings, total=False):
    """Settings that both tasks share."""

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
    spread: Spread = 0.0,
    learn_taus: LearnTaus = False,
    eta: Eta = None,
    eta_out: EtaOut = None,
    seed: Seed = 1,
    test_takes: int = 5,
    variants: int = 4,
    warp: float = 0.0,
    loudness: float = 6.0,
    colour: float = 12.0,
    n_steps: int = 100,
    dt: float = 5.0,
    **settings: Unpack[_NetworkSettings],
) -> Experiment:
    """Spoken digits, as spikes of a cochlea: name the word. Without data, the words are synthetic.

    Parameters
    ----------
    rule, neurons, neuron, encoder, channels, download, leave, spread, learn_taus, eta, eta_out, seed
        See ``eprop train spoken-digits --help``; `SETTINGS` has the defaults for each rule.
    test_takes : int
        Without ``leave``, ``test_data`` and lists of the data: recordings with a smaller number in their name are the test.
    variants : int
        Training recordings are encoded so many times, with the varieties; epochs take them in turns.
    warp, loudness, colour : float
        Varieties of the training recordings: relative place of all frequencies, loudness and spectrum, dB.
    n_steps, dt : int, float
        Steps of a sample, and their length, ms.
    **settings
        Settings of `eprop.tasks.settings.Settings` and of `WordSettings`; ``input_delay`` (longest delay of an input synapse,
        drawn for each, by default 60 ms), ``window_start`` (first step that counts, 20), and standard deviations of the first
        weights, ``w_in`` (0.15 mV) and ``w_rec`` (0.1 mV).

    Raises
    ------
    ParameterError
        If a value is wrong.

    Examples
    --------
    >>> ep.fit(spoken_digits(rule="eprop+", neurons=300), folder="runs/digits")
    """
    ear = Cochlea(places=channels) if encoder == "cochlea" else MelSpikes(bands=channels)
    usual = {"shift": channels * 0.04, "stretch": 0.15}
    words = SpokenWords.of(
        settings, **usual, encoder=ear, download=download, leave=leave, test_takes=test_takes, variants=variants,
        warp=warp, loudness=loudness, colour=colour, n_steps=n_steps, dt=dt,
    )  # fmt: skip
    chosen = Chosen(rule, SETTINGS[rule], {**settings, "eta": eta, "eta_out": eta_out})
    cell = _cell(chosen, neuron, spread, learn_taus, dt)
    return _experiment(chosen, words, DIGITS, cell, neurons, ear.n_channels, seed)


@task
def shd(
    *,
    rule: RuleName = "eprop",
    neurons: Neurons = 200,
    neuron: NeuronName = "alif",
    pool: Annotated[int, Doc("neighbouring channels of the 700 that become one"), DATA] = 5,
    spread: Spread = 0.0,
    learn_taus: LearnTaus = False,
    eta: Eta = None,
    eta_out: EtaOut = None,
    seed: Seed = 1,
    n_steps: int = 200,
    dt: float = 5.0,
    **settings: Unpack[_NetworkSettings],
) -> Experiment:
    """Spiking Heidelberg Digits: name one of twenty spoken digits, English or German. It needs ``data``.

    Network and settings are those of `spoken_digits`.

    Parameters
    ----------
    rule, neurons, neuron, pool, spread, learn_taus, eta, eta_out, seed
        See ``eprop train shd --help``.
    n_steps, dt : int, float
        Steps of a sample, and their length, ms.
    **settings
        As of `spoken_digits`.

    Raises
    ------
    ParameterError
        If a value is wrong.

    Examples
    --------
    >>> ep.fit(shd(data="SHD/", neurons=300), folder="runs/shd")
    """
    check_count("shd.pool", pool)
    if UNITS % pool:
        raise ParameterError(f"shd.pool must divide {UNITS}, got {pool}")
    classes = (*DIGITS, *(f"{digit} (German)" for digit in DIGITS))
    usual = {"shift": UNITS // pool * 0.04, "stretch": 0.15}
    words = SpikingSpeech.of(settings, **usual, n_classes=len(classes), pool=pool, n_steps=n_steps, dt=dt)
    chosen = Chosen(rule, SETTINGS[rule], {**settings, "eta": eta, "eta_out": eta_out})
    return _experiment(
        chosen, words, classes, _cell(chosen, neuron, spread, learn_taus, dt), neurons, words.places, seed
    )


def _cell(chosen: Chosen, kind: str, spread: float, learn: bool, dt: float) -> Neuron:
    """The neuron model; its time constants may be drawn, and learn."""
    if learn and chosen.name != "eprop":
        raise ParameterError('learn_taus needs rule = "eprop": only e-prop learns constants')
    if not 0.0 <= spread <= 3.0:
        raise ParameterError(f"spread must lie in 0..3, got {spread:g}")

    def constant(tau: float) -> Any:
        drawn = LogNormal(math.log(tau), spread) if spread > 0.0 else tau
        if not learn:
            return drawn
        start: Any = Clipped(drawn, dt, LONGEST) if isinstance(drawn, LogNormal) else drawn
        return Learned(start, low=dt, high=LONGEST, eta=ETA_TAUS)

    made = chosen.neuron(kind)
    names = ("tau_m", "tau_adapt") if isinstance(made, ALIF) else ("tau_m",)
    return made.replace(**{name: constant(chosen[name]) for name in names})


def _experiment(
    chosen: Chosen, words: Words, classes: tuple[str, ...], cell: Neuron, neurons: int, channels: int, seed: int
) -> Experiment:
    """Populations ``in``, ``rec`` and ``out``; all projections are plastic."""
    usual = {"input_delay": 60.0, "window_start": 20, "w_in": 0.15, "w_rec": 0.1}
    longest, start, w_in, w_rec = (chosen.values.get(name, value) for name, value in usual.items())
    if not 0 <= start < words.n_steps:
        raise ParameterError(f"window_start must be >= 0 and < n_steps = {words.n_steps}, got {start}")
    if longest < 0.0:
        raise ParameterError(f"input_delay must be >= 0 ms, got {longest:g}")
    check_count("neurons", neurons)
    net = Network(dt=words.dt, seed=seed)
    rule, rule_out = chosen.rule(chosen["eta"]), chosen.rule(chosen["eta_out"])
    x = net.add(EventSource(), channels, name="in")
    rec = net.add(cell, neurons, name="rec")
    out = net.add(Readout(tau_m=chosen["tau_out"], loss=CrossEntropy()), len(classes), name="out")
    delay = Uniform(words.dt, longest) if longest > words.dt else None
    net.connect(x, rec, weight=Normal(0.0, w_in), rule=rule, delay=delay)
    net.connect(rec, rec, weight=Normal(0.0, w_rec), rule=rule)
    net.connect(rec, out, weight=Glorot(), rule=rule_out)
    net.feedback(out, rec, chosen.feedback())
    window = (np.arange(words.n_steps) >= start).astype(np.float64)
    return Experiment(net, words, window=window, classes=classes, evidence=summed, **chosen.training)
