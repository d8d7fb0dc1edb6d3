"""Whoever refers to old things keeps them; a run that goes on for long shows that it lives."""

from __future__ import annotations

import os
import time

import pytest

from airflow_conda_flow.datastore import keeping, layout, s3_patience
from airflow_conda_flow.datastore.keeping import Keeper, Notice, NoticeLost, notice_of_prune, signs_of_life

RUN = ("AFlow", "1")


def _make_old(storage, key, seconds):
    then = time.time() - seconds
    os.utime(storage.local_path(key), (then, then))


def _wait_until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_long_run_shows_that_it_lives(storage, monkeypatch):
    """At once if its manifest is old, then again and again; not once the block has ended."""
    monkeypatch.setattr(keeping, "SIGN_OF_LIFE_EVERY", 0.2)
    storage.write_bytes(layout.run_manifest(*RUN), b"{}")
    _make_old(storage, layout.run_manifest(*RUN), 100)
    key = layout.sign_of_life(*RUN)
    with signs_of_life(storage, *RUN):
        _wait_until(lambda: storage.exists(key))
        for _ in range(2):
            _make_old(storage, key, 100)
            _wait_until(lambda: next(storage.entries(key)).age < 50)
    assert storage.list_names(layout.run_folder(*RUN)) == ["run.alive", "run.json"]


def test_a_short_run_writes_no_sign(storage):
    """Its manifest is new enough."""
    storage.write_bytes(layout.run_manifest(*RUN), b"{}")
    keeping._show_life(storage, *RUN)
    assert list(storage.list_keys("")) == [layout.run_manifest(*RUN)]
    _make_old(storage, layout.run_manifest(*RUN), keeping.SIGN_OF_LIFE_EVERY + 60)
    keeping._show_life(storage, *RUN)
    assert storage.exists(layout.sign_of_life(*RUN))


class _Careless:
    """The storage, as one whose removals do not spare what is refreshed at the same moment."""

    spares_refreshed = False

    def __init__(self, storage):
        self._storage = storage

    def __getattr__(self, name):
        return getattr(self._storage, name)


@pytest.fixture
def careless(storage, monkeypatch):
    """Such a storage with an old key, for which nobody has to wait for long."""
    monkeypatch.setattr(keeping, "LAST_REMOVAL", 0.3)
    storage.write_bytes("key", b"bytes")
    _make_old(storage, "key", 10 * keeping.REFRESH_AFTER)
    return _Careless(storage)


def _remove(storage, key):
    assert list(storage.remove_old(key, keeping.ANY_AGE, lambda _entry: True))


def test_a_prune_that_has_looked_before_is_waited_for(careless):
    """Its removal comes after the key was made new; settling stores the bytes again."""
    keeper = Keeper(careless)
    with notice_of_prune(careless):
        assert keeper.keep("key", lambda: careless.write_bytes("key", b"bytes"))
        _remove(careless, "key")
        began = time.monotonic()
        keeper.settle()
    assert time.monotonic() - began >= 0.2
    assert careless.read_bytes("key") == b"bytes"


def test_without_a_prune_nobody_waits(careless, monkeypatch):
    """A prune that begins after the key was made new sees that."""
    monkeypatch.setattr(keeping, "LAST_REMOVAL", 1000.0)
    keeper = Keeper(careless)
    assert keeper.keep("key", lambda: pytest.fail("it is there"))
    with notice_of_prune(careless):
        keeper.settle()


def test_young_keys_are_not_waited_for(careless, monkeypatch):
    """No prune takes them, whenever it looked."""
    monkeypatch.setattr(keeping, "LAST_REMOVAL", 1000.0)
    careless.write_bytes("young", b"bytes")
    keeper = Keeper(careless)
    with notice_of_prune(careless):
        assert keeper.keep("young", lambda: pytest.fail("it is there"))
        keeper.settle()


def test_a_missing_key(storage):
    """It cannot be kept."""
    assert not Keeper(storage).keep("gone", lambda: None)


def test_a_notice_of_a_dead_prune_is_ignored(storage):
    """It was not renewed for long; a later prune removes it."""
    Notice(storage).renew()
    assert keeping.prune_is_under_way(storage)
    (key,) = storage.list_keys(layout.PRUNE_NOTICES)
    _make_old(storage, key, 2 * 600)
    assert not keeping.prune_is_under_way(storage)
    _make_old(storage, key, 20 * 600)
    with notice_of_prune(storage):
        assert keeping.prune_is_under_way(storage)
    assert not list(storage.list_keys(layout.PRUNES))


def test_a_prune_that_stood_still_stops(storage, monkeypatch):
    """Others do not know of it any more, so it must not remove anything."""
    notice = Notice(storage)
    notice.renew()
    now = time.monotonic()
    monkeypatch.setattr(keeping.time, "monotonic", lambda: now + 400)
    with pytest.raises(NoticeLost, match="stood still for 400 s"):
        notice.renew()


def test_nobody_looks_before_the_last_removal():
    """The time that is waited for is that of a removal's slowest course."""
    assert keeping.LAST_REMOVAL >= 2 * keeping.REMOVE_WITHIN + s3_patience.QUIET
