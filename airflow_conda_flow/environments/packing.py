"""``Packing``: packs environments for containers, and makes prefixes of them in one; see ``packed.py``."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from pathlib import Path

from airflow_conda_flow.datastore import layout
from airflow_conda_flow.datastore.keeping import gone_again, keeper
from airflow_conda_flow.datastore.removal import discard
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.environments.cache_dir import CacheDir
from airflow_conda_flow.environments.cache_places import makers_mutex
from airflow_conda_flow.environments.file_mutex import shared
from airflow_conda_flow.environments.lock import Lock
from airflow_conda_flow.environments.packed import (
    CONTAINER_CACHE,
    PackedEnvironment,
    container_prefix,
    find_packed,
    packed_bytes,
    publish_packed,
    read_packed,
    unpack_into,
    withdraw_packed,
)
from airflow_conda_flow.environments.platform import current_platform
from airflow_conda_flow.environments.prefixes import Prefixes, prefix_name
from airflow_conda_flow.environments.progress import Progress
from airflow_conda_flow.environments.seal import make_seal
from airflow_conda_flow.environments.side_by_side import side_by_side
from airflow_conda_flow.environments.stopping import Stopped
from airflow_conda_flow.environments.temporary_folders import (
    discard_all,
    discard_left_once,
    discard_unfinished,
    temporary,
)
from airflow_conda_flow.errors import CorruptData, DatastoreError, EnvironmentFailure, NotInDatastore


class Packing:
    """The packed environments of a datastore in S3.

    Args:
        cache: this machine's cache directory.
        storage: the datastore.
        prefixes: the prefixes of this machine.
        progress: receives a line for each environment that is packed.
    """

    def __init__(self, cache: CacheDir, storage: Storage, prefixes: Prefixes, progress: Progress) -> None:
        self._cache = cache
        self._storage = storage
        self._prefixes = prefixes
        self._progress = progress

    def packed(self, locks: Mapping[str, Lock]) -> dict[str, PackedEnvironment]:
        """Archives of the environments of these locks, packed now unless they were before.

        Costs one small read for each packed environment, and three requests that keep it from a prune.

        Args:
            locks: by label: the names of steps, by which messages name them.

        Returns:
            the archives by label, of the environments that have one: those for this platform.

        Raises:
            EnvironmentFailure: an environment cannot be made from its packages.
        """
        labelled = {lock.spec_id: (label, lock) for label, lock in locks.items()}
        found = side_by_side(lambda each: self._known(each[1]), labelled.values())
        packed = {key: each for key, each in zip(labelled, found, strict=True) if each is not None}
        # Packing compiles modules with the environment's own Python, which must run on this machine. For
        # another platform the containers make the environment from its packages.
        here = current_platform()
        wanted = {
            key: each for key, each in labelled.items() if key not in packed and each[1].platform == here
        }
        # Few at a time: each one already compiles in two processes and compresses on all cores.
        cancel = threading.Event()
        made = side_by_side(lambda each: self._pack(*each, cancel), wanted.values(), at_once=2, cancel=cancel)
        packed.update(zip(wanted, made, strict=True))
        return {label: packed[lock.spec_id] for label, lock in locks.items() if lock.spec_id in packed}

    @property
    def unpacks(self) -> bool:
        """Whether environments are unpacked here.

        An archive works at the path that it was made for only, so another cache directory needs packages.
        """
        return self._cache.path == Path(CONTAINER_CACHE)

    def named(self, spec_id: str, platform: str) -> PackedEnvironment | None:
        """The archive that the datastore names for an environment; None if there is none."""
        return find_packed(self._storage, platform, spec_id)

    def unpacked(
        self, spec_id: str, platform: str, packed: PackedEnvironment, cancel: threading.Event | None
    ) -> Path | None:
        """Prefix made from a packed environment; None if there is none for this cache directory."""
        storage = self._storage
        if not self.unpacks or Path(packed.prefix).parent != self._cache.path / "prefixes":
            return None
        prefix = Path(packed.prefix)
        try:
            self._prefixes.make(
                prefix,
                lambda folder: unpack_into(storage, platform, packed, folder, self._progress, cancel),
                cancel,
            )
        except (CorruptData, NotInDatastore) as error:
            fault = error.fault if isinstance(error, CorruptData) else error
            self._progress.warn(f"    {fault} Making the environment of its packages.")
            # A container may be unable to write there; then the next one says the same.
            with contextlib.suppress(DatastoreError):
                withdraw_packed(storage, platform, spec_id, packed)
            return None
        return prefix

    def _known(self, lock: Lock) -> PackedEnvironment | None:
        """The archive of a lock's environment; None if it has to be packed.

        This machine remembers the archive that it packed or met first. It takes no other one that the
        datastore names later: whoever may write there could name any. If the known one is still there, it is
        named again.
        """
        platform, spec_id = lock.platform, lock.spec_id
        key = layout.packed_environment(platform, spec_id)
        named = find_packed(self._storage, platform, spec_id)
        if named is None or Path(named.prefix) != container_prefix(prefix_name(lock)):
            return None  # missing, damaged, withdrawn, or of another lock
        try:
            known = read_packed(self._cache.local.read_bytes(self._cache.copy_of(key)), platform, spec_id)
        except NotInDatastore:
            known = None
        if known == named and self._cache.is_copy_young(key):  # as for the lock
            return named
        if known is None:
            self._remember(lock, named)
        elif known != named:
            if known.prefix != named.prefix or not self._storage.holds(
                layout.environment_archive(platform, known.sha256), known.sha256
            ):
                return None
            self._progress.warn(
                f"    {key} in the datastore {self._storage.url} named an archive that this machine does not "
                "know. It was not used, and the known one is named again. Find out who wrote it "
                "(docs/security.md)."
            )
            self._storage.write_bytes(key, packed_bytes(platform, spec_id, known))
            named = known
        archive = layout.environment_archive(platform, named.sha256)
        storage = self._storage
        is_kept = all(keeper(storage).keep(each, gone_again(storage, each)) for each in (key, archive))
        if not is_kept:
            return None
        self._cache.note_kept(key)
        return named

    def _restore(self, lock: Lock) -> None:
        """Store the lock again if it is gone: whoever has deleted the archive may have deleted more."""
        key = layout.lock(lock.platform, lock.spec_id)
        if not self._storage.exists(key):
            self._storage.write_if_absent(key, self._cache.local.read_bytes(self._cache.copy_of(key)))

    def _remember(self, lock: Lock, packed: PackedEnvironment) -> None:
        key = self._cache.copy_of(layout.packed_environment(lock.platform, lock.spec_id))
        self._cache.local.write_bytes(key, packed_bytes(lock.platform, lock.spec_id, packed))

    def _pack(self, label: str, lock: Lock, cancel: threading.Event) -> PackedEnvironment:
        self._progress.say(f"Packing the environment of {label} for containers")
        self._restore(lock)
        prefix = container_prefix(prefix_name(lock))
        discard_left_once(self._cache.path)
        folder = temporary(self._cache.path / "packing" / prefix.name)
        try:
            with shared(makers_mutex(self._cache.path)):
                self._prefixes.install(lock, folder, prefix, compiled=True, cancel=cancel)
            make_seal(folder)  # files are as in other prefixes: only readable
            packed = publish_packed(
                self._storage, lock.platform, lock.spec_id, folder, prefix, self._progress, cancel
            )
        except (Stopped, KeyboardInterrupt, EnvironmentFailure):
            discard_all(folder)
            discard_unfinished(self._cache.path)
            raise
        finally:
            discard(folder)
        self._remember(lock, packed)
        return packed
