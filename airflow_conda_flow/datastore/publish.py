"""Publishing once: of many writers of one key, one wins, and all of them get the bytes that it wrote.

A conditional write is enough where it is atomic (a directory, AWS S3). Some S3 implementations ignore
the condition and overwrite (rclone). There a writer waits until the key has not changed for ``SETTLE``
seconds and takes the stored bytes; so does a reader of a key that was written so recently.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from airflow_conda_flow.errors import DatastoreUnavailable, NotInDatastore
from airflow_conda_flow.records.document import MOST_BYTES

if TYPE_CHECKING:
    from .storage import Storage

# Seconds after a write within which every other writer, who also found the key missing, has written too. A
# longer time would slow down every first publication on such a server.
SETTLE = 1.0
SETTLED_AGE = 2.0
"""Age in seconds from which a key is settled.

An age is the difference of two HTTP dates, each cut to a whole second: 2 means more than 1 second.
"""
_PATIENCE = 30.0  # then something is wrong with the server's clock, or an endless writer overwrites the key


def publish_once(storage: Storage, key: str, data: bytes) -> bytes:
    """Store ``data`` under ``key`` unless the key exists, and return the bytes that are stored.

    Any number of processes may call this at once, on any storage: all of them get the same bytes.

    Raises:
        DatastoreUnavailable: the storage cannot be used, or the key keeps changing.
    """
    if (published := read_published(storage, key)) is not None:
        return published
    if storage.write_if_absent(key, data):
        if storage.first_write_wins(key, data):
            return data
        # Another writer may overwrite ``data`` right now: give it time, then take what has settled.
        time.sleep(SETTLE)
    return _settled(storage, key)


def read_published(storage: Storage, key: str) -> bytes | None:
    """Bytes that were published under ``key``, None if there are none; waits until they are settled."""
    try:
        return _settled(storage, key)
    except NotInDatastore:
        return None


def _settled(storage: Storage, key: str) -> bytes:
    deadline = time.monotonic() + _PATIENCE
    while True:
        data, age = storage.read_with_age(key, MOST_BYTES)
        if storage.keeps_first_write or age >= SETTLED_AGE:
            return data
        if time.monotonic() > deadline:
            raise DatastoreUnavailable(
                f"{key} in the datastore {storage.url} keeps changing: its age was {age:.0f} s "
                f"after {_PATIENCE:.0f} s of waiting. Another writer overwrites it, or the "
                "server's clock is wrong."
            )
        time.sleep(SETTLE / 2)
