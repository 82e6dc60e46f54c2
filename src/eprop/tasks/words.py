"""Spoken words as samples: recordings, or synthetic words, that a cochlea hears."""

from __future__ import annotations

import os
import pathlib
from abc import abstractmethod
from dataclasses import dataclass, field, replace
from typing import Annotated

import numpy as np
from annotated_doc import Doc

from eprop.data import BinnedDataset, Splits, audio, cached, concatenate
from eprop.data.splits import at_most
from eprop.errors import DataError, ParameterError
from eprop.parameters import Description, param
from eprop.random import derive
from eprop.tasks.settings import DATA, Samples, Settings, TestSamples, Validation
from eprop.training import Stage

#: Names of the classes.
DIGITS = tuple("0123456789")
#: Recordings with a smaller number are the test, as the authors of the Free Spoken Digit Dataset propose.
TEST_TAKES = 5
#: Voices of the synthetic training words.
_VOICES = 8
#: Streams of random numbers: validation, test, variety of an epoch.
_VALIDATION, _TEST, _VARIETY = range(1, 4)


class WordSettings(Settings, total=False):
    """Settings that tasks of spoken words share; shift and stretch are those of `eprop.data.audio.Variety`."""

    data: Annotated[pathlib.Path | None, Doc("recordings for training: a folder or archive"), DATA]
    test_data: Annotated[tuple[pathlib.Path, ...], Doc("recordings for the test"), DATA]
    samples: Samples
    test_samples: TestSamples
    validation: Validation
    shift: float
    stretch: float
    input_delay: float
    window_start: int
    w_in: float
    w_rec: float


@dataclass(frozen=True, kw_only=True)
class Words(Description):
    """Base of sources of spoken words: called with a `Stage`, it returns `Splits`; training samples vary in each epoch."""

    data: pathlib.Path | None = None
    test_data: tuple[pathlib.Path, ...] = ()
    samples: int | None = param(None, kind=int, at_least=1, optional=True, doc="most training samples")
    test_samples: int | None = param(None, kind=int, at_least=1, optional=True, doc="most test samples")
    validation: int = param(0, kind=int, at_least=0, doc="validation samples")
    shift: float = param(0.0, at_least=0.0, at_most=100.0, doc="of training samples: largest shift of places")
    stretch: float = param(
        0.0, at_least=0.0, at_most=2.0, doc="of training samples: largest change of speed, a fraction"
    )
    n_steps: int = param(100, kind=int, at_least=1, doc="time steps of a sample")
    dt: float = param(5.0, unit="ms", above=0.0, doc="length of a step")

    @property
    @abstractmethod
    def places(self) -> int:
        """Places of the cochlea."""

    @property
    def channels(self) -> int:
        """Inputs of the network."""
        return self.places

    @abstractmethod
    def read(self, stage: Stage) -> Splits:
        """Training and test data, as the files divide them."""

    @abstractmethod
    def read_path(self, path: pathlib.Path, stage: Stage) -> BinnedDataset:
        """All recordings of a path."""

    @property
    def fresh_epochs(self) -> bool:
        """Whether the training samples vary."""
        return self.shift > 0.0 or self.stretch > 0.0

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
        test = self.read_test(stage) if self.test_data else at_most(splits.test, self.test_samples, 0)
        train, validation = splits.train, splits.validation
        if self.validation:
            if self.validation >= len(train):
                raise DataError(f"cannot take {self.validation} validation samples of {len(train)} training samples")
            names = (train.name, f"{train.name}, validation part")
            train, validation = train.split((-1, self.validation), derive(0, _VALIDATION) >> 1, names=names)
        train = at_most(train, self.samples, 0)
        if self.shift > 0.0 or self.stretch > 0.0:
            variety, seed = audio.Variety(shift=self.shift, stretch=self.stretch), derive(0, _VARIETY, stage.epoch)
            train = variety.vary(train, self.places, seed=seed, threads=stage.threads)
        return Splits(train, validation, test)

    def read_test(self, stage: Stage) -> BinnedDataset:
        """The test samples; those of ``test_data`` without reading what was learned from."""
        if not self.test_data:
            return self(stage).test
        return at_most(concatenate([self.read_path(path, stage) for path in self.test_data]), self.test_samples, 0)


@dataclass(frozen=True, kw_only=True)
class SpokenWords(Words):
    """Recordings of spoken digits, or synthetic words, and the ear that hears them."""

    encoder: audio.SoundEncoder = field(default_factory=audio.Cochlea)
    download: bool = False
    leave: tuple[str, ...] = ()
    variants: int = param(1, kind=int, at_least=1, doc="training recordings: how often each is encoded anew")
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
    def channels(self) -> int:
        """Two for each place."""
        return self.encoder.n_channels

    @property
    def fresh_epochs(self) -> bool:
        """Whether the training samples vary."""
        return self.variants > 1 or super().fresh_epochs

    def read(self, stage: Stage) -> Splits:
        """Encode the recordings of both parts."""
        variant = stage.epoch % self.variants
        if self.data is None and not self.download:
            train = audio.SyntheticWords(self.samples or 800, speakers=_VOICES)
            test = audio.SyntheticWords(
                self.test_samples or 200, first=10**6, speakers=_VOICES // 2, first_speaker=_VOICES
            )
            return Splits(self._encoded(train, variant, stage), None, self._encoded(test, None, stage))
        sounds = audio.read_sounds(audio.download_digits() if self.data is None else self.data, classes=DIGITS)
        parts = self._parts(sounds)
        if not (parts == "train").any():
            raise DataError(f"{sounds.name}: all {len(sounds)} recordings are for the test; none is left for training")
        if not self.test_data and not (parts == "test").any():
            raise DataError(
                f"{sounds.name}: no recording is for the test: none has a number below {TEST_TAKES} in its name; give test_data "
                "(--test-data) or leave (--leave)"
            )
        # All recordings are encoded, so that other parts need no new encoding.
        varied, plain = (self._encoded(sounds, which, stage) for which in (variant, None))

        def part(data: BinnedDataset, name: str) -> BinnedDataset | None:
            chosen = parts == name
            return data.subset(chosen, f"{data.name}, {name} part") if chosen.any() else None

        return Splits(part(varied, "train"), part(plain, "validation"), None if self.test_data else part(plain, "test"))

    def read_path(self, path: pathlib.Path, stage: Stage) -> BinnedDataset:
        """All recordings of a folder or archive."""
        return self._encoded(audio.read_sounds(path, classes=DIGITS), None, stage)

    def _parts(self, sounds: audio.SoundRecordings) -> np.ndarray:
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
        return np.where((sounds.takes >= 0) & (sounds.takes < TEST_TAKES), "test", "train")

    def _encoded(
        self, sounds: audio.SoundRecordings | audio.SyntheticWords, variant: int | None, stage: Stage
    ) -> BinnedDataset:
        """Spikes of recordings, kept on disk; a ``variant`` of training recordings differs by the varieties."""
        encoder, name = self.encoder, sounds.name
        if variant is not None and isinstance(encoder, audio.Cochlea):
            encoder = encoder.replace(loudness=self.loudness, colour=self.colour)
        seed = derive(0, _TEST if variant is None else 0, variant or 0) >> 1

        def make() -> BinnedDataset:
            made = encoder.binned(
                sounds, sounds.labels, seed=seed, n_steps=self.n_steps, dt=self.dt, threads=stage.threads,
                progress=stage.showing(name),
            )  # fmt: skip
            return replace(made, name=name, simulated=isinstance(sounds, audio.SyntheticWords))

        key = {"sounds": sounds.stamp(), "encoder": encoder.to_dict(), "name": name}
        return cached({**key, "seed": seed, "n_steps": self.n_steps, "dt": self.dt}, make)
