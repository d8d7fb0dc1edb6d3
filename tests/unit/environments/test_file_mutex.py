"""Mutexes whose files may be removed: whoever has one holds that of the path, and nobody else does."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path

import pytest

from airflow_conda_flow.environments import file_mutex
from airflow_conda_flow.environments.file_mutex import (
    held,
    held_now,
    mutex_of,
    removable,
    shared,
    use_of,
)


def _wait_until(condition) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def _is_waited_for(path: Path) -> bool:
    """Whether somebody waits in the kernel for the lock of a file."""
    inode = f":{path.stat().st_ino} "
    lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    return any("->" in line and inode in line for line in lines)


@pytest.fixture
def in_thread():
    """A function: a thread that holds a mutex; gives the events that say it does, and let it go."""
    threads, events = [], []

    def start(mutex) -> tuple[threading.Event, threading.Event]:
        has_it, may_go = threading.Event(), threading.Event()

        def hold() -> None:
            with mutex:
                has_it.set()
                may_go.wait(60)

        threads.append(threading.Thread(target=hold))
        threads[-1].start()
        events.append(may_go)
        return has_it, may_go

    yield start
    for each in events:
        each.set()
    for each in threads:
        each.join()


def test_who_waited_for_a_removed_mutex_holds_the_new_one(tmp_path, in_thread, monkeypatch):
    """Its file was removed while another process had opened it and waited."""
    monkeypatch.setattr(file_mutex, "_SAY_AFTER", 0.0)
    path, waits = tmp_path / "mutex", threading.Event()
    with held_now(path) as is_free:
        assert is_free
        has_it, _ = in_thread(held(path, on_wait=waits.set))
        assert waits.wait(60)
        path.unlink()
    assert has_it.wait(60)
    with held_now(path) as is_free:
        assert not is_free


def test_who_waited_to_share_a_removed_mutex_shares_the_new_one(tmp_path, in_thread):
    """As before; a task shares it for as long as it runs."""
    path = tmp_path / "mutex"
    with held_now(path) as is_free:
        assert is_free
        has_it, may_go = in_thread(shared(path))
        _wait_until(lambda: _is_waited_for(path))
        path.unlink()
    assert has_it.wait(60)
    with held_now(path) as is_free:
        assert not is_free
    may_go.set()


def test_a_mutex_that_was_removed_between_its_opening_and_its_lock(tmp_path, monkeypatch):
    """Each way to hold one opens the file again."""
    path, real = tmp_path / "mutex", file_mutex.fcntl.flock
    for mutex in (held, shared, held_now):
        opened = []

        def flock(descriptor, kind, opened=opened):
            if not opened:
                path.unlink()
            opened.append(descriptor)
            real(descriptor, kind)

        monkeypatch.setattr(file_mutex.fcntl, "flock", flock)
        with mutex(path) as has_it:
            assert has_it in (True, None)
            monkeypatch.setattr(file_mutex.fcntl, "flock", real)
            assert len(opened) == 2
            with held_now(path) as is_free:
                assert not is_free


def test_a_folder_is_removable_while_nobody_uses_or_makes_it(tmp_path):
    """And nobody can use or make it meanwhile."""
    folder = tmp_path / "folder"
    for mutex in (shared(use_of(folder)), held(mutex_of(folder))):
        with mutex, removable(folder) as is_free:
            assert not is_free
    with removable(folder) as is_free:
        assert is_free
        for path in (use_of(folder), mutex_of(folder)):
            with held_now(path) as is_free_now:
                assert not is_free_now


class _Crowd:
    """Makers, users and removers of one folder, until each kind has done its work so often or found a fault."""

    ROUNDS = 20

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.faults: list[str] = []
        self.made, self.used, self.removed = 0, 0, 0
        self._making = threading.Lock()
        self._deadline = time.monotonic() + 60

    def goes_on(self) -> bool:
        least = min(self.made, self.used, self.removed)
        return not self.faults and least < self.ROUNDS and time.monotonic() < self._deadline

    def use(self) -> None:
        while self.goes_on():
            with held(mutex_of(self.folder)):
                self._make()
            with shared(use_of(self.folder)):
                if self.folder.is_dir():
                    self.used += 1
                    time.sleep(0.0005)
                    if not self.folder.is_dir():
                        self.faults.append("it went while it was used")

    def _make(self) -> None:
        if not self._making.acquire(blocking=False):
            self.faults.append("two made it")
            return
        if not self.folder.is_dir():
            time.sleep(0.001)
            self.folder.mkdir()
            self.made += 1
        self._making.release()

    def remove(self) -> None:
        while self.goes_on():
            with removable(self.folder) as is_free:
                if is_free:
                    with contextlib.suppress(FileNotFoundError):
                        self.folder.rmdir()
                        self.removed += 1
                    for path in (mutex_of(self.folder), use_of(self.folder)):
                        path.unlink(missing_ok=True)


def test_makers_users_and_removals_at_once(tmp_path, monkeypatch):
    """Nobody makes a folder while another does, and nobody loses one that is used."""
    monkeypatch.setattr(file_mutex, "_LOOK_EVERY", 0.001)
    crowd = _Crowd(tmp_path / "folder")
    threads = [threading.Thread(target=each) for each in (*[crowd.use] * 3, *[crowd.remove] * 2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not crowd.faults
    assert not crowd.goes_on()
    assert crowd.removed >= crowd.ROUNDS
