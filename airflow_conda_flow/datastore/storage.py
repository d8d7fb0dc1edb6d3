"""Protocol of all storages: bytes under keys, written whole or not at all.

A *key* is a relative path with ``/`` between its parts, as ``layout.py`` makes them. No part
starts with a dot: such names belong to the storage (temporary files, scratch directories).
Two implementations: ``local_storage.py`` (a directory) and ``s3_storage.py``. One contract suite
runs against both (``tests/unit/datastore/test_storage_contract.py``).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Progress = Callable[[int], None]
    """Called with the number of bytes moved since the last call, from any thread."""


class Entry(NamedTuple):
    """A key of a listing.

    Attributes:
        key: the key.
        size: number of its bytes.
        age: seconds since it was written, by the storage's clock.
    """

    key: str
    size: int
    age: float


class Storage(Protocol):
    """Bytes under keys.

    Every write is atomic: a reader sees the old bytes, the new bytes, or no key, never a part.
    Failures are ``NotInDatastore``, ``CorruptData`` or ``DatastoreUnavailable``.
    """

    @property
    def kind(self) -> str:
        """``"local"`` or ``"s3"``: the word that ``open_datastore`` takes."""

    @property
    def url(self) -> str:
        """Root as ``open_datastore`` takes it: a directory, or ``s3://bucket/prefix``."""

    def read_bytes(self, key: str, most: float = math.inf) -> bytes:
        """Bytes under ``key``; ``NotInDatastore`` if there is no such key.

        More bytes than ``most`` are not read: ``DamagedDocument``.
        """

    def read_with_age(self, key: str, most: float = math.inf) -> tuple[bytes, float]:
        """Bytes under ``key``, and the seconds since they were written, by the storage's clock."""

    def write_bytes(self, key: str, data: bytes) -> None:
        """Store ``data`` under ``key``; earlier bytes are replaced."""

    def write_if_absent(self, key: str, data: bytes) -> bool:
        """Store ``data`` under ``key`` unless the key exists; True if it was stored.

        On a storage where ``first_write_wins`` is false, two writers may both get True;
        ``publish.publish_once`` settles that.
        """

    def first_write_wins(self, key: str, data: bytes) -> bool:
        """True if ``write_if_absent`` never overwrites; may be called only after it returned True.

        ``key`` and ``data`` must be the arguments of that call, because the storage may repeat it as a test.
        """

    @property
    def keeps_first_write(self) -> bool:
        """True if it is known without a test that ``write_if_absent`` never overwrites."""

    def upload(self, path: Path, key: str, progress: Progress | None = None) -> None:
        """Store the file's bytes under ``key``; the file stays."""

    def holds(self, key: str, sha256: str) -> bool:
        """True if the bytes under ``key`` have that SHA-256, False for any others and for no key.

        The bytes are read, unless this process has hashed them in the same state before.
        """

    def move_in(self, path: Path, key: str, sha256: str) -> None:
        """Store the file's bytes under ``key`` and remove the file; without copying it where possible.

        The caller has verified that the file's bytes have that SHA-256. A key that holds the same bytes is
        left alone; anything else there is replaced.
        """

    def download(
        self, key: str, path: Path, sha256: str | None = None, progress: Progress | None = None
    ) -> None:
        """Write the bytes under ``key`` to the file ``path``, which appears whole.

        With ``sha256`` the bytes are verified first, and the file is read-only: ``CorruptData`` leaves no
        file behind.
        """

    def exists(self, key: str) -> bool:
        """True if there are bytes under ``key``."""

    def size(self, key: str) -> int | None:
        """Number of bytes under ``key``, None if there is no such key."""

    def list_keys(self, prefix: str) -> Iterator[str]:
        """All keys that start with ``prefix``: sorted folder by folder locally, by their bytes in S3."""

    def entries(self, prefix: str) -> Iterator[Entry]:
        """Keys that start with ``prefix``, with their sizes and ages, in the order of ``list_keys``."""

    def refresh(self, key: str, older_than: float) -> bool | None:
        """Make the age of a key zero if it is larger than ``older_than`` seconds; its bytes stay.

        Returns:
            True if that was done, False if the key is younger, None if there is no such key.
        """

    @property
    def spares_refreshed(self) -> bool:
        """True if ``remove_old`` never removes a key that is refreshed at the same moment.

        Where it is false, ``keeping.py`` looks again a while after a refresh.
        """

    def remove_old(self, prefix: str, older_than: float, wanted: Callable[[Entry], bool]) -> Iterator[Entry]:
        """Remove keys that start with ``prefix`` and are older; gives each one that was removed.

        The age of a key is looked at immediately before it is removed.

        Args:
            prefix: start of the keys.
            older_than: age in seconds; younger keys stay.
            wanted: decides about each key, without a request of its own.
        """

    def list_names(self, folder: str) -> list[str]:
        """Names of the keys and folders directly in ``folder``, sorted; empty if it is missing."""

    def local_path(self, key: str) -> Path | None:
        """File of ``key`` on this machine, which need not exist; None if the storage is remote."""
