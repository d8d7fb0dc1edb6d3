"""Artifacts: published by rename, verified when read, never written twice."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_conda_flow.datastore import digest, layout
from airflow_conda_flow.datastore.artifacts import ArtifactStore
from airflow_conda_flow.errors import CorruptData, NotInDatastore

from .conftest import sha256

DATA = b"a pickled value" * 1000
KEY = layout.artifact(sha256(DATA))


def scratch_file(artifacts, data=DATA):
    """A file of ``data`` in a new scratch directory."""
    path = artifacts.scratch_dir() / "artifact"
    path.write_bytes(data)
    return path


@pytest.fixture
def published(datastore):
    """A datastore that holds ``DATA``, as nobody has verified it yet."""
    datastore.artifacts.publish(scratch_file(datastore.artifacts), sha256(DATA))
    digest.forget()
    return datastore


def overwrite(path, data):
    """Damages a read-only file."""
    path.chmod(0o644)
    path.write_bytes(data)


def test_fetch_gives_what_was_published(published, make_datastore):
    """Another machine fetches a read-only file of the same bytes."""
    path = make_datastore("other machine").artifacts.fetch(sha256(DATA), len(DATA))
    assert path.read_bytes() == DATA
    assert stat.S_IMODE(path.stat().st_mode) == 0o444
    assert published.artifacts.has(sha256(DATA))


def test_publish_takes_the_file(datastore):
    """The published file is gone from the scratch directory; on this machine it is not copied."""
    path = scratch_file(datastore.artifacts)
    inode = path.stat().st_ino
    datastore.artifacts.publish(path, sha256(DATA))
    assert not path.exists()
    assert datastore.artifacts.fetch(sha256(DATA), len(DATA)).stat().st_ino == inode


def test_publish_twice_changes_nothing(published, datastore):
    """Publishing what is there leaves its inode and mtime as they are."""
    before = published.artifacts.fetch(sha256(DATA), len(DATA)).stat()
    path = scratch_file(datastore.artifacts)
    datastore.artifacts.publish(path, sha256(DATA))
    after = published.artifacts.fetch(sha256(DATA), len(DATA)).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert not path.exists()


def test_publish_twice_sends_nothing(published, make_datastore):
    """Artifacts that are in the datastore already are not uploaded again from another machine."""
    _, age = published.storage.read_with_age(KEY)
    other = make_datastore("other machine")
    uploads = []
    other.storage.upload = lambda *args: uploads.append(args)
    other.artifacts.publish(scratch_file(other.artifacts), sha256(DATA))
    assert uploads == []
    assert published.storage.read_with_age(KEY)[1] >= age


def test_publish_mends_a_truncated_artifact(published, make_datastore):
    """A stored artifact of the wrong size is replaced by the next publisher of the same value."""
    if (path := published.storage.local_path(KEY)) is not None:
        overwrite(path, DATA[:10])
    else:
        published.storage.write_bytes(KEY, DATA[:10])
    other = make_datastore("other machine")
    other.artifacts.publish(scratch_file(other.artifacts), sha256(DATA))
    assert published.storage.read_bytes(KEY) == DATA


def test_publish_refuses_a_wrong_digest(datastore):
    """A file without the digest that it is published under is refused, and nothing is stored."""
    with pytest.raises(CorruptData, match="was to be published as artifacts/"):
        datastore.artifacts.publish(scratch_file(datastore.artifacts, b"other"), sha256(DATA))
    assert not datastore.storage.exists(KEY)


def test_missing_artifact(datastore):
    """An artifact that is not there is NotInDatastore."""
    with pytest.raises(NotInDatastore, match=f"There is no {KEY} in the datastore"):
        datastore.artifacts.fetch(sha256(DATA), len(DATA))
    assert not datastore.artifacts.has(sha256(DATA))


@pytest.mark.parametrize("damage", [DATA[:-1] + b"?", DATA[:10], b""])
def test_corrupt_artifact(published, make_datastore, damage):
    """A damaged artifact is CorruptData naming key and digest, and is not cached."""
    if (path := published.storage.local_path(KEY)) is not None:
        overwrite(path, damage)
    else:
        published.storage.write_bytes(KEY, damage)
    other = make_datastore("other machine")
    with pytest.raises(CorruptData) as caught:
        other.artifacts.fetch(sha256(DATA), len(DATA))
    assert f"{KEY} in {published.storage.url} is corrupt" in str(caught.value)
    assert f"expected sha256 {sha256(DATA)}, got " in str(caught.value)
    if published.storage.kind == "s3":
        kept = [path.name for path in other.cache_dir.rglob("*") if path.is_file()]
        assert [name for name in kept if name != "CACHEDIR.TAG"] == []


@pytest.mark.on("moto", "rclone")  # a local datastore has no download cache
@pytest.mark.parametrize("damage", [DATA[:-1] + b"?", DATA[:10], b""])
def test_corrupt_download_is_fetched_again(published, make_datastore, damage):
    """A damaged file in the download cache is discarded and downloaded again."""
    other = make_datastore("other machine")
    path = other.artifacts.fetch(sha256(DATA), len(DATA))
    overwrite(path, damage)
    assert other.artifacts.fetch(sha256(DATA), len(DATA)).read_bytes() == DATA


def test_hashed_once_per_process(published, monkeypatch):
    """A stored file is read for its digest once, until it changes."""
    reads = []
    real = digest.file_sha256
    monkeypatch.setattr(digest, "file_sha256", lambda path: reads.append(path) or real(path))
    for _ in range(5):
        path = published.artifacts.fetch(sha256(DATA), len(DATA))
    assert len(reads) == 1
    os.utime(path, ns=(1, 1))
    published.artifacts.fetch(sha256(DATA), len(DATA))
    assert len(reads) == 2


def test_threads_download_once(published, make_datastore):
    """Threads that want the same artifact at once share one download."""
    other = make_datastore("other machine")
    downloads = []
    real = other.storage.download

    def download(*args: object) -> None:
        downloads.append(threading.get_ident())
        real(*args)

    other.storage.download = download
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda _: other.artifacts.fetch(sha256(DATA), len(DATA)), range(8)))
    assert {path.read_bytes() for path in paths} == {DATA}
    assert len(downloads) == (1 if published.storage.kind == "s3" else 0)


def test_processes_publish_the_same_value(datastore_root, datastore, tmp_path):
    """Processes that publish one value at once all succeed, and the value is whole."""
    code = (
        "import sys, hashlib\n"
        "from airflow_conda_flow.datastore.datastore import open_datastore\n"
        "artifacts = open_datastore(*sys.argv[1:3], sys.argv[3]).artifacts\n"
        "for number in range(5):\n"
        "    data = str(number).encode() * 100_000\n"
        "    path = artifacts.scratch_dir() / 'artifact'\n"
        "    path.write_bytes(data)\n"
        "    artifacts.publish(path, hashlib.sha256(data).hexdigest())\n"
    )
    command = [sys.executable, "-c", code, *datastore_root, str(tmp_path / "cache")]
    processes = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert len(list(datastore.storage.list_keys("artifacts/"))) == 5
    for number in range(5):
        data = str(number).encode() * 100_000
        assert datastore.artifacts.fetch(sha256(data), len(data)).read_bytes() == data


def test_publish_from_another_file_system(datastore, tmp_path, monkeypatch):
    """A file on another file system is copied, and gone as well."""
    real = os.link

    def cross(source: object, target: object) -> None:
        if "elsewhere" in str(source):
            raise OSError(18, "Invalid cross-device link")
        real(source, target)

    monkeypatch.setattr("os.link", cross)
    path = tmp_path / "elsewhere"
    path.write_bytes(DATA)
    ArtifactStore(datastore.storage, tmp_path / "cache").publish(path, sha256(DATA))
    assert datastore.artifacts.fetch(sha256(DATA), len(DATA)).read_bytes() == DATA
    assert not path.exists()
