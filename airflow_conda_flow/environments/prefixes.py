"""``Prefixes``: the directories of environments, each made by one builder of this machine at a time."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from airflow_conda_flow.datastore.removal import discard
from airflow_conda_flow.environments.bytecode import compile_modules, count_modules
from airflow_conda_flow.environments.cache_dir import CacheDir
from airflow_conda_flow.environments.cache_places import extracted, makers_mutex, note_extracted
from airflow_conda_flow.environments.file_mutex import held, mutex_of, shared
from airflow_conda_flow.environments.lock import Lock
from airflow_conda_flow.environments.packages import PackageStore
from airflow_conda_flow.environments.progress import Progress
from airflow_conda_flow.environments.seal import (
    broken_seal,
    differences,
    make_seal,
    replace_bytecode,
    restore_modes,
    seal_path,
)
from airflow_conda_flow.environments.stopping import LOOK_EVERY, Stopped, check, checked
from airflow_conda_flow.environments.temporary_folders import (
    discard_all,
    discard_extracted,
    discard_left_once,
    discard_unfinished,
    put_aside,
    temporary,
)
from airflow_conda_flow.environments.wheels import install_wheels
from airflow_conda_flow.errors import EnvironmentFailure, SettingError

# Packages contain a placeholder path of this many characters, which installing overwrites with the prefix. A
# longer prefix does not fit into binary files.
_LONGEST_PREFIX = 255


class Prefixes:
    """The prefixes of this machine. Thread-safe; processes may share a cache directory.

    Args:
        cache: the cache directory.
        packages: fetches and verifies packages.
        progress: receives reports.
        compile_bytecode: whether to compile the modules of every new prefix.
    """

    def __init__(
        self, cache: CacheDir, packages: PackageStore, progress: Progress, *, compile_bytecode: bool
    ) -> None:
        self._cache = cache
        self._packages = packages
        self._progress = progress
        self._compile_bytecode = compile_bytecode
        self._mutex = threading.Lock()
        self._making: dict[str, threading.Lock] = {}

    def materialise(self, lock: Lock, cancel: threading.Event | None = None) -> Path:
        """Prefix of a lock, made if need be; see ``Environments.materialise``."""
        prefix = self.path(lock)
        self.make(prefix, lambda folder: self.install(lock, folder, prefix, cancel=cancel), cancel)
        return prefix

    def rebuild(self, lock: Lock) -> Path:
        """Delete the prefix of a lock and make it again; see ``Environments.rebuild``."""
        prefix = self.path(lock)
        restore_modes(prefix)
        put_aside(prefix)
        return self.materialise(lock)

    def verify(self, lock: Lock) -> list[str]:
        """Files of a prefix that are not as its packages have them; see ``Environments.verify``."""
        prefix = self.path(lock)
        if not prefix.is_dir():
            return [f"{prefix} is not a directory"]
        folder = temporary(self._cache.path / "verifying" / prefix.name)
        extracted_again = folder.with_name(f"{folder.name}.extracted")
        discard_left_once(self._cache.path)
        try:
            self.install(lock, folder, prefix, extracted_in=extracted_again)
            with self._progress.phase("    Comparing its files", 0, "files") as advance:
                found = differences(prefix, folder, advance)
            make_seal(folder)  # bytecode that moves is only readable, as that of other prefixes is
            replace_bytecode(prefix, folder)
        except (KeyboardInterrupt, EnvironmentFailure):
            made = (folder, extracted_again)
            discard_extracted(self._cache.path, lambda: [each for each in made if each.is_dir()])
            raise
        finally:
            discard(folder)
            discard(extracted_again)
        if self._compile_bytecode and not found:
            compile_modules(prefix)
        return found

    def path(self, lock: Lock) -> Path:
        """Path of a lock's prefix, which need not exist."""
        return self._cache.path / "prefixes" / prefix_name(lock)

    def make(
        self, prefix: Path, build: Callable[[Path], None], cancel: threading.Event | None = None
    ) -> None:
        """Let ``build`` fill a folder that becomes the prefix, unless the prefix is there, as it was made.

        One builder works at a time, of all threads and processes of this machine. A prefix that something has
        changed is replaced. Steps that run in it find the same files in the new one.
        """
        fault = broken_seal(prefix)
        if fault is None or (fault and _is_out_of_reach(prefix)):
            return
        self._cache.check()
        if len(str(prefix)) > _LONGEST_PREFIX:
            raise SettingError(
                f"The cache directory {self._cache.path} has too long a path: environments in it "
                f"would be at {len(str(prefix))} characters, and {_LONGEST_PREFIX} is the most that "
                "packages can be made for. Set cache_dir to a shorter one."
            )
        with self._mutex:
            mutex = self._making.setdefault(prefix.name, threading.Lock())
        discard_left_once(self._cache.path)
        try:
            self._make(prefix, build, mutex, cancel)
        except BaseException:  # of a failure too: py-rattler extracts the other packages meanwhile
            discard_unfinished(self._cache.path)
            raise

    def _make(
        self,
        prefix: Path,
        build: Callable[[Path], None],
        mutex: threading.Lock,
        cancel: threading.Event | None,
    ) -> None:
        waited = held(mutex_of(prefix), cancel, self._say_waiting)
        with _acquired(mutex, cancel), waited as alone, shared(makers_mutex(self._cache.path)):
            fault = broken_seal(prefix)
            if fault is None:
                return
            if fault:
                self._progress.warn(
                    f"    The environment {prefix} is not as it was made: {fault}. Making it again."
                )
                restore_modes(prefix)
            # While this process holds the file mutex nobody else builds this prefix, so what is there belongs
            # to a dead process, of another container maybe.
            if alone:
                for left_by_a_killed_process in prefix.parent.glob(f".{prefix.name}.[0-9a-f]*-*"):
                    discard(left_by_a_killed_process)
            folder = temporary(prefix)
            try:
                build(folder)
                seal = make_seal(folder)
                # The seal comes first. If the process is killed in between, it is not that of the old prefix,
                # which is then replaced.
                self._cache.local.write_bytes(str(seal_path(prefix).relative_to(self._cache.path)), seal)
                put_aside(prefix)
                folder.rename(prefix)
            except OSError:
                if broken_seal(prefix) is not None:  # else another process was first
                    raise
            except (Stopped, KeyboardInterrupt, EnvironmentFailure):
                discard_all(folder)
                raise
            finally:
                discard(folder)

    def _say_waiting(self) -> None:
        self._progress.say("Waiting for another process of this machine, which makes the environment")

    def install(
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
            link(lock, archives, folder, prefix, extracted_in or extracted(self._cache.path), advance, cancel)
            if extracted_in is None:
                note_extracted(self._cache.path, lock)
            if wheels:
                install_wheels(wheels, archives, folder, prefix, lock.python, checked(cancel, advance))
        if compiled or self._compile_bytecode:
            check(cancel)
            modules = count_modules(folder)
            with self._progress.phase("    Compiling its modules", modules, "files") as advance:
                compile_modules(folder, advance, cancel, modules)


def prefix_name(lock: Lock) -> str:
    """Name of a lock's prefix: half of its digest, because the path has to be short."""
    return lock.digest[:32]


def _is_out_of_reach(prefix: Path) -> bool:
    """True if no step of this user can have changed a prefix, as in an image, where inodes are new."""
    return (prefix / "bin" / "python").exists() and not os.access(prefix, os.W_OK)


@contextlib.contextmanager
def _acquired(mutex: threading.Lock, cancel: threading.Event | None) -> Iterator[None]:
    """Hold the mutex while the block runs; ``Stopped`` if the event is set before it is free."""
    while not mutex.acquire(timeout=-1 if cancel is None else LOOK_EVERY):
        check(cancel)
    try:
        yield
    finally:
        mutex.release()
