"""``parallel_map``: calls a function in several processes at once, inside a step.

Each call runs in a fork of the calling process. The function may therefore be a lambda or a closure, and
its inputs need no pickling; only its result is pickled.
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

_READ_AT_ONCE = 1024 * 1024  # bytes


def parallel_map(
    func: "Callable[[Item], Value]",
    iterable: "Iterable[Item]",
    max_parallel: "int | None" = None,
    dir: "str | None" = None,  # noqa: A002 - Metaflow's name
) -> "list[Value]":
    """Results of a function for each item, in the order of the items, computed in parallel.

    Args:
        func: called with one item; its result must be picklable.
        iterable: the items.
        max_parallel: number of calls at the same time; None means one per available processor.
        dir: ignored, kept for Metaflow's signature; results travel through pipes, not files.

    Raises:
        CondaFlowError: a call failed; the message contains its traceback.

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
    dir: "str | None" = None,  # noqa: A002 - Metaflow's name
) -> "Iterator[Value]":
    """Results as in ``parallel_map``, but each one as soon as it is ready.

    >>> sorted(parallel_imap_unordered(str, [3, 1, 2]))
    ['1', '2', '3']
    """
    del dir
    return (value for _, value in _results(func, iterable, max_parallel))


def _results(
    func: "Callable[[Any], Any]", iterable: "Iterable[Any]", max_parallel: "int | None"
) -> "Iterator[tuple[int, Any]]":
    """Pairs (number of the item, result), in the order in which the calls finish."""
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
                        # Before closing: later children inherited the pipe, so epoll would keep watching it.
                        selector.unregister(call.pipe)
                        call.pipe.close()
                        del running[call.number]
                        yield call.number, call.value()
        finally:
            for call in running.values():
                call.end()


class _Call:
    """One call, in its own process."""

    def __init__(self, func: "Callable[[Any], Any]", number: int, item: "Any") -> None:
        self.number = number
        self._parts: "list[bytes]" = []
        reading, writing = os.pipe()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # otherwise both processes would print the buffered text
        self._pid = os.fork()
        if self._pid == 0:
            os.close(reading)
            _call_and_exit(func, item, os.fdopen(writing, "wb"))
        os.close(writing)
        self.pipe = os.fdopen(reading, "rb", buffering=0)

    def read(self) -> bool:
        """Read the data that is available; return True when the child has closed its end."""
        part = self.pipe.read(_READ_AT_ONCE)
        if part:
            self._parts.append(part)
            return False
        return True

    def value(self) -> "Any":
        """Result of the call; valid once ``read`` has returned True."""
        _, status = os.waitpid(self._pid, 0)
        data = b"".join(self._parts)
        if not data:
            raise CondaFlowError(
                "A process of parallel_map ended before its function did; %s." % _ending(status)
            )
        ok, value = pickle.loads(data)  # noqa: S301 - written by our own child process
        if not ok:
            raise CondaFlowError("A function failed in a process of parallel_map:\n%s" % value.rstrip("\n"))
        return value

    def end(self) -> None:
        """Kill a call whose result is no longer needed."""
        import signal  # noqa: PLC0415 - needed after a failure only

        self.pipe.close()
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)


def _call_and_exit(func: "Callable[[Any], Any]", item: "Any", pipe: "BinaryIO") -> None:
    """Run the call in the child process and exit; this never returns to the caller's frames."""
    status = 1
    try:
        try:
            data = pickle.dumps((True, func(item)), pickle.HIGHEST_PROTOCOL)
            status = 0
        except BaseException:  # noqa: BLE001 - the parent reports it, whatever it is
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
