"""Work on an environment says that it begins and ends, and ends at once when nobody waits for it any more."""

from __future__ import annotations

import asyncio
import fcntl
import signal
import threading
import time

import pytest

from airflow_conda_flow.datastore.atomic_file import new_file_beside
from airflow_conda_flow.datastore.s3_storage import S3Storage
from airflow_conda_flow.environments import packed, rattler_link
from airflow_conda_flow.environments import side_by_side as beside
from airflow_conda_flow.environments.bytecode import compile_modules
from airflow_conda_flow.environments.cache_places import makers_mutex
from airflow_conda_flow.environments.file_mutex import held, shared
from airflow_conda_flow.environments.side_by_side import side_by_side
from airflow_conda_flow.environments.stopping import Stopped, abandonable, check
from airflow_conda_flow.environments.temporary_folders import discard_unfinished

from ...parts.faulty_s3 import faulty
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
    recorder.phases.clear()
    prefix = environments.materialise(lock)
    text = f"Making the environment {prefix.name[:12]} of 2 packages"
    assert recorder.phases[:2] == [f"{text}: 2 packages", f"{text}: done 2"]
    modules = sum(1 for _ in (prefix / "lib").rglob("*.py"))
    begun, ended = recorder.phases[2:]
    assert begun == f"    Compiling its modules: {modules} files"
    assert ended == f"    Compiling its modules: done {modules}"
    recorder.phases.clear()
    assert environments.verify(lock) == []
    begun, ended = [each for each in recorder.phases if "Comparing" in each]
    assert begun == "    Comparing its files: 0 files"
    assert int(ended.removeprefix("    Comparing its files: done ")) > modules


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
    recorder.phases.clear()
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


@pytest.fixture
def make_unfinished(tmp_path):
    """A function: a package that py-rattler has extracted in part."""

    def make():
        folder = tmp_path / "machine" / "extracted" / ".numpy-1.26.4-py311_0xidab0"
        (folder / "lib").mkdir(parents=True)
        (folder / "lib" / "half").write_bytes(b"half")
        return folder

    return make


def test_packages_that_were_extracted_in_part_are_removed(make_unfinished, tmp_path):
    """Unless somebody makes an environment, who may be extracting them; whole packages stay."""
    folder = make_unfinished()
    whole = folder.with_name("six-1.17.0-py_0")
    whole.mkdir()
    with shared(makers_mutex(tmp_path / "machine")):
        discard_unfinished(tmp_path / "machine")
        assert (folder / "lib" / "half").is_file()
    discard_unfinished(tmp_path / "machine")
    assert not folder.exists()
    assert whole.is_dir()
    discard_unfinished(tmp_path / "none")


def test_what_a_killed_process_has_extracted_in_part_is_removed(
    make_environments, make_spec, make_unfinished
):
    """When the next environment is made."""
    folder = make_unfinished()
    environments = make_environments()
    environments.materialise(environments.resolve(make_spec(), "start"))
    assert not folder.exists()


def test_threads_may_report_to_a_loop_that_was_stopped(
    make_environments, make_spec, monkeypatch, stop_when, takes_less
):
    """py-rattler's threads print a traceback if they cannot."""
    began, loops = threading.Event(), []

    async def forever(*_words):
        loops.append(asyncio.get_running_loop())
        began.set()
        await asyncio.sleep(60)

    monkeypatch.setattr(rattler_link, "_install", forever)
    environments = make_environments()
    lock = environments.resolve(make_spec(), "start")
    with pytest.raises(Stopped):
        environments.materialise(lock, stop_when(began.is_set))
    (loop,) = loops
    loop.call_soon_threadsafe(print)
    assert not asyncio.all_tasks(loop)


@pytest.mark.parametrize("looks", [True, False])
def test_an_interrupted_call_is_told_and_left_alone(tmp_path, monkeypatch, takes_less, looks):
    """Also the only one; what it was making is removed when the interrupt is raised, by itself if it looks."""
    monkeypatch.setattr(beside, "_REMOVAL_SECONDS", 30.0 if looks else 0.1)
    monkeypatch.setattr(beside, "LAST_WRITES_SECONDS", 0.0)
    cancel, began, ended, removed = (threading.Event() for _ in range(4))

    def call(_value):
        try:
            with new_file_beside(tmp_path / "file"):
                began.set()
                while not ended.wait(0.01):
                    if looks:
                        check(cancel)
        finally:
            time.sleep(0.2)
            removed.set()

    def interrupt():
        began.wait(30)
        signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        side_by_side(call, [1], cancel=cancel)
    assert cancel.is_set()
    assert removed.is_set() == looks
    assert list(tmp_path.iterdir()) == []
    ended.set()
    thread.join()
    assert removed.wait(30)


def test_work_that_cannot_be_ended_is_left_alone(tmp_path, stop_when, takes_less):
    """And what it was writing is removed; its result or failure counts if it ends first."""
    began, ended = threading.Event(), threading.Event()

    def work():
        with new_file_beside(tmp_path / "file"):
            began.set()
            ended.wait(60)

    with pytest.raises(Stopped):
        abandonable(work, stop_when(began.is_set))
    assert list(tmp_path.iterdir()) == []
    ended.set()
    assert abandonable(lambda: 1, threading.Event()) == abandonable(lambda: 1, None) == 1
    with pytest.raises(ZeroDivisionError):
        abandonable(lambda: 1 // 0, threading.Event())


def test_an_upload_that_nobody_answers_is_stopped(
    rclone_s3, monkeypatch, tmp_path, stop_when, recorder, takes_less
):
    """The archive is removed from this machine, and none is named in the datastore."""
    asked = threading.Event()

    def choose(method, path, _count):
        if method == "PUT" and path.endswith(".tar.zst"):
            asked.set()
            return "stall"
        return "pass"

    folder = tmp_path / "packing" / "prefix"
    folder.mkdir(parents=True)
    (folder / "file").write_bytes(b"content")
    with faulty(rclone_s3, choose) as proxy:
        proxy.server.use(monkeypatch)
        storage = S3Storage(rclone_s3.make_root())
        with pytest.raises(Stopped):
            packed.publish_packed(
                storage, "linux-64", "ab" * 32, folder, folder, recorder, stop_when(asked.is_set)
            )
        assert [each.name for each in folder.parent.iterdir()] == ["prefix"]
        assert packed.find_packed(storage, "linux-64", "ab" * 32) is None
