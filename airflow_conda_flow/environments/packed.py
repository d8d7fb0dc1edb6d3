"""Packed environments: an environment as one archive, for containers with an empty disk.

    environments/<platform>/<spec id>.packed     JSON: the archive's sha256 and size, its prefix, the spec id
    environments/<platform>/<sha256>.tar.zst     the prefix, its modules compiled

Packages remain the source of every environment: they work at every path and on every platform, and
environments share them by hard links. But a container with an empty disk gets an environment sooner from one
stream than from a hundred packages, and with bytecode in it Python starts sooner too. The prefix's path is
written into its files, so an archive works at one path only: the one that containers use.
"""

from __future__ import annotations

import os
import tempfile
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

from airflow_conda_flow.datastore import layout
from airflow_conda_flow.datastore.digest import file_sha256
from airflow_conda_flow.datastore.keeping import gone_again, keeper
from airflow_conda_flow.datastore.publish import publish_once
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.environments.progress import Progress
from airflow_conda_flow.environments.stopping import abandonable, checked
from airflow_conda_flow.environments.tar_stream import pack, unpack
from airflow_conda_flow.errors import CorruptData, DatastoreError, DatastoreUnavailable
from airflow_conda_flow.records.document import MOST_BYTES, other_than, read_document, stored_bytes
from airflow_conda_flow.records.kinds import Shape
from airflow_conda_flow.records.run_record import PACKED

CONTAINER_CACHE = "/tmp/airflow-conda-flow-cache"  # noqa: S108 - in a container, which is ours alone
"""Default cache directory of containers; a directory of the machine may be mounted there."""

# Of the ``.packed`` document. A reader ignores other versions, and makes the environment from its packages.
_VERSION = 1
_SHAPE = Shape(PACKED)
# An archive that decompresses to more than the larger of these is refused before it fills the disk. Zstd
# makes environments three to six times smaller.
_MOST_TIMES = 100
_MOST_AT_LEAST = 2**30


@dataclass(frozen=True)
class PackedEnvironment:
    """The archive of a prefix.

    Attributes:
        prefix: the only path at which the environment works.
        sha256: of the archive.
        size: of the archive, in bytes.
    """

    prefix: str
    sha256: str
    size: int


def container_prefix(name: str) -> Path:
    """Path of a prefix in containers; ``name`` follows from the lock."""
    return Path(CONTAINER_CACHE) / "prefixes" / name


def find_packed(storage: Storage, platform: str, spec_id: str) -> PackedEnvironment | None:
    """Archive that the datastore names for an environment, or None; costs one small read."""
    try:
        data = storage.read_bytes(layout.packed_environment(platform, spec_id), MOST_BYTES)
    except DatastoreUnavailable:
        raise
    except DatastoreError:
        return None
    return read_packed(data, platform, spec_id)


def read_packed(data: bytes, platform: str, spec_id: str) -> PackedEnvironment | None:
    """Archive that a ``.packed`` document names; None if it is damaged, withdrawn or of another version."""
    whose = {"spec_id": spec_id, "platform": platform}
    try:
        content = read_document(data, "", "", _VERSION, _SHAPE.fault)
        if other_than({**whose, **content}, whose):  # older versions did not say whose it is
            return None
        return PackedEnvironment(content["prefix"], content["sha256"], content["size"])
    except DatastoreError:
        return None


def packed_bytes(platform: str, spec_id: str, packed: PackedEnvironment) -> bytes:
    """The ``.packed`` document that names an archive."""
    return stored_bytes({"version": _VERSION, "spec_id": spec_id, "platform": platform, **asdict(packed)})


def publish_packed(
    storage: Storage,
    platform: str,
    spec_id: str,
    folder: Path,
    prefix: Path,
    progress: Progress,
    cancel: threading.Event | None = None,
) -> PackedEnvironment:
    """Pack a folder that was made for ``prefix``, upload the archive, and store its ``.packed`` document.

    Returns:
        the archive that the document names: another process's, if that stored its document first.
    """
    descriptor, name = tempfile.mkstemp(dir=folder.parent, prefix=f".{folder.name}-")
    path = Path(name)
    try:
        count = sum(len(folders) + len(files) for _, folders, files in os.walk(folder))
        with (
            os.fdopen(descriptor, "wb") as file,
            progress.phase("    Compressing its files", count, "files") as advance,
        ):
            pack(folder, file, checked(cancel, advance))
        packed = PackedEnvironment(str(prefix), file_sha256(path), path.stat().st_size)
        return abandonable(lambda: _store(storage, platform, spec_id, packed, path, progress), cancel)
    finally:
        path.unlink(missing_ok=True)


def _store(
    storage: Storage, platform: str, spec_id: str, packed: PackedEnvironment, path: Path, progress: Progress
) -> PackedEnvironment:
    """Upload an archive unless it is stored, and its document; returns the archive that this names."""
    key = layout.environment_archive(platform, packed.sha256)
    is_kept = storage.holds(key, packed.sha256) and keeper(storage).keep(key, gone_again(storage, key))
    if not is_kept:
        with progress.phase(
            f"    Uploading {packed.size / 1e6:.1f} MB to {storage.url}", packed.size, "bytes"
        ) as advance:
            storage.upload(path, key, advance)
    pointer = layout.packed_environment(platform, spec_id)
    data = packed_bytes(platform, spec_id, packed)
    if storage.exists(pointer):  # damaged, withdrawn, or of an archive that is
        storage.write_bytes(pointer, data)
        return packed
    return read_packed(publish_once(storage, pointer, data), platform, spec_id) or packed


def withdraw_packed(storage: Storage, platform: str, spec_id: str, packed: PackedEnvironment) -> None:
    """Make the next run that prepares for containers pack the environment again: its archive is damaged.

    Does nothing if that was done meanwhile. Raises ``DatastoreError`` if the datastore cannot be written.
    """
    if find_packed(storage, platform, spec_id) == packed:
        content = {"version": _VERSION, "spec_id": spec_id, "platform": platform, "withdrawn": packed.sha256}
        storage.write_bytes(layout.packed_environment(platform, spec_id), stored_bytes(content))


def unpack_into(
    storage: Storage,
    platform: str,
    packed: PackedEnvironment,
    target: Path,
    progress: Progress,
    cancel: threading.Event | None = None,
) -> None:
    """Download the archive, verify its sha256, then unpack it into the new folder ``target``.

    The archive lies next to ``target`` meanwhile.

    Raises:
        Stopped: ``cancel`` was set.
        NotInDatastore: the archive is missing.
        CorruptData: its bytes are wrong.
    """
    key = layout.environment_archive(platform, packed.sha256)
    size = storage.size(key)
    if size is not None and size != packed.size:
        raise CorruptData(f"{key} in {storage.url} is corrupt: expected {packed.size} bytes, got {size}.")
    archive = target.with_name(f"{target.name}.archive")
    try:
        size_text = f"{packed.size / 1e6:.1f} MB"
        with progress.phase(f"Fetching the packed environment: {size_text}", packed.size, "bytes") as advance:
            count = checked(cancel, advance)
            abandonable(lambda: storage.download(key, archive, packed.sha256, count), cancel)
        with (
            archive.open("rb") as file,
            progress.phase("Unpacking the environment", packed.size, "bytes") as advance,
        ):
            try:
                most = max(_MOST_AT_LEAST, _MOST_TIMES * packed.size)
                unpack(file, target, most, checked(cancel, advance))
            except CorruptData as error:
                raise CorruptData(f"{key} in the datastore {storage.url}: {error.fault}") from error
    finally:
        archive.unlink(missing_ok=True)
