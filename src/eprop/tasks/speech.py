"""Spoken words: a recurrent network names a word from the spikes of a cochlea, of recordings or of the files of SHD and SSC.

Free Spoken Digit Dataset: Jackson et al. 2018, doi 10.5281/zenodo.1342401, CC BY-SA 4.0. Spiking Heidelberg Digits: Cramer,
Stradmann, Schemmel and Zenke 2020, doi 10.1109/TNNLS.2020.3044364.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np

from eprop.data import BinnedDataset, Splits, cached, concatenate
from eprop.data.audio import (
    Cochlea,
    MelSpikes,
    SoundEncoder,
    SoundRecordings,
    SyntheticWords,
    Variety,
    download_digits,
    read_sounds,
    read_spikes_of_speech,
)
from eprop.data.audio.recordings import DIGITS
from eprop.data.audio.spiking_datasets import UNITS, splits_of_speech
from eprop.engine import Samples
from eprop.errors import DataError, ParameterError
from eprop.models import ALIF, CrossEntropy, EventSource, Learned, Neuron, Readout
from eprop.network import Clipped, Glorot, LogNormal, Network, Normal, Uniform
from eprop.parameters import inherited, param
from eprop.random import derive
from eprop.tasks.arrays import ArrayTask
from eprop.tasks.base import Classification
from eprop.tasks.datasets import BinnedChoice, Progress, absolute_path, at_most
from eprop.tasks.nmnist import summed
from eprop.tasks.recurrent import NEURONS, RULES, LearningTask, RecurrentTask

ENCODERS = ("cochlea", "mel")
#: Recordings with a smaller number are the test, as the authors of the Free Spoken Digit Dataset propose.
TEST_TAKES = 5
#: Voices of the synthetic training words.
_VOICES = 8
#: Streams of random numbers: validation, test, variety of an epoch.
_VALIDATION, _TEST, _VARIETY = range(1, 4)

#: Default values of parameters that are None, for each rule.
SETTINGS: dict[str, dict[str, Any]] = {
    "eprop": {
        "tau_m": 20.0, "tau_out": 50.0, "optimizer": "adam", "eta": 5e-3, "eta_out": 5e-3, "feedback": "symmetric",
        "c_reg": 0.0,
    },
    "eprop+": {
        "tau_m": 20.0, "tau_out": 50.0, "optimizer": "gradient_descent", "eta": 5e-4, "eta_out": 5e-4,
        "feedback": "symmetric", "c_reg": 0.0,
    },
}  # fmt: skip

#: Longest time constant of a neuron, ms, and the learning rate of time constants that learn.
LONGEST, ETA_TAUS = 5000.0, 0.02


@dataclass(frozen=True)
class SpeechData(BinnedChoice):
    """Base of sources of spoken words: where the data are, sizes of the parts, variety of the training samples."""

    data: str | None = param(None, kind=str, optional=True, doc="recordings for training", main=True, metavar="DIR|ZIP")
    test_data: tuple[str, ...] = param(
        (), kind=(tuple, list), doc="recordings for the test", main=True, metavar="DIR|ZIP"
    )
    samples: int | None = param(
        None, kind=int, at_least=1, optional=True, doc="largest number of training samples", main=True
    )
    test_samples: int | None = param(
        None, kind=int, at_least=1, optional=True, doc="largest number of test samples", main=True
    )
    validation: int = param(
        0,
        kind=int,
        at_least=0,
        doc="number of validation samples, taken from the training samples; never learned from",
        main=True,
    )
    seed: int = param(0, kind=int, at_least=0, doc="seed of fibres, splits and variety")
    shift: float = param(
        0.0, at_least=0.0, at_most=100.0, doc="training samples: largest shift of places, in each epoch another"
    )
    stretch: float = param(
        0.0, at_least=0.0, at_most=2.0, doc="training samples: largest change of speed, as a fraction"
    )
    delay: float = param(0.0, unit="ms", at_least=0.0, doc="training samples: longest pause before the word")
    drop: float = param(0.0, at_least=0.0, below=1.0, doc="training samples: fraction of lost events")

    def validate(self) -> None:
        """Check that paths are text."""
        if any(not isinstance(path, str) for path in self.test_data):
            raise ParameterError(f"{type(self).__name__}.test_data must be a list of paths, got {self.test_data!r:.80}")
        object.__setattr__(self, "test_data", tuple(self.test_data))

    @property
    def variety(self) -> Variety:
        """Variety of training samples."""
        return Variety(shift=self.shift, stretch=self.stretch, delay=self.delay, drop=self.drop)

    @property
    def fresh_epochs(self) -> bool:
        """Whether the training samples vary."""
        return self.variety != Variety()

    def absolute(self) -> Self:
        """The same choice with absolute paths."""
        data = None if self.data is None else absolute_path(self.data)
        return self.replace(data=data, test_data=tuple(map(absolute_path, self.test_data)))

    def load(self, task: Any, *, threads: int = 1, progress: Progress | None = None, epoch: int = 0) -> Splits:
        """Training, validation and test data; each ``epoch`` has other variations of the training samples."""
        for path in (self.data, *self.test_data):
            if path is not None and not os.path.exists(path):  # raise before spending time on the other parts
                raise DataError(f"{path}: no such folder or file")
        splits = self.read(task, threads=threads, progress=progress, epoch=epoch)
        if self.test_data:
            tested = self.load_test(task, self.test_data, threads=threads, progress=progress)
            splits = Splits(splits.train, splits.validation, tested)
        train, validation = splits.train, splits.validation
        if self.validation:
            if self.validation >= len(train):
                raise DataError(f"cannot take {self.validation} validation samples of {len(train)} training samples")
            train, validation = train.split(
                (-1, self.validation),
                derive(self.seed, _VALIDATION) >> 1,
                names=(train.name, f"{train.name}, validation part"),
            )
        train = at_most(train, self.samples, self.seed)
        if self.fresh_epochs:
            seed = derive(self.seed, _VARIETY, epoch)
            train = self.variety.vary(train, task.places, seed=seed, threads=threads)
        return Splits(train, validation, at_most(splits.test, self.test_samples, self.seed))

    def load_test(
        self, task: Any, paths: Sequence[Any], *, threads: int = 1, progress: Progress | None = None
    ) -> BinnedDataset:
        """Test data from files."""
        return concatenate([self.read_test(task, path, threads=threads, progress=progress) for path in paths])

    def read(self, task: Any, *, threads: int, progress: Progress | None, epoch: int) -> Splits:
        """Training and test data, as the files divide them."""
        raise TypeError(f"{type(self).__name__} does not define read()")

    def read_test(self, task: Any, path: Any, *, threads: int, progress: Progress | None) -> BinnedDataset:
        """All recordings of a path."""
        raise TypeError(f"{type(self).__name__} does not define read_test()")


@dataclass(frozen=True)
class SpokenWords(SpeechData):
    """Recordings of spoken digits, or synthetic words."""

    data: str | None = param(
        None, kind=str, optional=True, main=True, metavar="DIR|ZIP",
        doc="WAV files for training: Free Spoken Digit Dataset, or Speech Commands; without data, synthetic words",
    )  # fmt: skip
    download: bool = param(
        False, kind=bool, main=True,
        doc="download the Free Spoken Digit Dataset for training and test (12 MB, once; needs the extra download)",
    )  # fmt: skip
    leave: tuple[str, ...] = param(
        (), kind=(tuple, list), doc="speakers whose recordings are the test, and no others", main=True, metavar="NAME"
    )
    test_takes: int = param(
        TEST_TAKES, kind=int, at_least=0,
        doc="without --leave, --test-data and lists of the data: recordings with a smaller number in their name are the test",
    )  # fmt: skip
    variants: int = param(
        1, kind=int, at_least=1, at_most=100,
        doc="encode the training recordings so many times, with the varieties below; epochs take them in turns",
    )  # fmt: skip
    warp: float = inherited(Cochlea, "warp", 0.0)
    loudness: float = inherited(Cochlea, "loudness", 0.0)
    colour: float = inherited(Cochlea, "colour", 0.0)

    def validate(self) -> None:
        """Check that speakers are text, and that there is one source."""
        super().validate()
        if self.download and self.data is not None:
            raise ParameterError("give either data, or download, not both")
        if any(not isinstance(name, str) for name in self.leave):
            raise ParameterError(f"SpokenWords.leave must be a list of names, got {self.leave!r:.80}")
        object.__setattr__(self, "leave", tuple(self.leave))

    @property
    def fresh_epochs(self) -> bool:
        """Whether the training samples vary."""
        return self.variants > 1 or super().fresh_epochs

    def read(self, task: Any, *, threads: int, progress: Progress | None, epoch: int) -> Splits:
        """Encode the recordings of both parts."""
        variant = epoch % self.variants
        if self.data is None and not self.download:
            if self.leave:
                raise ParameterError(
                    "the synthetic words have no speakers to leave out: give recordings with --data, or --download"
                )
            train = SyntheticWords(self.samples or 800, seed=self.seed, speakers=_VOICES)
            test = SyntheticWords(
                self.test_samples or 200, seed=self.seed, first=10**6, speakers=_VOICES // 2, first_speaker=_VOICES
            )
            return Splits(
                self._encoded(task, train, variant, threads, progress),
                None,
                self._encoded(task, test, None, threads, progress),
            )
        sounds = read_sounds(download_digits() if self.data is None else self.data, classes=DIGITS)
        parts = self._parts(sounds)
        if not (parts == "train").any():
            raise DataError(f"{sounds.name}: all {len(sounds)} recordings are for the test; none is left for training")
        if not self.test_data and not (parts == "test").any():
            raise DataError(
                f"{sounds.name}: no recording is for the test: none has a number below {self.test_takes} in its name; "
                "give --test-data or --leave"
            )
        # All recordings are encoded, so that other parts need no new encoding.
        varied, plain = (self._encoded(task, sounds, which, threads, progress) for which in (variant, None))

        def part(data: BinnedDataset, name: str) -> BinnedDataset | None:
            chosen = parts == name
            return data.subset(chosen, f"{data.name}, {name} part") if chosen.any() else None

        return Splits(part(varied, "train"), part(plain, "validation"), None if self.test_data else part(plain, "test"))

    def read_test(self, task: Any, path: Any, *, threads: int, progress: Progress | None) -> BinnedDataset:
        """All recordings of a folder or archive."""
        return self._encoded(task, read_sounds(path, classes=DIGITS), None, threads, progress)

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

    def _encoded(
        self,
        task: Any,
        sounds: SoundRecordings | SyntheticWords,
        variant: int | None,
        threads: int,
        progress: Progress | None,
    ) -> BinnedDataset:
        """Spikes of recordings, kept on disk; a ``variant`` of training recordings differs by the varieties."""
        encoder: SoundEncoder = task.make_encoder()
        if variant is not None and isinstance(encoder, Cochlea):
            encoder = encoder.replace(warp=self.warp, loudness=self.loudness, colour=self.colour)
        seed = derive(self.seed, _TEST if variant is None else 0, variant or 0) >> 1
        name = sounds.name

        def make() -> BinnedDataset:
            show = None if progress is None else lambda done, total: progress(name, done, total)
            made = encoder.binned(
                sounds, sounds.labels, seed=seed, n_steps=task.n_steps, dt=task.dt, threads=threads, progress=show
            )
            return replace(made, name=name, simulated=isinstance(sounds, SyntheticWords))

        key = {"sounds": sounds.stamp(), "encoder": encoder.to_dict(), "kind": task.encoder, "name": name, "seed": seed}
        return cached({**key, "n_steps": task.n_steps, "dt": task.dt}, make)


@dataclass(frozen=True)
class SpikingSpeech(SpeechData):
    """Files of SHD or SSC."""

    data: str | None = param(
        None, kind=str, optional=True, main=True, metavar="DIR",
        doc="folder with shd_train.h5 and shd_test.h5, from https://zenkelab.org/datasets; needed",
    )  # fmt: skip
    test_data: tuple[str, ...] = param((), kind=(tuple, list), doc="HDF5 files for the test", main=True, metavar="FILE")

    def read(self, task: Any, *, threads: int, progress: Progress | None, epoch: int) -> Splits:
        """Both files, and that for validation if there is one."""
        if self.data is None:
            raise DataError(
                "the task shd needs data: download shd_train.h5.gz and shd_test.h5.gz from https://zenkelab.org/datasets, unpack "
                "them, and give their folder with --data"
            )
        files = splits_of_speech(self.data)
        if missing := [
            split for split in ("train", "test") if split not in files and not (split == "test" and self.test_data)
        ]:
            raise DataError(f"{self.data}: has no file of the split {missing[0]}, only {', '.join(files)}")
        found = {
            split: self._binned(task, file, progress)
            for split, file in files.items()
            if split != "test" or not self.test_data
        }
        return Splits(found["train"], found.get("valid"), found.get("test"))

    def read_test(self, task: Any, path: Any, *, threads: int, progress: Progress | None) -> BinnedDataset:
        """A file."""
        return self._binned(task, path, progress)

    def _binned(self, task: Any, path: Any, progress: Progress | None) -> BinnedDataset:
        recordings = read_spikes_of_speech(path, "test")
        show = None if progress is None else lambda done, total: progress(recordings.name, done, total)
        if recordings.labels.max() >= len(task.classes):
            raise DataError(
                f"{recordings.path}: has the label {recordings.labels.max()}, but the task {len(task.classes)} classes"
            )
        key = {"spikes": recordings.stamp(), "pool": task.pool, "n_steps": task.n_steps, "dt": task.dt}
        return cached(key, lambda: recordings.binned(n_steps=task.n_steps, dt=task.dt, pool=task.pool, progress=show))


@dataclass(frozen=True, kw_only=True)
class SpeechTask(ArrayTask, LearningTask, Classification):
    """Base of tasks that name a word from spikes: the network, the window, the score."""

    dt: float = inherited(RecurrentTask, "dt", 5.0)
    neurons: int = param(200, kind=int, at_least=1, doc="recurrent neurons", main=True)
    neuron: str = param("alif", kind=str, doc="lif, or alif with an adaptive threshold", main=True)
    spread: float = param(
        0.0, at_least=0.0, at_most=3.0, main=True,
        doc="sd of the logarithm of tau_m and tau_adapt, which are then drawn for each neuron",
    )  # fmt: skip
    learn_taus: bool = param(
        False, kind=bool, doc="eprop: let tau_m and tau_adapt of each neuron learn from their first values", main=True
    )
    input_delay: float = param(
        60.0, unit="ms", at_least=0.0, at_most=1000.0,
        doc="longest delay of an input synapse, drawn for each: a neuron then hears sounds of different times together",
    )  # fmt: skip
    n_steps: int = param(100, kind=int, at_least=2, doc="time steps of a sample")
    window_start: int = param(20, kind=int, at_least=0, doc="first step that counts")
    w_in: float = param(0.15, unit="mV", at_least=0.0, doc="sd of the initial input weights")
    w_rec: float = param(0.1, unit="mV", at_least=0.0, doc="sd of the initial recurrent weights")

    @classmethod
    def choices(cls) -> Mapping[str, tuple[str, ...]]:
        """Allowed values of parameters that are names."""
        return {"rule": RULES, "neuron": NEURONS}

    @classmethod
    def suited(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Default values for the rule in ``given``."""
        return dict(SETTINGS.get(given.get("rule", cls.rule), {}))

    def validate(self) -> None:
        """Check the window and what learns; replace None by the values of `suited`."""
        super().validate()
        if self.learn_taus and self.rule != "eprop":
            raise ParameterError(f'{type(self).__name__}.learn_taus needs rule = "eprop": only e-prop learns constants')
        if not self.window_start < self.n_steps:
            raise ParameterError(
                f"{type(self).__name__}.window_start must be below n_steps = {self.n_steps}, got {self.window_start}"
            )

    def default_training(self, data: Any) -> dict[str, Any]:
        """Twenty epochs; the learning rate falls linearly."""
        return {"epochs": 20, "batch_size": 32, "schedule": "linear"}

    @property
    def places(self) -> int:
        """Places of the cochlea, or bands."""
        raise TypeError(f"{type(self).__name__} does not define places")

    @property
    def n_channels(self) -> int:
        """Input channels."""
        raise TypeError(f"{type(self).__name__} does not define n_channels")

    @property
    def window(self) -> np.ndarray:
        """Weight of each step in loss and score, shape ``(n_steps,)``: 1 from `window_start` on."""
        return (np.arange(self.n_steps) >= self.window_start).astype(np.float64)

    def make_neuron(self, kind: str | None = None) -> Neuron:
        """The neuron model; its time constants may be drawn (`spread`), and learn."""
        made = super().make_neuron(kind)
        names = ("tau_m", "tau_adapt") if isinstance(made, ALIF) else ("tau_m",)
        return made.replace(**{name: self._constant(getattr(self, name)) for name in names})

    def _constant(self, tau: float) -> Any:
        drawn = LogNormal(math.log(tau), self.spread) if self.spread > 0.0 else tau
        if not self.learn_taus:
            return drawn
        start: Any = Clipped(drawn, self.dt, LONGEST) if isinstance(drawn, LogNormal) else drawn
        return Learned(start, low=self.dt, high=LONGEST, eta=ETA_TAUS)

    def build_network(self) -> Network:
        """Populations ``in``, ``rec`` and ``out``; all projections are plastic."""
        net = Network(dt=self.dt, seed=self.seed)
        rule, rule_out = self.make_rule(self.eta), self.make_rule(self.eta_out)
        x = net.add(EventSource(), self.n_channels, name="in")
        rec = net.add(self.make_neuron(self.neuron), self.neurons, name="rec")
        out = net.add(Readout(tau_m=self.tau_out, loss=CrossEntropy()), len(self.classes), name="out")
        delay = Uniform(self.dt, self.input_delay) if self.input_delay > self.dt else None
        net.connect(x, rec, weight=Normal(0.0, self.w_in), rule=rule, delay=delay)
        net.connect(rec, rec, weight=Normal(0.0, self.w_rec), rule=rule)
        net.connect(rec, out, weight=Glorot(), rule=rule_out)
        net.feedback(out, rec, self.make_feedback())
        return net

    def evidence(self, samples: Samples, y: np.ndarray) -> np.ndarray:
        """Readouts summed over the window."""
        return summed(y[:, self.window_start :], softmax=False)


@dataclass(frozen=True, kw_only=True)
class SpokenDigits(SpeechTask):
    """Spoken digits as spikes of a cochlea: name the word. Parameters that are None take the values of `SETTINGS` for the rule.

    Examples
    --------
    >>> SpokenDigits(rule="eprop+", neurons=300).eta
    0.0005
    """

    encoder: str = param("cochlea", kind=str, doc="cochlea, or mel for a log-mel spectrum", main=True)
    channels: int = param(
        35,
        kind=int,
        at_least=2,
        at_most=1024,
        doc="places of the cochlea, or mel bands; each has two channels",
        main=True,
    )

    name: ClassVar[str] = "spoken-digits"
    classes: ClassVar[tuple[str, ...]] = tuple("0123456789")
    data: ClassVar[Any] = SpokenWords

    @classmethod
    def choices(cls) -> Mapping[str, tuple[str, ...]]:
        """Allowed values of parameters that are names."""
        return {**super().choices(), "encoder": ENCODERS}

    def default_data(self) -> dict[str, Any]:
        """Variety of the training recordings: they are encoded four times, moved and stretched."""
        return {"variants": 4, "colour": 12.0, "loudness": 6.0, "shift": self.channels * 0.04, "stretch": 0.15}

    def make_encoder(self) -> SoundEncoder:
        """The ear."""
        return Cochlea(places=self.channels) if self.encoder == "cochlea" else MelSpikes(bands=self.channels)

    @property
    def places(self) -> int:
        """Places of the cochlea, or bands."""
        return self.channels

    @property
    def n_channels(self) -> int:
        """Input channels: two for each place."""
        return self.make_encoder().n_channels


@dataclass(frozen=True, kw_only=True)
class SHD(SpeechTask):
    """Spiking Heidelberg Digits: name one of twenty spoken digits, English or German, from the spikes of a cochlea.

    The network and its settings are those of `SpokenDigits`.
    """

    pool: int = param(
        5, kind=int, at_least=1, at_most=UNITS, doc="neighbouring channels of the 700 that become one", main=True
    )
    n_steps: int = inherited(SpeechTask, "n_steps", 200)

    name: ClassVar[str] = "shd"
    classes: ClassVar[tuple[str, ...]] = (*(f"{k}" for k in range(10)), *(f"{k} (German)" for k in range(10)))
    data: ClassVar[Any] = SpikingSpeech

    def default_data(self) -> dict[str, Any]:
        """Variety of the training samples: moved by as much of the frequencies as in `SpokenDigits`, and stretched."""
        return {"shift": self.places * 0.04, "stretch": 0.15}

    def validate(self) -> None:
        """Check that `pool` divides the channels."""
        super().validate()
        if UNITS % self.pool:
            raise ParameterError(f"SHD.pool must divide {UNITS}, got {self.pool}")

    @property
    def places(self) -> int:
        """Channels after pooling."""
        return UNITS // self.pool

    @property
    def n_channels(self) -> int:
        """Channels after pooling."""
        return UNITS // self.pool
