"""Publishing once: everyone ends up with the first publisher's bytes, in any process."""

from __future__ import annotations

import subprocess
import sys

import pytest

from airflow_conda_flow.datastore import publish
from airflow_conda_flow.datastore.local_storage import LocalStorage
from airflow_conda_flow.datastore.publish import publish_once, read_published
from airflow_conda_flow.datastore.s3_storage import S3Storage
from airflow_conda_flow.errors import DatastoreUnavailable

PUBLISHER = """
import sys, time
from airflow_conda_flow.datastore.datastore import open_datastore
from airflow_conda_flow.datastore.publish import publish_once
storage = open_datastore(*sys.argv[1:3], "/nonexistent/cache").storage
if storage.kind == "s3":
    storage.client
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[4])):
    data = f"{number} by {sys.argv[3]}".encode()
    print(publish_once(storage, f"locks/{number}", data).decode(), flush=True)
"""


def test_first_publisher_wins(storage):
    """The first publisher gets its own bytes, and so does everyone after it."""
    assert publish_once(storage, "locks/one", b"first") == b"first"
    assert publish_once(storage, "locks/one", b"second") == b"first"
    assert read_published(storage, "locks/one") == b"first"
    assert read_published(storage, "locks/two") is None


@pytest.mark.parametrize("processes", [4])
def test_processes_converge(datastore_root, storage, processes):
    """Processes that publish different bytes at once all get the same: those that are stored."""
    keys = 3
    command = [sys.executable, "-c", PUBLISHER, *datastore_root]
    publishers = [
        subprocess.Popen(
            [*command, str(number), str(keys)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(processes)
    ]
    for publisher in publishers:
        assert publisher.stdout.readline() == "ready\n"
    for publisher in publishers:
        publisher.stdin.write("go\n")
        publisher.stdin.flush()
    answers = {tuple(publisher.communicate(timeout=60)[0].split("\n")) for publisher in publishers}
    assert all(publisher.returncode == 0 for publisher in publishers)
    assert len(answers) == 1
    stored = [storage.read_bytes(f"locks/{number}").decode() for number in range(keys)]
    assert [*answers.pop()] == [*stored, ""]


def test_aws_is_known_to_honour_conditions(monkeypatch):
    """AWS itself is never probed and never waited for."""
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    assert S3Storage("s3://bucket/prefix").keeps_first_write is True


def test_key_that_never_settles(tmp_path, monkeypatch):
    """A key that stays fresh for ever is an error that says so, not an endless wait."""
    storage = LocalStorage(tmp_path)
    storage.keeps_first_write = False
    storage.write_bytes("key", b"data")
    monkeypatch.setattr(publish, "_PATIENCE", 0.0)
    with pytest.raises(DatastoreUnavailable, match=r"key in the datastore .* keeps changing"):
        read_published(storage, "key")


def test_no_hard_links(tmp_path, monkeypatch):
    """On a file system without hard links the first publisher still wins, after settling."""

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", refuse)
    storage = LocalStorage(tmp_path)
    assert publish_once(storage, "key", b"first") == b"first"
    assert storage.keeps_first_write is False
    assert publish_once(storage, "key", b"second") == b"first"
