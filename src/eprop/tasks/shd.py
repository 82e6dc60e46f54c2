"""Spiking Heidelberg Digits: twenty spoken digits, English and German, as spikes of 700 channels.

Cramer, Stradmann, Schemmel and Zenke 2020, doi 10.1109/TNNLS.2020.3044364.
"""

from __future__ import annotations

import pathlib
from dataclasses import dataclass
from typing import Annotated, Unpack

from annotated_doc import Doc

from eprop.data import BinnedDataset, Splits, cached
from eprop.data.audio import Variety, read_spikes_of_speech
from eprop.data.audio.spiking_datasets import UNITS, splits_of_speech
from eprop.errors import DataError, ParameterError
from eprop.parameters import check_count
from eprop.tasks.settings import DATA, Chosen, NeuronName, Neurons, RuleName, Seed
from eprop.tasks.spoken_digits import SETTINGS, LearnTaus, Spread, WordSettings, cell_of, experiment_of
from eprop.tasks.words import DIGITS, Words
from eprop.training import Experiment, Stage, task

CLASSES = (*DIGITS, *(f"{digit} (German)" for digit in DIGITS))


@task
def shd(
    *,
    rule: RuleName = "eprop",
    neurons: Neurons = 200,
    neuron: NeuronName = "alif",
    pool: Annotated[int, Doc("neighbouring channels of the 700 that become one"), DATA] = 5,
    spread: Spread = 0.0,
    learn_taus: LearnTaus = False,
    seed: Seed = 1,
    n_steps: int = 200,
    dt: float = 5.0,
    **settings: Unpack[WordSettings],
) -> Experiment:
    """Spiking Heidelberg Digits: name one of twenty spoken digits, English or German. It needs ``data``.

    Network and settings are those of `spoken_digits`.

    Parameters
    ----------
    rule, neurons, neuron, pool, spread, learn_taus, seed
        See ``eprop train shd --help``.
    n_steps, dt : int, float
        Steps of a sample, and their length, ms.
    **settings
        As of `spoken_digits`.

    Examples
    --------
    >>> ep.fit(shd(data="SHD/", neurons=300), folder="runs/shd")
    """
    check_count("shd.pool", pool)
    if UNITS % pool:
        raise ParameterError(f"shd.pool must divide {UNITS}, got {pool}")
    chosen = Chosen(rule, {**SETTINGS[rule], "shift": UNITS // pool * 0.04}, settings)
    variety = Variety(shift=chosen["shift"], stretch=chosen["stretch"])
    words = SpikingSpeech.of(settings, pool=pool, variety=variety, n_steps=n_steps, dt=dt)
    return experiment_of(words, CLASSES, chosen, cell_of(chosen, neuron, spread, learn_taus, dt), neurons, seed)


@dataclass(frozen=True, kw_only=True)
class SpikingSpeech(Words):
    """Files of SHD."""

    pool: int = 1

    @property
    def places(self) -> int:
        """Channels after pooling."""
        return UNITS // self.pool

    def read_parts(self, stage: Stage) -> Splits:
        """Both files."""
        if self.data is None:
            raise DataError(
                "the task shd needs data: download shd_train.h5.gz and shd_test.h5.gz from https://zenkelab.org/datasets, unpack "
                "them, and give their folder as data (--data)"
            )
        files = splits_of_speech(self.data)
        needed = ("train",) if self.test_data else ("train", "test")
        if missing := [split for split in needed if split not in files]:
            raise DataError(f"{self.data}: has no file of the split {missing[0]}, only {', '.join(files)}")
        found = {split: self.read_path(files[split], stage) for split in needed}
        return Splits(found["train"], None, found.get("test"))

    def read_path(self, path: pathlib.Path, stage: Stage) -> BinnedDataset:
        """A file."""
        recordings = read_spikes_of_speech(path, "test")
        if recordings.labels.max() >= len(CLASSES):
            raise DataError(
                f"{recordings.path}: has the label {recordings.labels.max()}, but the task {len(CLASSES)} classes"
            )
        show = stage.showing(recordings.name)
        key = {"spikes": recordings.stamp(), "pool": self.pool, "n_steps": self.n_steps, "dt": self.dt}
        return cached(key, lambda: recordings.binned(n_steps=self.n_steps, dt=self.dt, pool=self.pool, progress=show))
