"""Spoken words as samples: recordings or synthetic words that a cochlea hears, or the files of SHD and SSC."""

from __future__ import annotations

import os
import pathlib
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Any, Self, TypedDict

import numpy as np
from annotated_doc import Doc

from eprop.data import BinnedDataset, Splits, cached, concatenate
from eprop.data.audio import (
    Cochlea,
    SoundEncoder,
    SoundRecordings,
    SyntheticWords,
    Variety,
    download_digits,
    read_sounds,
    read_spikes_of_speech,
)
from eprop.data.audio.recordings import DIGITS
from eprop.data.audio.spiking_datasets import splits_of_speech
from eprop.data.splits import at_most
from eprop.errors import DataError, ParameterError
from eprop.parameters import Description, param
from eprop.random import derive
from eprop.tasks.settings import DATA, Samples, TestSamples
from eprop.training import Stage

#: Recordings with a smaller number are the test, as the authors of the Free Spoken Digit Dataset propose.
TEST_TAKES = 5
#: Voices of the synthetic training words.
_VOICES = 8
#: Streams of random numbers: validation, test, variety of an epoch.
_VALIDATION, _TEST, _VARIETY = range(1, 4)


class WordSettings(TypedDict, total=False):
    """Settings of a `Words` that a task of spoken words takes."""

    data: Annotated[pathlib.Path | None, Doc("recordings for training: a folder or archive"), DATA]
    test_data: Annotated[tuple[pathlib.Path, ...], Doc("recordings for the test"), DATA]
    samples: Samples
    test_samples: TestSamples
    validation: Annotated[int, Doc("validation samples, of the training samples; never learned from"), DATA]
    data_seed: int
    shift: float
    stretch: float
    delay: float
    drop: float


@dataclass(frozen=True, kw_only=True)
class Words(Description):
    """Base of sources of spoken words: called with a `Stage`, it returns `Splits`; training samples vary in each epoch."""

    data: pathlib.Path | None = param(None, kind=pathlib.Path, optional=True, doc="recordings for training")
    test_data: tuple[pathlib.Path, ...] = param((), kind=tuple, doc="recordings for the test")
    samples: int | None = param(None, kind=int, at_least=1, optional=True, doc="most training samples")
    test_samples: int | None = param(None, kind=int, at_least=1, optional=True, doc="most test samples")
    validation: int = param(0, kind=int, at_least=0, doc="validation samples")
    data_seed: int = param(0, kind=int, at_least=0, doc="seed of fibres, splits and variety")
    shift: float = param(
        0.0, at_least=0.0, at_most=100.0, doc="training samples: largest shift of places, in each epoch another"
    )
    stretch: float = param(
        0.0, at_least=0.0, at_most=2.0, doc="training samples: largest change of speed, as a fraction"
    )
    delay: float = param(0.0, unit="ms", at_least=0.0, doc="training samples: longest pause before the word")
    drop: float = param(0.0, at_least=0.0, below=1.0, doc="training samples: fraction of lost events")
    n_steps: int = param(100, kind=int, at_least=1, doc="time steps of a sample")
    dt: float = param(5.0, unit="ms", above=0.0, doc="length of a step")

    @classmethod
    def of(cls, settings: Mapping[str, Any], **more: Any) -> Self:
        """The source that the settings of a task describe, and ``more``."""
        own = {each.name for each in fields(cls)}
        given = {name: value for name, value in settings.items() if name in own and value is not None}
        return cls(**{**more, **given})

    @property
    @abstractmethod
    def places(self) -> int:
        """Places of the cochlea."""

    @abstractmethod
    def read(self, stage: Stage) -> Splits:
        """Training and test data, as the files divide them."""

    @abstractmethod
    def read_path(self, path: pathlib.Path, stage: Stage) -> BinnedDataset:
        """All recordings of a path."""

    @property
    def variety(self) -> Variety:
        """Variety of training samples."""
        return Variety(shift=self.shift, stretch=self.stretch, delay=self.delay, drop=self.drop)

    @property
    def fresh_epochs(self) -> bool:
        """Whether the training samples vary."""
        return self.variety != Variety()

    def __call__(self, stage: Stage) -> Splits:
        """Training, validation and test samples; each epoch has other variations of the training samples.

        Raises
        ------
        DataError
            If data are missing, damaged, or too few.
        """
        for path in (self.data, *self.test_data):
            if path is not None and not os.path.exists(path):  # raise before spending time on the other parts
                raise DataError(f"{path}: no such folder or file")
        splits = self.read(stage)
        test = self.read_test(stage) if self.test_data else at_most(splits.test, self.test_samples, self.data_seed)
        train, validation = splits.train, splits.validation
        if self.validation:
            if self.validation >= len(train):
                raise DataError(f"cannot take {self.validation} validation samples of {len(train)} training samples")
            names = (train.name, f"{train.name}, validation part")
            train, validation = train.split(
                (-1, self.validation), derive(self.data_seed, _VALIDATION) >> 1, names=names
            )
        train = at_most(train, self.samples, self.data_seed)
        if self.fresh_epochs:
            seed = derive(self.data_seed, _VARIETY, stage.epoch)
            train = self.variety.vary(train, self.places, seed=seed, threads=stage.threads)
        return Splits(train, validation, test)

    def read_test(self, stage: Stage) -> BinnedDataset:
        """The test samples; those of ``test_data`` without reading what was learned from."""
        if not self.test_data:
            return self(stage).test
        found = concatenate([self.read_path(path, stage) for path in self.test_data])
        return at_most(found, self.test_samples, self.data_seed)


@dataclass(frozen=True, kw_only=True)
class SpokenWords(Words):
    """Recordings of spoken digits, or synthetic words, and the ear that hears them."""

    encoder: SoundEncoder = field(default_factory=Cochlea)
    download: bool = param(False, kind=bool, doc="download the Free Spoken Digit Dataset")
    leave: tuple[str, ...] = param((), kind=tuple, doc="speakers whose recordings are the test, and no others")
    test_takes: int = param(TEST_TAKES, kind=int, at_least=0, doc="recordings with a smaller number are the test")
    variants: int = param(1, kind=int, at_least=1, doc="training recordings: how often each is encoded anew")
    warp: float = param(0.0, at_least=0.0, at_most=0.3, doc="sd of the relative place of all frequencies")
    loudness: float = param(0.0, unit="dB", at_least=0.0, at_most=40.0, doc="sd of the loudness")
    colour: float = param(0.0, unit="dB", at_least=0.0, at_most=40.0, doc="sd of a smooth change of the spectrum")

    def validate(self) -> None:
        """Check that there is one source."""
        super().validate()
        if self.download and self.data is not None:
            raise ParameterError("give either data, or download, not both")
        if self.leave and self.data is None and not self.download:
            raise ParameterError(
                "the synthetic words have no speakers to leave out: give recordings with data (--data), or download"
            )

    @property
    def places(self) -> int:
        """Places of the cochlea, or bands."""
        return self.encoder.n_channels // 2

    @property
    def fresh_epochs(self) -> bool:
        """Whether the training samples vary."""
        return self.variants > 1 or super().fresh_epochs

    def read(self, stage: Stage) -> Splits:
        """Encode the recordings of both parts."""
        variant = stage.epoch % self.variants
        if self.data is None and not self.download:
            train = SyntheticWords(self.samples or 800, seed=self.data_seed, speakers=_VOICES)
            test = SyntheticWords(
                self.test_samples or 200, seed=self.data_seed, first=10**6, speakers=_VOICES // 2, first_speaker=_VOICES
            )
            return Splits(self._encoded(train, variant, stage), None, self._encoded(test, None, stage))
        sounds = read_sounds(download_digits() if self.data is None else self.data, classes=DIGITS)
        parts = self._parts(sounds)
        if not (parts == "train").any():
            raise DataError(f"{sounds.name}: all {len(sounds)} recordings are for the test; none is left for training")
        if not self.test_data and not (parts == "test").any():
            raise DataError(
                f"{sounds.name}: no recording is for the test: none has a number below {self.test_takes} in its name; "
                "give test_data (--test-data) or leave (--leave)"
            )
        # All recordings are encoded, so that other parts need no new encoding.
        varied, plain = (self._encoded(sounds, which, stage) for which in (variant, None))

        def part(data: BinnedDataset, name: str) -> BinnedDataset | None:
            chosen = parts == name
            return data.subset(chosen, f"{data.name}, {name} part") if chosen.any() else None

        return Splits(part(varied, "train"), part(plain, "validation"), None if self.test_data else part(plain, "test"))

    def read_path(self, path: pathlib.Path, stage: Stage) -> BinnedDataset:
        """All recordings of a folder or archive."""
        return self._encoded(read_sounds(path, classes=DIGITS), None, stage)

    def _parts(self, sounds: SoundRecordings) -> np.ndarray:
        """``"train"``, ``"validation"`` or ``"test"`` for each recording."""
        if self.leave:
            known = sorted(set(sounds.speakers.tolist()) - {""})
            if unknown := sorted(set(self.leave) - set(known)):
                raise DataError(
                    f"{sounds.name}: no recording by {', '.join(unknown)}; the speakers are: {', '.join(known[:20]) or 'unknown'}"
                )
            return np.where(np.isin(sounds.speakers, self.leave), "test", "train")
        if self.test_data:
            return np.full(len(sounds), "train")
        if (sounds.parts != "").any():
            return sounds.parts
        return np.where((sounds.takes >= 0) & (sounds.takes < self.test_takes), "test", "train")

    def _encoded(self, sounds: SoundRecordings | SyntheticWords, variant: int | None, stage: Stage) -> BinnedDataset:
        """Spikes of recordings, kept on disk; a ``variant`` of training recordings differs by the varieties."""
        encoder, name = self.encoder, sounds.name
        if variant is not None and isinstance(encoder, Cochlea):
            encoder = encoder.replace(warp=self.warp, loudness=self.loudness, colour=self.colour)
        seed = derive(self.data_seed, _TEST if variant is None else 0, variant or 0) >> 1

        def make() -> BinnedDataset:
            show, n_steps, dt = _shown(stage, name), self.n_steps, self.dt
            made = encoder.binned(
                sounds, sounds.labels, seed=seed, n_steps=n_steps, dt=dt, threads=stage.threads, progress=show
            )
            return replace(made, name=name, simulated=isinstance(sounds, SyntheticWords))

        kind = "cochlea" if isinstance(encoder, Cochlea) else "mel"
        key = {"sounds": sounds.stamp(), "encoder": encoder.to_dict(), "kind": kind, "name": name, "seed": seed}
        return cached({**key, "n_steps": self.n_steps, "dt": self.dt}, make)


@dataclass(frozen=True, kw_only=True)
class SpikingSpeech(Words):
    """Files of SHD or SSC."""

    n_classes: int = 20
    pool: int = 1
    channels: int = 700

    @property
    def places(self) -> int:
        """Channels after pooling."""
        return self.channels // self.pool

    def read(self, stage: Stage) -> Splits:
        """Both files, and that for validation if there is one."""
        if self.data is None:
            raise DataError(
                "the task shd needs data: download shd_train.h5.gz and shd_test.h5.gz from https://zenkelab.org/datasets, unpack "
                "them, and give their folder as data (--data)"
            )
        files = splits_of_speech(self.data)
        if missing := [
            split for split in ("train", "test") if split not in files and not (split == "test" and self.test_data)
        ]:
            raise DataError(f"{self.data}: has no file of the split {missing[0]}, only {', '.join(files)}")
        found = {
            split: self.read_path(file, stage) for split, file in files.items() if split != "test" or not self.test_data
        }
        return Splits(found["train"], found.get("valid"), found.get("test"))

    def read_path(self, path: pathlib.Path, stage: Stage) -> BinnedDataset:
        """A file."""
        recordings = read_spikes_of_speech(path, "test")
        if recordings.labels.max() >= self.n_classes:
            raise DataError(
                f"{recordings.path}: has the label {recordings.labels.max()}, but the task {self.n_classes} classes"
            )
        show = _shown(stage, recordings.name)
        key = {"spikes": recordings.stamp(), "pool": self.pool, "n_steps": self.n_steps, "dt": self.dt}
        return cached(key, lambda: recordings.binned(n_steps=self.n_steps, dt=self.dt, pool=self.pool, progress=show))


def _shown(stage: Stage, name: str) -> Any:
    """A function of (done, total) that shows how far the reading of a source is."""
    show = stage.show
    return None if show is None else lambda done, total: show(name, done, total)
