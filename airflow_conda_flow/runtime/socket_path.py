"""Unix sockets with paths longer than the system's limit of 108 bytes (104 on macOS)."""

import contextlib
import os

_LONGEST = 100  # bytes; below the limits of Linux and macOS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def short(path: str) -> "Iterator[str]":
    """Path to bind or connect to while the block runs; a long one leads through ``/proc/self/fd`` on Linux.

    >>> with short("/tmp/s3") as path:
    ...     path
    '/tmp/s3'
    """
    if len(os.fsencode(path)) <= _LONGEST or not os.path.isdir("/proc/self/fd"):
        yield path
        return
    folder, name = os.path.split(path)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield "/proc/self/fd/%d/%s" % (descriptor, name)
    finally:
        os.close(descriptor)
