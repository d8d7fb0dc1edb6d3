"""The archives of packages, conda's and wheels: fetched, verified, cached, and mirrored to S3."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TypeVar

from airflow_conda_flow.datastore import layout
from airflow_conda_flow.datastore.keeping import keeper, note_use
from airflow_conda_flow.datastore.local_storage import LocalStorage
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.datastore.unfinished import Unfinished
from airflow_conda_flow.environments.credentials import Credentials
from airflow_conda_flow.environments.lock import LockedPackage, file_name_of
from airflow_conda_flow.environments.progress import Progress
from airflow_conda_flow.environments.spec import PinnedUrl
from airflow_conda_flow.environments.stopping import LOOK_EVERY, check, checked
from airflow_conda_flow.errors import CorruptData, DatastoreError, NotInDatastore, PackageError

_SIDE_BY_SIDE = 8  # archives at a time
# After a failure or Ctrl-C: time for running fetches to notice and remove their partial files. A fetch whose
# connection stands still does not notice before its timeout, and the user should not wait for that.
_GIVE_UP_SECONDS = 1.0

_Wanted = TypeVar("_Wanted")


class PackageStore:
    """Archives of packages on this machine, backed by the S3 datastore if there is one.

    Args:
        local: the cache directory.
        remote: the S3 datastore, or None.
        progress: receives reports on downloaded bytes.
        credentials: of private channels.
    """

    def __init__(
        self, local: LocalStorage, remote: Storage | None, progress: Progress, credentials: Credentials
    ) -> None:
        self._local = local
        self._credentials = credentials
        self._remote = remote
        self._progress = progress
        self._mutex = threading.Lock()
        self._mutexes: dict[str, threading.Lock] = {}

    def fetch(
        self, packages: Iterable[LockedPackage], cancel: threading.Event | None = None
    ) -> dict[str, Path]:
        """Paths of verified archives of all packages, by sha256.

        A missing or damaged archive is fetched from the datastore, or else from the URL in the lock.

        Args:
            packages: the packages.
            cancel: when set, the fetch ends.

        Raises:
            Stopped: ``cancel`` was set.
            PackageError: a package cannot be fetched, or its bytes are not those that were locked.
        """
        wanted = list({each.sha256: each for each in packages}.values())
        missing = [each for each in wanted if not self._is_sound(each)]
        if missing:
            size = sum(each.size for each in missing)
            text = f"Fetching {_packages(len(missing))}: {size / 1e6:.1f} MB"
            with self._progress.phase(text, size, "bytes") as advance:

                def fetch(package: LockedPackage, given_up: threading.Event) -> None:
                    self._fetch_once(package, checked(given_up, advance))

                _side_by_side(fetch, missing, cancel)
        return {each.sha256: self.path(each) for each in wanted}

    def mirror(self, packages: Iterable[LockedPackage]) -> None:
        """Upload the packages to the datastore, except those that it has; without a datastore do nothing.

        Packages that the datastore has are read and hashed, unless ``fetch`` has just done so; damaged ones
        are replaced.
        """
        if self._remote is None:
            return
        remote = self._remote
        wanted = list({each.sha256: each for each in packages}.values())

        def put(package: LockedPackage, _given_up: threading.Event) -> None:
            key = layout.package(package.sha256, package.file_name)

            def upload() -> None:
                remote.upload(self.path(package), key)

            if not (remote.holds(key, package.sha256) and keeper(remote).keep(key, upload)):
                upload()
            advance(1)

        text = f"Storing {_packages(len(wanted))} in {remote.url}"
        with self._progress.phase(text, len(wanted), "packages") as advance:
            _side_by_side(put, wanted)

    def path(self, package: LockedPackage) -> Path:
        """Path of the archive on this machine, once it was fetched."""
        return self._local.local_path(layout.package(package.sha256, package.file_name))

    def take(self, listed: Sequence[PinnedUrl]) -> list[tuple[Path, str]]:
        """Path in the cache and sha256 of each archive of a list, which are downloaded as necessary.

        Cached archives are used where the list states a sha256.

        Raises:
            PackageError: an archive cannot be fetched, or has another digest than the list states.
        """
        found = {each: self._taken(each) for each in listed}
        missing = [each for each, has in found.items() if has is None]
        if missing:
            with self._progress.phase(f"Fetching {_packages(len(missing))}", 0, "bytes") as advance:

                def take(each: PinnedUrl, given_up: threading.Event) -> None:
                    found[each] = self._take(each, checked(given_up, advance))

                _side_by_side(take, missing)
        return [has for each in listed if (has := found[each])]

    def _taken(self, listed: PinnedUrl) -> tuple[Path, str] | None:
        if not listed.sha256:
            return None
        key = layout.package(listed.sha256, file_name_of(listed.url))
        is_here = self._local.holds(key, listed.sha256)
        return (self._local.local_path(key), listed.sha256) if is_here else None

    def _take(self, listed: PinnedUrl, advance: Callable[[int], None]) -> tuple[Path, str]:
        url = listed.url
        with self._downloaded(url, 0, advance) as (partial, got):
            expected = listed.sha256 or listed.md5
            is_it = got if listed.sha256 else hashlib.md5(partial.read_bytes()).hexdigest()  # noqa: S324 - conda's lists have it
            if is_it != expected:
                raise PackageError(
                    f"The package {url} is not what the list says: its hash is {is_it}, expected {expected}. "
                    "It was not installed."
                )
            key = layout.package(got, file_name_of(url))
            self._local.move_in(partial, key, got)
        return self._local.local_path(key), got

    def _is_sound(self, package: LockedPackage) -> bool:
        # A damaged or changed archive must never be linked.
        if self._holds(package):
            # Its time says when it was last used; a prune of the cache looks at it.
            return note_use(self._local, layout.package(package.sha256, package.file_name))
        if os.path.lexists(self.path(package)):
            self._progress.warn(f"    {package.file_name} in the cache is damaged; fetching it again")
        return False

    def _holds(self, package: LockedPackage) -> bool:
        """True if the archive is on this machine, verified."""
        return self._local.holds(layout.package(package.sha256, package.file_name), package.sha256)

    def _fetch_once(self, package: LockedPackage, advance: Callable[[int], None]) -> None:
        with self._mutex:
            mutex = self._mutexes.setdefault(package.sha256, threading.Lock())
        with mutex:
            if self._holds(package):  # another thread has just fetched it
                return
            try:
                if self._from_remote(package, advance):
                    return
            except CorruptData as error:
                # Other machines would meet the same damage, so the sound archive is put in its place.
                self._progress.warn(f"    {error.fault} Trying the channel.")
                advice = "Make the channel reachable: the package is then replaced there."
                self._from_channel(package, advance, f"{error.fault} {advice}")
                self._mend_remote(package)
            else:
                self._from_channel(package, advance)

    def _from_remote(self, package: LockedPackage, advance: Callable[[int], None]) -> bool:
        if self._remote is None:
            return False
        key = layout.package(package.sha256, package.file_name)
        try:
            self._local.copy_in(self._remote, key, package.sha256, advance)
        except NotInDatastore:
            return False
        return True

    def _mend_remote(self, package: LockedPackage) -> None:
        """Replace a damaged archive in the datastore; if that fails, only report it."""
        assert self._remote is not None  # noqa: S101 - it gave us the damaged one
        try:
            self._remote.upload(self.path(package), layout.package(package.sha256, package.file_name))
        except DatastoreError as error:
            self._progress.warn(f"    {package.file_name} stays damaged in the datastore: {error}")

    def _from_channel(
        self, package: LockedPackage, advance: Callable[[int], None], elsewhere: str = ""
    ) -> None:
        with self._downloaded(package.url, package.size, advance, elsewhere) as (partial, got):
            if got != package.sha256:
                raise PackageError(
                    f"The package {package.url} is not what was locked: its sha256 is {got}, "
                    f"expected {package.sha256}. It was not installed. If the channel was rebuilt, "
                    "ask for another version, or clear the cache and the lock."
                )
            key = layout.package(package.sha256, package.file_name)
            self._local.move_in(partial, key, package.sha256)

    @contextlib.contextmanager
    def _downloaded(
        self, url: str, size: int, advance: Callable[[int], None], elsewhere: str = ""
    ) -> Iterator[tuple[Path, str]]:
        """File with the bytes at a URL, and its sha256; removed afterwards unless the block moves it away.

        ``elsewhere`` says, for the error, what is wrong with the archive in the other places.
        """
        from airflow_conda_flow.environments.download import (  # noqa: PLC0415 - heavy, and seldom needed
            DownloadFailed,
            download,
        )

        asked, headers = self._credentials.request(url)
        with self._local.scratch_file(file_name_of(url)) as partial:
            try:
                got = download(asked, partial, size, advance, headers)
            except DownloadFailed as error:
                where = self._remote.url if self._remote else "the cache of this machine"
                elsewhere = elsewhere or f"It is not in {where} either."
                raise PackageError(f"The package {url} cannot be fetched: {error}. {elsewhere}") from error
            yield partial, got


def _packages(count: int) -> str:
    return f"{count} package{'' if count == 1 else 's'}"


def _side_by_side(
    work: Callable[[_Wanted, threading.Event], None],
    wanted: Iterable[_Wanted],
    cancel: threading.Event | None = None,
) -> None:
    """Call ``work`` for each value, in threads; the first failure ends all of them.

    After a failure or Ctrl-C the event that ``work`` received is set. A thread that does not end within a
    second, because its connection stands still, is left alone, and its temporary files are removed.
    """
    given_up, unfinished = threading.Event(), Unfinished()
    pool = ThreadPoolExecutor(_SIDE_BY_SIDE, thread_name_prefix="packages")
    futures: list[Future[None]] = []
    try:
        futures.extend(pool.submit(unfinished.run, work, each, given_up) for each in wanted)
        left = set(futures)
        while left:
            # In short waits: the signal of an interrupt may reach another thread, and wakes only that one.
            done, left = wait(left, LOOK_EVERY, FIRST_EXCEPTION)
            for future in done:
                future.result()
            check(cancel)
    finally:
        given_up.set()
        pool.shutdown(wait=False, cancel_futures=True)
        wait(futures, _GIVE_UP_SECONDS)
        unfinished.discard()
