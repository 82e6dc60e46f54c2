"""Downloads from a server on this machine."""

from __future__ import annotations

import hashlib
import http.server
import io
import sys
import tarfile
import threading
import zipfile

import numpy as np
import pytest

from digits import zipped
from eprop.data import Events, download, read_nmnist
from eprop.data.audio import download_digits, read_sounds
from eprop.data.download import RETRIES, download_nmnist, fetch
from eprop.data.nmnist import encode
from eprop.errors import DataError, MissingExtraError

pytestmark = pytest.mark.tiny
pytest.importorskip("pooch", reason="needs the extra download")

CONTENT = np.random.default_rng(0).bytes(700_000)


class Server(http.server.ThreadingHTTPServer):
    """Serves ``content`` under every name, and remembers what was asked for."""

    content, daemon_threads = CONTENT, True

    def __init__(self):
        self.requests = []
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/data.zip"


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_GET(self):
        self.server.requests.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()
        self.wfile.write(self.server.content)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)  # no pause between attempts
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def test_a_file_is_fetched_once_and_verified(server, tmp_path):
    known = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
    for _ in range(2):
        fetch(server.url, tmp_path / "new" / "file", known)
    assert (tmp_path / "new" / "file").read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file"]
    assert len(server.requests) == 1
    server.content = b"another"
    with pytest.raises(DataError, match="cannot be downloaded"):
        fetch(server.url, tmp_path / "file", known)
    assert not (tmp_path / "file").exists()
    assert len(server.requests) == 2 + RETRIES


def test_a_server_that_is_not_there_and_a_folder_that_cannot_be_made_are_named(server, tmp_path):
    with pytest.raises(DataError, match=r"127.0.0.1:1/x: cannot be downloaded to .*refused"):
        fetch("http://127.0.0.1:1/x", tmp_path / "x", None)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be downloaded"):
        fetch("http://127.0.0.1:1/x", tmp_path / "file" / "x", None)


def test_spoken_digits_are_unpacked_and_kept(server, tmp_path):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("digits-1.0.9/recordings/7_ann_3.wav"))
    server.content = made.getvalue()
    digest = hashlib.sha256(server.content).hexdigest()
    for _ in range(2):
        folder = download_digits(tmp_path, url=server.url, sha256=digest)
        assert read_sounds(folder).speakers.tolist() == ["ann"]
    assert len(server.requests) == 1
    with pytest.raises(DataError, match=r"cannot be downloaded.*give its folder with --data"):
        download_digits(tmp_path / "there", url=server.url, sha256="0")
    assert not (tmp_path / "there" / "spoken-digits").exists()


def test_a_download_without_pooch_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(MissingExtraError, match="download"):
        download_digits()


# -------------------------------------------------------------------------------------------------------------- N-MNIST


def archive(files):
    return zipped(io.BytesIO(), files, zipfile.ZIP_STORED).getvalue()


RECORDING = encode(Events([1], [2], [1], [3]))
TRAIN, TEST = archive({"Train/5/00001.bin": RECORDING}), archive({"Test/7/00001.bin": RECORDING})
BOTH = archive({"N-MNIST/Test.zip": TEST, "N-MNIST/Train.zip": TRAIN})
SUMS = {"Train.zip": hashlib.md5(TRAIN).hexdigest(), "Test.zip": hashlib.md5(TEST).hexdigest()}


def fetched(server, folder):
    return download_nmnist(folder, url=server.url, checksums=SUMS)


def test_nmnist_is_fetched_and_read(server, tmp_path):
    server.content = BOTH
    folder = fetched(server, tmp_path / "set")
    assert sorted(path.name for path in folder.iterdir()) == ["Test.zip", "Train.zip"]
    assert read_nmnist(folder, "train").labels.tolist() == [5]
    assert read_nmnist(folder, "test").labels.tolist() == [7]
    asked = len(server.requests)
    fetched(server, folder)
    assert len(server.requests) == asked  # nothing to do
    (folder / "Test.zip").write_bytes(b"damaged")
    fetched(server, folder)
    assert (folder / "Test.zip").read_bytes() == TEST


@pytest.mark.parametrize("damaged", [False, True])
def test_an_interrupted_unpacking_does_not_download_again(server, tmp_path, damaged, monkeypatch):
    server.content = BOTH
    unpack = download._unpack

    def interrupt(outer, target, md5):
        if target.name == "Test.zip":
            raise KeyboardInterrupt
        unpack(outer, target, md5)

    monkeypatch.setattr(download, "_unpack", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetched(server, tmp_path)
    monkeypatch.setattr(download, "_unpack", unpack)
    outer = tmp_path / "nmnist-download.zip"
    assert outer.read_bytes() == server.content
    if damaged:
        outer.write_bytes(server.content[:-40])
        with pytest.raises(DataError, match=r"damaged archive .* it was removed, start again"):
            fetched(server, tmp_path)
    fetched(server, tmp_path)
    assert len(server.requests) == (2 if damaged else 1)
    assert (tmp_path / "Test.zip").read_bytes() == TEST
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Test.zip", "Train.zip"]


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
    with pytest.raises(DataError, match=rf"{message}.*by hand from https://data.mendeley.com/.* into {tmp_path}"):
        fetched(server, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} <= {"Train.zip"}
