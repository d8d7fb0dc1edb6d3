"""Keeps what this process refers to from a prune that runs at the same time, also on another machine.

A prune removes what nothing refers to and what is older than its *grace time*. Whoever finds something in
the datastore and is going to refer to it calls ``keep`` first, which makes it new if it is old. That is
enough for every prune that looks later. A prune that is looking right now is told by its *notice*:

- A prune stores a notice under ``prunes/`` before it looks at anything, renews it, and removes it at its end.
- ``keep`` first makes the key new, then looks for notices, then whether the key is still there. If there is
  no notice, every later prune sees the new age, and what an earlier one has removed is gone by then.
- If there is one, it may have seen the old age. S3 then removes the key until ``LAST_REMOVAL`` seconds after
  that look at the latest. ``settle``, called before the reference is stored, waits for that and stores the
  bytes again if they are gone. Directories need no such wait: see ``Storage.spares_refreshed``.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, proxy

from airflow_conda_flow.errors import DatastoreError, DatastoreUnavailable, NotInDatastore
from airflow_conda_flow.records.document import VERSION, stored_bytes

from . import layout
from .left_behind import new_mark
from .notice import warn

if TYPE_CHECKING:
    from airflow_conda_flow.records.shapes import PruneNotice

    from .storage import Storage

LEAST_GRACE = 12 * 3600.0
"""Seconds: the shortest grace time of a prune. Every process that refers to old things relies on it."""
REFRESH_AFTER = LEAST_GRACE / 2
"""Seconds after which something that is referred to again is made new."""
SIGN_OF_LIFE_EVERY = LEAST_GRACE / 4
"""Seconds between two signs of life of a run."""
REMOVE_WITHIN = 10.0
"""Seconds after the request for a listing of S3 within which a removal that relies on it may be sent."""
LAST_REMOVAL = 50.0
"""Seconds after the request for a listing of S3 after which no removal that relies on it takes effect.

The first try is sent within ``REMOVE_WITHIN``, the last one as long after that, and its connection is closed
after the 30 s of ``s3_patience.QUIET``.
"""
ANY_AGE = -1e9
"""For ``Storage.remove_old``: keys of every age, also by clocks that differ."""
_NOTICE_EVERY = 60.0
"""Seconds after which a prune writes its notice again: ten times before ``_NOTICE_COUNTS`` ends it."""
_NOTICE_COUNTS = 600.0
"""Age in seconds from which a notice is ignored: its prune was killed, or has stopped by itself."""
_ENDED = b"ended"  # in place of a sign of life, which is empty


class Keeper:
    """Keys that this process keeps in one storage. Thread-safe."""

    def __init__(self, storage: Storage) -> None:
        self._storage: Storage = proxy(storage)  # ``_keepers`` must not keep the storage alive
        self._mutex = threading.Lock()
        self._settling = threading.Lock()  # who settles may do so for the reference of another thread
        self._doubtful: dict[str, tuple[float, Callable[[], object]]] = {}

    def keep(self, key: str, store_again: Callable[[], object]) -> bool:
        """Keep a key that is about to be referred to; False if there is no such key.

        Args:
            key: the key.
            store_again: stores the same bytes again; called by ``settle`` if a prune has removed them.
        """
        try:
            refreshed = self._storage.refresh(key, REFRESH_AFTER)
        except DatastoreUnavailable:  # this user may read and not write; then the grace time has to be enough
            return self._storage.exists(key)
        if not refreshed or self._storage.spares_refreshed:
            return refreshed is not None
        if not prune_is_under_way(self._storage):
            return self._storage.exists(key)
        with self._mutex:
            self._doubtful[key] = time.monotonic(), store_again
        return True

    def settle(self) -> None:
        """Return once everything that was kept is there to stay; to be called before it is referred to."""
        with self._settling:
            self._settle()

    def _settle(self) -> None:
        with self._mutex:
            doubtful, self._doubtful = self._doubtful, {}
        if not doubtful:
            return
        left = max(since for since, _ in doubtful.values()) + LAST_REMOVAL - time.monotonic()
        if left > 0:
            warn(
                f"The datastore {self._storage.url} is being pruned: waiting {left:.0f} s to be sure of "
                f"{len(doubtful)} stored things that are used again."
            )
            time.sleep(left)
        for key, (_, store_again) in doubtful.items():
            if not self._storage.exists(key):
                store_again()


def note_use(cache: Storage, key: str) -> bool:
    """Make a file of the cache new that is used now, where that is possible; False if it is not there."""
    try:
        return cache.refresh(key, REFRESH_AFTER) is not None
    except DatastoreUnavailable:
        return cache.exists(key)


def gone_again(storage: Storage, key: str) -> Callable[[], None]:
    """For ``Keeper.keep``: something that cannot be stored again by who refers to it."""

    def fail() -> None:
        raise NotInDatastore(f"{key} was just removed from {storage.url} by a prune. Start the run again.")

    return fail


_keepers: WeakKeyDictionary[Storage, Keeper] = WeakKeyDictionary()
_mutex = threading.Lock()


def keeper(storage: Storage) -> Keeper:
    """The keeper of a storage, one for the whole process."""
    with _mutex:
        if (found := _keepers.get(storage)) is None:
            found = _keepers[storage] = Keeper(storage)
        return found


def prune_is_under_way(storage: Storage) -> bool:
    """True if a prune may be looking at the datastore right now."""
    return any(each.age < _NOTICE_COUNTS for each in storage.entries(layout.PRUNE_NOTICES))


class NoticeLost(DatastoreError):
    """A prune's notice could not be renewed for so long that others no longer see it."""


class Notice:
    """Notice of a prune that is under way."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.key = layout.prune_notice(new_mark())
        self._renewed = 0.0
        self._mutex = threading.Lock()

    def renew(self) -> None:
        """Store the notice again if it is time.

        Called before every removal, so that nothing is removed that others do not expect to be.

        Raises:
            NoticeLost: the last renewal is too long ago.
        """
        with self._mutex:
            now = time.monotonic()
            if self._renewed and now - self._renewed > _NOTICE_COUNTS / 2:
                raise NoticeLost(
                    f"The prune of {self._storage.url} stood still for {now - self._renewed:.0f} s, so that "
                    "others no longer know of it. It stops here; start it again, and it continues."
                )
            if now - self._renewed > _NOTICE_EVERY or not self._renewed:
                document: PruneNotice = {"version": VERSION, "grace": LEAST_GRACE}
                self._storage.write_bytes(self.key, stored_bytes(document))
                self._renewed = now


@contextlib.contextmanager
def notice_of_prune(storage: Storage) -> Iterator[Notice]:
    """Tell all others of a prune while the block runs."""
    notice = Notice(storage)
    notice.renew()
    try:
        yield notice
    finally:
        # Also those of prunes that were killed: they have been ignored for long.
        with contextlib.suppress(DatastoreError):
            for _ in storage.remove_old(
                layout.PRUNE_NOTICES,
                ANY_AGE,
                lambda entry: entry.key == notice.key or entry.age > 10 * _NOTICE_COUNTS,
            ):
                pass


@contextlib.contextmanager
def signs_of_life(storage: Storage, flow: str, run_id: str) -> Iterator[None]:
    """Show that the run is alive while the block runs, so that no prune takes it for an old one."""
    ended = threading.Event()

    def live() -> None:
        while True:
            # Failures do no harm: a run also stays for a while after anything was written to it.
            with contextlib.suppress(DatastoreError, OSError):
                _show_life(storage, flow, run_id)
            if ended.wait(SIGN_OF_LIFE_EVERY):
                return

    threading.Thread(target=live, name="signs-of-life", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def _show_life(storage: Storage, flow: str, run_id: str) -> None:
    # Not the manifest: steps have no right to write that. Most runs end before they need another sign.
    keys = (layout.run_manifest(flow, run_id), layout.sign_of_life(flow, run_id))
    if not any(each.age < SIGN_OF_LIFE_EVERY for key in keys for each in storage.entries(key)):
        storage.write_bytes(keys[1], b"")


def note_end(storage: Storage, flow: str, run_id: str) -> None:
    """Store in place of a sign of life that the run has ended; for a run whose end step is not done.

    A failure does no harm: the run then counts as running for a while.
    """
    with contextlib.suppress(DatastoreError, OSError):
        storage.write_bytes(layout.sign_of_life(flow, run_id), _ENDED)


def has_ended(storage: Storage, flow: str, run_id: str) -> bool:
    """True if the end of the run was noted, and it has shown no sign of life since."""
    try:
        return storage.read_bytes(layout.sign_of_life(flow, run_id)) == _ENDED
    except NotInDatastore:
        return False
