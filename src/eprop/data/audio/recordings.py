"""Recordings of spoken words in a folder or archive of WAV files; labels are in the names of files or folders."""

from __future__ import annotations

import collections
import hashlib
import pathlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from eprop.data._archive import Tree, open_tree
from eprop.data.audio.wav import Wav, read_wav
from eprop.data.binned import Selection, chosen_rows
from eprop.errors import DataError, ParameterError
from eprop.files import memory_budget

LAYOUT = (
    "Recordings are laid out as LABEL_SPEAKER_NUMBER.wav, such as 7_jackson_32.wav (Free Spoken Digit Dataset), or as "
    "LABEL/SPEAKER_nohash_NUMBER.wav or LABEL/NAME.wav (Speech Commands)"
)
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
#: Largest file, bytes: an hour of sound.
_MOST = 1 << 29
#: A label may have underscores; a speaker too, after a digit.
_BY_NAME = re.compile(
    rf"(?P<label>(?:\d|{'|'.join(DIGITS)})(?=_)|.+(?=_[^_]+_\d+$))_(?P<speaker>.+)_(?P<take>\d{{1,9}})"
)
_NO_HASH = re.compile(r"(?P<speaker>.+)_nohash_(?P<take>\d{1,9})")
#: Files of Speech Commands that list its validation and test recordings.
_LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}


@dataclass(frozen=True, eq=False)
class SoundRecordings:
    """Recordings; a sequence of ``(samples, rate)``, each read when it is asked for.

    Attributes
    ----------
    labels : ndarray of int32, shape (n,)
        Class of each recording, an index of ``classes``.
    speakers : ndarray of str, shape (n,)
        Empty if the names do not tell.
    takes : ndarray of int64, shape (n,)
        Number of the recording among those of its speaker and class, from its name; -1 if the names do not tell.
    parts : ndarray of str, shape (n,)
        Part to which lists in the folder assign a recording: train, validation or test; empty without lists.
    classes : tuple of str
    name : str
    """

    labels: np.ndarray
    speakers: np.ndarray
    takes: np.ndarray
    parts: np.ndarray
    classes: tuple[str, ...]
    name: str
    _files: tuple[str, ...]
    _tree: Tree

    def __len__(self) -> int:
        return len(self._files)

    def __repr__(self) -> str:
        people = np.unique(self.speakers).size
        return f"<SoundRecordings {self.name!r}: {len(self)} of {len(self.classes)} words by {people} speakers>"

    def __getitem__(self, index: int) -> Wav:
        file = self._files[index]
        return read_wav(self._tree.read(file, min(_MOST, memory_budget())), self._tree.where(file))

    def __iter__(self) -> Iterator[Wav]:
        return (self[i] for i in range(len(self)))

    def subset(self, chosen: Selection, name: str | None = None) -> SoundRecordings:
        """Select the recordings at ``chosen`` (whole numbers, mask or slice)."""
        where = chosen_rows(chosen, len(self))
        columns = {key: getattr(self, key)[where] for key in ("labels", "speakers", "takes", "parts")}
        files = tuple(self._files[i] for i in where)
        return replace(self, **columns, _files=files, name=self.name if name is None else name)

    def stamp(self) -> str:
        """Digest of the files' names, sizes and modification times (or checksums), for a cache key."""
        out = hashlib.sha256()
        for name in self._files:
            out.update(f"{name} {self._tree.stamp(name)};".encode(errors="surrogateescape"))
        return out.hexdigest()[:32]


class _File(NamedTuple):
    label: str
    speaker: str
    take: int
    name: str


def read_sounds(
    path: str | pathlib.Path, *, classes: Sequence[str] | None = None, layout: str | None = None
) -> SoundRecordings:
    """Find the recordings of a folder or zip archive; a file is read when it is asked for.

    Parameters
    ----------
    path : path
        Folder or zip archive with WAV files at any depth.
    classes : sequence of str, optional
        Words in the order of their classes; recordings of other words are left out. ``"seven"`` also takes the label ``7``,
        and the other way round. The default is all words, sorted.
    layout : "names" or "folders", optional
        Whether labels are in the names, ``LABEL_SPEAKER_NUMBER.wav``, or are the names of the folders. The default is names
        if all files fit. ``left_turn_ann_0.wav`` has the label ``left_turn``; after a digit, a speaker may have underscores.

    Returns
    -------
    SoundRecordings
        Sorted by class, speaker, number and name.

    Raises
    ------
    DataError
        If there is no WAV file, a label cannot be found, or a class has no recording.
    """
    if layout not in (None, "names", "folders"):
        raise ParameterError(f'layout must be "names" or "folders", got {layout!r:.80}')
    tree = open_tree(path)
    names = tree.names()
    sounds = [name for name in names if name.lower().endswith(".wav")]
    if not sounds:
        raise DataError(f"{tree.where()}: no WAV file found. {LAYOUT}")
    in_names = [_BY_NAME.fullmatch(pathlib.PurePosixPath(name).stem) for name in sounds]
    if layout is None:
        layout = "names" if all(in_names) and not any("_nohash_" in name for name in sounds) else "folders"
    read = _from_name if layout == "names" else _from_folder
    files = [read(tree, name) for name in sounds]
    words, number = _classes(tree, {file.label for file in files}, classes)
    files = sorted((f for f in files if f.label in number), key=lambda f: (number[f.label], f.speaker, f.take, f.name))
    return SoundRecordings(
        np.array([number[f.label] for f in files], np.int32),
        np.array([f.speaker for f in files], np.str_),
        np.array([f.take for f in files], np.int64),
        _parts(tree, names, files),
        words,
        f"recordings in {pathlib.Path(tree.where()).name}",
        tuple(f.name for f in files),
        tree,
    )


def _from_name(tree: Tree, name: str) -> _File:
    found = _BY_NAME.fullmatch(pathlib.PurePosixPath(name).stem)
    if found is None:
        raise DataError(f"{tree.where(name)}: no label found in the name. {LAYOUT}")
    return _File(found["label"], found["speaker"], int(found["take"]), name)


def _from_folder(tree: Tree, name: str) -> _File:
    parts = pathlib.PurePosixPath(name).parts
    if len(parts) < 2:
        raise DataError(
            f"{tree.where(name)}: no label found: the file is in no folder, and its name has none. {LAYOUT}"
        )
    found = _NO_HASH.fullmatch(pathlib.PurePosixPath(name).stem)
    return _File(parts[-2], found["speaker"] if found else "", int(found["take"]) if found else -1, name)


def _classes(tree: Tree, labels: set[str], classes: Sequence[str] | None) -> tuple[tuple[str, ...], dict[str, int]]:
    """Words by class, and the class of each label; folders such as ``_background_noise_`` are no words."""
    labels = {label for label in labels if not label.startswith("_")}
    words = tuple(sorted(labels) if classes is None else classes)
    number = {label: k for k, word in enumerate(words) for label in _synonyms(word) if label in labels}
    without = [word for k, word in enumerate(words) if k not in number.values()]
    if without or not words:
        listed = ", ".join(sorted(labels)[:12]) or "none"
        raise DataError(
            f"{tree.where()}: no recording of {', '.join(without[:5]) or 'a word'}; the labels are: {listed}. {LAYOUT}"
        )
    return words, number


def _synonyms(word: str) -> tuple[str, ...]:
    digits = {str(k): name for k, name in enumerate(DIGITS)}
    other = digits | {name: digit for digit, name in digits.items()}
    return (word, other[word]) if word in other else (word,)


def _parts(tree: Tree, names: Sequence[str], files: Sequence[_File]) -> np.ndarray:
    """Part of each recording by the lists of Speech Commands; empty without lists."""
    listed: dict[str, str] = collections.defaultdict(lambda: "train")
    for part, file in _LISTS.items():
        for name in names:
            if pathlib.PurePosixPath(name).name == file:
                lines = tree.read(name, 1 << 26).decode("utf-8", "replace").split()
                listed.update(dict.fromkeys(lines, part))
    if not listed:
        return np.full(len(files), "", np.str_)
    return np.array([listed["/".join(pathlib.PurePosixPath(f.name).parts[-2:])] for f in files], np.str_)
