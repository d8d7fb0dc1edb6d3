"""Fixtures of the datastore's tests: an empty datastore, here a directory.

``tests/integration/datastore`` runs the same tests with another ``datastore_root``, on two S3 servers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_conda_flow.datastore.datastore import Datastore, open_datastore
from airflow_conda_flow.datastore.storage import Storage


@pytest.fixture
def datastore_root(tmp_path) -> tuple[str, str]:
    """(kind, root) of an empty datastore."""
    return "local", str(tmp_path / "root")


@pytest.fixture
def make_datastore(datastore_root, tmp_path) -> Callable[[str], Datastore]:
    """Opens the test's datastore as another machine would: with a cache directory of that name."""

    def make(cache: str = "cache") -> Datastore:
        return open_datastore(*datastore_root, tmp_path / cache)

    return make


@pytest.fixture
def datastore(make_datastore) -> Datastore:
    """An empty datastore."""
    return make_datastore("cache")


@pytest.fixture
def storage(datastore) -> Storage:
    """An empty storage."""
    return datastore.storage


@pytest.fixture
def make_file(tmp_path) -> Callable[[bytes], Path]:
    """Makes a new file with these bytes."""
    count = iter(range(1000))

    def make(data: bytes) -> Path:
        path = tmp_path / f"file-{next(count)}"
        path.write_bytes(data)
        return path

    return make


def sha256(data: bytes) -> str:
    """The hex SHA-256."""
    return hashlib.sha256(data).hexdigest()
