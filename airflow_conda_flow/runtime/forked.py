"""``parallel_map``: a function called in several processes at once, inside a step.

Each call runs in a fork of the calling process, so that the function may be a lambda or a closure, and
what it reads need not be pickled; only what it returns is.
"""

import os
import pickle
import selectors
import sys
import traceback

from airflow_conda_flow.errors import CondaFlowError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, BinaryIO, TypeVar

    Item = TypeVar("Item")
    Value = TypeVar("Value")

_READ_AT_ONCE = 1024 * 1024


def parallel_map(
    func: "Callable[[Item], Value]",
    iterable: "Iterable[Item]",
    max_parallel: "int | None" = None,
    dir: "str | None" = None,  # noqa: A002 - the field's own name
) -> "list[Value]":
    """What a function gives for each item, in the order of the items; computed in parallel.

    Args:
        func: called with one item; what it gives must be something that can be pickled.
        iterable: the items.
        max_parallel: how many calls at once; None is the number of this process's processors.
        dir: not used; results go through no files.

    Raises:
        CondaFlowError: a call failed; the message has its traceback.

    >>> parallel_map(lambda item: item * item, [3, 1, 2], max_parallel=2)
    [9, 1, 4]
    """
    del dir
    found = dict(_results(func, iterable, max_parallel))
    return [found[number] for number in range(len(found))]


def parallel_imap_unordered(
    func: "Callable[[Item], Value]",
    iterable: "Iterable[Item]",
    max_parallel: "int | None" = None,
    dir: "str | None" = None,  # noqa: A002 - the field's own name
) -> "Iterator[Value]":
    """As ``parallel_map``, but each result as soon as it is there.

    >>> sorted(parallel_imap_unordered(str, [3, 1, 2]))
    ['1', '2', '3']
    """
    del dir
    return (value for _, value in _results(func, iterable, max_parallel))


def _results(
    func: "Callable[[Any], Any]", iterable: "Iterable[Any]", max_parallel: "int | None"
) -> "Iterator[tuple[int, Any]]":
    """(number of the item, value), as they come."""
    most = max_parallel or _processors()
    items = enumerate(iterable)
    running: "dict[int, _Call]" = {}
    with selectors.DefaultSelector() as selector:
        try:
            while True:
                while len(running) < most:
                    entry = next(items, None)
                    if entry is None:
                        break
                    call = _Call(func, entry[0], entry[1])
                    running[call.number] = call
                    selector.register(call.pipe, selectors.EVENT_READ, call)
                if not running:
                    return
                for key, _ in selector.select():
                    call = key.data
                    if call.read():
                        # Before it is closed: later calls hold the pipe too, so that it would stay watched.
                        selector.unregister(call.pipe)
                        call.pipe.close()
                        del running[call.number]
                        yield call.number, call.value()
        finally:
            for call in running.values():
                call.end()


class _Call:
    """One call in a process of its own."""

    def __init__(self, func: "Callable[[Any], Any]", number: int, item: "Any") -> None:
        self.number = number
        self._parts: "list[bytes]" = []
        reading, writing = os.pipe()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # else both processes print what is buffered
        self._pid = os.fork()
        if self._pid == 0:
            os.close(reading)
            _call_and_exit(func, item, os.fdopen(writing, "wb"))
        os.close(writing)
        self.pipe = os.fdopen(reading, "rb", buffering=0)

    def read(self) -> bool:
        """Take what is there; whether that was all."""
        part = self.pipe.read(_READ_AT_ONCE)
        if part:
            self._parts.append(part)
            return False
        return True

    def value(self) -> "Any":
        """What the call gave, once all has been read."""
        _, status = os.waitpid(self._pid, 0)
        data = b"".join(self._parts)
        if not data:
            raise CondaFlowError(
                "A process of parallel_map ended before its function did; %s." % _ending(status)
            )
        ok, value = pickle.loads(data)  # noqa: S301 - our own child wrote it
        if not ok:
            raise CondaFlowError("A function failed in a process of parallel_map:\n%s" % value.rstrip("\n"))
        return value

    def end(self) -> None:
        """Kill a call whose result nobody waits for."""
        import signal  # noqa: PLC0415 - only where something failed

        self.pipe.close()
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)


def _call_and_exit(func: "Callable[[Any], Any]", item: "Any", pipe: "BinaryIO") -> None:
    """The child's whole life: never comes back to the caller's frames."""
    status = 1
    try:
        try:
            data = pickle.dumps((True, func(item)), pickle.HIGHEST_PROTOCOL)
            status = 0
        except BaseException:  # noqa: BLE001 - whatever it is, the parent tells
            data = pickle.dumps((False, traceback.format_exc()))
        with pipe:
            pipe.write(data)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    finally:
        os._exit(status)


def _ending(status: int) -> str:
    if os.WIFSIGNALED(status):
        return "signal %d killed it" % os.WTERMSIG(status)
    return "its exit code is %d" % os.WEXITSTATUS(status)


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
