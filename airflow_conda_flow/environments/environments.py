"""``Environments``: makes the prefix that a step runs in from its spec; each stage is done only once."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from airflow_conda_flow.datastore import layout
from airflow_conda_flow.datastore.digest import not_as_prepared
from airflow_conda_flow.datastore.keeping import REFRESH_AFTER, gone_again, keeper, note_use
from airflow_conda_flow.datastore.left_behind import clear_once, new_mark
from airflow_conda_flow.datastore.local_storage import LocalStorage
from airflow_conda_flow.datastore.publish import publish_once, read_published
from airflow_conda_flow.datastore.remembered import remembered_key
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.environments.bytecode import compile_modules, count_modules
from airflow_conda_flow.environments.cache_places import extracted, makers_mutex, note_extracted
from airflow_conda_flow.environments.credentials import Credentials
from airflow_conda_flow.environments.file_mutex import held, mutex_of, shared
from airflow_conda_flow.environments.lock import Lock, LockedPackage
from airflow_conda_flow.environments.packages import PackageStore, discard
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
from airflow_conda_flow.environments.progress import Progress, Silence
from airflow_conda_flow.environments.seal import (
    broken_seal,
    differences,
    make_seal,
    remove_bytecode,
    restore_modes,
    seal_path,
)
from airflow_conda_flow.environments.solve.pinned import lock_of_pinned
from airflow_conda_flow.environments.solve.solver import make_solver
from airflow_conda_flow.environments.spec import EnvironmentSpec
from airflow_conda_flow.environments.stopping import Stopped, check, checked
from airflow_conda_flow.environments.wheels import install_wheels
from airflow_conda_flow.errors import (
    CorruptData,
    DamagedDocument,
    DatastoreError,
    EnvironmentFailure,
    NotAsPrepared,
    NotInDatastore,
    SettingError,
)

if TYPE_CHECKING:
    from airflow_conda_flow.records.shapes import EnvironmentRef

# Packages contain a placeholder path of this many characters, which installing overwrites with the prefix. A
# longer prefix does not fit into binary files.
_LONGEST_PREFIX = 255
_KEPT_FOR = REFRESH_AFTER / 2  # seconds
_SIDE_BY_SIDE = 8  # requests to the datastore at a time
_LOOK_EVERY = 0.1  # seconds between looks at whether work is still wanted
_LAST_WRITES_SECONDS = 1.0  # for threads that cannot be ended: a package is extracted in less
_Given = TypeVar("_Given")
_Made = TypeVar("_Made")


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
        self._cache_dir = Path(cache_dir)
        self._local = LocalStorage(self._cache_dir, "cache_dir")
        self._storage = storage
        self._resolver = resolver
        self._resolver_seconds = resolver_seconds
        self._compile_bytecode = compile_bytecode
        self._progress = progress or Silence()
        self._credentials = credentials or Credentials()
        self._packages = PackageStore(self._local, storage, self._progress, self._credentials)
        self._mutex = threading.Lock()
        self._making: dict[str, threading.Lock] = {}
        self._prefixes: dict[tuple[str, str, str | None], Path] = {}

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
        labels: dict[str, list[str]] = {}
        for label, spec in specs.items():
            labels.setdefault(spec.id, []).append(label)
        unique = {spec.id: spec for spec in specs.values()}
        known = _side_by_side(self._published_lock, unique.values())
        by_id = {lock.spec_id: lock for lock in known if lock is not None}
        if lost := [lock for lock in by_id.values() if not self._is_kept(lock)]:
            by_id.update({lock.spec_id: lock for lock in self._publish(lost)})
        committed = [spec.locked for key, spec in unique.items() if spec.locked and key not in by_id]
        if committed:
            self._check_cache_dir()
            by_id.update({lock.spec_id: lock for lock in self._publish(committed)})
        unsolved = {_label(labels[key]): spec for key, spec in unique.items() if key not in by_id}
        if unsolved:
            self._check_cache_dir()
            by_id.update(self._solve(unsolved))
        return {label: by_id[spec.id] for label, spec in specs.items()}

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
        storage = self._storage
        if storage is None or not specs:
            return {}
        locks = {lock.spec_id: (label, lock) for label, lock in self.resolve_all(specs).items()}
        found = _side_by_side(lambda each: self._known_packed(storage, each[1]), locks.values())
        packed = {key: each for key, each in zip(locks, found, strict=True) if each is not None}
        # Packing compiles modules with the environment's own Python, which must run on this machine. For
        # another platform the containers make the environment from its packages.
        here = current_platform()
        wanted = {key: each for key, each in locks.items() if key not in packed and each[1].platform == here}
        # Few at a time: each one already compiles in two processes and compresses on all cores.
        cancel = threading.Event()
        made = _side_by_side(
            lambda each: self._pack(storage, *each, cancel), wanted.values(), at_once=2, cancel=cancel
        )
        packed.update(zip(wanted, made, strict=True))
        return {label: packed[spec.id] for label, spec in specs.items() if spec.id in packed}

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
        prefix = self.prefix_of(lock)
        self._make(prefix, lambda temporary: self._install(lock, temporary, prefix, cancel=cancel), cancel)
        return prefix

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
        storage, packed = self._storage, None
        if storage is not None and self._unpacks and (spec_id, platform, None) not in self._prefixes:
            packed = find_packed(storage, platform, spec_id)
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
        prefix = self._prefixes.get(key)
        if prefix is not None and broken_seal(prefix) is None:
            return prefix
        prefix = self._unpacked(spec_id, platform, packed, cancel)
        if prefix is None:
            lock = self._known_lock(spec_id, platform, lock_sha256)
            if lock is None:
                where = self._storage.url if self._storage else self._cache_dir
                raise EnvironmentFailure(
                    f"The environment {spec_id[:12]} for {platform} has no lock in {where}. "
                    "It is made when the run is prepared; start the run again."
                )
            prefix = self.materialise(lock, cancel)
        self._prefixes[key] = prefix
        return prefix

    def known_lock(self, spec_id: str, platform: str) -> Lock | None:
        """Lock of an environment, None if it was never resolved."""
        return self._known_lock(spec_id, platform)

    def lock_of(self, spec: EnvironmentSpec) -> Lock | None:
        """Lock of a spec: of the lock file beside the flow, else the published one; None without either."""
        return spec.locked or self._known_lock(spec.id, spec.platform)

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
        self._check_cache_dir()
        return self._solved(specs, preferred)

    def rebuild(self, lock: Lock) -> Path:
        """Delete the prefix of a lock and make it again, from archives that are verified again.

        The lock stays the same. Must not be called while a step runs in the prefix.

        Raises:
            PackageError: a package cannot be fetched from anywhere, or its bytes are wrong.
        """
        prefix = self.prefix_of(lock)
        restore_modes(prefix)
        _put_aside(prefix)
        return self.materialise(lock)

    def verify(self, lock: Lock) -> list[str]:
        """Files of a prefix that are not as its packages have them, such as ``bin/x was changed``; sorted.

        The prefix is compared byte by byte with another one, made of archives that are verified again and
        extracted again. Bytecode is removed, because nothing vouches for it.

        Raises:
            PackageError: a package cannot be fetched from anywhere, or its bytes are wrong.
            EnvironmentFailure: the other prefix cannot be made.
        """
        prefix = self.prefix_of(lock)
        if not prefix.is_dir():
            return [f"{prefix} is no directory"]
        folder = _temporary(self._cache_dir / "verifying" / prefix.name)
        extracted_again = folder.with_name(f"{folder.name}.extracted")
        clear_once(folder.parent)
        try:
            self._install(lock, folder, prefix, extracted_in=extracted_again)
            found = differences(prefix, folder)
        finally:
            discard(folder)
            discard(extracted_again)
        remove_bytecode(prefix)
        if self._compile_bytecode and not found:
            compile_modules(prefix)
        return found

    def prefix_of(self, lock: Lock) -> Path:
        """Path of a lock's prefix, which need not exist."""
        return self._cache_dir / "prefixes" / _prefix_name(lock)

    # Locks.

    def _published_lock(self, spec: EnvironmentSpec) -> Lock | None:
        """The published lock of a spec; None if the lock file beside the flow has other packages."""
        try:
            lock = self._known_lock(spec.id, spec.platform)
        except DamagedDocument:
            if spec.locked is None:
                raise
            return None  # it is published again
        if lock is None or spec.locked is None or lock == spec.locked:
            return lock
        where = self._storage.url if self._storage else self._cache_dir
        self._progress.say(
            f"    The lock {spec.id[:12]} in {where} is not that of the lock file beside the flow; "
            "replacing it."
        )
        return None

    def _is_kept(self, lock: Lock) -> bool:
        """Keep a published lock from prunes, of the datastore and of the cache; False if it is not there."""
        key = layout.lock(lock.platform, lock.spec_id)
        if self._storage is None:
            return note_use(self._local, key)
        # The time of the copy says when the lock was last kept or published: a warm start asks nothing. The
        # lock was at most REFRESH_AFTER old then, and is younger now than the shortest grace time.
        copy = self._local.local_path(self._copy_key(key))
        if _is_young(copy):
            return True
        is_kept = keeper(self._storage).keep(key, lambda: self._publish([lock]))
        if is_kept:
            _make_young(copy)
        return is_kept

    def _known_lock(self, spec_id: str, platform: str, sha256: str | None = None) -> Lock | None:
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
        if self._storage is None:
            data = read_published(self._local, key)
            return None if data is None else self._lock(data, self._local, key, spec_id, platform, sha256)
        copy = self._copy_key(key)
        if self._local.exists(copy):
            try:
                return self._lock(self._local.read_bytes(copy), self._local, copy, spec_id, platform, sha256)
            except (DamagedDocument, NotAsPrepared) as error:
                self._progress.say(f"    {error.fault} Reading it again from {self._storage.url}.")
        data = read_published(self._storage, key)
        if data is None:
            data = read_published(self._local, key)
            if data is None:
                return None
            return self._publish([self._lock(data, self._local, key, spec_id, platform)])[0]
        lock = self._lock(data, self._storage, key, spec_id, platform, sha256)
        self._local.write_bytes(copy, data)
        os.utime(self._local.local_path(copy), (0, 0))  # nobody has kept it yet
        return lock

    @staticmethod
    def _lock(
        data: bytes, storage: Storage, key: str, spec_id: str, platform: str, sha256: str | None = None
    ) -> Lock:
        path = storage.local_path(key)
        name = f"{key} in the datastore {storage.url}" if path is None else str(path)
        if sha256 is not None and (got := hashlib.sha256(data).hexdigest()) != sha256:
            raise not_as_prepared(f"The lock {name}", sha256, got)
        return Lock.from_bytes(data, name, spec_id, platform)

    def _solve(self, specs: Mapping[str, EnvironmentSpec]) -> dict[str, Lock]:
        return {lock.spec_id: lock for lock in self._publish(list(self._solved(specs, {}).values()))}

    def _solved(
        self, specs: Mapping[str, EnvironmentSpec], preferred: Mapping[str, Sequence[LockedPackage]]
    ) -> dict[str, Lock]:
        for label, spec in specs.items():
            self._progress.say(f"Resolving the environment of {label}: {_described(spec)}")
        pinned = {label: spec for label, spec in specs.items() if spec.pinned}
        free = {label: spec for label, spec in specs.items() if not spec.pinned}
        locks = {label: lock_of_pinned(spec, self._packages) for label, spec in pinned.items()}
        if free:
            solver = make_solver(self._resolver, self._cache_dir, self._credentials, self._resolver_seconds)
            locks.update(solver.solve(free, preferred))
        return {
            label: self._with_pypi(label, spec, locks[label], preferred.get(label, ()))
            for label, spec in specs.items()
        }

    @staticmethod
    def _with_pypi(label: str, spec: EnvironmentSpec, lock: Lock, preferred: Sequence[LockedPackage]) -> Lock:
        if not spec.pypi:
            return lock
        from airflow_conda_flow.environments.solve.pypi import resolve_pypi  # noqa: PLC0415 - seldom used

        return replace(lock, packages=(*lock.packages, *resolve_pypi(label, spec, lock.packages, preferred)))

    def _publish(self, locks: Sequence[Lock]) -> list[Lock]:
        """Fetch and mirror the packages, then publish the locks; returns the locks that won.

        The order matters: whoever finds a lock in the datastore finds its packages there too.
        """
        packages = [package for lock in locks for package in lock.packages]
        with shared(makers_mutex(self._cache_dir)):  # a prune of the cache must not come between the two
            self._packages.fetch(packages)
            self._packages.mirror(packages)
        return _side_by_side(self._publish_lock, locks)

    def _publish_lock(self, lock: Lock) -> Lock:
        key = layout.lock(lock.platform, lock.spec_id)
        storage = self._storage or self._local
        data = lock.to_bytes()
        if lock == Lock.of_packages(lock.platform, lock.packages):  # its name says what it holds
            storage.write_bytes(key, data)
        else:
            data = publish_once(storage, key, data)
        published = self._lock(data, storage, key, lock.spec_id, lock.platform)
        if self._storage is not None:
            self._local.write_bytes(self._copy_key(key), data)
        return published

    def _copy_key(self, key: str) -> str:
        """Key of the cached copy of a lock, or of a ``.packed`` document, of the S3 datastore."""
        assert self._storage is not None  # noqa: S101 - callers have one
        return remembered_key(self._storage, key)

    # Prefixes.

    def _check_cache_dir(self) -> None:
        try:
            self._cache_dir.mkdir(parents=True, exist_ok=True)
            if not os.access(self._cache_dir, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            raise SettingError(
                f"The cache directory {self._cache_dir} cannot be written: {error.strerror}. Set "
                "--cache-dir, or CONDA_FLOW_CACHE_DIR, to a directory that this user may write to."
            ) from error

    def _make(
        self, prefix: Path, build: Callable[[Path], None], cancel: threading.Event | None = None
    ) -> None:
        """Let ``build`` fill a folder that becomes the prefix, unless the prefix is there, as it was made.

        One builder works at a time, of all threads and processes of this machine. A prefix that something has
        changed is replaced. Steps that run in it find the same files in the new one.
        """
        fault = broken_seal(prefix)
        if fault is None or (fault and _is_out_of_reach(prefix)):
            return
        self._check_cache_dir()
        if len(str(prefix)) > _LONGEST_PREFIX:
            raise SettingError(
                f"The cache directory {self._cache_dir} has too long a path: environments in it "
                f"would be at {len(str(prefix))} characters, and {_LONGEST_PREFIX} is the most that "
                "packages can be made for. Set cache_dir to a shorter one."
            )
        with self._mutex:
            mutex = self._making.setdefault(prefix.name, threading.Lock())
        waited = held(mutex_of(prefix), cancel, self._say_waiting)
        with _acquired(mutex, cancel), waited as alone, shared(makers_mutex(self._cache_dir)):
            fault = broken_seal(prefix)
            if fault is None:
                return
            if fault:
                self._progress.say(
                    f"    The environment {prefix} is not as it was made: {fault}. Making it again."
                )
                restore_modes(prefix)
            # While this process holds the file mutex nobody else builds this prefix, so what is there belongs
            # to a dead process.
            if alone:
                for left_by_a_killed_process in prefix.parent.glob(f".{prefix.name}.*-*"):
                    discard(left_by_a_killed_process)
            temporary = _temporary(prefix)
            try:
                build(temporary)
                seal = make_seal(temporary)
                # The seal comes first. If the process is killed in between, it is not that of the old prefix,
                # which is then replaced.
                self._local.write_bytes(str(seal_path(prefix).relative_to(self._cache_dir)), seal)
                _put_aside(prefix)
                temporary.rename(prefix)
            except OSError:
                if broken_seal(prefix) is not None:  # else another process was first
                    raise
            except (Stopped, KeyboardInterrupt):
                _discard_all(temporary)
                raise
            finally:
                discard(temporary)

    def _say_waiting(self) -> None:
        self._progress.say("Waiting for another process of this machine, which makes the environment")

    def _install(
        self,
        lock: Lock,
        folder: Path,
        prefix: Path,
        *,
        compiled: bool = False,
        extracted_in: Path | None = None,
        cancel: threading.Event | None = None,
    ) -> None:
        """Make an environment in ``folder`` that works once it is renamed to ``prefix``.

        Args:
            lock: its packages.
            folder: a directory that does not exist.
            prefix: the path that is written into its files.
            compiled: whether to compile its modules, whatever the setting says.
            extracted_in: directory for extracted packages in place of the one that all environments share.
            cancel: when set, the work ends.
        """
        check(cancel)
        archives = self._packages.fetch(lock.packages, cancel)
        from airflow_conda_flow.environments.rattler_link import link  # noqa: PLC0415 - heavy

        wheels = [each for each in lock.packages if each.kind == "pypi"]
        total = len(lock.packages)
        making = "Making" if extracted_in is None else "Making again, to compare it,"
        text = f"{making} the environment {prefix.name[:12]} of {total} package{'' if total == 1 else 's'}"
        with self._progress.phase(text, total, "packages") as advance:
            link(lock, archives, folder, prefix, extracted_in or extracted(self._cache_dir), advance, cancel)
            if extracted_in is None:
                note_extracted(self._cache_dir, lock)
            if wheels:
                install_wheels(wheels, archives, folder, prefix, lock.python, checked(cancel, advance))
        if compiled or self._compile_bytecode:
            check(cancel)
            modules = count_modules(folder)
            with self._progress.phase("    Compiling its modules", modules, "files") as advance:
                compile_modules(folder, advance, cancel, modules)

    # Packed environments.

    def _known_packed(self, storage: Storage, lock: Lock) -> PackedEnvironment | None:
        """The archive of a lock's environment; None if it has to be packed.

        This machine remembers the archive that it packed or met first. It takes no other one that the
        datastore names later: whoever may write there could name any. If the known one is still there, it is
        named again.
        """
        platform, spec_id = lock.platform, lock.spec_id
        key = layout.packed_environment(platform, spec_id)
        named = find_packed(storage, platform, spec_id)
        if named is None or Path(named.prefix) != container_prefix(_prefix_name(lock)):
            return None  # missing, damaged, withdrawn, or of another lock
        try:
            known = read_packed(self._local.read_bytes(self._copy_key(key)), platform, spec_id)
        except NotInDatastore:
            known = None
        copy = self._local.local_path(self._copy_key(key))
        if known == named and _is_young(copy):  # as for the lock
            return named
        if known is None:
            self._remember_packed(lock, named)
        elif known != named:
            if known.prefix != named.prefix or not storage.holds(
                layout.environment_archive(platform, known.sha256), known.sha256
            ):
                return None
            self._progress.say(
                f"    {key} in the datastore {storage.url} named an archive that this machine does not know. "
                "It was not used, and the known one is named again. Find out who wrote it "
                "(docs/security.md)."
            )
            storage.write_bytes(key, packed_bytes(platform, spec_id, known))
            named = known
        archive = layout.environment_archive(platform, named.sha256)
        is_kept = all(keeper(storage).keep(each, gone_again(storage, each)) for each in (key, archive))
        if not is_kept:
            return None
        _make_young(copy)
        return named

    def _remember_packed(self, lock: Lock, packed: PackedEnvironment) -> None:
        key = self._copy_key(layout.packed_environment(lock.platform, lock.spec_id))
        self._local.write_bytes(key, packed_bytes(lock.platform, lock.spec_id, packed))

    def _pack(self, storage: Storage, label: str, lock: Lock, cancel: threading.Event) -> PackedEnvironment:
        self._progress.say(f"Packing the environment of {label} for containers")
        prefix = container_prefix(_prefix_name(lock))
        clear_once(self._cache_dir / "packing")
        folder = _temporary(self._cache_dir / "packing" / prefix.name)
        try:
            with shared(makers_mutex(self._cache_dir)):
                self._install(lock, folder, prefix, compiled=True, cancel=cancel)
            make_seal(folder)  # files are as in other prefixes: only readable
            packed = publish_packed(
                storage, lock.platform, lock.spec_id, folder, prefix, self._progress, cancel
            )
        except (Stopped, KeyboardInterrupt):
            _discard_all(folder)
            raise
        finally:
            discard(folder)
        self._remember_packed(lock, packed)
        return packed

    @property
    def _unpacks(self) -> bool:
        # An archive works at the path that it was made for only, so another cache directory needs packages.
        return self._cache_dir == Path(CONTAINER_CACHE)

    def _unpacked(
        self,
        spec_id: str,
        platform: str,
        packed: PackedEnvironment | None,
        cancel: threading.Event | None,
    ) -> Path | None:
        """Prefix made from a packed environment; None if there is none for this cache directory."""
        storage = self._storage
        if storage is None or packed is None or not self._unpacks:
            return None
        if Path(packed.prefix).parent != self._cache_dir / "prefixes":
            return None
        prefix = Path(packed.prefix)
        try:
            self._make(
                prefix,
                lambda folder: unpack_into(storage, platform, packed, folder, self._progress, cancel),
                cancel,
            )
        except (CorruptData, NotInDatastore) as error:
            fault = error.fault if isinstance(error, CorruptData) else error
            self._progress.say(f"    {fault} Making the environment of its packages.")
            # A container may be unable to write there; then the next one says the same.
            with contextlib.suppress(DatastoreError):
                withdraw_packed(storage, platform, spec_id, packed)
            return None
        return prefix


def _is_young(copy: Path) -> bool:
    """True if what a local copy is of was kept in the datastore not long ago."""
    with contextlib.suppress(OSError):
        return time.time() - copy.stat().st_mtime < _KEPT_FOR
    return False


def _make_young(copy: Path) -> None:
    with contextlib.suppress(OSError):
        os.utime(copy)


def _prefix_name(lock: Lock) -> str:
    # Half of the digest: unique all the same, and the prefix's path has to be short.
    return lock.digest[:32]


def _is_out_of_reach(prefix: Path) -> bool:
    """True if no step of this user can have changed a prefix, as in an image, where inodes are new."""
    return (prefix / "bin" / "python").exists() and not os.access(prefix, os.W_OK)


def _put_aside(prefix: Path) -> None:
    """Remove whatever is at the path of a prefix, at once for others and then in peace."""
    if os.path.lexists(prefix):
        old = _temporary(prefix)
        prefix.rename(old)
        discard(old)


def _temporary(prefix: Path) -> Path:
    """Path of a folder in the prefix's directory that no other process or thread uses."""
    return prefix.with_name(f".{prefix.name}.{new_mark()}")


@contextlib.contextmanager
def _acquired(mutex: threading.Lock, cancel: threading.Event | None) -> Iterator[None]:
    """Hold the mutex while the block runs; ``Stopped`` if the event is set before it is free."""
    while not mutex.acquire(timeout=-1 if cancel is None else _LOOK_EVERY):
        check(cancel)
    try:
        yield
    finally:
        mutex.release()


def _discard_all(folder: Path) -> None:
    """Remove a folder that threads of py-rattler may still write a package to, for a second at most."""
    end = time.monotonic() + _LAST_WRITES_SECONDS
    while folder.exists() and time.monotonic() < end:
        discard(folder)
        time.sleep(_LOOK_EVERY)


def _side_by_side(
    function: Callable[[_Given], _Made],
    values: Collection[_Given],
    at_once: int = _SIDE_BY_SIDE,
    cancel: threading.Event | None = None,
) -> list[_Made]:
    """Results of the function for all values, in order; a failure is raised after all calls have ended.

    An interrupt is raised after a second at most. ``cancel`` is set then, for calls that look at it.
    """
    if len(values) < 2:  # noqa: PLR2004 - nothing to overlap
        return [function(each) for each in values]
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="environments")
    calls = [pool.submit(function, each) for each in values]
    try:
        wait(calls)
    except BaseException:
        if cancel is not None:
            cancel.set()
        pool.shutdown(wait=False, cancel_futures=True)
        wait(calls, _LAST_WRITES_SECONDS)
        raise
    pool.shutdown()
    return [each.result() for each in calls]


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
