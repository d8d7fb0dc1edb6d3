"""Locks: what is written is read, for the spec and the platform that it was solved for."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest

from airflow_conda_flow.datastore import layout
from airflow_conda_flow.datastore.catalogue import RunCatalogue
from airflow_conda_flow.datastore.datastore import open_datastore
from airflow_conda_flow.environments.environments import Environments
from airflow_conda_flow.environments.inventory import cached_environments
from airflow_conda_flow.environments.lock import Lock, LockedPackage
from airflow_conda_flow.errors import DamagedDocument, DatastoreError, PackageError
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
        (old(packages=[{"name": "six"}]), "it has no 'packages.0.version'"),
        (old(packages=["six"]), "its packages.0 is 'six'"),
        (old(packages=[{**asdict(PACKAGE), "size": -1}]), "its packages.0.size is -1"),
        (old(packages=[{**asdict(PACKAGE), "more": 1}]), "a package in it cannot be read ("),
        (stored_bytes({"version": 1, "add": [], "remove": []}), "it has no 'spec_id'"),
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


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("url", "http://host/%2F..%2F..%2Foutside%2Fname.tar.bz2"),
        ("url", "http://host/..%2Fname.conda"),
        ("url", "http://host/%2e%2e"),
        ("url", "http://host/.hidden.conda"),
        ("url", "http://host/a%00b.conda"),
        ("url", "http://host/a%5Cb.conda"),
        ("url", "http://host/a%0Ab.conda"),
        ("url", "http://host/"),
        ("url", f"http://host/{'a' * 300}.conda"),
        ("name", "../six"),
        ("version", "1/../../x"),
        ("build", "/etc"),
        ("subdir", "../noarch"),
        ("sha256", "../../etc/passwd"),
        ("sha256", ""),
        ("python_site_packages_path", "../../outside"),
        ("python_site_packages_path", "/usr/lib"),
    ],
)
def test_a_field_that_leads_out_of_its_folder(field, value):
    """It is refused in a channel's answer, and in a lock, before any path is made of it."""
    with pytest.raises(PackageError, match=r"The package .* was refused: "):
        replace(PACKAGE, **{field: value})
    content = {"version": 1, "spec_id": "ab12", "platform": "linux-64"}
    data = stored_bytes({**content, "packages": [{**asdict(PACKAGE), field: value}]})
    with pytest.raises(DamagedDocument, match=r"The lock /a/path is damaged: The package .* was refused: "):
        read(data)


@pytest.mark.parametrize(
    "url", ["http://host/a-1%2B2-0.conda", "file:///a%20b/c%20d.tar.bz2", "http://h/x.conda?a=/../b#c/.."]
)
def test_names_that_are_escaped_for_a_reason(url):
    """They are file names as they are."""
    assert "/" not in replace(PACKAGE, url=url).file_name
