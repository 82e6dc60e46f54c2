"""Readers of live events: text, packed records, datagrams. Each reader is an iterable for `LiveEvents`."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import ArrayLike

from eprop.errors import DataError, ParameterError
from eprop.files import number_in
from eprop.parameters import brief

#: Packed events, little-endian: time in µs and channel, or time in µs, column, row and polarity of a pixel. Times begin again
#: at 0 after 2^32 µs, 71 minutes; readers let them run on.
CHANNEL_RECORD = np.dtype([("t", "<u4"), ("channel", "<u4")])
PIXEL_RECORD = np.dtype([("t", "<u4"), ("x", "<u2"), ("y", "<u2"), ("p", "<u4")])
#: Header of a datagram: the number of events sent before.
HEADER = np.dtype([("sent", "<u8")])
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
#: Largest datagram, bytes: it is not fragmented.
_DATAGRAM = 1400
#: Seconds between checks whether a receiver was closed.
_PATIENCE = 0.1
#: How far an event may lie before the event read before it, µs (about 4.5 minutes); else its time has begun again at 0.
_BACKWARD = 2**28


def read_text(lines: Iterable[str]) -> Iterator[tuple[float, ...]]:
    """Read events from lines of text, such as ``sys.stdin``: ``time channel`` in ms, or ``x y t polarity`` in µs.

    Blanks, tabs or commas separate the numbers; empty lines and comments after ``#`` are skipped.

    Raises
    ------
    DataError
        If a line has another form; the message names the line.
    """
    for number, line in enumerate(lines, 1):
        parts = line.partition("#")[0].replace(",", " ").split()
        if not parts:
            continue
        try:
            values = tuple(number_in(part) for part in parts)
        except ValueError:
            values = ()
        if len(values) not in (2, 4):
            raise DataError(f"line {number}: expected 'time channel' or 'x y t polarity', got {line.strip()!r:.80}")
        yield values


def read_packed(file: BinaryIO, *, pixels: bool = False) -> Iterator[np.ndarray]:
    """Read events from packed records, such as those of ``sys.stdin.buffer``, as they arrive.

    Parameters
    ----------
    file : binary file
    pixels : bool
        Records are `PIXEL_RECORD`, else `CHANNEL_RECORD`.

    Raises
    ------
    DataError
        If the file ends within a record.
    """
    record, rest = PIXEL_RECORD if pixels else CHANNEL_RECORD, b""
    run_on = _Clock(record)
    read = getattr(file, "read1", file.read)  # available bytes, without waiting for more
    while part := read(1 << 16):
        rest += part
        whole = len(rest) // record.itemsize * record.itemsize
        if whole:
            yield run_on(np.frombuffer(rest[:whole], record))
        rest = rest[whole:]
    if rest:
        raise DataError(f"the file ends within a record of {record.itemsize} bytes: only {len(rest)} bytes are left")


class UdpReceiver:
    """Events from datagrams on this machine's loopback interface; an iterable that ends when the sender closes.

    Parameters
    ----------
    port : int
        0 takes any free port, see ``address``.
    host : str
        An address of the loopback: datagrams are neither signed nor encrypted.
    pixels : bool
        Records are `PIXEL_RECORD`, else `CHANNEL_RECORD`.

    Attributes
    ----------
    address : tuple of str and int
        Address for a `UdpSender`.

    Raises
    ------
    ParameterError
        If the host is not on the loopback, or the port is taken or no port.
    DataError
        On reading, if a datagram does not hold a header and whole records.
    """

    def __init__(self, port: int = 0, *, host: str = "127.0.0.1", pixels: bool = False):
        self._record = PIXEL_RECORD if pixels else CHANNEL_RECORD
        self._run_on = _Clock(self._record)
        self._socket = _socket_on_loopback(host)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        try:
            self._socket.bind((host, port))
        except (OSError, OverflowError, TypeError) as error:
            self._socket.close()
            raise ParameterError(f"UdpReceiver cannot receive at port {brief(port)} of {host}: {error}") from error
        self._socket.settimeout(_PATIENCE)
        self.address: tuple[str, int] = self._socket.getsockname()[:2]
        self._first: int | None = None
        self._until = self._received = 0
        self._closed = False

    @property
    def lost(self) -> int:
        """Events of datagrams that have not arrived, although later ones have; a sender that counts wrong hides some."""
        return 0 if self._first is None else max(self._until - self._first - self._received, 0)

    def __iter__(self) -> Iterator[np.ndarray]:
        while not self._closed:
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                continue
            except OSError:  # closed in the meantime
                return
            size = len(data) - HEADER.itemsize
            if size < 0 or size % self._record.itemsize:
                raise DataError(
                    f"a datagram of {len(data)} bytes does not hold a header of {HEADER.itemsize} bytes and whole records of "
                    f"{self._record.itemsize} bytes"
                )
            sent = int(np.frombuffer(data, HEADER, 1)["sent"][0])
            events = np.frombuffer(data, self._record, offset=HEADER.itemsize)
            self._first = sent if self._first is None else min(self._first, sent)
            self._until = max(self._until, sent + len(events))
            self._received += len(events)
            if not len(events):
                return
            yield self._run_on(events)

    def close(self) -> None:
        """Stop receiving."""
        self._closed = True
        self._socket.close()


class UdpSender:
    """Sends events to a `UdpReceiver` of this machine.

    Parameters
    ----------
    address : tuple of str and int
        ``UdpReceiver.address``.
    """

    def __init__(self, address: tuple[str, int]):
        self._address, self._socket = address, _socket_on_loopback(address[0])
        self._sent = 0

    def send(self, times: ArrayLike, channels: ArrayLike) -> None:
        """Send events: times in ms, and channels; `DataError` if they cannot be sent."""
        self._send(CHANNEL_RECORD, 1000.0 * _times(times), channel=channels)

    def send_pixels(self, x: ArrayLike, y: ArrayLike, t: ArrayLike, p: ArrayLike) -> None:
        """Send events of pixels: columns, rows, times in µs and polarities; `DataError` if they cannot be sent."""
        self._send(PIXEL_RECORD, _times(t), x=x, y=y, p=np.asarray(p) > 0)

    def close(self) -> None:
        """Send a datagram without events, which ends the receiver."""
        self._socket.sendto(np.array([(self._sent,)], HEADER).tobytes(), self._address)
        self._socket.close()

    def _send(self, record: np.dtype[np.void], microseconds: np.ndarray, **fields: ArrayLike) -> None:
        events = np.zeros(microseconds.size, record)
        events["t"] = np.rint(microseconds).astype(np.int64) % 2**32
        for name, values in fields.items():
            given, most = np.asarray(values), np.iinfo(record[name]).max
            whole = given.dtype.kind in "biuf" and bool(
                ((given >= 0) & (given <= most) & (given == np.rint(given))).all()
            )
            if not (whole or given.size == 0) or given.shape not in ((), events.shape):
                raise DataError(
                    f"{name} of events must be whole numbers in 0..{most}, one for each of {len(events)} times, "
                    f"got {brief(values)}"
                )
            events[name] = given
        each = (_DATAGRAM - HEADER.itemsize) // record.itemsize
        for begin in range(0, len(events), each):
            part = events[begin : begin + each]
            header = np.array([(self._sent,)], HEADER)
            self._socket.sendto(header.tobytes() + part.tobytes(), self._address)
            self._sent += len(part)


class _Clock:
    """Makes times of packed events run on where they begin again at 0."""

    def __init__(self, record: np.dtype[np.void]):
        self._wide = np.dtype([(name, "<i8" if name == "t" else record[name]) for name in record.names or ()])
        self._last: int | None = None

    def __call__(self, events: np.ndarray) -> np.ndarray:
        """The same events with times of 64 bits."""
        out = events.astype(self._wide)
        first = int(out["t"][0]) if self._last is None else self._last
        passed = (np.diff(out["t"], prepend=first) + _BACKWARD) % 2**32 - _BACKWARD
        out["t"] = first + np.cumsum(passed)
        self._last = int(out["t"][-1])
        return out


def _times(times: ArrayLike) -> np.ndarray:
    """Times as floats, (events,)."""
    given = np.atleast_1d(np.asarray(times))
    if given.ndim != 1 or given.dtype.kind not in "biuf" or not (np.abs(given) < 2.0**53).all():
        raise DataError(f"times of events must be finite numbers, one for each event, got {brief(times)}")
    return given.astype(np.float64)


def _socket_on_loopback(host: str) -> socket.socket:
    if host not in _LOOPBACK:
        raise ParameterError(
            f"datagrams are sent and received only on the loopback interface ({', '.join(_LOOPBACK)}), got {host!r}"
        )
    return socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
