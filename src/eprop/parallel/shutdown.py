"""The shutdown of several ranks: a rank that ends before the others makes them end with it, or says that it has ended.

The others might wait for this rank forever. The exception hook handles an uncaught exception, the supervisor handles a killed
process, and this module handles ``sys.exit``.
"""

from __future__ import annotations

import atexit
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

#: After an exit code other than 0, the other ranks have this much time to end as well.
GRACE_SECONDS = 3.0
#: After this time, a message says that a rank has ended and others have not.
PATIENCE_SECONDS = 30.0
PAUSE_SECONDS = 0.005


class Shutdown:
    """Waits at the end of this process until all ranks have reached their end.

    Parameters
    ----------
    arrive : callable
        Called at the end of this process; returns a function that tells whether all ranks have called theirs.
    say, abort : callable
        ``say(text)`` tells the user; ``abort(text, code)`` ends all ranks.
    """

    def __init__(
        self, arrive: Callable[[], Callable[[], bool]], say: Callable[[str], None], abort: Callable[[str, int], None]
    ):
        self._arrive, self._say, self._abort, self._code = arrive, say, abort, 0

    def install(self) -> None:
        """Handle ``sys.exit`` from now on. Functions that were registered with `atexit` before are called after `wait`."""
        leave = sys.exit

        def leave_with(code: Any = None) -> Any:
            if threading.current_thread() is threading.main_thread():  # elsewhere it ends the thread
                self._code = exit_code_of(code)
            leave(code)

        # The interpreter does not tell its exit code to functions of `atexit`.
        sys.exit = leave_with
        atexit.register(self.wait)

    def wait(self) -> None:
        """Wait for all ranks; if this rank has failed, end the others after `GRACE_SECONDS`."""
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
    """The exit code of a process that calls ``sys.exit(code)``."""
    if code is None:
        return 0
    return code & 0xFF if isinstance(code, int) else 1
