"""Publishing once: of many writers of one key, one wins and all end up with what it wrote.

Where a conditional write is atomic (a directory, AWS S3, moto) that is all there is to it. Some S3
implementations ignore the condition and overwrite (rclone). There a writer waits until the key has
not changed for ``SETTLE`` seconds and takes what is there; so does a reader of a key that fresh.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from airflow_conda_flow.errors import DatastoreUnavailable, NotInDatastore

if TYPE_CHECKING:
    from .storage import Storage

SETTLE = 1.0
# An age comes from two HTTP dates, each cut to a second: an age of 2 is more than 1 second.
_SETTLED_AGE = 2.0
_PATIENCE = 30.0


def publish_once(storage: Storage, key: str, data: bytes) -> bytes:
    """What is stored under ``key``: ``data`` if nobody was first, else the first one's bytes.

    Any number of processes may call this at once, on any storage; all get the same bytes.
    """
    if (published := read_published(storage, key)) is not None:
        return published
    if storage.write_if_absent(key, data):
        if storage.first_write_wins(key, data):
            return data
        time.sleep(SETTLE)
    return _settled(storage, key)


def read_published(storage: Storage, key: str) -> bytes | None:
    """The bytes that ``publish_once`` settled on, None if nothing was published under ``key``."""
    try:
        return _settled(storage, key)
    except NotInDatastore:
        return None


def _settled(storage: Storage, key: str) -> bytes:
    deadline = time.monotonic() + _PATIENCE
    while True:
        data, age = storage.read_with_age(key)
        if storage.keeps_first_write or age >= _SETTLED_AGE:
            return data
        if time.monotonic() > deadline:
            raise DatastoreUnavailable(
                f"{key} in the datastore {storage.url} keeps changing: its age was {age:.0f} s "
                f"after {_PATIENCE:.0f} s of waiting. Another writer overwrites it, or the "
                "server's clock is wrong."
            )
        time.sleep(SETTLE / 2)
