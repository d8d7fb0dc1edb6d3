"""Files that appear whole or not at all: a temporary file beside them, then a rename or a link."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS}


@contextlib.contextmanager
def new_file_beside(path: Path | str) -> Iterator[tuple[str, int]]:
    """A new temporary file in the directory of ``path``, as (name, descriptor); gone at the end.

    The directory is made if it is missing. The name starts with a dot.
    """
    directory, name = os.path.split(path)
    temporary = f"{directory}/.{name[:100]}.{os.getpid()}-{secrets.token_hex(4)}.part"
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC
    try:
        fd = os.open(temporary, flags, 0o666)
    except FileNotFoundError:
        os.makedirs(directory, exist_ok=True)  # noqa: PTH103  hot path
        fd = os.open(temporary, flags, 0o666)
    try:
        yield temporary, fd
    finally:
        os.close(fd)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)  # noqa: PTH108  hot path


def write_all(fd: int, data: bytes) -> None:
    """Writes all of ``data``; one ``os.write`` may write less."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def link_once(path: Path | str, target: str) -> bool | None:
    """True if ``target`` is now the file ``path``, False if something was there already.

    Of two at once exactly one is told True. None where the file system has no hard links.
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
