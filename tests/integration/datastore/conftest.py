"""The datastore's tests on S3: the modules here take those of ``tests/unit/datastore`` that use a datastore."""

from __future__ import annotations

from pathlib import Path

import pytest

from ...unit.datastore.conftest import datastore, make_datastore, make_file, storage

__all__ = ["datastore", "make_datastore", "make_file", "storage"]


@pytest.fixture(params=["moto", "rclone"])
def datastore_root(request, monkeypatch) -> tuple[str, str]:
    """(kind, root) of an empty datastore on each kind of S3 server."""
    server = request.getfixturevalue(f"{request.param}_s3")
    server.use(monkeypatch)
    return "s3", server.make_root()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the unit tests that use no datastore: they would be the same once more."""
    here = Path(__file__).parent
    repeated = {
        item.nodeid
        for item in items
        if item.path.parent == here
        and ".unit." in item.function.__module__
        and "datastore_root" not in item.fixturenames
    }
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid in repeated])
    items[:] = [item for item in items if item.nodeid not in repeated]
