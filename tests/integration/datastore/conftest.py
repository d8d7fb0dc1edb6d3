"""Fixtures of the datastore's tests: one datastore of every kind, empty."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from airflow_conda_flow.datastore.datastore import Datastore, open_datastore

from ...unit.datastore.conftest import make_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_conda_flow.datastore.storage import Storage

__all__ = ["make_file"]

KINDS = ("local", "moto", "rclone")


@pytest.fixture(params=KINDS)
def datastore_root(request, tmp_path, monkeypatch) -> tuple[str, str]:
    """(kind, root) of an empty datastore on each kind of storage."""
    if request.param == "local":
        return "local", str(tmp_path / "root")
    server = request.getfixturevalue(f"{request.param}_s3")
    server.use(monkeypatch)
    return "s3", server.make_root()


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


def sha256(data: bytes) -> str:
    """The hex SHA-256."""
    return hashlib.sha256(data).hexdigest()
