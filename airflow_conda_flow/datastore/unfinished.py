"""Temporary files of threads that are left alone.

A thread whose connection stands still cannot be ended, and nobody waits for it after Ctrl-C. Its process may
end before it does, and then it never removes what it was writing.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Callable
from typing import TypeVar

_Made = TypeVar("_Made")
_of_thread = threading.local()


class Unfinished:
    """Temporary files of calls in other threads, for whoever may leave those threads alone."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._paths: list[str] = []
        self._is_over = False

    def run(self, work: Callable[..., _Made], *arguments: object) -> _Made:
        """Call ``work`` in this thread, and note the temporary files that it makes."""
        before = getattr(_of_thread, "noting", None)
        _of_thread.noting = self
        try:
            return work(*arguments)
        finally:
            _of_thread.noting = before

    def discard(self) -> None:
        """Remove the files, and let the calls make no more."""
        with self._mutex:
            self._is_over = True
        for path in self._paths:
            with contextlib.suppress(OSError):
                os.unlink(path)  # noqa: PTH108 - names are text here

    def _opened(self, path: str, flags: int) -> int:
        with self._mutex:  # no file may appear between a look at it and the removal
            if self._is_over:
                raise OSError(errno.ECANCELED, os.strerror(errno.ECANCELED))
            self._paths.append(path)
            return os.open(path, flags, 0o666)


def opened(path: str, flags: int) -> int:
    """Descriptor of a new temporary file, which is removed if this thread is left alone.

    Raises:
        OSError: also if this thread was left alone.
    """
    noting: Unfinished | None = getattr(_of_thread, "noting", None)
    return os.open(path, flags, 0o666) if noting is None else noting._opened(path, flags)  # noqa: SLF001
