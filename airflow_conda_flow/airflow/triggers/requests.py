"""Calls of a trigger that may ask Airflow: each goes on to its end, even if the trigger is cancelled.

Before 3.2, Airflow's triggerer has one channel for the requests of all triggers, and takes answers in the
order of requests. One that is cancelled leaves its answer on the channel. The next request reads that, says
"Response read out of order!", and the triggerer ends. Airflow cancels a trigger whenever its task is marked
or cleared, so a trigger must not hand the cancellation on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from asgiref.sync import sync_to_async

_Result = TypeVar("_Result")
_open: set[asyncio.Future[Any]] = set()
"""Calls that have not ended. Without a reference the event loop may drop them."""


async def to_its_end(call: Awaitable[_Result]) -> _Result:
    """Result of a call; it goes on if the caller is cancelled."""
    return await asyncio.shield(_started(call))


async def undisturbed(call: Awaitable[_Result]) -> _Result:
    """Result of a call, for which the caller waits however often it is cancelled meanwhile."""
    future = _started(call)
    while not future.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(future)
    return future.result()


async def answer(call: Awaitable[_Result], seconds: float) -> _Result:
    """Result of a call; it goes on after the time is up.

    Raises:
        TimeoutError: the call has no result yet.
    """
    future = _started(call)
    done, _ = await asyncio.wait({future}, timeout=seconds)
    if not done:
        raise TimeoutError(f"There is no answer after {seconds:g} s.")
    return future.result()


async def in_thread(function: Callable[..., _Result], *arguments: Any) -> _Result:
    """Result of a function that may wait, without holding up other triggers."""
    # Not asyncio.to_thread: in Airflow before 3.2 a question about a connection from a thread that asgiref
    # does not know breaks the channel on which all triggers ask.
    return await to_its_end(sync_to_async(function, thread_sensitive=False)(*arguments))


async def in_airflows_thread(function: Callable[..., _Result], *arguments: Any) -> _Result:
    """Result of a function that asks for a connection: Airflow answers that in one thread alone."""
    return await to_its_end(sync_to_async(function)(*arguments))


def _started(call: Awaitable[_Result]) -> asyncio.Future[_Result]:
    future = asyncio.ensure_future(call)
    _open.add(future)
    future.add_done_callback(_ended)
    return future


def _ended(future: asyncio.Future[Any]) -> None:
    _open.discard(future)
    if not future.cancelled():
        future.exception()  # nobody may be left to look at it, and Python would complain
