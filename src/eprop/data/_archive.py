"""Folders and zip archives as trees: files under relative names with forward slashes."""

from __future__ import annotations

import os
import pathlib
import weakref
import zipfile
from typing import IO, TypeAlias

from eprop.errors import DataError
from eprop.files import check_budget, open_regular, parsing

_HIDDEN = ("__MACOSX", ".")
#: Largest depth of nested folders; a data set has fewer.
DEEPEST = 40
#: Methods of compression whose output `zipfile` bounds; 40 bytes of another one can unpack to 46 MB at once.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class FolderTree:
    """Files below a folder. Links are followed, but no folder is visited twice."""

    def __init__(self, root: pathlib.Path):
        self.root = root

    def names(self) -> list[str]:
        """All files; a folder that cannot be read is an error: skipping it could lose a whole class of a data set."""
        names, visited = list[str](), set[tuple[int, int]]()
        for folder, folders, files in os.walk(self.root, followlinks=True, onerror=_refuse_unreadable):
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in visited:
                folders.clear()
                continue
            visited.add((status.st_dev, status.st_ino))
            start = os.path.relpath(folder, self.root).replace(os.sep, "/") + "/"
            if start.count("/") > DEEPEST:
                raise DataError(
                    f"{folder:.300}: is nested more than {DEEPEST} folders deep; give the folder of the recordings itself"
                )
            folders[:] = sorted(name for name in folders if not name.startswith(_HIDDEN))
            for name in files:
                _refuse_dangling(os.path.join(folder, name))
            names += [(start + name).removeprefix("./") for name in files if not name.startswith(_HIDDEN)]
        return names

    def size(self, name: str) -> int:
        """Bytes of a file."""
        return self.stamp(name)[0]

    def read(self, name: str, most: int) -> bytes:
        """Content of a file of at most ``most`` bytes."""
        where = self.where(name)
        with open_regular(where) as file, parsing(where, "cannot be read"):
            content = file.read(most + 1)
        check_budget(where, len(content), most)
        return content

    def where(self, name: str = "") -> str:
        """Path for a message."""
        return str(self.root / name)

    def stamp(self, name: str) -> tuple[int, int]:
        """Size and modification time of a file."""
        try:
            status = os.stat(f"{self.root}/{name}")
        except OSError as error:
            raise DataError(f"{self.where(name)}: cannot be read ({error.strerror or error})") from None
        return status.st_size, status.st_mtime_ns

    def enter(self, name: str) -> ZipTree:
        """Open a zip archive of this folder."""
        return ZipTree(self.where(name))


def _refuse_unreadable(error: OSError) -> None:
    raise DataError(
        f"{error.filename:.300}: cannot be read ({error.strerror or error}); make it readable, or move it away"
    ) from None


def _refuse_dangling(path: str) -> None:
    """Refuse a link that leads nowhere: it could stand for a whole class of a data set."""
    if os.path.islink(path) and not os.path.exists(path):
        raise DataError(f"{path}: is a link to {os.readlink(path)}, which does not exist; repair or remove it")


class ZipTree:
    """Files in a zip archive. The tree owns its file, and closes it at the end."""

    def __init__(self, path: str):
        self.label = path
        file = open_regular(path)
        # Not ``__del__``: in a reference cycle, such as the frames of an error, the file may be finalised first and warn.
        weakref.finalize(self, file.close)
        with parsing(path, "is not a readable zip archive", advice="download it again"):
            self.archive = zipfile.ZipFile(file)

    def __reduce__(self) -> tuple[object, ...]:
        # Another process cannot receive an open file, so it opens the archive itself.
        return ZipTree, (self.label,)

    def names(self) -> list[str]:
        """All files, in any order."""
        # `is_dir` of Python 3.11 fails for an entry without a name.
        names = [info.filename for info in self.archive.infolist() if not info.filename.endswith("/")]
        return [n for n in names if not any(part.startswith(_HIDDEN) for part in n.split("/"))]

    def size(self, name: str) -> int:
        """Bytes of a file, according to the table of contents."""
        return self.archive.getinfo(name).file_size

    def read(self, name: str, most: int) -> bytes:
        """Unpack exactly as many bytes as the table of contents promises."""
        check_budget(self.where(name), self.size(name), most)
        with (
            parsing(self.where(name), "cannot be unpacked", advice="download the archive again"),
            self._open(name) as source,
        ):
            content = source.read(self.size(name))
            if len(content) != self.size(name):
                raise EOFError("it is truncated")
            return content

    def where(self, name: str = "") -> str:
        """Path for a message."""
        return f"{self.label}:{name}" if name else self.label

    def stamp(self, name: str) -> tuple[int, int]:
        """Size and checksum of a file."""
        info = self.archive.getinfo(name)
        return info.file_size, info.CRC

    def enter(self, name: str) -> ZipTree:
        """Refuse an archive within this one."""
        raise DataError(f"{self.where(name)}: is an archive within an archive; unpack {self.label} and give its folder")

    def _open(self, name: str) -> IO[bytes]:
        info = self.archive.getinfo(name)
        if info.compress_type not in _METHODS:
            raise DataError(
                f"{self.where(name)}: is compressed by method {info.compress_type}, not by deflate; unpack the archive by hand"
            )
        return self.archive.open(info)


Tree: TypeAlias = FolderTree | ZipTree


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
        return ZipTree(str(path))
    raise DataError(f"{path}: no such folder or zip archive")
