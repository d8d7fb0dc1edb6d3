"""A prune on S3: what is needed stays, what is not goes, and who uses something again at that moment has it."""

from __future__ import annotations

import threading
import time

import pytest

from airflow_conda_flow.datastore import keeping, layout
from airflow_conda_flow.datastore.pruning import prune as pruning
from airflow_conda_flow.datastore.pruning.choice import RunChoice
from airflow_conda_flow.datastore.pruning.usage import usage

from ...parts.old_datastore import OldDatastore, sha256

OLD = 3.0
"""Seconds from which something is old here."""


@pytest.fixture
def old(make_datastore, monkeypatch) -> OldDatastore:
    """An empty datastore, in which things are old after a few seconds."""
    monkeypatch.setattr(pruning, "LEAST_GRACE", 1.0)
    monkeypatch.setattr(keeping, "REFRESH_AFTER", OLD / 2)
    return OldDatastore(make_datastore("cache"))


def _wait_until_old(old):
    deadline = time.monotonic() + 60
    while any(each.age <= OLD + 1 for each in old.storage.entries("")):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def _pruned(old, removes=True, **choice):
    return pruning.prune(old.storage, RunChoice(**choice), removes=removes, grace=OLD)


def test_runs_and_what_they_referred_to(old):
    """Run, objects and tags, artifacts, code, locks and packages; those of another run stay."""
    mine, other = sha256(b"spec"), sha256(b"other")
    old.lock(mine, (b"python", b"numpy 1"))
    old.lock(other, (b"python", b"numpy 2"))
    for run_id, spec_id, values in (("1", mine, (b"a", b"b")), ("2", other, (b"b", b"c"))):
        environment = {"start": {"python": "3.11.7", "id": spec_id, "platform": "linux-64"}}
        root = f"{old.storage.url}/data"
        old.run(run_id, 40 if run_id == "1" else 0, values, environments=environment, datatools_root=root)
        old.storage.write_bytes(f"data/AFlow/{run_id}/x", b"object")
    _wait_until_old(old)
    before = usage(old.storage)
    told = _pruned(old, removes=False, older_than=1e6)
    done = _pruned(old, older_than=1e6)
    assert [each.run_id for each in done.runs] == ["1"]
    assert told.swept == done.swept
    assert old.runs() == {"2"}
    assert [old.holds(each) for each in (b"a", b"b", b"c")] == [False, True, True]
    assert old.keys("environments/") == {layout.lock("linux-64", other)}
    assert old.keys("packages/") == {
        layout.package(sha256(e), "a-1-0.conda") for e in (b"python", b"numpy 2")
    }
    assert old.keys("data/") == {"data/AFlow/2/x"}
    assert old.keys("prunes/") == set()
    after = usage(old.storage)
    assert sum(before.size.values()) - sum(after.size.values()) == done.freed


def test_more_keys_than_a_page(old, monkeypatch):
    """Removing while a listing is read skips nothing."""
    monkeypatch.setattr(old.storage, "page_size", 7)
    for number in range(40):
        old.storage.write_bytes(f"artifacts/ab/ab{number:062x}", b"x")
    _wait_until_old(old)
    assert _pruned(old).swept.count["artifacts"] == 40
    assert old.keys() == set()


class _HeldPrune:
    """A prune in a thread, which has listed the artifacts and waits to go on."""

    def __init__(self, old, monkeypatch) -> None:
        self.may_go_on = threading.Event()
        self._listed = threading.Event()
        self._failures = []
        self._old = old
        real = old.storage._entries

        def entries(page):
            found = real(page)
            if any(layout.ARTIFACTS in each.key for each in found):
                self._listed.set()
                assert self.may_go_on.wait(60)
            return found

        monkeypatch.setattr(old.storage, "_entries", entries)
        self._thread = threading.Thread(target=self._work)
        self._thread.start()
        assert self._listed.wait(60)

    def _work(self) -> None:
        try:
            _pruned(self._old)
        except BaseException as error:  # noqa: BLE001 - shown below
            self._failures.append(error)

    def end(self) -> None:
        """Let it go on, and wait for its end."""
        self.may_go_on.set()
        self._thread.join(120)
        assert not self._failures


def test_published_again_during_the_prune(old, make_datastore, monkeypatch):
    """The prune has listed the artifact as old; then a task publishes it again and commits its manifest."""
    old.artifact(b"value")
    _wait_until_old(old)
    # A listing is relied on for ``REMOVE_WITHIN``. The rest is for a server that takes its time.
    monkeypatch.setattr(keeping, "LAST_REMOVAL", keeping.REMOVE_WITHIN + 2)
    prune = _HeldPrune(old, monkeypatch)
    task = OldDatastore(make_datastore("another machine's cache"))
    kept = keeping.Keeper.settle
    waited = []

    def settle(self):
        if self._doubtful:  # the artifact was made new: now the prune removes what it has listed
            waited.append(dict(self._doubtful))
            prune.may_go_on.set()
        kept(self)

    monkeypatch.setattr(keeping.Keeper, "settle", settle)
    assert task.run("1", values=(b"value",))
    prune.end()
    assert list(waited[0]) == [layout.artifact(sha256(b"value"))]
    assert task.holds(b"value")
    assert not _pruned(task).faults
    assert task.holds(b"value")


def test_published_again_when_the_prune_ends(old, make_datastore, monkeypatch):
    """It has listed the artifact as old; it is made new, is removed, and the prune's notice is gone."""
    old.artifact(b"value")
    _wait_until_old(old)
    prune = _HeldPrune(old, monkeypatch)
    task = OldDatastore(make_datastore("another machine's cache"))
    real = task.storage.refresh
    found = []

    def refresh(key, after):
        refreshed = real(key, after)
        if key == layout.artifact(sha256(b"value")):
            found.append(refreshed)
            prune.end()
        return refreshed

    monkeypatch.setattr(task.storage, "refresh", refresh)
    assert task.run("1", values=(b"value",))
    assert found == [True]
    assert task.holds(b"value")
