"""Folders, zip archives and nested zip archives behind one small interface: names and bytes."""

from __future__ import annotations

import bz2
import contextlib
import io
import lzma
import os
import pathlib
import struct
import tempfile
import weakref
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, Protocol

from eprop.errors import DataError
from eprop.files import check_budget, check_disk, explain, memory_budget, open_regular, parsing

_HIDDEN = ("__MACOSX", ".")
#: Largest depth of nested folders, and number of links to one folder; a data set has fewer.
DEEPEST, MOST_WAYS = 40, 8
#: Memory for each byte of an archive's table of contents.
_PER_BYTE_OF_CONTENTS = 25
_AGAIN = "download the archive again"


class Tree(Protocol):
    """Files under relative names with forward slashes."""

    def names(self) -> list[str]:
        """All files, in any order."""

    def size(self, name: str) -> int:
        """Bytes of a file, according to the folder or to the archive's table of contents."""

    def read(self, name: str, most: int) -> bytes:
        """Content of one file of at most ``most`` bytes."""

    def where(self, name: str = "") -> str:
        """Path for a message."""

    def enter(self, name: str) -> Tree:
        """The zip archive ``name`` within this tree, as a tree."""

    def stamp(self, name: str) -> tuple[int, int]:
        """Numbers that change with the file: size and modification time, or size and checksum."""


class FolderTree:
    """Files below a folder, links followed."""

    def __init__(self, root: pathlib.Path):
        self.root = root

    def names(self) -> list[str]:
        return list(_FilesBelow().of(str(self.root), "", ()))

    def size(self, name: str) -> int:
        return self.stamp(name)[0]

    def read(self, name: str, most: int) -> bytes:
        where = self.where(name)
        with open_regular(where) as file, parsing(where, "cannot be read"):
            content = file.read(most + 1)
        check_budget(where, len(content), most)
        return content

    def where(self, name: str = "") -> str:
        return str(self.root / name)

    def stamp(self, name: str) -> tuple[int, int]:
        try:
            status = os.stat(f"{self.root}/{name}")
        except OSError as error:
            raise DataError(f"{self.where(name)}: cannot be read ({error.strerror or error})") from None
        return status.st_size, status.st_mtime_ns

    def enter(self, name: str) -> Tree:
        return ZipTree(self.where(name), open_regular(self.root / name))


class _FilesBelow:
    """Names of all files below a folder.

    A folder that cannot be read is an error: skipping it could lose a whole class of a data set.
    """

    def __init__(self) -> None:
        self.ways: dict[tuple[int, int], int] = {}

    def of(self, folder: str, start: str, above: tuple[tuple[int, int], ...]) -> Iterator[str]:
        """Files of one folder, with names that begin with ``start``; skip a link to one of the folders ``above``."""
        try:
            status = os.stat(folder)
            here = status.st_dev, status.st_ino
            if here in above:
                return
            self._count(folder, here, len(above))
            with os.scandir(folder) as listed:
                entries = [(entry, entry.is_dir()) for entry in listed if not entry.name.startswith(_HIDDEN)]
        except OSError as error:
            raise DataError(
                f"{folder:.300}: cannot be read ({error.strerror or error}); make it readable, or move it away"
            ) from None
        for entry, is_folder in entries:
            if is_folder:
                yield from self.of(entry.path, f"{start}{entry.name}/", (*above, here))
            elif entry.is_symlink() and not os.path.exists(entry.path):
                raise DataError(
                    f"{entry.path}: is a link to {os.readlink(entry.path)}, which does not exist; repair or remove it"
                )
            else:
                yield start + entry.name

    def _count(self, folder: str, here: tuple[int, int], depth: int) -> None:
        """Refuse folders whose links make nearly endless paths."""
        ways = self.ways[here] = self.ways.get(here, 0) + 1
        if ways > MOST_WAYS:
            raise DataError(
                f"{folder:.300}: more than {MOST_WAYS} paths lead to this folder through links; remove some links"
            )
        if depth > DEEPEST:
            raise DataError(
                f"{folder:.300}: is nested more than {DEEPEST} folders deep; give the folder of the recordings itself"
            )


class ZipTree:
    """Files in a zip archive.

    The tree owns its file and closes it at the end; ``parent`` is the archive that contains the file as ``member``.
    """

    def __init__(self, label: str, file: BinaryIO, parent: ZipTree | None = None, member: str = ""):
        self.label, self.file, self.parent, self.member = label, file, parent, member
        # Not ``__del__``: in a reference cycle, such as the frames of an error, the file may be finalised first and warn.
        weakref.finalize(self, file.close)
        with parsing(label, "is not a readable zip archive", advice="download it again"):
            needed = _PER_BYTE_OF_CONTENTS * _bytes_of_contents(file)
            check_budget(f"{label}: its table of contents", needed, memory_budget())
            self.archive = zipfile.ZipFile(file)

    def __reduce__(self) -> tuple[Any, ...]:
        # Another process cannot receive an open file, so it opens the archive itself.
        return (open_tree, (self.label,)) if self.parent is None else (ZipTree.enter, (self.parent, self.member))

    def names(self) -> list[str]:
        names = [info.filename for info in self.archive.infolist() if not info.filename.endswith("/")]
        return [n for n in names if not any(part.startswith(_HIDDEN) for part in n.split("/"))]

    def size(self, name: str) -> int:
        return self.archive.getinfo(name).file_size

    def read(self, name: str, most: int) -> bytes:
        """Unpack at most as many bytes as the table of contents promises."""
        check_budget(self.where(name), self.size(name), most)
        with parsing(self.where(name), "cannot be unpacked", advice=_AGAIN):
            return b"".join(self._pieces(self.archive.getinfo(name)))

    def where(self, name: str = "") -> str:
        return f"{self.label}:{name}" if name else self.label

    def stamp(self, name: str) -> tuple[int, int]:
        info = self.archive.getinfo(name)
        return info.file_size, info.CRC

    def enter(self, name: str) -> Tree:
        """Open a nested archive: read a stored one in place, unpack a compressed one to an anonymous temporary file."""
        info = self.archive.getinfo(name)
        if info.compress_type == zipfile.ZIP_STORED and not info.flag_bits & _ENCRYPTED:
            window = _Window(self.file, self._start(info), info.file_size)
            return ZipTree(self.where(name), io.BufferedReader(window), self, name)
        return ZipTree(self.where(name), self._unpacked(name, info), self, name)

    def _unpacked(self, name: str, info: zipfile.ZipInfo) -> BinaryIO:
        """Unpack a member to an anonymous temporary file."""
        where = self.where(name)
        check_disk(tempfile.gettempdir(), where, info.file_size)
        unpacked: Any = tempfile.TemporaryFile()  # noqa: SIM115 - the tree keeps it
        with contextlib.ExitStack() as failing:
            failing.callback(unpacked.close)
            with parsing(where, "cannot be unpacked", advice=_AGAIN):
                for chunk in self._pieces(info):
                    self._keep(unpacked, chunk, where, info.file_size)
            failing.pop_all()
        return unpacked

    @staticmethod
    def _keep(unpacked: BinaryIO, chunk: bytes, where: str, size: int) -> None:
        """Write a chunk of a member to its temporary file."""
        try:
            unpacked.write(chunk)
        except OSError as error:
            raise DataError(
                f"{where}: cannot be unpacked into {tempfile.gettempdir()}: {explain(error, size)}; unpack it by hand, or set "
                "TMPDIR to a folder on a disk with more space"
            ) from None

    def _pieces(self, info: zipfile.ZipInfo) -> Iterator[bytes]:
        """Content of a member, cut at the size in the table of contents."""
        if info.compress_type in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA) and not info.flag_bits & _ENCRYPTED:
            packed = io.BufferedReader(_Window(self.file, self._start(info), info.compress_size))
            yield from _bounded_pieces(packed, info)
            return
        with self.archive.open(info) as source:
            while chunk := source.read(_PIECE):
                yield chunk

    def _start(self, info: zipfile.ZipInfo) -> int:
        """Offset of the bytes of a stored member: behind its local header and the header's two texts."""
        with parsing(self.where(info.filename), "cannot be unpacked", advice=_AGAIN):
            self.file.seek(info.header_offset + 26)
            name_length, extra_length = struct.unpack("<HH", self.file.read(4))
        return info.header_offset + 30 + name_length + extra_length


class _Window(io.RawIOBase):
    """A section of a file, as a separate file object."""

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


#: Flag bit of an encrypted member.
_ENCRYPTED = 1
#: Bytes of a member to unpack at once.
_PIECE = 1 << 20


def _bounded_pieces(packed: BinaryIO, info: zipfile.ZipInfo) -> Iterator[bytes]:
    """Unpack a BZip2 or LZMA member in pieces; `zipfile` would unpack 46 MB for each 40 bytes, whatever size is promised."""
    unpacker: Any = bz2.BZ2Decompressor()
    start = b""
    if info.compress_type == zipfile.ZIP_LZMA:
        # Properties (APPNOTE 5.8.8) and size: the header of a stand-alone LZMA file.
        unpacker = lzma.LZMADecompressor(lzma.FORMAT_ALONE)
        (length,) = struct.unpack("<2xH", packed.read(4))
        start = packed.read(length) + struct.pack("<Q", info.file_size)
    left, checksum = info.file_size, 0
    while not unpacker.eof and left > 0:
        given = start or (packed.read(_PIECE) if unpacker.needs_input else b"")
        if unpacker.needs_input and not given:
            raise EOFError("it is truncated")
        start = b""
        piece = unpacker.decompress(given, min(_PIECE, left))
        left, checksum = left - len(piece), zlib.crc32(piece, checksum)
        yield piece
    if left or checksum != info.CRC:
        raise zipfile.BadZipFile("its checksum is wrong")


def _bytes_of_contents(file: BinaryIO) -> int:
    """Size of an archive's table of contents, from its end record (PKWARE's APPNOTE 6.3.10, sections 4.3.14 to 4.3.16)."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - 66_000))
    end = file.read(66_000)
    at = end.rfind(b"PK\x05\x06")
    if at < 0 or at + 22 > len(end):
        return 0  # zipfile reports the error
    (count,) = struct.unpack_from("<L", end, at + 12)
    if end[max(at - 20, 0) : at].startswith(b"PK\x06\x07") and at >= 76:
        (count,) = struct.unpack_from("<Q", end, at - 76 + 40)
    return min(int(count), size)


def open_tree(path: str | pathlib.Path) -> Tree:
    """Open a folder or a zip archive.

    Raises
    ------
    DataError
        If the path is neither.
    """
    path = pathlib.Path(os.path.expanduser(path))
    if os.path.isdir(path):
        return FolderTree(path)
    if os.path.lexists(path):
        return ZipTree(str(path), open_regular(path))
    raise DataError(f"{path}: no such folder or zip archive")
