"""A datastore: a storage, and the artifacts in it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_conda_flow.errors import SettingError

from .artifacts import ArtifactStore
from .local_storage import LocalStorage
from .s3_storage import S3Storage

if TYPE_CHECKING:
    from .storage import Storage

KINDS = ("local", "s3")
_CACHE_TAG = (
    b"Signature: 8a477f597d28d172789f06886806bc55\n"
    b"# This directory holds the caches of airflow-conda-flow. Code packages and backups skip it.\n"
)


@dataclass(frozen=True)
class Datastore:
    """Where runs are kept, and the directory on this machine that caches what comes from there."""

    storage: Storage
    artifacts: ArtifactStore
    cache_dir: Path

    def describe(self) -> str:
        """Which datastore it is, such as ``local@/home/a/.airflow-conda-flow/datastore``."""
        return f"{self.storage.kind}@{self.storage.url}"


def open_datastore(kind: str, root: str | Path | None, cache_dir: str | Path) -> Datastore:
    """The datastore that the settings name. Nothing is read or asked yet.

    Args:
        kind: ``"local"`` or ``"s3"``.
        root: a directory, or ``s3://bucket/prefix``.
        cache_dir: a directory of this machine for downloads.

    Raises:
        SettingError: kind and root do not go together.
    """
    cache = Path(cache_dir).expanduser().absolute()
    storage = _open_storage(kind, root)
    _tag(cache)
    return Datastore(storage, ArtifactStore(storage, cache), cache)


def _open_storage(kind: str, root: str | Path | None) -> Storage:
    text = "" if root is None else str(root)
    if kind == "s3":
        if not text:
            raise SettingError(
                "datastore is 's3', but datastore_root is not set: set it to s3://bucket/prefix."
            )
        return S3Storage(text)
    if kind != "local":
        raise SettingError(f"datastore is {kind!r}: expected one of {', '.join(map(repr, KINDS))}.")
    if not text:
        raise SettingError("datastore is 'local', but datastore_root is not set: set it to a directory.")
    if "://" in text:
        raise SettingError(
            f"datastore_root is {text!r}: expected a directory for the datastore 'local'. "
            "For a URL of S3 set datastore to 's3'."
        )
    if Path(text).expanduser().is_file():
        raise SettingError(f"datastore_root is {text!r}: expected a directory, got a file.")
    return LocalStorage(text)


def _tag(cache: Path) -> None:
    """Marks the cache directory (https://bford.info/cachedir/)."""
    tag = cache / "CACHEDIR.TAG"
    # A cache that cannot be written fails with its own message when it is used.
    with contextlib.suppress(OSError):
        if not tag.exists():
            cache.mkdir(parents=True, exist_ok=True)
            tag.write_bytes(_CACHE_TAG)
