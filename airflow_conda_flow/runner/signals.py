"""Work of signal handlers, in a thread of its own."""

from __future__ import annotations

import _thread
from collections.abc import Callable


def outside_handler(function: Callable[[], object]) -> None:
    """Call a function in a thread of its own, from a signal handler.

    A handler runs between two instructions of the main thread, which may hold any lock at that moment:
    that of the very event it waits for, for instance. A handler that asks for it too waits for ever, as
    ``Event.set`` and ``Thread.start`` may. This takes no lock of Python's.
    """
    _thread.start_new_thread(function, ())
