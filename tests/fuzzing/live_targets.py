"""Targets: events that come in while they are read, packed, as datagrams, or as arrays."""

from __future__ import annotations

import io
import pathlib
import random
import socket
import struct
from typing import Any

import numpy as np

from eprop.data import LiveEvents, UdpReceiver, read_packed
from eprop.data.live_sources import CHANNEL_RECORD, HEADER, PIXEL_RECORD
from fuzzing.mutate import damaged, spoiled
from fuzzing.target import Target

SIDE = 5
#: Steps that are taken from a source at most: an event may lie millions of years ahead.
STEPS = 20


def records(folder: pathlib.Path) -> dict[bool, bytes]:
    """Packed events of channels, and of pixels."""
    channels = np.array([(500, 1), (1500, 2), (1700, 4), (2500, 0)], CHANNEL_RECORD)
    pixels = np.array([(500, 3, 2, 1), (1700, 4, 2, 0), (2600, 1, 1, 1)], PIXEL_RECORD)
    return {False: channels.tobytes(), True: pixels.tobytes()}


def follow(source: Any, size: Any) -> None:
    with LiveEvents(source, size, real_time=False) as live:
        for _, channels in zip(range(STEPS), live, strict=False):
            assert channels.min(initial=0) >= 0
            assert channels.max(initial=0) < live.size
        assert live.lost >= 0


def size_of(pixels: bool, rng: random.Random) -> Any:
    if rng.random() < 0.1:
        pixels = not pixels
    return (SIDE, SIDE) if pixels else SIDE


def read_records(state: dict[bool, bytes], rng: random.Random) -> None:
    pixels = rng.random() < 0.5
    content = damaged(state[pixels], rng)
    follow(read_packed(io.BytesIO(content), pixels=pixels), size_of(pixels, rng))


def read_datagrams(state: dict[bool, bytes], rng: random.Random) -> None:
    """Datagrams of another process on this machine; the last one says that there are no more."""
    pixels = rng.random() < 0.5
    receiver = UdpReceiver(pixels=pixels)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for sent in (0, 4, rng.choice((0, 8, 2**64 - 1))):
            whole = struct.pack("<Q", sent) + state[pixels]
            sender.sendto(damaged(whole, rng) if rng.random() < 0.5 else whole, receiver.address)
        sender.sendto(bytes(HEADER.itemsize), receiver.address)
    follow(receiver, size_of(pixels, rng))


def read_arrays(state: dict[bool, bytes], rng: random.Random) -> None:
    """Arrays of a program."""
    pixels = rng.random() < 0.5
    array = np.frombuffer(state[pixels], PIXEL_RECORD if pixels else CHANNEL_RECORD)
    parts = [np.array(array[name]) for name in array.dtype.names or ()]
    kind = rng.randrange(4)
    if kind == 0:
        given: Any = spoiled(np.array(array.tolist()), rng)
    elif kind == 1:
        given = tuple(spoiled(part, rng) for part in parts)
    elif kind == 2:
        given = tuple(spoiled(part.astype(np.float64), rng) for part in parts)
    else:
        given = [part[0] for part in parts] + [rng.choice((1, None, "x", np.nan))] * rng.randrange(2)
    follow([array, given, array], size_of(pixels, rng))


LIVE_TARGETS = (
    Target("packed events", records, read_records, 200),
    Target("datagrams", records, read_datagrams, 40),
    Target("live arrays", records, read_arrays, 200),
)
