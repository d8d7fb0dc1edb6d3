"""Unix sockets whose paths are longer than the 108 bytes (104 on macOS) that a system takes."""

import contextlib
import os

_LONGEST = 100

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def short(path: str) -> "Iterator[str]":
    """A path by which to bind or connect while the block runs; in Linux through a descriptor of its folder.

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
