"""What a rank says before it ends all others must not be lost."""

from __future__ import annotations

import io
import os
import sys
import threading
import time

import pytest

from eprop.parallel import pipes

pytestmark = pytest.mark.tiny


@pytest.fixture
def pipe():
    reading, writing = os.pipe()
    with open(reading, "rb", buffering=0) as reader, open(writing, "w", encoding="utf-8") as writer:
        yield reader, writer


def seconds(stream) -> float:
    began = time.monotonic()
    pipes.wait_until_read(stream)
    return time.monotonic() - began


@pytest.mark.skipif(sys.platform != "linux", reason="only there the writing end of a pipe tells")
def test_it_waits_for_the_reader(pipe, monkeypatch):
    monkeypatch.setattr(pipes, "PATIENCE_SECONDS", 60.0)
    reader, writer = pipe
    print("a word", file=writer, flush=True)
    read = []
    late = threading.Timer(0.2, lambda: read.append(reader.read(100)))
    late.start()
    assert 0.1 < seconds(writer) < 30.0
    late.join()
    assert read == [b"a word\n"]


@pytest.mark.skipif(sys.platform != "linux", reason="only there the writing end of a pipe tells")
def test_not_forever(pipe, monkeypatch):
    monkeypatch.setattr(pipes, "PATIENCE_SECONDS", 0.1)
    print("a word", file=pipe[1], flush=True)
    assert 0.1 <= seconds(pipe[1]) < 30.0


def test_elsewhere_it_waits_a_moment(pipe, monkeypatch):
    monkeypatch.setattr(sys, "platform", "somewhere")
    assert seconds(pipe[1]) >= pipes.BLIND_SECONDS


def test_nobody_reads_files(tmp_path, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("waits"))
    with open(tmp_path / "a.txt", "w", encoding="utf-8") as file:
        print("a word", file=file, flush=True)
        pipes.wait_until_read(file)
    pipes.wait_until_read(file)
    pipes.wait_until_read(io.StringIO())
