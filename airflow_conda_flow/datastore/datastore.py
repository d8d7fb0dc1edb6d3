"""``Datastore``: a storage, the artifacts in it, and a cache directory."""

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
# The first line is prescribed, byte for byte: https://bford.info/cachedir/. Backup programs skip directories
# that hold it, and so does the code package when a cache directory is below the flow file.
_CACHE_TAG = (
    b"Signature: 8a477f597d28d172789f06886806bc55\n"
    b"# This directory holds the caches of airflow-conda-flow. Code packages and backups skip it.\n"
)


@dataclass(frozen=True)
class Datastore:
    """The store of all runs, with this machine's cache of it.

    Attributes:
        storage: holds every key of ``layout.py``.
        artifacts: reads and writes the artifacts in the storage.
        cache_dir: directory of this machine for downloads and extracted code packages.
    """

    storage: Storage
    artifacts: ArtifactStore
    cache_dir: Path

    def describe(self) -> str:
        """Name of the datastore, such as ``local@/home/a/.airflow-conda-flow/datastore``."""
        return f"{self.storage.kind}@{self.storage.url}"


def open_datastore(kind: str, root: str | Path | None, cache_dir: str | Path) -> Datastore:
    """Datastore that the settings name. The storage is not accessed yet.

    Args:
        kind: ``"local"`` or ``"s3"``.
        root: a directory, or ``s3://bucket/prefix``.
        cache_dir: a directory of this machine for downloads.

    Raises:
        SettingError: ``kind`` is unknown, or ``root`` is missing or does not fit it.
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
    """Mark the cache directory as one."""
    tag = cache / "CACHEDIR.TAG"
    # If the cache cannot be written, its first use fails with a better message.
    with contextlib.suppress(OSError):
        if not tag.exists():
            cache.mkdir(parents=True, exist_ok=True)
            tag.write_bytes(_CACHE_TAG)
