"""Work on an environment says that it begins and ends, and ends at once when nobody waits for it any more."""

from __future__ import annotations

import asyncio
import fcntl
import threading
import time

import pytest

from airflow_conda_flow.environments import rattler_link
from airflow_conda_flow.environments.bytecode import compile_modules
from airflow_conda_flow.environments.file_mutex import held
from airflow_conda_flow.environments.stopping import Stopped

from .conftest import left

SOON = 10.0  # seconds; what is stopped here would take a minute


@pytest.fixture
def stop_when():
    """A function: an event that is set once the condition holds; the test's thread is busy meanwhile."""
    ended = threading.Event()
    threads = []

    def make(condition) -> threading.Event:
        cancel = threading.Event()

        def watch() -> None:
            while not ended.wait(0.02):
                if condition():
                    cancel.set()
                    return

        threads.append(threading.Thread(target=watch, daemon=True))
        threads[-1].start()
        return cancel

    yield make
    ended.set()
    for thread in threads:
        thread.join()


@pytest.fixture
def takes_less():
    """Fails the test if it takes as long as what it stops."""
    before = time.monotonic()
    yield
    assert time.monotonic() - before < 50


def test_phases_are_told(make_environments, make_spec, recorder):
    """Making an environment, and compiling it, count their packages and files to the end."""
    environments = make_environments(progress=recorder, compile_bytecode=True)
    lock = environments.resolve(make_spec(), "start")
    prefix = environments.materialise(lock)
    text = f"Making the environment {prefix.name[:12]} of 2 packages"
    assert recorder.phases[:2] == [f"{text}: 2 packages", f"{text}: done 2"]
    modules = sum(1 for _ in (prefix / "lib").rglob("*.py"))
    begun, ended = recorder.phases[2:]
    assert begun == f"    Compiling its modules: {modules} files"
    assert ended == f"    Compiling its modules: done {modules}"


def test_linking_is_stopped(
    make_environments, make_spec, monkeypatch, tmp_path, stop_when, recorder, takes_less
):
    """It ends although py-rattler's own work would go on, and leaves no folder."""
    real, linked = rattler_link._install, threading.Event()

    async def slowly(*words):
        await real(*words)
        linked.set()
        await asyncio.sleep(60)

    monkeypatch.setattr(rattler_link, "_install", slowly)
    environments = make_environments(progress=recorder)
    lock = environments.resolve(make_spec(), "start")
    with pytest.raises(Stopped):
        environments.materialise(lock, stop_when(linked.is_set))
    assert left(tmp_path / "machine") == []
    assert not [each for each in recorder.phases if "done" in each], "it has not ended as it should"
    monkeypatch.setattr(rattler_link, "_install", real)
    assert environments.materialise(lock).is_dir(), "it can be made again"


def test_nothing_begins_that_is_not_wanted(make_environments, make_spec, tmp_path):
    """With the event set from the beginning nothing is fetched and nothing is made."""
    environments = make_environments()
    lock = environments.resolve(make_spec(), "start")
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Stopped):
        environments.materialise(lock, cancel)
    assert left(tmp_path / "machine") == []


def test_the_compiler_is_stopped(tmp_path, stop_when, takes_less):
    """With what it has started."""
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    pid = tmp_path / "pid"
    python.write_text(f"#!/bin/sh\n/bin/sleep 60 &\necho $! >{pid}\nwait\n")
    python.chmod(0o755)
    with pytest.raises(Stopped):
        compile_modules(tmp_path, cancel=stop_when(lambda: pid.exists() and pid.read_text().strip()))
    deadline = time.monotonic() + SOON
    while _runs(int(pid.read_text())):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:  # noqa: PTH123 - short
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_compiler_that_is_not_there(tmp_path):
    """The prefix works without bytecode."""
    assert not compile_modules(tmp_path)


def test_waiting_for_another_process_is_stopped_and_said(tmp_path, stop_when, takes_less):
    """Another process that makes the same environment may take minutes."""
    said = threading.Event()
    with (tmp_path / "mutex").open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(Stopped), held(tmp_path / "mutex", stop_when(said.is_set), said.set):
            pass
    with held(tmp_path / "mutex") as alone:
        assert alone
