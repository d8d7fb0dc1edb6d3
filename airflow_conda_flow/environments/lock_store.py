"""``LockStore``: finds the lock of a spec, or solves it, mirrors its packages and publishes the lock."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from airflow_conda_flow.datastore import layout
from airflow_conda_flow.datastore.digest import not_as_prepared
from airflow_conda_flow.datastore.keeping import keeper, note_use
from airflow_conda_flow.datastore.publish import publish_once, read_published
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.environments.cache_dir import CacheDir
from airflow_conda_flow.environments.cache_places import makers_mutex
from airflow_conda_flow.environments.credentials import Credentials
from airflow_conda_flow.environments.file_mutex import shared
from airflow_conda_flow.environments.lock import Lock, LockedPackage
from airflow_conda_flow.environments.packages import PackageStore
from airflow_conda_flow.environments.progress import Progress
from airflow_conda_flow.environments.side_by_side import side_by_side
from airflow_conda_flow.environments.solve.pinned import lock_of_pinned
from airflow_conda_flow.environments.solve.placed import placed
from airflow_conda_flow.environments.solve.solver import make_solver
from airflow_conda_flow.environments.spec import EnvironmentSpec
from airflow_conda_flow.errors import DamagedDocument, NotAsPrepared


class LockStore:
    """The locks of a datastore in S3, of which the cache keeps copies, or of the cache alone.

    Args:
        cache: this machine's cache directory.
        storage: the S3 datastore; None for a local one.
        packages: fetches and mirrors the packages of new locks.
        progress: receives a line for each environment that is resolved.
        credentials: of private channels.
        resolver: ``rattler``, or the name of an executable on PATH.
        resolver_seconds: how long one solve of an executable may take; if None, half an hour.
    """

    def __init__(
        self,
        cache: CacheDir,
        storage: Storage | None,
        packages: PackageStore,
        progress: Progress,
        credentials: Credentials,
        resolver: str,
        resolver_seconds: float | None,
    ) -> None:
        self._cache = cache
        self._storage = storage
        self._packages = packages
        self._progress = progress
        self._credentials = credentials
        self._resolver = resolver
        self._resolver_seconds = resolver_seconds

    def resolve_all(self, specs: Mapping[str, EnvironmentSpec]) -> dict[str, Lock]:
        """Locks of all specs, by label; see ``Environments.resolve_all``."""
        self._learn_credentials(specs.values())
        labels: dict[str, list[str]] = {}
        for label, spec in specs.items():
            labels.setdefault(spec.id, []).append(label)
        unique = {spec.id: spec for spec in specs.values()}
        known = side_by_side(self._published_lock, unique.values())
        by_id = {lock.spec_id: lock for lock in known if lock is not None}
        if lost := [lock for lock in by_id.values() if not self._is_kept(lock)]:
            by_id.update({lock.spec_id: lock for lock in self._publish(lost)})
        committed = [spec.locked for key, spec in unique.items() if spec.locked and key not in by_id]
        if committed:
            self._cache.check()
            by_id.update({lock.spec_id: lock for lock in self._publish(committed)})
        unsolved = {_label(labels[key]): spec for key, spec in unique.items() if key not in by_id}
        if unsolved:
            self._cache.check()
            by_id.update(self._solve(unsolved))
        return {label: by_id[spec.id] for label, spec in specs.items()}

    def known(self, spec_id: str, platform: str, sha256: str | None = None) -> Lock | None:
        """The published lock, or None. Published locks never change, so a local copy is used if there is one.

        A lock that only the cache has, from a time without this datastore, is published. A damaged copy of
        the datastore's lock is replaced.

        Args:
            spec_id: id of the lock's spec.
            platform: conda platform.
            sha256: digest of the lock that a run was prepared with; None compares nothing.

        Raises:
            NotAsPrepared: the lock has another digest.
        """
        key = layout.lock(platform, spec_id)
        local = self._cache.local
        if self._storage is None:
            data = read_published(local, key)
            return None if data is None else self._lock(data, local, key, spec_id, platform, sha256)
        copy = self._cache.copy_of(key)
        if local.exists(copy):
            try:
                return self._lock(local.read_bytes(copy), local, copy, spec_id, platform, sha256)
            except (DamagedDocument, NotAsPrepared) as error:
                self._progress.warn(f"    {error.fault} Reading it again from {self._storage.url}.")
        data = read_published(self._storage, key)
        if data is None:
            data = read_published(local, key)
            if data is None:
                return None
            return self._publish([self._lock(data, local, key, spec_id, platform)])[0]
        lock = self._lock(data, self._storage, key, spec_id, platform, sha256)
        local.write_bytes(copy, data)
        self._cache.note_not_kept(key)
        return lock

    def solve(
        self,
        specs: Mapping[str, EnvironmentSpec],
        preferred: Mapping[str, Sequence[LockedPackage]] = MappingProxyType({}),
    ) -> dict[str, Lock]:
        """Locks of all specs, by label, solved now; see ``Environments.solve``."""
        self._learn_credentials(specs.values())
        self._cache.check()
        return self._solved(specs, preferred)

    def _published_lock(self, spec: EnvironmentSpec) -> Lock | None:
        """The published lock of a spec; None if the lock file beside the flow has other packages."""
        try:
            lock = self.known(spec.id, spec.platform)
        except DamagedDocument:
            if spec.locked is None:
                raise
            return None  # it is published again
        if lock is None or spec.locked is None or lock == spec.locked:
            return lock
        where = self._storage.url if self._storage else self._cache.path
        self._progress.warn(
            f"    The lock {spec.id[:12]} in {where} is not that of the lock file beside the flow; "
            "replacing it."
        )
        return None

    def _is_kept(self, lock: Lock) -> bool:
        """Keep a published lock from prunes, of the datastore and of the cache; False if it is not there."""
        key = layout.lock(lock.platform, lock.spec_id)
        if self._storage is None:
            return note_use(self._cache.local, key)
        # The time of the copy says when the lock was last kept or published: a warm start asks nothing. The
        # lock was at most REFRESH_AFTER old then, and is younger now than the shortest grace time.
        if self._cache.is_copy_young(key):
            return True
        is_kept = keeper(self._storage).keep(key, lambda: self._publish([lock]))
        if is_kept:
            self._cache.note_kept(key)
        return is_kept

    @staticmethod
    def _lock(
        data: bytes, storage: Storage, key: str, spec_id: str, platform: str, sha256: str | None = None
    ) -> Lock:
        path = storage.local_path(key)
        name = f"{key} in the datastore {storage.url}" if path is None else str(path)
        if sha256 is not None and (got := hashlib.sha256(data).hexdigest()) != sha256:
            raise not_as_prepared(f"The lock {name}", sha256, got)
        return Lock.from_bytes(data, name, spec_id, platform)

    def _learn_credentials(self, specs: Iterable[EnvironmentSpec]) -> None:
        for spec in specs:
            urls = (*spec.given_channels, *(each.given for each in spec.pinned))
            self._credentials.learn(each for each in urls if "://" in each)

    def _solve(self, specs: Mapping[str, EnvironmentSpec]) -> dict[str, Lock]:
        return {lock.spec_id: lock for lock in self._publish(list(self._solved(specs, {}).values()))}

    def _solved(
        self, specs: Mapping[str, EnvironmentSpec], preferred: Mapping[str, Sequence[LockedPackage]]
    ) -> dict[str, Lock]:
        pinned = {label: spec for label, spec in specs.items() if spec.pinned}
        free = {label: spec for label, spec in specs.items() if not spec.pinned}
        # Fetched before the phase begins: it is a phase of its own.
        taken = {label: self._packages.take(spec.pinned) for label, spec in pinned.items()}
        text = "\n".join(f"Resolving the environment of {each}: {_described(specs[each])}" for each in specs)
        with self._progress.phase(text, 0, "packages") as advance:
            locks = {label: lock_of_pinned(spec, taken[label]) for label, spec in pinned.items()}
            if free:
                solver = make_solver(
                    self._resolver, self._cache.path, self._credentials, self._resolver_seconds
                )
                locks.update(solver.solve(free, preferred))
            solved = {
                label: self._with_pypi(label, spec, locks[label], preferred.get(label, ()))
                for label, spec in specs.items()
            }
            advance(sum(len(lock.packages) for lock in solved.values()))
        return solved

    @staticmethod
    def _with_pypi(label: str, spec: EnvironmentSpec, lock: Lock, preferred: Sequence[LockedPackage]) -> Lock:
        if not spec.pypi:
            return lock
        from airflow_conda_flow.environments.solve.pypi import resolve_pypi  # noqa: PLC0415 - seldom used

        with placed(spec):
            wheels = resolve_pypi(label, spec, lock.packages, preferred)
        return replace(lock, packages=(*lock.packages, *wheels))

    def _publish(self, locks: Sequence[Lock]) -> list[Lock]:
        """Fetch and mirror the packages, then publish the locks; returns the locks that won.

        The order matters: whoever finds a lock in the datastore finds its packages there too.
        """
        packages = [package for lock in locks for package in lock.packages]
        with shared(makers_mutex(self._cache.path)):  # a prune of the cache must not come between the two
            self._packages.fetch(packages)
            self._packages.mirror(packages)
        return side_by_side(self._publish_lock, locks)

    def _publish_lock(self, lock: Lock) -> Lock:
        key = layout.lock(lock.platform, lock.spec_id)
        storage = self._storage or self._cache.local
        data = lock.to_bytes()
        if lock == Lock.of_packages(lock.platform, lock.packages):  # its name says what it holds
            storage.write_bytes(key, data)
        else:
            data = publish_once(storage, key, data)
        published = self._lock(data, storage, key, lock.spec_id, lock.platform)
        if self._storage is not None:
            self._cache.local.write_bytes(self._cache.copy_of(key), data)
        return published


def _described(spec: EnvironmentSpec) -> str:
    if spec.pinned:
        return f"{len(spec.pinned)} packages of a list"
    stated = [f"Python {spec.python}", *(f"{name} {version}" for name, version in spec.libraries.items())]
    stated = [each.rstrip() for each in stated]
    stated.extend(f"{name} {version}".rstrip() + " from PyPI" for name, version in spec.pypi.items())
    return ", ".join(stated)


def _label(steps: list[str]) -> str:
    names = ", ".join(steps)
    return f"step {names}" if len(steps) == 1 else f"steps {names}"
