"""Spoken words as samples: recordings, or synthetic words, that a cochlea hears."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from eprop.data import BinnedDataset, Splits, audio, cached, concatenate
from eprop.data.splits import at_most
from eprop.errors import DataError, ParameterError
from eprop.parameters import param
from eprop.random import derive
from eprop.tasks.files import FileSamples
from eprop.training import Stage

#: Names of the classes.
DIGITS = tuple("0123456789")
#: Recordings with a smaller number are the test, as the authors of the Free Spoken Digit Dataset propose.
TEST_TAKES = 5
#: Voices of the synthetic training words.
_VOICES = 8
#: Streams of random numbers: validation, test, variety of an epoch.
_VALIDATION, _TEST, _VARIETY = range(1, 4)


@dataclass(frozen=True, kw_only=True)
class SpokenWords(FileSamples):
    """Recordings of spoken digits, or synthetic words, and the ear that hears them; training samples vary in each epoch."""

    encoder: audio.SoundEncoder = field(default_factory=audio.Cochlea)
    download: bool = False
    leave: tuple[str, ...] = ()
    variants: int = param(1, kind=int, at_least=1, doc="training recordings: how often each is encoded anew")
    loudness: float = param(0.0, unit="dB", at_least=0.0, at_most=40.0, doc="sd of the loudness")
    colour: float = param(0.0, unit="dB", at_least=0.0, at_most=40.0, doc="sd of a smooth change of the spectrum")
    variety: audio.Variety = field(default_factory=audio.Variety)

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
    def fresh_epochs(self) -> bool:
        """Whether the training samples vary."""
        return self.variants > 1 or self.variety != audio.Variety()

    def read(self, stage: Stage) -> Splits:
        """All samples; each epoch has other variations of the training samples."""
        train, validation, test = self._encoded_parts(stage)
        if n := self.validation:
            if n >= len(train):
                raise DataError(f"cannot take {n} validation samples of {len(train)} training samples")
            names = (train.name, f"{train.name}, validation part")
            train, validation = train.split((-1, n), derive(0, _VALIDATION) >> 1, names=names)
        train = at_most(train, self.samples, 0)
        if self.variety != audio.Variety():
            seed, places = derive(0, _VARIETY, stage.epoch), self.encoder.n_channels // 2
            train = self.variety.vary(train, places, seed=seed, threads=stage.threads)
        return Splits(train, validation, self.read_paths(stage) if self.test_data else test)

    def _encoded_parts(self, stage: Stage) -> Sequence[Any]:
        """Training, validation and test recordings, encoded; None for a part without any."""
        variant = stage.epoch % self.variants
        if self.data is None and not self.download:
            train = audio.SyntheticWords(self.samples or 800, speakers=_VOICES)
            test = audio.SyntheticWords(
                self.test_samples or 200, first=10**6, speakers=_VOICES // 2, first_speaker=_VOICES
            )
            return self._encoded(train, variant, stage), None, self._encoded(test, None, stage)
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

        return part(varied, "train"), part(plain, "validation"), part(plain, "test")

    def read_paths(self, stage: Stage) -> BinnedDataset:
        """All recordings for the test."""
        sounds = [audio.read_sounds(path, classes=DIGITS) for path in self.test_data]
        return concatenate([self._encoded(each, None, stage) for each in sounds])

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
