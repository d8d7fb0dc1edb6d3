"""Listings of servers that are not quite S3."""

from __future__ import annotations

from airflow_conda_flow.datastore.s3_storage import S3Storage


def test_a_key_that_a_server_lists_twice_is_one(monkeypatch):
    """The server of rclone does so after puts at the same time; also across the border of two pages."""
    pages = [
        {"Contents": [{"Key": "p/a"}, {"Key": "p/b"}, {"Key": "p/b"}]},
        {"Contents": [{"Key": "p/b"}, {"Key": "p/c"}]},
        {},
    ]
    monkeypatch.setattr(S3Storage, "_pages", lambda _self, _prefix, **_options: iter(pages))
    storage = S3Storage("s3://bucket/p", client=object())
    assert list(storage.list_keys("")) == ["a", "b", "c"]
    assert storage.list_names("") == ["a", "b", "c"]
