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

from eprop.parallel import supervisor, supervisor_link

pytestmark = [
    pytest.mark.tiny,
    pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets"),
]


class Ranks:
    """A listening socket and a link to it for each of three ranks, without a supervisor."""

    def __init__(self):
        # Not pytest's folder: the name of a socket may have about a hundred characters.
        self.folder = tempfile.TemporaryDirectory(prefix="eprop-")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path := os.path.join(self.folder.name, "ranks"))
        self.listener.listen(3)
        self.links = [supervisor_link.SupervisorLink(path, rank) for rank in range(3)]

    def kill(self, *ranks: int) -> None:
        for rank in ranks:
            self.links[rank]._socket.close()

    def supervise(self, here: int = 3) -> list[str]:
        """What is said until the supervisor ends."""
        said: list[str] = []
        supervisor.supervise(self.listener, 3, here, said.append)
        return said

    def close(self) -> None:
        self.kill(0, 1, 2)
        self.listener.close()
        self.folder.cleanup()


@pytest.fixture
def ranks():
    ranks = Ranks()
    yield ranks
    ranks.close()


def name(rank: int) -> str:
    return f"rank {rank} of 3 (process {os.getpid()} on {socket.gethostname()})"


def test_nothing_is_said_when_all_ranks_end_in_order(ranks):
    for link in ranks.links:
        link.close()
        link.close()  # does nothing
    assert ranks.supervise() == []


def test_a_killed_rank_is_named(ranks):
    """Though one has left before, and one goes on."""
    ranks.links[0].close()
    ranks.kill(1)
    (text,) = ranks.supervise()
    assert text.startswith(f"{name(1)} ended without a word.")
    assert "UTC" not in text


def test_with_several_machines_the_message_tells_the_time(ranks):
    ranks.kill(1)
    (text,) = ranks.supervise(here=2)
    assert re.search(r"It is \d\d:\d\d:\d\d\.\d{6} UTC; if other machines name a rank", text)


def test_ranks_that_are_killed_in_one_moment_are_all_named(ranks):
    ranks.kill(1, 2)
    (text,) = ranks.supervise()
    assert text.startswith(f"{name(1)}, or one that ended in the same moment: {name(2)}, ended")


def test_nothing_is_said_after_a_report(ranks):
    """An exception was printed by the rank that met it; the launcher kills the others, and this may be seen first."""
    ranks.kill(0, 1)
    ranks.links[2].close(reported=True)
    assert ranks.supervise() == []


def test_a_report_is_enough(ranks):
    """The supervisor does not wait for the launcher."""
    ranks.links[2].close(reported=True)
    assert ranks.supervise() == []


RANK = """
import os, signal, sys
from eprop.parallel import supervisor_link
link = supervisor_link.connect(sys.argv[1], 1)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("killed", [True, False])
def test_the_program(capfd, killed):
    """It goes into the background, speaks through standard error, leaves nothing behind, and ends."""
    path, link = supervisor_link.start_supervisor(0, 2, 2)
    try:
        other = subprocess.run([sys.executable, "-c", RANK if killed else RANK.replace("os.kill", "link.close() #"), path],
                               capture_output=True, check=False)  # fmt: skip
        assert other.returncode == (-signal.SIGKILL if killed else 0), other.stderr
        supervisor_link.remove_socket(path)
        assert not pathlib.Path(path).parent.exists()
        if not killed:
            link._socket.sendall(supervisor.DONE)
        link._socket.settimeout(60.0)
        assert link._socket.recv(1) == b""  # it has ended
    finally:
        link.close()
    said = capfd.readouterr()
    assert said.out == ""
    assert bool(re.match(r"rank 1 of 2 \(process \d+ on .*\) ended without a word", said.err)) == killed
    assert bool(said.err) == killed


def test_without_a_place_for_the_socket_there_is_no_supervisor(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    assert supervisor_link.start_supervisor(0, 2, 2) is None
    long = tmp_path / ("long" * 40)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    assert supervisor_link.start_supervisor(0, 2, 2) is None
    assert list(long.iterdir()) == []
    assert supervisor_link.connect(str(tmp_path / "nobody"), 1) is None


def test_a_program_that_does_not_start_leaves_nothing(monkeypatch, tmp_path):
    with tempfile.TemporaryDirectory(prefix="eprop-") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
        assert supervisor_link.start_supervisor(0, 2, 2) is None
        assert os.listdir(folder) == []
