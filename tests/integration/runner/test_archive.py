"""The packed runner in the datastore: what is damaged there is made again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_conda_flow.datastore import layout
from airflow_conda_flow.datastore.s3_storage import S3Storage
from airflow_conda_flow.environments.platform import current_platform
from airflow_conda_flow.records.document import stored_bytes
from airflow_conda_flow.runner import archive

from ...parts.damage import FAULTS


@pytest.fixture(params=["moto_s3", "rclone_s3"])
def storage(request, monkeypatch):
    """An empty root in an S3 server."""
    server = request.getfixturevalue(request.param)
    server.use(monkeypatch)
    return S3Storage(server.make_root())


@pytest.fixture
def made(tmp_path, monkeypatch):
    """The runners that were made: small ones, because the real one takes half a minute."""
    made = []

    def make(target):
        target.mkdir()
        (target / "runner.py").write_text("print('runner')\n")
        made.append(target)
        return target

    monkeypatch.setattr(archive, "_make", make)
    monkeypatch.setattr(archive, "runner_home", lambda: None)
    return made


def damage(storage, key, change):
    """Change what is under the key."""
    storage.write_bytes(key, change(storage.read_bytes(key)))


def test_it_is_made_once(storage, made):
    """Another process finds it."""
    key = archive.published_runner(storage)
    assert archive.published_runner(S3Storage(storage.url)) == key
    assert len(made) == 1
    assert storage.holds(key, key.rpartition("/")[2].partition(".")[0])


def at_once(storage, check, faults) -> None:
    """Check the faults, each in a root of its own: on rclone each publication waits for seconds."""
    with ThreadPoolExecutor(len(faults)) as pool:
        checks = {
            fault: pool.submit(check, S3Storage(f"{storage.url}/{number}"), FAULTS[fault])
            for number, fault in enumerate(faults)
        }
    assert {fault: each.exception() for fault, each in checks.items()} == dict.fromkeys(faults)


def test_a_damaged_pointer_is_replaced(storage, made):
    """The runner is made again, and found by the next process."""

    def check(storage, change) -> None:
        archive.published_runner(storage)
        damage(storage, layout.runner_pointer(current_platform(), archive.runner_id()), change)
        key = archive.published_runner(storage)
        assert archive.published_runner(storage) == key

    at_once(storage, check, list(FAULTS))
    assert len(made) == 2 * len(FAULTS)


def test_a_pointer_of_another_runner(storage, made):
    """It does not count."""
    archive.published_runner(storage)
    content = {"version": 1, "runner_id": "ab", "sha256": "cd" * 32, "size": 1}
    storage.write_bytes(layout.runner_pointer(current_platform(), archive.runner_id()), stored_bytes(content))
    assert "cd" * 32 not in archive.published_runner(storage)


def test_a_runner_that_this_machine_does_not_know(storage, made, tmp_path, caplog):
    """It is not taken, although its document is valid; the known one is named again, in one line."""
    key = archive.published_runner(storage, tmp_path)
    pointer = layout.runner_pointer(current_platform(), archive.runner_id())
    right = storage.read_bytes(pointer)
    content = {"version": 1, "runner_id": archive.runner_id(), "sha256": "cd" * 32, "size": 4}
    storage.write_bytes(layout.runner_archive(current_platform(), "cd" * 32), b"evil")
    storage.write_bytes(pointer, stored_bytes(content))
    assert archive.published_runner(storage, tmp_path) == key
    assert storage.read_bytes(pointer) == right
    (line,) = [record.getMessage() for record in caplog.records if record.name == "airflow_conda_flow"]
    assert f"{pointer} in the datastore {storage.url} named a runner that this machine does not know." in line
    assert archive.published_runner(storage, tmp_path) == key
    assert len(made) == 1


def test_an_archive_of_another_size_is_replaced(storage, made):
    """Containers would refuse it. One of the same size is found by the container, which says what to delete."""

    def check(storage, change) -> None:
        damage(storage, archive.published_runner(storage), change)
        key = archive.published_runner(storage)
        assert storage.holds(key, key.rpartition("/")[2].partition(".")[0])

    at_once(storage, check, ["truncated", "emptied", "longer"])
    assert len(made) == 2 * 3
