"""Machines that share an S3 root share locks and packages: the first solves, the others adopt."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace

import pytest

from airflow_conda_flow.datastore import layout
from airflow_conda_flow.datastore.publish import SETTLED_AGE
from airflow_conda_flow.datastore.s3_storage import S3Storage
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.environments.lock import Lock
from airflow_conda_flow.errors import ChannelError, DamagedDocument, EnvironmentFailure, PackageError

from ...parts.damage import FAULTS, FILE_FAULTS, damage
from .conftest import archive, run_python

RESOLVE = """
import sys
from pathlib import Path
from airflow_conda_flow.datastore.s3_storage import S3Storage
from airflow_conda_flow.environments.environments import Environments
from airflow_conda_flow.environments.spec import EnvironmentSpec
cache_dir, root, python, channel, platform = sys.argv[1:]
spec = EnvironmentSpec(python, {"six": "1.17.0"}, (channel,), platform)
environments = Environments(Path(cache_dir), S3Storage(root))
print(environments.resolve(spec, "start").digest)
"""


def test_a_second_machine_needs_no_channel(make_environments, make_spec, make_s3_storage, channel):
    """A fresh cache directory with the same root: the same lock, and a prefix that runs, no channel there."""
    spec = make_spec()
    lock = make_environments("first", storage=make_s3_storage()).resolve(spec, "start")
    channel.stop()
    second = make_environments("second", storage=make_s3_storage())
    assert second.resolve(spec, "start") == lock
    assert (
        run_python(second.prefix_for(spec.id, spec.platform), "import six; print(six.__version__)")
        == "1.17.0"
    )


def test_a_runner_finds_the_environment_by_its_id(make_environments, make_spec, make_s3_storage):
    """A machine that never saw the spec makes the prefix from the lock in the datastore."""
    spec = make_spec()
    make_environments("first", storage=make_s3_storage()).resolve(spec, "start")
    prefix = make_environments("worker", storage=make_s3_storage()).prefix_for(spec.id, spec.platform)
    assert run_python(prefix, "import six; print(six.__version__)") == "1.17.0"


def test_a_damaged_package_in_the_datastore(
    make_environments, make_spec, make_s3_storage, recorder, tmp_path
):
    """Wrong bytes in the datastore are refused, had from the channel, and mended for the next machine."""
    spec = make_spec()
    storage = make_s3_storage()
    lock = make_environments("first", storage=storage).resolve(spec, "start")
    path = archive(tmp_path / "first", lock, "six")
    key = layout.package(path.parent.name, path.name)
    storage.write_bytes(key, b"x" * path.stat().st_size)
    second = make_environments("second", storage=make_s3_storage(), progress=recorder)
    assert run_python(second.prefix_for(spec.id, spec.platform), "import six") == ""
    assert archive(tmp_path / "second", lock, "six").read_bytes() == path.read_bytes()
    assert storage.read_bytes(key) == path.read_bytes()
    assert any("Trying the channel" in line for line in recorder.said)


def test_a_lock_file_beside_the_flow_counts(make_environments, make_spec, make_s3_storage, recorder, channel):
    """The document that the datastore holds under its name is compared with it and put right; nothing is ever solved."""
    solved = make_environments("elsewhere").solve({"start": make_spec(six="1.16.0")})["start"]
    locked = Lock.of_packages(solved.platform, solved.packages)
    spec = replace(make_spec(six=">=1", channels=(f"{channel.url}/none",)), locked=locked)
    storage = make_s3_storage()
    assert make_environments("first", storage=storage).resolve(spec, "start") == locked
    key = layout.lock(spec.platform, spec.id)
    written = storage.read_bytes(key)
    storage.write_bytes(key, Lock(spec.id, spec.platform, locked.packages[:1]).to_bytes())
    second = make_environments("second", storage=make_s3_storage(), progress=recorder)
    assert second.resolve(spec, "start") == locked
    assert storage.read_bytes(key) == written
    assert any(
        "is not that of the lock file beside the flow; replacing it." in line for line in recorder.said
    )
    runner = make_environments("runner", storage=make_s3_storage())
    assert (
        run_python(runner.prefix_for(spec.id, spec.platform), "import six; print(six.__version__)")
        == "1.16.0"
    )


def test_the_mirror_is_mended(make_environments, make_spec, make_s3_storage):
    """Whoever resolves another environment of the same packages replaces the damaged ones in the datastore."""
    storage = make_s3_storage()
    lock = make_environments("first", storage=storage).resolve(make_spec(pandas="2.2.3"), "start")
    packages = [each for each in lock.packages if each.name != "six"]
    damaged = dict(zip(FAULTS, packages, strict=True))
    for fault, package in damaged.items():
        key = layout.package(package.sha256, package.file_name)
        storage.write_bytes(key, FAULTS[fault](storage.read_bytes(key)))
        assert not storage.holds(key, package.sha256), fault
    other = make_spec(pandas="2.2.3", six="1.16.0")
    make_environments("first", storage=make_s3_storage()).resolve(other, "start")
    for fault, package in damaged.items():
        assert storage.holds(layout.package(package.sha256, package.file_name), package.sha256), fault


def test_what_was_just_downloaded_is_not_read_again(
    make_environments, make_spec, make_s3_storage, monkeypatch
):
    """A machine that takes its packages from the datastore verifies them by that, and mirrors nothing."""
    make_environments("first", storage=make_s3_storage()).resolve(make_spec(), "start")
    storage, reads = make_s3_storage(), []
    real = S3Storage._read_sha256
    monkeypatch.setattr(S3Storage, "_read_sha256", lambda *args: reads.append(args[1]) or real(*args))
    make_environments("second", storage=storage).resolve(make_spec(six="1.16.0"), "start")
    assert [key for key in reads if "six" not in key] == []


def test_a_package_that_is_damaged_and_cannot_be_fetched(
    make_environments, make_spec, make_s3_storage, channel, tmp_path
):
    """One error names the package, the damaged object and what to do."""
    storage, spec = make_s3_storage(), make_spec()
    lock = make_environments("first", storage=storage).resolve(spec, "start")
    path = archive(tmp_path / "first", lock, "six")
    key = layout.package(path.parent.name, path.name)
    storage.write_bytes(key, FAULTS["overwritten"](path.read_bytes()))
    channel.stop()
    with pytest.raises(PackageError) as caught:
        make_environments("second", storage=make_s3_storage()).prefix_for(spec.id, spec.platform)
    assert f"{key} in {storage.url} is corrupt: expected sha256 {path.parent.name}, got " in str(caught.value)
    assert str(caught.value).endswith("Make the channel reachable: the package is then replaced there.")


def test_a_damaged_copy_of_the_lock_is_replaced(
    make_environments, make_spec, make_s3_storage, recorder, tmp_path
):
    """The datastore's lock is read again, with one line that names the copy."""
    specs = {fault: make_spec(six=f">=1.{number}") for number, fault in enumerate(FILE_FAULTS)}
    locks = make_environments("first", storage=make_s3_storage()).resolve_all(specs)
    copies, right = {}, {}
    for fault, spec in specs.items():
        (copies[fault],) = (tmp_path / "first" / "locks").rglob(f"{spec.id}.lock")
        right[fault] = copies[fault].read_bytes()
        damage(copies[fault], fault)
    environments = make_environments("first", storage=make_s3_storage(), progress=recorder)
    assert environments.resolve_all(specs) == locks
    assert {fault: copy.read_bytes() for fault, copy in copies.items()} == right
    assert len(recorder.said) == len(FAULTS)  # of a directory it says nothing
    for fault in FAULTS:
        (line,) = [each for each in recorder.said if str(copies[fault]) in each]
        assert line.startswith(f"    The lock {copies[fault]} is damaged: it")
        assert line.endswith(f"Reading it again from {environments._storage.url}.")


def test_a_lock_of_another_spec(make_environments, make_spec, make_s3_storage):
    """Under the key of this one it is an error, on every machine."""
    spec, other = make_spec(), make_spec(six="1.16.0")
    storage = make_s3_storage()
    environments = make_environments("first", storage=storage)
    environments.resolve_all({"start": spec, "end": other})
    key = layout.lock(spec.platform, spec.id)
    storage.write_bytes(key, storage.read_bytes(layout.lock(spec.platform, other.id)))
    with pytest.raises(DamagedDocument) as caught:
        make_environments("second", storage=make_s3_storage()).prefix_for(spec.id, spec.platform)
    assert str(caught.value) == (
        f"The lock {key} in the datastore {storage.url} is damaged: its spec_id is {other.id!r}, expected "
        f"{spec.id!r}. Delete it: the environment is then resolved again, maybe to newer packages."
    )


def test_a_lock_made_without_the_datastore_is_shared(make_environments, make_spec, make_s3_storage, channel):
    """A lock that a machine solved before it had a datastore is published there, not solved again."""
    spec = make_spec()
    lock = make_environments("first").resolve(spec, "start")
    channel.stop()
    assert make_environments("first", storage=make_s3_storage()).resolve(spec, "start") == lock
    second = make_environments("second", storage=make_s3_storage())
    assert second.resolve(spec, "start") == lock
    assert run_python(second.materialise(lock), "import six; print(six.__version__)") == "1.17.0"


def test_two_machines_at_once_end_with_one_lock(make_spec, make_s3_storage, channel, tmp_path):
    """Two first runs at the same time, on machines of their own, agree."""
    spec = make_spec()
    root = make_s3_storage().url
    processes = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                RESOLVE,
                str(tmp_path / name),
                root,
                spec.python,
                channel.url,
                spec.platform,
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("first", "second")
    ]
    digests = {process.communicate()[0].strip() for process in processes}
    assert [process.returncode for process in processes] == [0, 0]
    assert len(digests) == 1
    assert list(make_s3_storage().list_keys("environments/")) == [layout.lock(spec.platform, spec.id)]


class Counting(Storage):
    """Counts what is asked of a storage."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.calls: list[str] = []

    def __getattribute__(self, name):
        if name in {"_storage", "calls"}:
            return object.__getattribute__(self, name)
        if name != "url":
            self.calls.append(name)
        return getattr(self._storage, name)


def test_a_warm_start_asks_the_datastore_nothing(make_environments, make_spec, make_s3_storage):
    """A machine that has the lock and the prefix reads nothing remote; one without reads the lock once."""
    spec = make_spec()
    storage = make_s3_storage()
    make_environments("first", storage=storage).resolve(spec, "start")
    # A key that was written just now may still change on servers that overwrite, and is read again.
    key = layout.lock(spec.platform, spec.id)
    while storage.read_with_age(key)[1] < SETTLED_AGE:
        time.sleep(0.1)
    cold = Counting(make_s3_storage())
    make_environments("second", storage=cold).resolve(spec, "start")
    assert cold.calls.count("read_with_age") == 1
    assert "download" not in cold.calls
    warm = Counting(make_s3_storage())
    make_environments("second", storage=warm).resolve(spec, "start")
    assert warm.calls == []


def test_an_environment_that_nobody_resolved(make_environments, make_spec, make_s3_storage):
    """A runner without a lock says where it looked."""
    storage = make_s3_storage()
    with pytest.raises(EnvironmentFailure, match=rf"has no lock in {storage.url}"):
        make_environments(storage=storage).prefix_for(make_spec().id, "linux-64")


def test_a_failed_solve_publishes_nothing(make_environments, make_spec, make_s3_storage, channel):
    """With the channel away nothing is left that a later run would take for a lock."""
    storage = make_s3_storage()
    channel.stop()
    with pytest.raises(ChannelError):
        make_environments(storage=storage).resolve(make_spec(), "start")
    assert list(storage.list_keys("")) == []
