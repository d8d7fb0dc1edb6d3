"""The tests of ``tests/unit/datastore/test_publish.py`` on S3, and what publishers find out of a server."""

from __future__ import annotations

import pytest

from airflow_conda_flow.datastore import publish
from airflow_conda_flow.datastore.publish import publish_once
from airflow_conda_flow.datastore.s3_storage import S3Storage

from ...unit.datastore.test_publish import *  # noqa: F403 - all of its tests


def test_knows_what_the_store_does(moto_s3, rclone_s3, monkeypatch):
    """A publisher finds out whether the store honours conditional puts."""
    for server in (moto_s3, rclone_s3):
        server.use(monkeypatch)
        storage = S3Storage(server.make_root())
        publish_once(storage, "key", b"data")
        assert storage.keeps_first_write is server.honours_conditions


def test_no_waiting_where_conditions_hold(moto_s3, monkeypatch):
    """A store that honours conditional puts costs a publisher no settling time."""
    moto_s3.use(monkeypatch)
    storage = S3Storage(moto_s3.make_root())
    monkeypatch.setattr(publish, "SETTLE", 30)
    assert publish_once(storage, "key", b"data") == b"data"
    assert publish_once(storage, "key", b"other") == b"data"


def test_settled_value_is_read_at_once(rclone_s3, monkeypatch):
    """Where conditions are ignored, a value that has settled costs no waiting either."""
    rclone_s3.use(monkeypatch)
    storage = S3Storage(rclone_s3.make_root())
    publish_once(storage, "key", b"data")
    monkeypatch.setattr(publish.time, "sleep", lambda _seconds: pytest.fail("it waits"))
    assert publish_once(S3Storage(storage.url), "key", b"other") == b"data"
