"""``Environments``: makes the prefix that a step runs in from its spec; each stage is done only once."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.environments.cache_dir import CacheDir
from airflow_conda_flow.environments.credentials import Credentials
from airflow_conda_flow.environments.lock import Lock, LockedPackage
from airflow_conda_flow.environments.lock_store import LockStore
from airflow_conda_flow.environments.packages import PackageStore
from airflow_conda_flow.environments.packed import PackedEnvironment
from airflow_conda_flow.environments.packing import Packing
from airflow_conda_flow.environments.prefixes import Prefixes
from airflow_conda_flow.environments.progress import Progress, Silence
from airflow_conda_flow.environments.seal import broken_seal
from airflow_conda_flow.environments.spec import EnvironmentSpec
from airflow_conda_flow.errors import EnvironmentFailure

if TYPE_CHECKING:
    from airflow_conda_flow.records.shapes import EnvironmentRef


class Environments:
    """The environments of this machine. Thread-safe; processes may share a cache directory.

    Args:
        cache_dir: directory for locks, archives, extracted packages and prefixes.
        storage: the S3 datastore, in which locks and archives are shared; None for a local one.
        resolver: ``rattler``, or the name of an executable on PATH.
        progress: receives reports on resolving and downloading.
        compile_bytecode: whether to compile the modules of every new prefix.
        credentials: of private channels; if None, those in this user's files.
        resolver_seconds: how long one solve of an executable may take; if None, half an hour.
    """

    def __init__(
        self,
        cache_dir: Path,
        storage: Storage | None = None,
        resolver: str = "rattler",
        progress: Progress | None = None,
        *,
        compile_bytecode: bool = False,
        credentials: Credentials | None = None,
        resolver_seconds: float | None = None,
    ) -> None:
        self._storage = storage
        self._progress = progress or Silence()
        self._cache = CacheDir(Path(cache_dir), storage)
        credentials = credentials or Credentials()
        packages = PackageStore(self._cache.local, storage, self._progress, credentials)
        self._locks = LockStore(
            self._cache, storage, packages, self._progress, credentials, resolver, resolver_seconds
        )
        self._prefixes = Prefixes(self._cache, packages, self._progress, compile_bytecode=compile_bytecode)
        self._packing = (
            None if storage is None else Packing(self._cache, storage, self._prefixes, self._progress)
        )
        self._made: dict[tuple[str, str, str | None], Path] = {}

    def resolve(self, spec: EnvironmentSpec, label: str) -> Lock:
        """Lock of one spec; messages name it by ``label``. Errors as for ``resolve_all``."""
        return self.resolve_all({label: spec})[label]

    def resolve_all(self, specs: Mapping[str, EnvironmentSpec]) -> dict[str, Lock]:
        """Locks of all specs, by label.

        The packages of a spec are those of the lock file beside the flow, if there is one, else those of the
        published lock. A spec that has neither is solved. Its packages are fetched and mirrored to the
        datastore, and the lock is published; so is one of a lock file that is not published yet.

        Args:
            specs: by label: the names of steps, by which messages name them.

        Raises:
            SolveError: a spec cannot be satisfied.
            ChannelError: a channel is needed and cannot be read.
            PackageError: a package cannot be fetched.
            ResolverNotFound: the resolver is needed and is not installed.
            SettingError: a lock is needed and the cache directory cannot be written.
        """
        return self._locks.resolve_all(specs)

    def prepare_for_containers(self, specs: Mapping[str, EnvironmentSpec]) -> dict[str, PackedEnvironment]:
        """Resolve each spec and pack its environment, unless that was done before; see ``packed.py``.

        Costs one small read for each packed environment, one for its lock where this machine has no copy of
        it, and three requests that keep them from a prune. Does nothing without a datastore in S3.

        Args:
            specs: by label: the names of steps, by which messages name them.

        Returns:
            the archives by label, of the environments that have one.

        Raises:
            EnvironmentFailure: as ``resolve_all``; or an environment cannot be made from its packages.
        """
        if self._packing is None or not specs:
            return {}
        return self._packing.packed(self.resolve_all(specs))

    def materialise(self, lock: Lock, cancel: threading.Event | None = None) -> Path:
        """Prefix of a lock, made from verified packages if it does not exist, or is not as it was made.

        Args:
            lock: the lock.
            cancel: when set, the work ends.

        Raises:
            Stopped: ``cancel`` was set.
            PackageError: a package cannot be fetched from anywhere, or its bytes are wrong.
            EnvironmentFailure: the prefix cannot be made.
            SettingError: the cache directory cannot be written, or its path is too long.
        """
        return self._prefixes.materialise(lock, cancel)

    def prefix_of_run(self, environment: EnvironmentRef, cancel: threading.Event | None = None) -> Path:
        """Prefix of the environment that a run was prepared with; the reference comes from the run's record.

        Args:
            environment: the reference.
            cancel: when set, the work ends.

        Raises:
            Stopped: ``cancel`` was set.
            NotAsPrepared: the lock is needed, and is not the one that the run was prepared with.
            EnvironmentFailure: as ``prefix_for``.
        """
        spec_id, platform, lock = environment["id"], environment["platform"], environment.get("lock")
        if lock is None:  # a run of an early version
            return self.prefix_for(spec_id, platform, cancel)
        packed = environment.get("packed")
        named = PackedEnvironment(**packed) if packed else None
        return self._prefix(spec_id, platform, lock, named, cancel)

    def prefix_for(self, spec_id: str, platform: str, cancel: threading.Event | None = None) -> Path:
        """Prefix of an environment that was resolved before, on this machine or another one.

        Made from the packed environment if possible, else from packages, as the datastore has them now.

        Args:
            spec_id: id of its spec.
            platform: conda platform.
            cancel: when set, the work ends.

        Raises:
            Stopped: ``cancel`` was set.
            EnvironmentFailure: the environment was never resolved, or as ``materialise``.
        """
        packing, packed = self._packing, None
        if packing is not None and packing.unpacks and (spec_id, platform, None) not in self._made:
            packed = packing.named(spec_id, platform)
        return self._prefix(spec_id, platform, None, packed, cancel)

    def _prefix(
        self,
        spec_id: str,
        platform: str,
        lock_sha256: str | None,
        packed: PackedEnvironment | None,
        cancel: threading.Event | None,
    ) -> Path:
        key = (spec_id, platform, lock_sha256)
        prefix = self._made.get(key)
        if prefix is not None and broken_seal(prefix) is None:
            return prefix
        prefix = None
        if self._packing is not None and packed is not None:
            prefix = self._packing.unpacked(spec_id, platform, packed, cancel)
        if prefix is None:
            lock = self._locks.known(spec_id, platform, lock_sha256)
            if lock is None:
                where = self._storage.url if self._storage else self._cache.path
                raise EnvironmentFailure(
                    f"The environment {spec_id[:12]} for {platform} has no lock in {where}. "
                    "It is made when the run is prepared; start the run again."
                )
            prefix = self.materialise(lock, cancel)
        self._made[key] = prefix
        return prefix

    def known_lock(self, spec_id: str, platform: str) -> Lock | None:
        """Lock of an environment, None if it was never resolved."""
        return self._locks.known(spec_id, platform)

    def lock_of(self, spec: EnvironmentSpec) -> Lock | None:
        """Lock of a spec: of the lock file beside the flow, else the published one; None without either."""
        return spec.locked or self._locks.known(spec.id, spec.platform)

    def solve(
        self,
        specs: Mapping[str, EnvironmentSpec],
        preferred: Mapping[str, Sequence[LockedPackage]] = MappingProxyType({}),
    ) -> dict[str, Lock]:
        """Locks of all specs, by label, solved now; nothing is published, and no published lock is looked at.

        Args:
            specs: by label: the names of steps, by which messages name them.
            preferred: by label: packages that a solve keeps where it can.

        Raises:
            EnvironmentFailure: as ``resolve_all``.
        """
        return self._locks.solve(specs, preferred)

    def rebuild(self, lock: Lock) -> Path:
        """Delete the prefix of a lock and make it again, from archives that are verified again.

        The lock stays the same. Must not be called while a step runs in the prefix.

        Raises:
            PackageError: a package cannot be fetched from anywhere, or its bytes are wrong.
        """
        return self._prefixes.rebuild(lock)

    def verify(self, lock: Lock) -> list[str]:
        """Files of a prefix that are not as its packages have them, such as ``bin/x was changed``; sorted.

        The prefix is compared byte by byte with another one, made of archives that are verified again and
        extracted again. Bytecode is replaced by that of the packages, because nothing vouches for it.

        Raises:
            PackageError: a package cannot be fetched from anywhere, or its bytes are wrong.
            EnvironmentFailure: the other prefix cannot be made.
        """
        return self._prefixes.verify(lock)

    def prefix_of(self, lock: Lock) -> Path:
        """Path of a lock's prefix, which need not exist."""
        return self._prefixes.path(lock)
