"""The contract of every storage: a directory, moto's S3, rclone's S3."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_conda_flow.datastore.s3_transfer import PART
from airflow_conda_flow.errors import CorruptData, DamagedDocument, NotInDatastore

from .conftest import sha256

LARGE = b"0123456789abcdef" * (PART // 16 * 2) + b"the end"
KEYS = ("a/1", "a/10", "a/b/2", "ab", "c/manual__2026-11-24T02:00:00+00:00/run.json")


def test_bytes_come_back(storage):
    """Bytes written under a key are read from it, and replaced by the next write."""
    storage.write_bytes("a/b/c", b"one")
    storage.write_bytes("a/b/c", b"two")
    assert storage.read_bytes("a/b/c") == b"two"


def test_empty_bytes_come_back(storage):
    """An empty value is a value."""
    storage.write_bytes("empty", b"")
    assert storage.read_bytes("empty") == b""
    assert storage.size("empty") == 0
    assert storage.exists("empty")


@pytest.mark.parametrize("key", ["gone", "a/gone", "a", "a/b/c"])
def test_missing_key(storage, tmp_path, key):
    """A key that was never written is NotInDatastore, naming it, and leaves no file."""
    storage.write_bytes("a/b", b"a key that is no folder, in a folder that is no key")
    for read in (storage.read_bytes, lambda k: storage.download(k, tmp_path / "target")):
        with pytest.raises(NotInDatastore) as caught:
            read(key)
        assert str(caught.value) == f"There is no {key} in the datastore {storage.url}."
    assert not (tmp_path / "target").exists()
    assert not storage.exists(key)


def test_more_bytes_than_are_wanted_are_not_read(storage):
    """A line says which key has them."""
    storage.write_bytes("five", b"12345")
    assert storage.read_bytes("five", 5) == b"12345"
    for read in (storage.read_bytes, storage.read_with_age):
        with pytest.raises(DamagedDocument) as caught:
            read("five", 4)
        assert str(caught.value) == (
            f"five in the datastore {storage.url} is damaged: it has 5 bytes, and nothing of its kind has more "
            "than 4. Find out who wrote it, and delete it."
        )


def test_size_and_exists(storage):
    """Size is the number of bytes, None for what is not there."""
    storage.write_bytes("five", b"12345")
    assert storage.size("five") == 5
    assert storage.exists("five")
    assert storage.size("six") is None
    assert not storage.exists("six")


def test_write_if_absent(storage):
    """The second conditional write of a key is told False and changes nothing."""
    assert storage.write_if_absent("key", b"first") is True
    storage.first_write_wins("key", b"first")
    assert storage.write_if_absent("key", b"second") is False
    assert storage.read_bytes("key") == b"first"


def test_age(storage):
    """The age of what was just written is near zero by the storage's own clock."""
    storage.write_bytes("key", b"data")
    data, age = storage.read_with_age("key")
    assert data == b"data"
    assert -1 <= age <= 5


def test_list_keys(storage):
    """Listing finds every key below a prefix, and nothing else."""
    for key in KEYS:
        storage.write_bytes(key, b"x")
    assert sorted(storage.list_keys("")) == sorted(KEYS)
    assert list(storage.list_keys("a/")) == ["a/1", "a/10", "a/b/2"]
    assert list(storage.list_keys("a/1")) == ["a/1", "a/10"]
    assert list(storage.list_keys("nothing/")) == []


def test_list_keys_pages(storage):
    """Keys and folders on more pages than one are all listed."""
    storage.page_size = 10
    keys = [f"many/{number:04}/key" for number in range(35)]
    for key in keys:
        storage.write_bytes(key, b"")
    assert list(storage.list_keys("many/")) == keys
    assert len(storage.list_names("many/")) == 35


def test_list_names(storage):
    """The names in a folder are its keys and its folders, once each, sorted."""
    for key in KEYS:
        storage.write_bytes(key, b"x")
    assert storage.list_names("a/") == ["1", "10", "b"]
    assert storage.list_names("") == ["a", "ab", "c"]
    assert storage.list_names("c/") == ["manual__2026-11-24T02:00:00+00:00"]
    assert storage.list_names("nothing/") == []


@pytest.mark.parametrize("data", [b"", b"small", LARGE], ids=["empty", "small", "large"])
def test_files_go_up_and_come_down(storage, make_file, tmp_path, data):
    """A file of any size comes back byte by byte, verified, with its progress told in bytes."""
    moved_up, moved_down = [], []
    path = make_file(data)
    storage.upload(path, "files/one", moved_up.append)
    assert path.read_bytes() == data
    target = tmp_path / "deep" / "target"
    storage.download("files/one", target, sha256(data), moved_down.append)
    assert target.read_bytes() == data
    assert sum(moved_up) == sum(moved_down) == len(data)
    assert storage.size("files/one") == len(data)
    assert [entry.name for entry in target.parent.iterdir()] == ["target"]


def test_move_in(storage, make_file):
    """A file that was moved in is stored and gone, also when it was stored already."""
    for _ in range(2):
        path = make_file(b"content")
        storage.move_in(path, "moved/one", sha256(b"content"))
        assert not path.exists()
        assert storage.read_bytes("moved/one") == b"content"


@pytest.mark.parametrize("data", [b"damaged", LARGE], ids=["small", "large"])
def test_wrong_digest(storage, make_file, tmp_path, data):
    """Bytes that do not match are CorruptData: key, expected, got; and no file appears."""
    storage.upload(make_file(data), "key")
    expected = sha256(b"intact")
    with pytest.raises(CorruptData) as caught:
        storage.download("key", tmp_path / "out" / "target", expected)
    message = str(caught.value)
    assert message.startswith(f"key in {storage.url} is corrupt: ")
    assert f"expected sha256 {expected}, got {sha256(data)}" in message
    assert list((tmp_path / "out").iterdir()) == []


def test_readers_see_whole_values(storage):
    """While a key is overwritten, every read gives one of the values written, never a part."""
    values = {bytes([65 + number]) * 300_000 for number in range(4)}
    storage.write_bytes("key", next(iter(values)))
    over = threading.Event()

    def read() -> int:
        reads = 0
        while not over.is_set():
            assert storage.read_bytes("key") in values
            reads += 1
        return reads

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        try:
            for _ in range(5):
                for value in values:
                    storage.write_bytes("key", value)
        finally:
            over.set()
        assert all(reader.result() > 0 for reader in readers)


def test_many_threads(storage):
    """One storage serves many threads at once."""
    keys = [f"threads/{number}" for number in range(64)]
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(lambda key: storage.write_bytes(key, key.encode()), keys))
        assert list(pool.map(storage.read_bytes, keys)) == [key.encode() for key in keys]


def test_survives_fork(datastore_root, storage):
    """A storage that was used before a fork works in the child and still in the parent."""
    code = (
        "import os, sys\n"
        "from airflow_conda_flow.datastore.datastore import open_datastore\n"
        "storage = open_datastore(*sys.argv[1:3], sys.argv[3]).storage\n"
        "storage.write_bytes('parent', b'1')\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    storage.write_bytes('child', storage.read_bytes('parent'))\n"
        "    os._exit(0)\n"
        "assert os.waitpid(pid, 0)[1] == 0\n"
        "assert storage.read_bytes('child') == b'1'\n"
    )
    command = [sys.executable, "-c", code, *datastore_root, "/nonexistent/cache"]
    subprocess.run(command, check=True, timeout=60)
    assert storage.read_bytes("child") == b"1"


def test_entries(storage):
    """A listing with sizes and ages has the same keys as one without."""
    for key in KEYS:
        storage.write_bytes(key, b"x" * len(key))
    found = list(storage.entries("a"))
    assert [each.key for each in found] == list(storage.list_keys("a"))
    assert all(each.size == len(each.key) and -1 <= each.age <= 5 for each in found)


def test_refresh(storage):
    """A key that is old becomes new, a younger one stays as it is, and a missing one is said to be missing."""
    storage.write_bytes("old", b"bytes")
    _wait_until(lambda: next(storage.entries("old")).age > 2)
    assert storage.refresh("old", 1000.0) is False
    assert storage.refresh("old", 1.5) is True
    assert next(storage.entries("old")).age <= 2
    assert storage.read_bytes("old") == b"bytes"
    assert storage.refresh("gone", 0.0) is None


def test_remove_old(storage):
    """Objects that are old and wanted are removed and given, all others stay; a second removal gives nothing."""
    for key in KEYS:
        storage.write_bytes(key, b"xy")
    assert list(storage.remove_old("a", 1000.0, lambda _entry: True)) == []
    _wait_until(lambda: min(each.age for each in storage.entries("")) > 1)
    gone = list(storage.remove_old("a", 0.5, lambda entry: entry.key != "a/10"))
    assert [(each.key, each.size) for each in gone] == [("a/1", 2), ("a/b/2", 2), ("ab", 2)]
    assert sorted(storage.list_keys("")) == ["a/10", KEYS[-1]]
    assert list(storage.remove_old("a", 0.5, lambda entry: entry.key != "a/10")) == []


def test_a_refreshed_key_is_not_removed(storage):
    """Among many keys, those that were refreshed after they became old stay."""
    for number in range(20):
        storage.write_bytes(f"many/{number:02}", b"x")
    _wait_until(lambda: min(each.age for each in storage.entries("many/")) > 3)
    for number in range(0, 20, 4):
        assert storage.refresh(f"many/{number:02}", 2.0)
    gone = {each.key for each in storage.remove_old("many/", 2.0, lambda _entry: True)}
    assert len(gone) == 15
    assert [int(key[-2:]) for key in storage.list_keys("many/")] == list(range(0, 20, 4))


def _wait_until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
