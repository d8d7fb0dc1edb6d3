"""What every storage can do: bytes under keys, written whole or not at all.

A *key* is a relative path with ``/`` between its parts, as ``layout.py`` makes them. No part
starts with a dot: such names belong to the storage (temporary files, scratch directories).
Two implementations: ``local_storage.py`` (a directory) and ``s3_storage.py``. One contract suite
runs against both (``tests/unit/datastore/test_storage_contract.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Progress = Callable[[int], None]
    """Called with the number of bytes moved since the last call, from any thread."""


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
        """The root that ``open_datastore`` takes: a directory, or ``s3://bucket/prefix``."""

    def read_bytes(self, key: str) -> bytes:
        """The bytes under ``key``; ``NotInDatastore`` if there are none."""

    def read_with_age(self, key: str) -> tuple[bytes, float]:
        """The bytes under ``key``, and the seconds since they were written (storage's clock)."""

    def write_bytes(self, key: str, data: bytes) -> None:
        """Puts ``data`` under ``key``, in place of what was there."""

    def write_if_absent(self, key: str, data: bytes) -> bool:
        """True if ``data`` was put under ``key``, False if the key was there already.

        Two writers may both be told True on a storage where ``first_write_wins`` is false;
        ``publish.publish_once`` settles that.
        """

    def first_write_wins(self, key: str, data: bytes) -> bool:
        """True if ``write_if_absent`` never overwrites here; asked by who was just told True."""

    @property
    def keeps_first_write(self) -> bool:
        """True if it is known already that ``write_if_absent`` never overwrites here."""

    def upload(self, path: Path, key: str, progress: Progress | None = None) -> None:
        """Puts the file's bytes under ``key``; the file stays."""

    def move_in(self, path: Path, key: str) -> None:
        """Puts the file's bytes under ``key``; the file is gone. No copy where that is possible."""

    def download(
        self, key: str, path: Path, sha256: str | None = None, progress: Progress | None = None
    ) -> None:
        """Makes ``path`` a file of the key's bytes, appearing whole.

        With ``sha256`` the bytes are verified first: ``CorruptData`` leaves no file behind.
        """

    def read_chunks(self, key: str) -> Iterator[bytes]:
        """The bytes under ``key``, in order, a few megabytes at a time; nothing is kept on the disk."""

    def exists(self, key: str) -> bool:
        """True if there are bytes under ``key``."""

    def size(self, key: str) -> int | None:
        """The number of bytes under ``key``, None if there is no such key."""

    def list_keys(self, prefix: str) -> Iterator[str]:
        """Every key that starts with ``prefix``, sorted by folder."""

    def list_names(self, folder: str) -> list[str]:
        """The names directly in ``folder``, sorted, of keys and folders; empty if it is missing."""

    def local_path(self, key: str) -> Path | None:
        """The file of the key's bytes on this machine, None where the storage is remote."""
