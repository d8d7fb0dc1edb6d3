"""Ends work on an environment that nobody waits for any more: its run was interrupted, or its task ended."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

from airflow_conda_flow.datastore.unfinished import Unfinished

_Made = TypeVar("_Made")

LOOK_EVERY = 0.1
"""Seconds between looks at whether work is still wanted."""
LAST_WRITES_SECONDS = 1.0
"""Seconds for threads that cannot be ended: a package is extracted in less."""


class Stopped(BaseException):
    """The work is no longer wanted. Not an ``Exception``, so that no retry and no cleanup catches it."""


def check(cancel: threading.Event | None) -> None:
    """Raise ``Stopped`` if the event is set."""
    if cancel is not None and cancel.is_set():
        raise Stopped


def checked(cancel: threading.Event | None, advance: Callable[[int], None]) -> Callable[[int], None]:
    """The function that counts progress, which raises ``Stopped`` once the event is set."""

    def count(more: int) -> None:
        check(cancel)
        advance(more)

    return count


def abandonable(work: Callable[[], _Made], cancel: threading.Event | None) -> _Made:
    """Result of work that cannot be ended, such as a request that nobody answers.

    It runs in a thread, which is left alone once the event is set. Its temporary files are removed then.

    Raises:
        Stopped: the event was set before the work was done.
    """
    if cancel is None:
        return work()
    pool = ThreadPoolExecutor(1, thread_name_prefix="environments")
    unfinished = Unfinished()
    call = pool.submit(unfinished.run, work)
    pool.shutdown(wait=False)
    try:
        while not wait({call}, LOOK_EVERY).done:
            check(cancel)
    except BaseException:
        unfinished.discard()
        raise
    return call.result()
