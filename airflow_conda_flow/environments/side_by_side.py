"""Calls of a function side by side, for work that waits for the datastore or for other processes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

from airflow_conda_flow.datastore.unfinished import Unfinished
from airflow_conda_flow.environments.stopping import LAST_WRITES_SECONDS, LOOK_EVERY

_AT_ONCE = 8  # requests: enough to hide the way to S3
# An environment has thousands of files. Whoever does not want to wait interrupts again.
_REMOVAL_SECONDS = 10.0
_Given = TypeVar("_Given")
_Made = TypeVar("_Made")


def side_by_side(
    function: Callable[[_Given], _Made],
    values: Collection[_Given],
    at_once: int = _AT_ONCE,
    cancel: threading.Event | None = None,
) -> list[_Made]:
    """Results of the function for all values, in order; a failure is raised after all calls have ended.

    An interrupt is raised after a second at most. With ``cancel``, which is set then, it is raised when all
    calls have ended and removed what they were making, or after ten seconds. Calls that have not ended are
    left alone, and their temporary files are removed.
    """
    if not values:
        return []
    if len(values) == 1 and cancel is None:  # nothing to overlap; an interrupt reaches the call itself
        return [function(each) for each in values]
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="environments")
    calls: list[Future[_Made]] = []
    unfinished = Unfinished()
    try:
        calls.extend(pool.submit(unfinished.run, function, each) for each in values)
        # In short waits: the signal of an interrupt may reach another thread, and wakes only that one.
        while wait(calls, LOOK_EVERY).not_done:
            pass
    except BaseException:
        if cancel is not None:
            cancel.set()
        pool.shutdown(wait=False, cancel_futures=True)
        wait(calls, LAST_WRITES_SECONDS if cancel is None else _REMOVAL_SECONDS)
        unfinished.discard()
        raise
    pool.shutdown()
    return [each.result() for each in calls]
