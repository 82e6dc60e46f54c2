"""The downloader against a server on this machine that can be made to misbehave."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import io
import socket
import threading
import zipfile

import numpy as np
import pytest

from digits import zipped
from eprop.data import Events, read_nmnist
from eprop.data.download import download, download_nmnist
from eprop.data.nmnist import encode
from eprop.errors import DataError, OutputError

pytestmark = pytest.mark.tiny

CONTENT = np.random.default_rng(0).bytes(700_000)
QUICK = {"pause": 0.0, "timeout": 5.0}


class Server(http.server.ThreadingHTTPServer):
    """Serves ``content``; ``plan`` says how to treat one request after another."""

    daemon_threads = True

    def __init__(self, content):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.plan, self.requests = content, [], []
        self.ranges = self.lengths = True

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/data.zip"


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_GET(self):
        server = self.server
        wanted = self.headers.get("Range")
        server.requests.append(wanted)
        act = server.plan.pop(0) if server.plan else "serve"
        if isinstance(act, int):
            self.send_response(act)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and server.ranges else 0
        if start >= len(server.content) and wanted and server.ranges:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(server.content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = server.content[start:]
        self.send_response(206 if wanted and server.ranges else 200)
        if wanted and server.ranges:
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        if server.lengths:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body[: len(body) // 2] if act == "break" else body)
            if act == "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


@pytest.fixture
def server():
    with Server(CONTENT) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def test_a_file_is_fetched(server, tmp_path):
    seen = []
    path = download(server.url, tmp_path / "new" / "file", progress=lambda *a: seen.append(a), **QUICK)
    assert path.read_bytes() == CONTENT
    assert seen[-1] == ("file", len(CONTENT), len(CONTENT))
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_a_broken_transfer_goes_on(server, tmp_path):
    server.plan = ["break", "break"]
    assert download(server.url, tmp_path / "file", **QUICK).read_bytes() == CONTENT
    half = len(CONTENT) // 2
    assert server.requests == [None, f"bytes={half}-", f"bytes={half + (len(CONTENT) - half) // 2}-"]


def test_a_later_call_goes_on(server, tmp_path):
    server.plan = ["break"]
    with pytest.raises(DataError, match=r"broke off .*350000.*1 attempts \(350000 bytes are kept"):
        download(server.url, tmp_path / "file", retries=0, **QUICK)
    assert not (tmp_path / "file").exists()
    assert download(server.url, tmp_path / "file", **QUICK).read_bytes() == CONTENT
    assert server.requests[-1] == "bytes=350000-"


def test_a_server_without_ranges_starts_again(server, tmp_path):
    server.ranges = False
    server.plan = ["break"]
    assert download(server.url, tmp_path / "file", **QUICK).read_bytes() == CONTENT
    assert len(server.requests) == 2


def test_a_server_that_does_not_say_the_length(server, tmp_path):
    server.lengths = False
    seen = []
    download(server.url, tmp_path / "file", progress=lambda *a: seen.append(a), **QUICK)
    assert seen[-1] == ("file", len(CONTENT), None)


@pytest.mark.parametrize("kept", [CONTENT, b"x" * (len(CONTENT) + 5)], ids=["complete", "longer than the file"])
def test_a_part_that_has_all_or_too_much(server, tmp_path, kept):
    (tmp_path / "file.part").write_bytes(kept)
    assert download(server.url, tmp_path / "file", **QUICK).read_bytes() == CONTENT


def test_a_busy_server_is_asked_again(server, tmp_path):
    server.plan = [503, 429]
    download(server.url, tmp_path / "file", **QUICK)
    assert len(server.requests) == 3


def test_a_refusal_is_final(server, tmp_path):
    server.plan = [404]
    with pytest.raises(DataError, match="refused with HTTP 404"):
        download(server.url, tmp_path / "file", **QUICK)
    assert len(server.requests) == 1


def test_a_server_that_is_not_there_is_named_after_all_attempts(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(DataError, match=r"cannot be reached .*refused.*after 2 attempts"):
        download(f"http://127.0.0.1:{port}/x", tmp_path / "file", retries=1, **QUICK)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        download("http://127.0.0.1:1/x", tmp_path / "file" / "x", **QUICK)


# -------------------------------------------------------------------------------------------------------------- N-MNIST


def archive(files):
    out = io.BytesIO()
    zipped(out, files, zipfile.ZIP_STORED)
    return out.getvalue()


RECORDING = encode(Events([1], [2], [1], [3]))
TRAIN, TEST = archive({"Train/5/00001.bin": RECORDING}), archive({"Test/7/00001.bin": RECORDING})
BOTH = archive({"N-MNIST/Test.zip": TEST, "N-MNIST/Train.zip": TRAIN})
SUMS = {"Train.zip": hashlib.md5(TRAIN).hexdigest(), "Test.zip": hashlib.md5(TEST).hexdigest()}


def fetch(server, folder, **options):
    return download_nmnist(folder, url=server.url, checksums=SUMS, **{"retries": 2, **QUICK, **options})


def test_nmnist_is_fetched_and_read(server, tmp_path):
    server.content = BOTH
    server.plan = ["break"]
    seen = []
    folder = fetch(server, tmp_path / "set", progress=lambda *a: seen.append(a))
    assert sorted(path.name for path in folder.iterdir()) == ["Test.zip", "Train.zip"]
    assert {name for name, _, _ in seen} == {"nmnist-download.zip", "Train.zip", "Test.zip"}
    assert read_nmnist(folder, "train").labels.tolist() == [5]
    assert read_nmnist(folder, "test").labels.tolist() == [7]
    asked = len(server.requests)
    fetch(server, folder)
    assert len(server.requests) == asked  # nothing to do
    (folder / "Test.zip").write_bytes(b"damaged")
    fetch(server, folder)
    assert (folder / "Test.zip").read_bytes() == TEST


@pytest.mark.parametrize("damaged", [False, True])
def test_an_interrupted_unpacking_does_not_download_again(server, tmp_path, damaged):
    server.content = BOTH

    def interrupt(name, done, total):
        if name == "Test.zip":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(server, tmp_path, progress=interrupt)
    fetched = tmp_path / "nmnist-download.zip"
    assert fetched.read_bytes() == server.content
    if damaged:
        fetched.write_bytes(server.content[:-40])
        with pytest.raises(DataError, match=r"damaged archive .* it was removed, start again"):
            fetch(server, tmp_path)
    fetch(server, tmp_path)
    assert server.requests == [None] * (2 if damaged else 1)
    assert (tmp_path / "Test.zip").read_bytes() == TEST
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".part") == ["Test.zip", "Train.zip"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (archive({"Train.zip": TRAIN}), "holds no Test.zip"),
        (archive({"Train.zip": TRAIN, "Test.zip": TRAIN}), "Test.zip: wrong checksum"),
        (b"<html>not found</html>", "damaged archive"),
        (BOTH[:-40], "damaged archive"),
    ],
)
def test_wrong_archives_are_explained(server, tmp_path, content, message):
    server.content = content
    with pytest.raises(DataError, match=message) as caught:
        fetch(server, tmp_path)
    assert "by hand from https://data.mendeley.com/datasets/468j46mzdv" in str(caught.value)
    assert f"into {tmp_path}" in str(caught.value)
    assert not (tmp_path / "Test.zip").exists()
    assert not list(tmp_path.glob("*.part"))


def test_without_internet_it_says_what_to_do_by_hand(server, tmp_path):
    server.plan = [503] * 3
    with pytest.raises(DataError, match=r"HTTP 503.*Or download Train.zip and Test.zip by hand"):
        fetch(server, tmp_path)
