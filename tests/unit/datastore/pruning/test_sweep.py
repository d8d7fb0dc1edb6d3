"""A sweep removes objects without a reference; whatever a run, a lock, a lock file or a running process needs stays."""

from __future__ import annotations

import json
import threading

import pytest

from airflow_conda_flow.datastore import keeping, layout
from airflow_conda_flow.datastore.code_package import CodePackage, publish
from airflow_conda_flow.datastore.pruning.choice import RunChoice
from airflow_conda_flow.datastore.pruning.digest_set import DigestSet
from airflow_conda_flow.datastore.pruning.prune import prune
from airflow_conda_flow.datastore.pruning.usage import usage
from airflow_conda_flow.records.document import stored_bytes

from ....parts.damage import FAULTS, damage
from ....parts.old_datastore import DAY, sha256


def _pruned(old, removes=True, kept_digests=(), **choice):
    return prune(old.storage, RunChoice(**choice), removes=removes, kept_digests=kept_digests)


def test_artifacts_and_code(old):
    """Objects of removed runs alone go; those that another run refers to as well stay."""
    old.run("1", 90, (b"mine", b"shared"))
    kept = old.run("2", 2, (b"shared", b"other"))
    pruned = _pruned(old, older_than=30 * DAY)
    assert [old.holds(each) for each in (b"mine", b"shared", b"other", b"word of 1", b"word of 2")] == [
        False, True, True, False, True,
    ]  # fmt: skip
    assert old.keys("code/") == {layout.code_package(kept.code["sha256"])}
    assert pruned.swept.count["artifacts"] == 2
    assert pruned.swept.size["artifacts"] == len(b"mine") + len(b"word of 1")
    assert (
        pruned.freed == pruned.run_bytes + pruned.swept.size["artifacts"] + pruned.swept.size["code packages"]
    )


def test_what_is_new_stays(old):
    """A task stores its artifacts before its manifest."""
    old.artifact(b"old")
    old.age(9)
    old.artifact(b"of a task that has not ended")
    _pruned(old)
    assert not old.holds(b"old")
    assert old.holds(b"of a task that has not ended")


def test_what_is_published_again_is_new(old):
    """A task that stores a value that is there already, and old, keeps it, in the datastore of today's prune."""
    old.artifact(b"again")
    old.artifact(b"never again")
    package = CodePackage(sha256(b"code"), b"code", "a_flow.py")
    publish(old.storage, package)
    old.age(90)
    old.artifact(b"again")
    publish(old.storage, package)
    _pruned(old)
    assert old.holds(b"again")
    assert not old.holds(b"never again")
    assert old.keys("code/") == {layout.code_package(package.sha256)}


def test_every_reference_of_a_manifest_counts(old):
    """Splits, blocks, constants, calls, revisions, and keys that this version does not know."""
    values = [b"split", b"block", b"constant", b"call", b"revised", b"unknown"]
    refs = {each: old.artifact(each) for each in values}
    run = old.run(
        "1", 0, constants={"A": refs[b"constant"]}, call=refs[b"call"], later={"x": [refs[b"unknown"]]}
    )
    name = layout.task_manifest(run.task("start", ()).attempt(0))
    document = json.loads(old.storage.read_bytes(name))
    document.pop("checksum")
    document["transition"] = {
        "next": ["end"], "foreach": "x", "num_splits": 1, "split_names": ["a"], "condition": None, "chosen": None,
        "splits": refs[b"split"], "block_length": 1, "blocks": [refs[b"block"]],
    }  # fmt: skip
    old.storage.write_bytes(name, stored_bytes(document))
    revision = run.changed(parameters={"word": refs[b"revised"]})
    old.storage.write_bytes(
        layout.run_revision("AFlow", "1", revision.sha256), stored_bytes(revision.document)
    )
    old.artifact(b"of nobody")
    old.age(9)
    _pruned(old)
    assert {each for each in [*values, b"of nobody"] if old.holds(each)} == set(values)


def test_environments(old):
    """A lock that a run names stays, with its packages and archive; others go, with what they alone need."""
    mine, other = sha256(b"my spec"), sha256(b"other spec")
    old.lock(mine, (b"python", b"numpy 1"))
    old.lock(other, (b"python", b"numpy 2"))
    for spec_id, archive in ((mine, b"my archive"), (other, b"other archive")):
        old.storage.write_bytes(layout.environment_archive("linux-64", sha256(archive)), archive)
        pointer = {"version": 1, "spec_id": spec_id, "platform": "linux-64", "sha256": sha256(archive)}
        old.storage.write_bytes(layout.packed_environment("linux-64", spec_id), stored_bytes(pointer))
    old.run("1", 2, environments={"start": {"python": "3.11.7", "id": mine, "platform": "linux-64"}})
    old.age(9)
    told = _pruned(old, removes=False)
    pruned = _pruned(old)
    assert told.swept == pruned.swept
    assert old.keys("environments/") == {
        layout.lock("linux-64", mine),
        layout.packed_environment("linux-64", mine),
        layout.environment_archive("linux-64", sha256(b"my archive")),
    }
    assert old.keys("packages/") == {
        layout.package(sha256(each), "a-1-0.conda") for each in (b"python", b"numpy 1")
    }


def test_a_lock_that_was_made_new_keeps_its_packages(old):
    """A run that is being prepared refers to the lock in a moment."""
    key = old.lock(sha256(b"spec"), (b"python",))
    old.age(90)
    assert keeping.keeper(old.storage).keep(key, lambda: None)
    _pruned(old)
    assert old.keys("packages/") == {layout.package(sha256(b"python"), "a-1-0.conda")}


def test_packages_of_a_lock_file_stay(old):
    """``--keep-lock``: the environment of a committed lock file comes back when the channel is gone."""
    old.lock(sha256(b"spec"), (b"python", b"numpy"))
    old.age(90)
    _pruned(old, kept_digests=[sha256(b"python")])
    assert old.keys("packages/") == {layout.package(sha256(b"python"), "a-1-0.conda")}


def test_runners(old):
    """The runner that a run names stays, with its pointer; another one goes with its own."""
    for name in (b"mine", b"other"):
        archive = sha256(name + b" archive")
        old.storage.write_bytes(layout.runner_archive("linux-64", archive), name)
        document = {"version": 1, "runner_id": sha256(name), "sha256": archive, "size": 4}
        old.storage.write_bytes(layout.runner_pointer("linux-64", sha256(name)), stored_bytes(document))
    old.run("1", 2, runner=sha256(b"mine archive"))
    old.age(9)
    _pruned(old)
    assert old.keys("runners/") == {
        layout.runner_archive("linux-64", sha256(b"mine archive")),
        layout.runner_pointer("linux-64", sha256(b"mine")),
    }


def test_keys_that_are_not_ours_stay(old):
    """Files that people put beside ours stay, as do those without a digest in their name."""
    strange = {
        "artifacts/notes.txt",
        "packages/readme/a",
        "code/x.zip",
        "environments/y.lock",
        "jobs/r/n",
        "mine/z",
    }
    for key in strange:
        old.storage.write_bytes(key, b"{}")
    old.age(90)
    pruned = _pruned(old)
    assert old.keys() == strange
    assert pruned.faults == ["environments/y.lock in the datastore " + old.storage.url + " cannot be read"]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(
    "key", ["flows/AFlow/1/run.json", "flows/AFlow/1/start/0/0.json", "flows/AFlow/1/end/0/0.json"]
)
def test_a_damaged_manifest_never_means_no_references(old, key, fault):
    """Its run stays, it is said, and nothing that it may refer to goes; removing the run mends that."""
    old.run("1", 90, (b"needed",))
    old.artifact(b"unneeded")
    damage(old.storage.local_path(key), fault)
    old.age(90)
    # A run that goes is not read to its last manifest: only that of its end decides about its state.
    pruned = _pruned(old) if "start" in key else _pruned(old, older_than=DAY)
    assert "1" in old.runs()
    assert len(pruned.faults) == 1
    assert key in pruned.faults[0]
    assert old.holds(b"needed")
    assert old.holds(b"unneeded")
    assert not _pruned(old, runs=[("AFlow", "1")]).faults
    assert old.keys("artifacts/") == set()


def test_a_folder_without_a_run_manifest(old):
    """It is said and stays, as a manifest that was lost; by its name it can be removed."""
    old.run("1", 90, (b"needed",))
    old.storage.local_path("flows/AFlow/1/run.json").unlink()
    pruned = _pruned(old, older_than=DAY)
    assert pruned.faults == ["flows/AFlow/1/run.json is missing"]
    assert old.holds(b"needed")
    assert not _pruned(old, runs=[("AFlow", "1")]).faults
    assert old.keys() == set()


def test_a_damaged_lock(old):
    """Its packages are not known any more, so all packages stay."""
    key = old.lock(sha256(b"spec"), (b"python",))
    old.run(
        "1", 2, environments={"start": {"python": "3.11.7", "id": sha256(b"spec"), "platform": "linux-64"}}
    )
    old.storage.write_bytes(key, b"{")
    old.age(9)
    pruned = _pruned(old)
    assert len(pruned.faults) == 1
    assert len(old.keys("packages/")) == 1


def test_a_manifest_of_a_newer_version(old):
    """It may refer to things in a way that this version does not know."""
    old.run("1", 9, version=99)
    old.artifact(b"of nobody")
    old.age(9)
    pruned = _pruned(old, older_than=DAY)
    assert "reads up to version" in pruned.faults[0]
    assert old.holds(b"of nobody")


def test_two_prunes_at_once(old):
    """Both end well, what is needed stays, and each byte is counted once."""
    for number in range(30):
        old.run(str(number), 90 if number % 2 else 3, (b"value %d" % number,))
    results, failures = [], []

    def work():
        try:
            results.append(_pruned(old, older_than=30 * DAY))
        except Exception as error:  # noqa: BLE001 - shown below
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not failures
    assert old.runs() == {str(number) for number in range(0, 30, 2)}
    assert [old.holds(b"value %d" % number) for number in range(30)] == [
        number % 2 == 0 for number in range(30)
    ]
    assert sum(each.swept.count["artifacts"] for each in results) == 30
    assert old.keys("prunes/") == set()


def test_usage(old):
    """Every key counts once, by its kind; runs count by flow and state."""
    old.run("1", 90, (b"mine",))
    old.run("2", 2, state="failed", flow="Other")
    old.lock(sha256(b"spec"), (b"python",))
    found = usage(old.storage)
    assert sum(found.count.values()) == len(old.keys())
    assert sum(found.size.values()) == sum(each.size for each in old.storage.entries(""))
    assert found.count["artifacts"] == 3
    assert found.flows["AFlow"].states == {"done": 1}
    assert found.flows["Other"].states == {"failed": 1}
    assert found.flows["AFlow"].oldest == pytest.approx(90 * DAY, abs=60)


def test_digest_set():
    """A set: what was added is in it, once, and nothing else."""
    digests = [sha256(str(number).encode()) for number in range(20_000)]
    found = DigestSet(digests[:10_000])
    found.update(digests[:10_000] * 20)
    assert all(each in found for each in digests[:10_000])
    assert not any(each in found for each in digests[10_000:])
    assert len(found) == 10_000
