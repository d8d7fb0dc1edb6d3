"""``Environments``: from a spec to a prefix that a step can run in, each part done once."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from airflow_conda_flow.datastore import layout
from airflow_conda_flow.datastore.local_storage import LocalStorage
from airflow_conda_flow.datastore.publish import publish_once, read_published
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.environments.bytecode import compile_modules
from airflow_conda_flow.environments.credentials import Credentials
from airflow_conda_flow.environments.file_mutex import held
from airflow_conda_flow.environments.lock import Lock
from airflow_conda_flow.environments.packages import PackageStore, discard
from airflow_conda_flow.environments.progress import Progress, Silence
from airflow_conda_flow.environments.solve.pinned import lock_of_pinned
from airflow_conda_flow.environments.solve.solver import make_solver
from airflow_conda_flow.environments.spec import EnvironmentSpec
from airflow_conda_flow.environments.wheels import install_wheels
from airflow_conda_flow.errors import EnvironmentFailure, SettingError

# Packages are built for a path of this many characters, which every other one replaces.
_LONGEST_PREFIX = 255


class Environments:
    """The environments of this machine. Thread-safe; processes may share a cache directory.

    Args:
        cache_dir: keeps locks, archives, extracted packages and prefixes.
        storage: the S3 datastore that keeps locks and archives for everybody, or None.
        resolver: what solves.
        progress: told how resolving and downloading go.
        compile_bytecode: compile the modules of every prefix that is made.
        credentials: of private channels; those of this machine's own files when not given.
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
    ) -> None:
        self._cache_dir = Path(cache_dir)
        self._local = LocalStorage(self._cache_dir)
        self._storage = storage
        self._resolver = resolver
        self._compile_bytecode = compile_bytecode
        self._progress = progress or Silence()
        self._credentials = credentials or Credentials()
        self._packages = PackageStore(self._local, storage, self._progress, self._credentials)
        self._mutex = threading.Lock()
        self._making: dict[str, threading.Lock] = {}
        self._prefixes: dict[tuple[str, str], Path] = {}

    def resolve(self, spec: EnvironmentSpec, label: str) -> Lock:
        """The lock of one spec; ``label`` is what messages call it."""
        return self.resolve_all({label: spec})[label]

    def resolve_all(self, specs: Mapping[str, EnvironmentSpec]) -> dict[str, Lock]:
        """The lock of each spec; solved, fetched, mirrored and published where nobody has done it.

        Args:
            specs: by what messages call them: the names of steps.

        Raises:
            SolveError: a spec cannot be satisfied.
            ChannelError: a channel is needed and cannot be read.
            PackageError: a package cannot be fetched.
            ResolverNotFound: the resolver is needed and is not installed.
        """
        by_id: dict[str, Lock] = {}
        unsolved: dict[str, EnvironmentSpec] = {}
        labels: dict[str, list[str]] = {}
        for label, spec in specs.items():
            labels.setdefault(spec.id, []).append(label)
            if spec.id in by_id or spec.id in unsolved:
                continue
            lock = self._known_lock(spec.id, spec.platform)
            if lock is None:
                unsolved[spec.id] = spec
            else:
                by_id[spec.id] = lock
        if unsolved:
            self._check_cache_dir()
            by_id.update(self._solve({_label(labels[i]): s for i, s in unsolved.items()}))
        return {label: by_id[spec.id] for label, spec in specs.items()}

    def materialise(self, lock: Lock) -> Path:
        """The prefix of a lock; made from verified packages if it is not there.

        Raises:
            PackageError: a package is nowhere to be had, or its bytes are wrong.
        """
        prefix = self.prefix_of(lock)
        if prefix.is_dir():
            return prefix
        with self._mutex:
            mutex = self._making.setdefault(lock.digest, threading.Lock())
        with mutex:
            if not prefix.is_dir():
                self._make(lock, prefix)
        return prefix

    def prefix_for(self, spec_id: str, platform: str) -> Path:
        """The prefix of an environment that was resolved before, here or on another machine.

        Raises:
            EnvironmentFailure: nobody has resolved it.
        """
        key = (spec_id, platform)
        prefix = self._prefixes.get(key)
        if prefix is None or not prefix.is_dir():
            lock = self._known_lock(spec_id, platform)
            if lock is None:
                where = self._storage.url if self._storage else self._cache_dir
                raise EnvironmentFailure(
                    f"The environment {spec_id[:12]} for {platform} has no lock in {where}. "
                    "It is made when the run is prepared; start the run again."
                )
            prefix = self._prefixes[key] = self.materialise(lock)
        return prefix

    def known_lock(self, spec_id: str, platform: str) -> Lock | None:
        """The lock of an environment that was resolved, None if nobody has."""
        return self._known_lock(spec_id, platform)

    def rebuild(self, lock: Lock) -> Path:
        """Make the prefix of a lock anew, from archives that are verified again.

        The lock stays: it is what the environment is. Not to be done while a step runs in the prefix.

        Raises:
            PackageError: a package is nowhere to be had, or its bytes are wrong.
        """
        prefix = self.prefix_of(lock)
        if prefix.is_dir():
            old = prefix.with_name(f".{prefix.name}.{os.getpid()}-{secrets.token_hex(4)}")
            prefix.rename(old)
            discard(old)
        return self.materialise(lock)

    def prefix_of(self, lock: Lock) -> Path:
        """Where the prefix of a lock is, or would be."""
        return self._cache_dir / "prefixes" / lock.digest[:32]

    # Locks.

    def _known_lock(self, spec_id: str, platform: str) -> Lock | None:
        """The published lock; published locks never change, so a copy here is as good."""
        key = layout.lock(platform, spec_id)
        if self._storage is None:
            data = read_published(self._local, key)
            return None if data is None else Lock.from_bytes(data)
        copy = self._copy_key(key)
        if self._local.exists(copy):
            return Lock.from_bytes(self._local.read_bytes(copy))
        data = read_published(self._storage, key)
        if data is None:
            data = read_published(self._local, key)
            return None if data is None else self._publish(Lock.from_bytes(data))
        self._local.write_bytes(copy, data)
        return Lock.from_bytes(data)

    def _solve(self, specs: Mapping[str, EnvironmentSpec]) -> dict[str, Lock]:
        for label, spec in specs.items():
            self._progress.say(f"Resolving the environment of {label}: {_described(spec)}")
        pinned = {label: spec for label, spec in specs.items() if spec.pinned}
        free = {label: spec for label, spec in specs.items() if not spec.pinned}
        locks = {label: lock_of_pinned(spec, self._packages) for label, spec in pinned.items()}
        if free:
            locks.update(make_solver(self._resolver, self._cache_dir, self._credentials).solve(free))
        return {
            spec.id: self._publish(self._with_pypi(label, spec, locks[label]))
            for label, spec in specs.items()
        }

    def _with_pypi(self, label: str, spec: EnvironmentSpec, lock: Lock) -> Lock:
        if not spec.pypi:
            return lock
        from airflow_conda_flow.environments.solve.pypi import resolve_pypi  # noqa: PLC0415 - seldom used

        return replace(lock, packages=(*lock.packages, *resolve_pypi(label, spec, lock.packages)))

    def _publish(self, lock: Lock) -> Lock:
        """Fetch and mirror the packages, then publish the lock, or adopt the one that was first."""
        self._packages.fetch(lock.packages)
        key = layout.lock(lock.platform, lock.spec_id)
        if self._storage is None:
            return Lock.from_bytes(publish_once(self._local, key, lock.to_bytes()))
        self._packages.mirror(lock.packages)
        data = publish_once(self._storage, key, lock.to_bytes())
        self._local.write_bytes(self._copy_key(key), data)
        return Lock.from_bytes(data)

    def _copy_key(self, key: str) -> str:
        """Where a copy of another storage's lock is kept here."""
        assert self._storage is not None  # noqa: S101 - callers have one
        root = hashlib.sha256(self._storage.url.encode()).hexdigest()[:16]
        return f"locks/{root}/{key}"

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

    def _make(self, lock: Lock, prefix: Path) -> None:
        self._check_cache_dir()
        if len(str(prefix)) > _LONGEST_PREFIX:
            raise SettingError(
                f"The cache directory {self._cache_dir} has too long a path: environments in it "
                f"would be at {len(str(prefix))} characters, and {_LONGEST_PREFIX} is the most that "
                "packages can be made for. Set cache_dir to a shorter one."
            )
        with held(prefix.with_name(f".{prefix.name}.mutex")) as alone:
            if prefix.is_dir():
                return
            if alone:
                for left_by_a_killed_process in prefix.parent.glob(f".{prefix.name}.*-*"):
                    discard(left_by_a_killed_process)
            self._install(lock, prefix)

    def _install(self, lock: Lock, prefix: Path) -> None:
        archives = self._packages.fetch(lock.packages)
        temporary = prefix.with_name(f".{prefix.name}.{os.getpid()}-{secrets.token_hex(4)}")
        from airflow_conda_flow.environments.rattler_link import link  # noqa: PLC0415 - heavy

        try:
            link(lock, archives, temporary, prefix, self._cache_dir / "extracted")
            wheels = [each for each in lock.packages if each.kind == "pypi"]
            if wheels:
                install_wheels(wheels, archives, temporary, prefix, lock.python)
            if self._compile_bytecode:
                compile_modules(temporary)
            temporary.rename(prefix)
        except OSError:
            if not prefix.is_dir():  # else another process was first
                raise
        finally:
            discard(temporary)


def _described(spec: EnvironmentSpec) -> str:
    if spec.pinned:
        return f"{len(spec.pinned)} packages of a list"
    stated = [f"Python {spec.python}", *(f"{name} {version}" for name, version in spec.libraries.items())]
    stated.extend(f"{name} {version} from PyPI" for name, version in spec.pypi.items())
    return ", ".join(stated)


def _label(steps: list[str]) -> str:
    names = ", ".join(steps)
    return f"step {names}" if len(steps) == 1 else f"steps {names}"
