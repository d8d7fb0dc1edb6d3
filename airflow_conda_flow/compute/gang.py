"""The nodes of a ``num_parallel``: started together, and ended together where one of them fails."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Protocol, TypeVar

_BLINK = 0.1  # seconds until it is noticed that all are to end


class _Outcome(Protocol):
    @property
    def ok(self) -> bool: ...


Outcome = TypeVar("Outcome", bound=_Outcome)


def run_together(
    nodes: Sequence[Callable[[threading.Event], Outcome]], cancel: threading.Event
) -> list[Outcome]:
    """Run all nodes at once, a thread each; returns when all have ended.

    Args:
        nodes: each runs one node until the event that it is given is set.
        cancel: when set, all of them are ended.

    Raises:
        BaseException: what the first of them raised, or what befell this thread.
    """
    stop = threading.Event()
    with ThreadPoolExecutor(len(nodes), thread_name_prefix="node") as pool:
        futures = [pool.submit(node, stop) for node in nodes]
        waiting = set(futures)
        try:
            while waiting:
                ended, waiting = wait(waiting, _BLINK, FIRST_COMPLETED)
                if cancel.is_set() or not all(map(_is_well, ended)):
                    stop.set()
        finally:
            stop.set()
    return [future.result() for future in futures]


def _is_well(future: Future[Outcome]) -> bool:
    return future.exception() is None and future.result().ok
