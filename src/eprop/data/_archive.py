"""Folders, zip archives and zip archives within zip archives behind one small interface: names and bytes."""

from __future__ import annotations

import io
import os
import pathlib
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, Protocol

from eprop.errors import DataError

_HIDDEN = ("__MACOSX", ".")


class Tree(Protocol):
    """Files under relative names with forward slashes."""

    def names(self) -> list[str]:
        """All files, in no particular order."""

    def read(self, name: str) -> bytes:
        """The content of one file."""

    def where(self, name: str = "") -> str:
        """Path for a message."""

    def enter(self, name: str) -> Tree:
        """The zip archive ``name`` within this tree, as a tree."""

    def stamp(self, name: str) -> tuple[int, int]:
        """Numbers that change when the file does: size and time of change, or size and checksum."""


class FolderTree:
    """Files below a folder, those behind links as well."""

    def __init__(self, root: pathlib.Path):
        self.root = root

    def names(self) -> list[str]:
        return list(_files_below(str(self.root), "", frozenset()))

    def read(self, name: str) -> bytes:
        try:
            with open(f"{self.root}/{name}", "rb", buffering=0) as file:
                return file.read()
        except OSError as error:
            raise DataError(f"{self.where(name)}: cannot be read ({error.strerror or error})") from None

    def where(self, name: str = "") -> str:
        return str(self.root / name)

    def stamp(self, name: str) -> tuple[int, int]:
        status = os.stat(f"{self.root}/{name}")
        return status.st_size, status.st_mtime_ns

    def enter(self, name: str) -> Tree:
        return ZipTree(self.where(name), open(self.root / name, "rb"))


def _files_below(folder: str, start: str, above: frozenset[tuple[int, int]]) -> Iterator[str]:
    """Names of all files, each beginning with ``start``; links to one of the folders ``above`` would go on without end.

    Whatever cannot be looked into is an error: passed over, it could be a whole class of a data set.
    """
    try:
        status = os.stat(folder)
        here = status.st_dev, status.st_ino
        if here in above:
            return
        with os.scandir(folder) as listed:
            entries = [entry for entry in listed if not entry.name.startswith(_HIDDEN)]
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be looked into ({error.strerror or error}); make it readable, or move it away"
        ) from None
    for entry in entries:
        if entry.is_dir():
            yield from _files_below(entry.path, f"{start}{entry.name}/", above | {here})
        elif entry.is_symlink() and not os.path.exists(entry.path):
            raise DataError(
                f"{entry.path}: is a link to {os.readlink(entry.path)}, which is not there; mend or remove it"
            )
        else:
            yield start + entry.name


class ZipTree:
    """Files in a zip archive.

    It owns its file and closes it when it is no longer used; ``parent`` is the archive that the file lies in, as ``member``.
    """

    def __init__(self, label: str, file: BinaryIO, parent: ZipTree | None = None, member: str = ""):
        self.label, self.file, self.parent, self.member = label, file, parent, member
        try:
            self.archive = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, OSError, struct.error) as error:
            raise DataError(f"{label}: no readable zip archive ({error}); download it again") from None

    def __del__(self) -> None:
        self.file.close()

    def __reduce__(self) -> tuple[Any, ...]:
        # An open file does not go to another process, which opens the archive itself.
        return (open_tree, (self.label,)) if self.parent is None else (ZipTree.enter, (self.parent, self.member))

    def names(self) -> list[str]:
        names = (info.filename for info in self.archive.infolist() if not info.is_dir())
        return [n for n in names if not any(part.startswith(_HIDDEN) for part in n.split("/"))]

    def read(self, name: str) -> bytes:
        try:
            return self.archive.read(name)
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError) as error:
            raise DataError(f"{self.where(name)}: cannot be unpacked ({error}); download the archive again") from None

    def where(self, name: str = "") -> str:
        return f"{self.label}:{name}" if name else self.label

    def stamp(self, name: str) -> tuple[int, int]:
        info = self.archive.getinfo(name)
        return info.file_size, info.CRC

    def enter(self, name: str) -> Tree:
        """An archive in the archive: read in place if it is stored, else unpacked to a nameless temporary file."""
        info = self.archive.getinfo(name)
        if info.compress_type == zipfile.ZIP_STORED:
            window = _Window(self.file, self._start(info), info.file_size)
            return ZipTree(self.where(name), io.BufferedReader(window), self, name)
        unpacked = tempfile.TemporaryFile()  # noqa: SIM115 - the tree keeps it
        try:
            with self.archive.open(info) as source:
                while chunk := source.read(1 << 20):
                    unpacked.write(chunk)
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise DataError(f"{self.where(name)}: cannot be unpacked ({error}); download the archive again") from None
        except OSError as error:
            raise DataError(
                f"{self.where(name)}: cannot be unpacked ({error.strerror or error}); "
                f"unpack it by hand, or set TMPDIR to a disk with {info.file_size >> 20} MiB of room"
            ) from None
        return ZipTree(self.where(name), unpacked, self, name)

    def _start(self, info: zipfile.ZipInfo) -> int:
        """Where the bytes of a stored member begin: behind its local header and the header's two texts."""
        self.file.seek(info.header_offset + 26)
        name_length, extra_length = struct.unpack("<HH", self.file.read(4))
        return info.header_offset + 30 + name_length + extra_length


class _Window(io.RawIOBase):
    """A stretch of a file, as a file of its own."""

    def __init__(self, file: BinaryIO, start: int, size: int):
        self.file, self.start, self.size, self.at = file, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.at, io.SEEK_END: self.size}[whence]
        self.at = max(0, base + offset)
        return self.at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self.file.seek(self.start + self.at)
        data = self.file.read(max(0, min(len(buffer), self.size - self.at)))
        buffer[: len(data)] = data
        self.at += len(data)
        return len(data)


def open_tree(path: str | pathlib.Path) -> Tree:
    """The tree at a path: a folder, or a zip archive.

    Raises
    ------
    DataError
        If there is neither.
    """
    path = pathlib.Path(path).expanduser()
    if path.is_dir():
        return FolderTree(path)
    if path.is_file():
        return ZipTree(str(path), path.open("rb"))
    raise DataError(f"{path}: no such folder or zip archive")
