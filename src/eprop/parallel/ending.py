"""A rank that comes to its end before the others, which may wait for it forever: they end with it, or are told.

An exception that nobody catches has a hook, and a process that is killed a watcher; who calls ``sys.exit`` has neither.
"""

from __future__ import annotations

import atexit
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

#: So long the others may take to come to their ends as well, after an exit code that is not 0.
GRACE_SECONDS = 3.0
#: After so long it is said that a rank has ended, and the others have not; they may well have something to do.
PATIENCE_SECONDS = 30.0
PAUSE_SECONDS = 0.005


class Ending:
    """Waits, when this process ends, until all ranks have come so far.

    Parameters
    ----------
    arrive : callable
        Called at the end; returns a function that tells whether all ranks have called theirs.
    say, abort : callable
        With a text, and ``abort`` with an exit code: tell the user, end all ranks.
    """

    def __init__(
        self, arrive: Callable[[], Callable[[], bool]], say: Callable[[str], None], abort: Callable[[str, int], None]
    ):
        self._arrive, self._say, self._abort, self._code = arrive, say, abort, 0

    def expect(self) -> None:
        """From now on. What was registered with `atexit` before is done behind it."""
        leave = sys.exit

        def leave_with(code: Any = None) -> Any:
            if threading.current_thread() is threading.main_thread():  # elsewhere it ends the thread
                self._code = exit_code_of(code)
            leave(code)

        # There is no other way to learn of it: when the interpreter ends, it tells nobody with which code.
        sys.exit = leave_with
        atexit.register(self.wait)

    def wait(self) -> None:
        """Until all ranks are here, unless this one has failed: it ends them, if they do not come soon."""
        have_all, began, silent = self._arrive(), time.monotonic(), True
        while not have_all():
            waited = time.monotonic() - began
            if self._code and waited > GRACE_SECONDS:
                self._abort(
                    f"ended with exit code {self._code}; the other ranks go on and would wait for this one", self._code
                )
            if silent and waited > PATIENCE_SECONDS:
                silent = False
                self._say(
                    "has ended, others have not. If the others wait, they make a call that this rank did not make"
                )
            time.sleep(PAUSE_SECONDS)


def exit_code_of(code: Any) -> int:
    """What a process that was left with ``sys.exit(code)`` tells the system."""
    if code is None:
        return 0
    return code & 0xFF if isinstance(code, int) else 1
