"""Opening a datastore: what goes together, and what the message says when it does not."""

from __future__ import annotations

import subprocess
import sys

import pytest

from airflow_conda_flow.datastore.datastore import open_datastore
from airflow_conda_flow.datastore.local_storage import LocalStorage
from airflow_conda_flow.errors import DatastoreUnavailable, SettingError


@pytest.mark.parametrize(
    ("kind", "root", "message"),
    [
        ("s3", None, "datastore is 's3', but datastore_root is not set: set it to s3://bucket/"),
        ("s3", "", "datastore is 's3', but datastore_root is not set: set it to s3://bucket/"),
        ("s3", "/some/path", "datastore_root is '/some/path': expected s3://bucket/prefix"),
        ("s3", "s3://", "datastore_root is 's3://': expected s3://bucket/prefix"),
        ("s3", "S3//bucket", "datastore_root is 'S3//bucket': expected s3://bucket/prefix"),
        ("s3", "https://bucket/x", "datastore_root is 'https://bucket/x': expected s3://bucket/"),
        ("s3", "s3://bucket/x?y", "datastore_root is 's3://bucket/x?y': expected s3://bucket/"),
        ("local", "", "datastore is 'local', but datastore_root is not set"),
        ("local", "s3://b/x", "datastore_root is 's3://b/x': expected a directory"),
        ("gcs", "gs://b/x", "datastore is 'gcs': expected one of 'local', 's3'."),
    ],
)
def test_settings_that_do_not_fit(tmp_path, kind, root, message):
    """Each is a SettingError that names the setting, what it was and what to write."""
    with pytest.raises(SettingError) as caught:
        open_datastore(kind, root, tmp_path)
    assert str(caught.value).startswith(message)


def test_root_is_a_file(make_file, tmp_path):
    """A local root that is a file is refused at once."""
    path = make_file(b"")
    with pytest.raises(SettingError, match="expected a directory, got a file"):
        open_datastore("local", path, tmp_path)


@pytest.mark.parametrize(
    ("root", "url"),
    [
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/", "s3://bucket"),
        ("s3://bucket/a/b/", "s3://bucket/a/b"),
    ],
)
def test_url_opens_the_same_datastore(tmp_path, root, url):
    """A storage's url is what opens it again."""
    storage = open_datastore("s3", root, tmp_path).storage
    assert storage.url == url
    assert open_datastore("s3", storage.url, tmp_path).storage.url == url


def test_home_directory(monkeypatch, tmp_path):
    """A root below ~ is below the home directory."""
    monkeypatch.setenv("HOME", str(tmp_path))
    datastore = open_datastore("local", "~/store", "~/cache")
    datastore.storage.write_bytes("key", b"data")
    assert (tmp_path / "store" / "key").read_bytes() == b"data"
    assert datastore.cache_dir == tmp_path / "cache"


def test_root_below_a_file(make_file, tmp_path):
    """A root that cannot be made is DatastoreUnavailable, naming it and the setting."""
    root = make_file(b"") / "below"
    with pytest.raises(DatastoreUnavailable) as caught:
        open_datastore("local", root, tmp_path).storage.write_bytes("key", b"data")
    assert str(caught.value).startswith(f"The datastore {root} cannot write key: Not a directory.")
    assert "datastore_root" in str(caught.value)


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (28, "MB are free there: make room"),
        (13, "Make the directory writable for this user"),
        (30, "Make the directory writable for this user"),
        (5, "Set datastore_root to another directory"),
    ],
)
def test_disk_failures(tmp_path, monkeypatch, number, advice):
    """A full, read-only or broken disk says what to do, and leaves no temporary file."""

    def fail(*_: object) -> int:
        raise OSError(number, "it failed")

    storage = LocalStorage(tmp_path)
    monkeypatch.setattr("os.write", fail)
    with pytest.raises(DatastoreUnavailable) as caught:
        storage.write_bytes("folder/key", b"data")
    monkeypatch.undo()
    assert "cannot write folder/key: it failed" in str(caught.value)
    assert advice in str(caught.value)
    assert list((tmp_path / "folder").iterdir()) == []


def test_killed_writer_leaves_nothing_visible(tmp_path):
    """The rest of a writer that was killed half-way is listed by nobody and read by nobody."""
    code = (
        "import os, sys\n"
        "from airflow_conda_flow.datastore.local_storage import LocalStorage\n"
        "os.fsync = lambda fd: os.kill(os.getpid(), 9)\n"
        "LocalStorage(sys.argv[1]).write_bytes('folder/key', b'data')\n"
    )
    process = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, timeout=30)
    assert process.returncode == -9
    storage = LocalStorage(tmp_path)
    assert list(storage.list_keys("")) == []
    assert storage.list_names("folder/") == []
    assert not storage.exists("folder/key")


def test_opening_imports_no_boto3(tmp_path):
    """A local datastore never pays for botocore, and opening S3 does not either; its client needs no boto3."""
    code = (
        "import sys\n"
        "from airflow_conda_flow.datastore.datastore import open_datastore\n"
        "open_datastore('local', sys.argv[1], sys.argv[1]).storage.write_bytes('key', b'')\n"
        "opened = open_datastore('s3', 's3://bucket/prefix', sys.argv[1])\n"
        "assert not {'boto3', 'botocore', 's3transfer'} & set(sys.modules)\n"
        "opened.storage.client\n"
        "assert not {'boto3', 's3transfer'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=30)
