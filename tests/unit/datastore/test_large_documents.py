"""An object of some gigabytes in the place of a document is refused before it fills the memory."""

from __future__ import annotations

import os

import pytest

from airflow_conda_flow.datastore import layout
from airflow_conda_flow.datastore.local_storage import LocalStorage
from airflow_conda_flow.datastore.manifests import read_run_manifest, read_task_manifest
from airflow_conda_flow.datastore.publish import read_published
from airflow_conda_flow.environments.packed import find_packed
from airflow_conda_flow.errors import DamagedDocument, NotAsPrepared
from airflow_conda_flow.records.names import TaskName

TASK = TaskName("AFlow", "1", "start", "0")


@pytest.fixture
def storage(tmp_path):
    """A storage in which each kind of document has a terabyte."""
    storage = LocalStorage(tmp_path)
    for key in (
        layout.run_manifest("AFlow", "1"),
        layout.task_manifest(TASK.attempt(0)),
        layout.lock("linux-64", "ab"),
        layout.packed_environment("linux-64", "ab"),
    ):
        path = storage.local_path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.truncate(path, 2**40)  # of holes
    return storage


@pytest.mark.parametrize(
    "read",
    [
        lambda storage: read_run_manifest(storage, "AFlow", "1"),
        lambda storage: read_task_manifest(storage, TASK),
        lambda storage: read_published(storage, layout.lock("linux-64", "ab")),
    ],
)
def test_a_large_document_is_refused(storage, read):
    """In one line."""
    with pytest.raises(DamagedDocument, match=r"it has 1,099,511,627,776 bytes"):
        read(storage)


def test_the_record_of_a_run_that_was_prepared(storage):
    """It is not what was prepared, so nothing is tried again."""
    with pytest.raises(NotAsPrepared, match=r"bytes, .* It is not what this run was prepared with\."):
        read_run_manifest(storage, "AFlow", "1", "ab" * 32)


def test_a_large_pointer_is_that_of_no_archive(storage):
    """The environment is packed again."""
    assert find_packed(storage, "linux-64", "ab") is None
