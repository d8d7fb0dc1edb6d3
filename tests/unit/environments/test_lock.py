"""Locks: what is written is read, for the spec and the platform that it was solved for."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from airflow_conda_flow.datastore import layout
from airflow_conda_flow.datastore.catalogue import RunCatalogue
from airflow_conda_flow.datastore.datastore import open_datastore
from airflow_conda_flow.environments.environments import Environments
from airflow_conda_flow.environments.inventory import cached_environments
from airflow_conda_flow.environments.lock import Lock, LockedPackage
from airflow_conda_flow.errors import DamagedDocument, DatastoreError
from airflow_conda_flow.records.document import stored_bytes

from ...parts.damage import FAULTS, damage

PACKAGE = LockedPackage(
    name="six",
    version="1.17.0",
    build="py_0",
    build_number=0,
    subdir="noarch",
    url="http://host/six.conda",
    sha256="ab" * 32,
    size=1,
    channel="http://host",
    depends=("python",),
    noarch="python",
    python_site_packages_path=None,
    stated=True,
)
LOCK = Lock("ab12", "linux-64", (PACKAGE,))
ADVICE = "Delete it: the environment is then resolved again, maybe to newer packages."


def read(data):
    """The lock of these bytes."""
    return Lock.from_bytes(data, "/a/path", "ab12", "linux-64")


def old(**changes):
    """The bytes of the lock as versions without a checksum wrote it."""
    packages = [asdict(PACKAGE)]
    content = {"version": 1, "spec_id": "ab12", "platform": "linux-64", "packages": packages, **changes}
    return json.dumps(content, sort_keys=True, indent=1).encode()


def test_what_is_written_is_read():
    """With a checksum, and as older versions wrote it."""
    assert read(LOCK.to_bytes()) == LOCK
    assert read(old()) == LOCK
    assert LOCK.to_bytes().count(b"\n") > 10  # for people to read


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (Lock("cd", "linux-64", ()).to_bytes(), "its spec_id is 'cd', expected 'ab12'"),
        (Lock("ab12", "osx-64", ()).to_bytes(), "its platform is 'osx-64', expected 'linux-64'"),
        (old(spec_id="cd"), "its spec_id is 'cd', expected 'ab12'"),
        (old(packages=None), "its packages is None"),
        (old(packages=[{"name": "six"}]), "a package in it cannot be read ("),
        (old(packages=["six"]), "a package in it cannot be read ("),
        (stored_bytes({"version": 1, "add": [], "remove": []}), "its spec_id is None, expected 'ab12'"),
        *((change(LOCK.to_bytes()), "it") for change in FAULTS.values()),
    ],
)
def test_what_is_no_lock_of_that_spec(data, fault):
    """The error names the path, what is wrong, and what to do."""
    with pytest.raises(DamagedDocument) as caught:
        read(data)
    assert str(caught.value).startswith(f"The lock /a/path is damaged: {fault}")
    assert str(caught.value).endswith(ADVICE)


def test_a_newer_version():
    """It is not damaged."""
    with pytest.raises(
        DatastoreError, match=r"The lock /a/path has version 2; .* Upgrade airflow-conda-flow"
    ):
        read(old(version=2))


@pytest.mark.parametrize("fault", FAULTS)
def test_every_reader_names_a_damaged_lock(tmp_path, fault):
    """The one that makes environments, the list of them, and the client."""
    environments = Environments(tmp_path)
    path = tmp_path / layout.lock("linux-64", "ab12")
    path.parent.mkdir(parents=True)
    path.write_bytes(LOCK.to_bytes())
    assert environments.known_lock("ab12", "linux-64") == LOCK
    assert [each.lock for each in cached_environments(environments, tmp_path, None)] == [LOCK]
    catalogue = RunCatalogue(open_datastore("local", tmp_path / "root", tmp_path))
    assert catalogue.lock("linux-64", "ab12")["packages"][0]["name"] == "six"
    damage(path, fault)
    for act in (
        lambda: environments.known_lock("ab12", "linux-64"),
        lambda: environments.prefix_for("ab12", "linux-64"),
        lambda: cached_environments(environments, tmp_path, None),
        lambda: catalogue.lock("linux-64", "ab12"),
    ):
        with pytest.raises(DamagedDocument) as caught:
            act()
        assert str(caught.value).startswith(f"The lock {path} is damaged: it")
        assert str(caught.value).endswith(ADVICE)
