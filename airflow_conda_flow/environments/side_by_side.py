"""Calls of a function side by side, for work that waits for the datastore or for other processes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

from airflow_conda_flow.environments.stopping import LAST_WRITES_SECONDS

_AT_ONCE = 8  # requests: enough to hide the way to S3
_Given = TypeVar("_Given")
_Made = TypeVar("_Made")


def side_by_side(
    function: Callable[[_Given], _Made],
    values: Collection[_Given],
    at_once: int = _AT_ONCE,
    cancel: threading.Event | None = None,
) -> list[_Made]:
    """Results of the function for all values, in order; a failure is raised after all calls have ended.

    An interrupt is raised after a second at most. ``cancel`` is set then, for calls that look at it.
    """
    if len(values) < 2:  # noqa: PLR2004 - nothing to overlap
        return [function(each) for each in values]
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="environments")
    calls = [pool.submit(function, each) for each in values]
    try:
        wait(calls)
    except BaseException:
        if cancel is not None:
            cancel.set()
        pool.shutdown(wait=False, cancel_futures=True)
        wait(calls, LAST_WRITES_SECONDS)
        raise
    pool.shutdown()
    return [each.result() for each in calls]
