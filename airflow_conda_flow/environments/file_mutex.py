"""Mutexes between the processes of one machine: locked files, which the kernel frees if their holder dies.

A prune removes the file of a mutex whose folder goes, while it holds the mutex (``removable``). Another
process may have opened the file before, and gets the lock of a file that later ones do not see. So whoever
has locked a file looks whether it is still the one at the path, and begins again if it is not.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from airflow_conda_flow.datastore.atomic_file import link_once
from airflow_conda_flow.datastore.left_behind import new_mark
from airflow_conda_flow.environments.stopping import check

_LOOK_EVERY = 0.05  # seconds
_SAY_AFTER = 1.0  # seconds: a holder that is nearly done needs no words


@contextlib.contextmanager
def held(
    path: Path, cancel: threading.Event | None = None, on_wait: Callable[[], None] = lambda: None
) -> Iterator[bool]:
    """Hold the mutex of a file while the block runs; gives True, or False if files cannot be locked.

    Waits until the mutex is free. On a file system without locks nobody waits: the block then runs in several
    processes at once.

    Args:
        path: the file.
        cancel: when set, the wait ends.
        on_wait: called once if the mutex does not become free soon.

    Raises:
        Stopped: ``cancel`` was set while another process held the mutex.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with path.open("wb") as file:  # which makes it new
            try:
                _lock(file.fileno(), cancel, on_wait)
            except OSError:
                yield False
                return
            if _is_at(file.fileno(), path):
                yield True
                return


@contextlib.contextmanager
def alone_with(path: Path, on_wait: Callable[[], object]) -> Iterator[None]:
    """Lock a file that is there already, and whose content does not matter here, while the block runs.

    Waits until the file is free. Where it cannot be locked, the block runs in several processes at once.

    Args:
        path: the file; it need not be writable.
        on_wait: called once if the file does not become free soon.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        yield
        return
    try:
        with contextlib.suppress(OSError):
            _lock(fd, None, on_wait)
        yield
    finally:
        os.close(fd)


@contextlib.contextmanager
def shared(path: Path) -> Iterator[None]:
    """Hold the mutex of a file together with others who share it, and make the file new.

    Waits while somebody holds it alone. Does nothing where the file cannot be written or locked.
    """
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            fd = _opened(path, os.O_CREAT)
        except OSError:
            yield
            return
        try:
            with contextlib.suppress(OSError):
                fcntl.flock(fd, fcntl.LOCK_SH)
                if not _is_at(fd, path):
                    continue
                os.utime(fd)
            yield
            return
        finally:
            os.close(fd)


@contextlib.contextmanager
def held_now(path: Path) -> Iterator[bool]:
    """Hold the mutex of a file, if nobody else does: gives False at once if somebody does.

    Also False where files cannot be locked, because nobody knows then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        try:
            fd = _opened(path, 0)
        except FileNotFoundError:
            _make_unused(path)
            continue
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
                return
            if _is_at(fd, path):
                yield True
                return
        finally:
            os.close(fd)


@contextlib.contextmanager
def removable(folder: Path) -> Iterator[bool]:
    """Hold both mutexes of a folder, if nobody uses or makes it: it may be removed, and their files with it.

    Gives False as ``held_now`` does.
    """
    with held_now(use_of(folder)) as is_unused:
        if not is_unused:
            yield False
            return
        with held_now(mutex_of(folder)) as is_made:
            yield is_made


def _opened(path: Path, flags: int) -> int:
    # Not inherited by the step process: if the runner dies, the step process ends by itself.
    return os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o666)


def _is_at(descriptor: int, path: Path) -> bool:
    """True if an open file is the one at the path, which a prune may have removed before it was locked."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))  # noqa: PTH116
    except FileNotFoundError:
        return False


def _make_unused(path: Path) -> None:
    """Make the file of a mutex with a time that says when it was last shared: never.

    It has that time from its first moment: another prune would take it for one that was shared just now.
    """
    new = path.with_name(f"{path.name}.{new_mark()}")
    new.touch(0o666)
    os.utime(new, (0, 0))
    try:
        if link_once(new, str(path)) is None:
            new.rename(path)
    finally:
        new.unlink(missing_ok=True)


def mutex_of(folder: Path) -> Path:
    """Mutex of a folder of the cache that is held by who makes it."""
    return folder.with_name(f".{folder.name}.mutex")


def use_of(folder: Path) -> Path:
    """Mutex of a folder of the cache that is shared by those who use it, and held by who removes it.

    Not that of its makers: who makes a folder again that somebody removed must not wait for those who still
    use the old one.
    """
    return folder.with_name(f".{folder.name}.use")


def last_use(folder: Path) -> float:
    """Time at which the folder was last used or made, as ``time.time`` counts; 0 if it is gone."""
    times = []
    for path in (use_of(folder), mutex_of(folder), folder):
        with contextlib.suppress(OSError):
            times.append(path.stat().st_mtime)
    return max(times, default=0.0)


def users_of(folder: Path) -> list[int] | None:
    """Processes of this machine that use a folder, by their ids; None if nobody can tell.

    A process of another container has no id here, and counts as 0.
    """
    try:
        state = os.stat(use_of(folder))  # noqa: PTH116
        device = f"{os.major(state.st_dev):02x}:{os.minor(state.st_dev):02x}:{state.st_ino}"
        lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        return []
    except OSError:
        return None
    fields = [line.replace("->", "").split() for line in lines]
    return sorted({max(0, int(each[4])) for each in fields if each[1] == "FLOCK" and each[5] == device})


def _lock(descriptor: int, cancel: threading.Event | None, on_wait: Callable[[], object]) -> None:
    say_at = time.monotonic() + _SAY_AFTER
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
                raise
        else:
            return
        check(cancel)
        if time.monotonic() > say_at:
            on_wait()
            say_at = float("inf")
        time.sleep(_LOOK_EVERY)
