"""End of a step from outside: SIGTERM raises an exception in the step, so that its ``finally`` blocks run.

When they have run the process dies of the signal after all, so that its runner sees what it would have seen
without them. The runner kills what has not ended some seconds later (``runner/step_process.py``).
"""

import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Terminated(SystemExit):
    """The step is ended from outside.

    A ``SystemExit``, because libraries let it through: asyncio keeps any other exception in the task that it
    interrupts, and a thread prints it.
    """


def expect() -> None:
    """Raise ``Terminated`` in this process's main thread when it gets SIGTERM, the first time."""
    own = os.getpid()

    def end(number: int, _frame: "Any") -> None:
        if os.getpid() != own:  # a process that the step has forked, such as a worker of a pool
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        signal.signal(number, signal.SIG_IGN)
        raise Terminated(128 + number)

    signal.signal(signal.SIGTERM, end)


def die() -> None:
    """End this process by SIGTERM, with its last line printed."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):  # the step has closed it
            pass
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)
