"""Whoever leaves a thread alone removes what it was writing, and it writes nothing more."""

from __future__ import annotations

import threading

import pytest

from airflow_conda_flow.datastore.atomic_file import new_file_beside, write_all
from airflow_conda_flow.datastore.local_storage import LocalStorage
from airflow_conda_flow.datastore.unfinished import Unfinished
from airflow_conda_flow.errors import DatastoreUnavailable


@pytest.fixture
def stalled(tmp_path):
    """A function: a thread that has begun a file, and stands still; gives its files, and lets it continue."""
    may_go, threads = threading.Event(), []

    def start(folder) -> tuple[Unfinished, threading.Event, list[BaseException]]:
        unfinished, begun, ended, failures = Unfinished(), threading.Event(), threading.Event(), []

        def work() -> None:
            try:
                with new_file_beside(folder / "file") as (_, fd):
                    write_all(fd, b"half")
                    begun.set()
                    may_go.wait(60)
                LocalStorage(folder).write_bytes("another", b"whole")
            except DatastoreUnavailable as error:
                failures.append(error)
            ended.set()

        threads.append(threading.Thread(target=unfinished.run, args=[work]))
        threads[-1].start()
        assert begun.wait(60)
        return unfinished, ended, failures

    yield start, may_go
    may_go.set()
    for each in threads:
        each.join()


def test_what_a_thread_writes_is_removed(tmp_path, stalled):
    """While it stands still; a file that it would make later does not appear."""
    start, may_go = stalled
    unfinished, ended, failures = start(tmp_path)
    assert [each.name for each in tmp_path.iterdir()]
    unfinished.discard()
    assert list(tmp_path.iterdir()) == []
    may_go.set()
    assert ended.wait(60)
    assert list(tmp_path.iterdir()) == []
    assert len(failures) == 1


def test_what_others_write_stays(tmp_path, stalled):
    """Another call's, in another thread, and this thread's own."""
    start, may_go = stalled
    one, _, _ = start(tmp_path / "one")
    _, ended, failures = start(tmp_path / "other")
    one.discard()
    assert len(list((tmp_path / "other").iterdir())) == 1
    LocalStorage(tmp_path).write_bytes("mine", b"whole")
    may_go.set()
    assert ended.wait(60)
    assert not failures
    assert (tmp_path / "other" / "another").read_bytes() == b"whole"


def test_results_and_failures_are_passed_on(tmp_path):
    """And what the thread does afterwards is not noted."""
    unfinished = Unfinished()
    assert unfinished.run(max, 1, 2) == 2
    with pytest.raises(ZeroDivisionError):
        unfinished.run(divmod, 1, 0)
    unfinished.discard()
    LocalStorage(tmp_path).write_bytes("mine", b"whole")
