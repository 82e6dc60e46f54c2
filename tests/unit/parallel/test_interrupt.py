from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from eprop.parallel.interrupt import Postponed
from eprop.training import Interrupt, Stopped

pytestmark = pytest.mark.tiny


@pytest.fixture(autouse=True)
def _in_the_foreground() -> Iterator[None]:
    """Tests that run in the background, or by ``nohup``, were told to ignore the signals."""
    handlers = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_process_in_the_background_goes_on_ignoring() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Interrupt() as interrupt:
        os.kill(os.getpid(), signal.SIGINT)
        assert not interrupt.requested


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_the_first_signal_is_a_request(number: int, code: int) -> None:
    before = signal.getsignal(number)
    with Interrupt() as interrupt:
        interrupt.check()
        os.kill(os.getpid(), number)
        assert interrupt.requested
        assert signal.getsignal(number) is before  # the second one is heard as ever
        with pytest.raises(Stopped) as stopped:
            interrupt.check()
    assert stopped.value.exit_code == code
    assert signal.getsignal(number) is before


def test_the_second_signal_stops_at_once() -> None:
    with Interrupt():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - the handler runs at the next bytecode
            os.kill(os.getpid(), signal.SIGINT)
            threading.Event().wait(1.0)


def test_a_signal_waits_for_the_end_of_what_belongs_together() -> None:
    before, done = signal.getsignal(signal.SIGINT), []
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - at the end of the outer context
        with Postponed():
            with Postponed():
                signal.raise_signal(signal.SIGINT)
                done.append("inner")
            done.append("outer")
        done.append("after")
    assert done == ["inner", "outer"]
    assert signal.getsignal(signal.SIGINT) is before
    with Interrupt() as interrupt:
        with Postponed():
            signal.raise_signal(signal.SIGINT)
            assert not interrupt.requested
        assert interrupt.requested


def test_a_second_signal_does_not_wait() -> None:
    with pytest.raises(KeyboardInterrupt), Postponed():  # noqa: PT012
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError


def test_signals_are_left_alone_outside_the_main_thread() -> None:
    before = signal.getsignal(signal.SIGINT)

    def work() -> None:
        with Interrupt() as interrupt:
            seen.append((signal.getsignal(signal.SIGINT), interrupt.requested))

    seen: list[tuple[object, bool]] = []
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(before, False)]


def test_a_signal_is_passed_on() -> None:
    asked: list[bool] = []
    with Interrupt(ask=lambda: asked.append(True)) as interrupt:
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked == [True]
        assert interrupt.requested
