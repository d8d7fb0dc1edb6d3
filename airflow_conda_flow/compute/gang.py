"""The nodes of a ``num_parallel``: started together, and all ended if one of them fails."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Protocol, TypeVar

# Seconds between two looks at ``cancel``, which is no future: ``wait`` does not wake up for it.
_BLINK = 0.1


class _Outcome(Protocol):
    @property
    def ok(self) -> bool: ...


Outcome = TypeVar("Outcome", bound=_Outcome)


def run_together(
    nodes: Sequence[Callable[[threading.Event], Outcome]], cancel: threading.Event
) -> list[Outcome]:
    """Run all nodes at the same time, each in a thread, and return their outcomes when all have ended.

    Args:
        nodes: each runs one node, and ends it early when the event that it receives is set.
        cancel: when set, all nodes are ended.

    Raises:
        BaseException: a node raised it (the first such node in the given order), or this thread was
            interrupted.
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
            # Also after a KeyboardInterrupt here: leaving the pool waits for every node.
            stop.set()
    return [future.result() for future in futures]


def _is_well(future: Future[Outcome]) -> bool:
    return future.exception() is None and future.result().ok
