"""Event loops for py-rattler, whose threads report to them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_Made = TypeVar("_Made")
_left_open: list[asyncio.AbstractEventLoop] = []  # a loop that is collected while it is open is a warning


def run(work: Coroutine[Any, Any, _Made]) -> _Made:
    """Run py-rattler's work to its end, and return its result.

    After a failure or an interrupt the loop stays open. Threads go on with what else the work had begun
    for a moment, and print a traceback if the loop that they report to is closed.
    """
    loop = asyncio.new_event_loop()
    try:
        made = loop.run_until_complete(work)
    except BaseException:
        _left_open.append(loop)
        _end_tasks(loop)
        raise
    loop.close()
    return made


def _end_tasks(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for each in tasks:
        each.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
