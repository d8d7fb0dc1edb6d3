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


def test_published_again_during_the_prune(old, make_datastore, monkeypatch):
    """The prune has listed the artifact as old; then a task publishes it again and commits its manifest."""
    old.artifact(b"value")
    _wait_until_old(old)
    # A listing is relied on for ``REMOVE_WITHIN``. The rest is for a server that takes its time.
    monkeypatch.setattr(keeping, "LAST_REMOVAL", keeping.REMOVE_WITHIN + 2)
    listed, published = threading.Event(), threading.Event()
    real = old.storage._entries

    def entries(page):
        found = real(page)
        if threading.current_thread() is not main and any(layout.ARTIFACTS in each.key for each in found):
            listed.set()
            assert published.wait(30)
        return found

    main = threading.current_thread()
    monkeypatch.setattr(old.storage, "_entries", entries)
    failures = []

    def work():
        try:
            _pruned(old)
        except BaseException as error:  # noqa: BLE001 - shown below
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert listed.wait(60)
    task = OldDatastore(make_datastore("another machine's cache"))
    run = []

    def commit():
        run.append(task.run("1", values=(b"value",)))

    committing = threading.Thread(target=commit)
    kept = keeping.Keeper.settle

    def settle(self):
        published.set()  # the artifact was made new: now the prune removes what it has listed
        kept(self)

    monkeypatch.setattr(keeping.Keeper, "settle", settle)
    committing.start()
    committing.join(120)
    thread.join(120)
    assert not failures
    assert run
    assert task.holds(b"value")
    assert not _pruned(task).faults
    assert task.holds(b"value")
