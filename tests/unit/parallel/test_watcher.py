"""The process that says which rank was killed: as a function, and as the program it is."""

from __future__ import annotations

import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile

import pytest

from eprop.parallel import watched, watcher

pytestmark = [
    pytest.mark.tiny,
    pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets"),
]


class Ranks:
    """A listening socket and a line to it for each of three ranks, without a watcher."""

    def __init__(self):
        # Not pytest's folder: the name of a socket may have about a hundred characters.
        self.folder = tempfile.TemporaryDirectory(prefix="eprop-")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path := os.path.join(self.folder.name, "ranks"))
        self.listener.listen(3)
        self.lines = [watched.Line(path, rank) for rank in range(3)]

    def cut(self, *ranks: int) -> None:
        for rank in ranks:
            self.lines[rank]._socket.close()

    def watch(self, here: int = 3) -> list[str]:
        """What is said until the watcher ends."""
        said: list[str] = []
        watcher.watch(self.listener, 3, here, said.append)
        return said

    def close(self) -> None:
        self.cut(0, 1, 2)
        self.listener.close()
        self.folder.cleanup()


@pytest.fixture
def ranks():
    ranks = Ranks()
    yield ranks
    ranks.close()


def name(rank: int) -> str:
    return f"rank {rank} of 3 (process {os.getpid()} on {socket.gethostname()})"


def test_nothing_is_said_when_all_take_their_leave(ranks):
    for line in ranks.lines:
        line.goodbye()
        line.goodbye()  # does no harm
    assert ranks.watch() == []


def test_the_rank_that_was_cut_is_named(ranks):
    """Though one has left before, and one goes on."""
    ranks.lines[0].goodbye()
    ranks.cut(1)
    (text,) = ranks.watch()
    assert text.startswith(f"{name(1)} ended without a word.")
    assert "UTC" not in text


def test_of_several_machines_each_tells_the_time(ranks):
    ranks.cut(1)
    (text,) = ranks.watch(here=2)
    assert re.search(r"It is \d\d:\d\d:\d\d\.\d{6} UTC; if other machines name a rank", text)


def test_ranks_that_are_cut_in_one_moment_are_all_named(ranks):
    ranks.cut(1, 2)
    (text,) = ranks.watch()
    assert text.startswith(f"{name(1)}, or one that ended in the same moment: {name(2)}, ended")


def test_nothing_is_said_after_a_report(ranks):
    """An exception was printed by the rank that met it; the launcher kills the others, and this may be seen first."""
    ranks.cut(0, 1)
    ranks.lines[2].goodbye(reported=True)
    assert ranks.watch() == []


def test_a_report_is_enough(ranks):
    """The watcher does not wait for the launcher."""
    ranks.lines[2].goodbye(reported=True)
    assert ranks.watch() == []


RANK = """
import os, signal, sys
from eprop.parallel import watched
line = watched.connect(sys.argv[1], 1)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("killed", [True, False])
def test_the_program(capfd, killed):
    """It goes into the background, speaks through standard error, leaves nothing behind, and ends."""
    path, line = watched.start_watcher(0, 2, 2)
    try:
        other = subprocess.run([sys.executable, "-c", RANK if killed else RANK.replace("os.kill", "line.goodbye() #"), path],
                               capture_output=True, check=False)  # fmt: skip
        assert other.returncode == (-signal.SIGKILL if killed else 0), other.stderr
        watched.remove(path)
        assert not pathlib.Path(path).parent.exists()
        if not killed:
            line._socket.sendall(watcher.DONE)
        line._socket.settimeout(60.0)
        assert line._socket.recv(1) == b""  # it has ended
    finally:
        line.goodbye()
    said = capfd.readouterr()
    assert said.out == ""
    assert bool(re.match(r"rank 1 of 2 \(process \d+ on .*\) ended without a word", said.err)) == killed
    assert bool(said.err) == killed


def test_without_a_place_for_the_socket_there_is_no_watcher(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    assert watched.start_watcher(0, 2, 2) is None
    long = tmp_path / ("long" * 40)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    assert watched.start_watcher(0, 2, 2) is None
    assert list(long.iterdir()) == []
    assert watched.connect(str(tmp_path / "nobody"), 1) is None


def test_a_program_that_does_not_start_leaves_nothing(monkeypatch, tmp_path):
    with tempfile.TemporaryDirectory(prefix="eprop-") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
        assert watched.start_watcher(0, 2, 2) is None
        assert os.listdir(folder) == []
