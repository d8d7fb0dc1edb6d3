"""Copies, in the cache directory, of small documents that decide what runs.

Whoever may write the datastore could replace such a document. A machine therefore remembers the one that it
wrote or met first, and takes no other one later.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .storage import Storage


def remembered_key(storage: Storage, key: str) -> str:
    """Key of the copy in the cache directory.

    It contains a digest of the datastore's URL, because two datastores may have different documents under the
    same key.
    """
    return f"locks/{datastore_mark(storage)}/{key}"


def datastore_mark(storage: Storage) -> str:
    """Name of a datastore in the cache directory."""
    return hashlib.sha256(storage.url.encode()).hexdigest()[:16]
