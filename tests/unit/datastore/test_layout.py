"""Keys: the stored layout is a contract with runs that exist already."""

from __future__ import annotations

import doctest
import re

import pytest

from airflow_conda_flow.datastore import layout
from airflow_conda_flow.records.names import TaskName

DIGEST = "ab" * 32


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (layout.run_manifest("F", "1"), "flows/F/1/run.json"),
        (layout.task_manifest(TaskName("F", "1", "a", "0-2").attempt(3)), "flows/F/1/a/0-2/3.json"),
        (layout.task_log(TaskName("F", "1", "a", "0").attempt(0), "stderr"), "flows/F/1/a/0/0.stderr"),
        (layout.artifact(DIGEST), f"artifacts/ab/{DIGEST}"),
        (layout.code_package(DIGEST), f"code/{DIGEST}.zip"),
        (layout.lock("linux-64", "id"), "environments/linux-64/id.lock"),
        (layout.package(DIGEST, "a-1.conda"), f"packages/{DIGEST}/a-1.conda"),
        (layout.run_manifest("F", "../../etc"), "flows/F/%2E.%2F..%2Fetc/run.json"),
        (layout.run_manifest("F", "."), "flows/F/%2E/run.json"),
    ],
)
def test_keys(key, expected):
    """Every key is where docs/architecture.md says, whatever the names hold."""
    assert key == expected


def test_names_come_back():
    """Any name survives being part of a key."""
    for name in ("164", "manual__2026-11-24T02:00:00+00:00", "a/b", "..", ".hidden", "é %", "%2E"):
        encoded = layout.part(name)
        assert "/" not in encoded
        assert not encoded.startswith(".")
        assert layout.name_of(encoded) == name


@pytest.mark.parametrize("digest", ["", "../x", "AB" * 32, "ab" * 31])
def test_no_digest(digest):
    """A text that is no SHA-256 never becomes a key."""
    with pytest.raises(ValueError, match="Expected a SHA-256"):
        layout.artifact(digest)


def test_every_folder_but_that_of_the_flows_objects_is_the_datastores_own():
    """Those of the module's table, so that a new one is not forgotten."""
    folders = set(re.findall(r"^    ([a-z]+/)", layout.__doc__, re.MULTILINE))
    assert len(folders) == 10
    assert folders == {*layout.OWN_FOLDERS, layout.DATA}


def test_empty_name():
    """An empty name is refused."""
    with pytest.raises(ValueError, match="must not be empty"):
        layout.run_folder("F", "")


@pytest.mark.parametrize("module", [layout])
def test_examples(module):
    """The examples in the docstrings are true."""
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0
