"""Fixtures of the tests with faults: an S3 server behind a proxy that fails as it is told."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from airflow_conda_flow.datastore import s3_client, s3_patience, s3_transfer
from airflow_conda_flow.datastore.s3_storage import S3Storage

from ...parts.faulty_s3 import FaultyS3, faulty

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ...parts.faulty_s3 import Choose

QUIET = 1.0
DEADLINE = 4.0


@pytest.fixture
def impatient(monkeypatch):
    """Patience of a few seconds instead of a minute and a half."""
    monkeypatch.setattr(s3_patience, "QUIET", QUIET)
    monkeypatch.setattr(s3_client, "QUIET", QUIET)
    monkeypatch.setattr(s3_patience, "DEADLINE", DEADLINE)
    monkeypatch.setattr(s3_patience, "SAY_AFTER", 0.6)
    monkeypatch.setattr(s3_patience, "_LOOK_EVERY", 0.05)


@pytest.fixture
def small_parts(monkeypatch):
    """Objects of a few megabytes travel in several parts; S3 takes no smaller ones."""
    monkeypatch.setattr(s3_transfer, "PART", 5 * 1024 * 1024)
    monkeypatch.setattr(s3_transfer, "_PAUSES", (0.05, 0.1))


@pytest.fixture(params=["moto_s3", "rclone_s3"])
def server(request):
    """Both kinds of S3."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def make_faulty(server, monkeypatch, impatient, small_parts) -> Iterator[Callable[[Choose], tuple]]:
    """A storage behind a new proxy, and the proxy."""
    with contextlib.ExitStack() as stack:

        def make(choose: Choose) -> tuple[S3Storage, FaultyS3]:
            proxy = stack.enter_context(faulty(server, choose))
            root = server.make_root()
            proxy.server.use(monkeypatch)
            return S3Storage(root), proxy

        yield make
