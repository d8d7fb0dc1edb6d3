"""End of a step from outside: SIGTERM raises an exception in the step, so that its ``finally`` blocks run.

When they have run the process dies of the signal after all, so that its runner sees what it would have seen
without them. The runner kills what has not ended some seconds later (``runner/step_process.py``).
"""

import os
import signal
import sys
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Terminated(SystemExit):
    """The step is ended from outside.

    A ``SystemExit``, because libraries let it through: asyncio keeps any other exception in the task that it
    interrupts, and a thread prints it.
    """


def expect() -> None:
    """Raise ``Terminated`` in this process's main thread when it gets SIGTERM, the first time.

    Processes that the step forks die of SIGTERM as if nothing were changed.
    """
    global _own, _is_told
    _own, _is_told = os.getpid(), False
    signal.signal(signal.SIGTERM, _end)
    if hasattr(os, "register_at_fork"):  # since Python 3.7; before it, _end does what it can
        os.register_at_fork(before=_hold_back, after_in_parent=_let_through, after_in_child=_as_usual)


_own = 0  # the step's process
_is_told = False  # that process was asked to end
_masks: "dict[int, set[Any]]" = {}  # by thread: of the signals that it held back before it began to fork


def _end(number: int, _frame: "Any") -> None:
    global _is_told  # noqa: PLW0603 - of the process, which may be forked after this import
    if os.getpid() != _own:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    _is_told = True
    signal.signal(number, signal.SIG_IGN)
    raise Terminated(128 + number)


# Python calls a function such as _end between two of its instructions. A worker of a pool that gets the
# signal just before it waits for a lock, or before it is quite forked, would wait for ever, and the pool for
# it. So the system's own action holds in a forked process from its first moment on.


def _hold_back() -> None:
    _masks[threading.get_ident()] = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])


def _let_through() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _masks.pop(threading.get_ident()))


def _as_usual() -> None:
    if signal.getsignal(signal.SIGTERM) is _end:  # else the step has a handler of its own
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _let_through()


def is_hidden_by(error: "BaseException | None") -> bool:
    """True if this process was asked to end, and the step raised an error in place of ``Terminated``.

    A library that is just being imported may do so, and say that it is broken. An error that came
    while ``Terminated`` was handled, in a ``finally`` of the step, is the step's own.
    """
    while error is not None and not isinstance(error, Terminated):
        error = error.__context__
    return _is_told and error is None


def die() -> None:
    """End this process by SIGTERM, with its last line printed."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):  # the step has closed it
            pass
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)
