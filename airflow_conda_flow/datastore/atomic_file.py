"""Files that appear whole or not at all: written to a temporary file in the same directory, then moved."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from typing import TYPE_CHECKING

from .left_behind import new_mark
from .unfinished import opened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Errors of link(2) on file systems without hard links; ``EMLINK`` if a file has the most links already.
_NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS}


@contextlib.contextmanager
def new_file_beside(path: Path | str) -> Iterator[tuple[str, int]]:
    """New temporary file in the directory of ``path``, as (name, descriptor); removed at the end.

    Create the directory if it is missing. The file's name starts with a dot, so that no storage lists it.
    """
    directory, name = os.path.split(path)
    # The name is cut because most file systems allow 255 bytes, and process and random number are added.
    temporary = f"{directory}/.{name[:100]}.{new_mark()}.part"
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC
    try:
        fd = opened(temporary, flags)
    except FileNotFoundError:
        os.makedirs(directory, exist_ok=True)  # noqa: PTH103  hot path
        fd = opened(temporary, flags)
    try:
        yield temporary, fd
    finally:
        os.close(fd)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)  # noqa: PTH108  hot path


def write_all(fd: int, data: bytes) -> None:
    """Write all of ``data``; a single ``os.write`` may write less."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def replace(path: Path | str, target: Path | str) -> None:
    """Rename ``path`` to ``target``, whatever is there.

    A directory at ``target`` is moved aside: it stays in its folder, under a name that starts with a dot.
    """
    try:
        os.replace(path, target)  # noqa: PTH105  hot path
    except IsADirectoryError:
        move_aside(target)
        os.replace(path, target)  # noqa: PTH105  hot path


def move_aside(target: Path | str) -> None:
    """Rename ``target`` to a name that starts with a dot, so that no storage lists it."""
    directory, name = os.path.split(target)
    # If it is gone, another process has moved it aside.
    with contextlib.suppress(FileNotFoundError):
        os.rename(target, f"{directory}/.{name[:100]}.{secrets.token_hex(4)}.aside")  # noqa: PTH104


def link_once(path: Path | str, target: str) -> bool | None:
    """Link ``target`` to the file ``path``; True if that was done, False if ``target`` existed.

    Of several callers at once exactly one gets True. None if the file system has no hard links.
    """
    try:
        os.link(path, target)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno in _NO_HARD_LINKS:
            return None
        raise
    return True
