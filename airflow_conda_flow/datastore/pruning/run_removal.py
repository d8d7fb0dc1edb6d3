"""Removal of a run: everything that belongs to it alone, its manifest last.

A note under ``prunes/removals/`` is stored first and removed last, so that the next prune continues a
removal that was interrupted, whatever its own conditions are. It does so only if the run's manifest is still
the same:
Airflow may create a run again under its old id.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from airflow_conda_flow.datastore import layout
from airflow_conda_flow.datastore.keeping import ANY_AGE, Notice
from airflow_conda_flow.datastore.local_storage import LocalStorage
from airflow_conda_flow.datastore.manifests import read_run_manifest
from airflow_conda_flow.errors import CorruptData, DatastoreError, DatastoreUnavailable, NotInDatastore
from airflow_conda_flow.records.document import MOST_BYTES, VERSION, read_document, stored_bytes
from airflow_conda_flow.records.kinds import Shape

from .report import Report

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_conda_flow.datastore.storage import Storage
    from airflow_conda_flow.records.shapes import RemovalDocument

_SHAPE = Shape({"manifest": str})


def remove_run(
    storage: Storage, name: tuple[str, str], grace: float, notice: Notice, report: Report
) -> int | None:
    """Remove a run; returns the bytes that were freed, None if it stays because it lives again.

    Args:
        storage: the datastore's.
        name: flow and run id.
        grace: seconds; a run to which something was written since stays.
        notice: of this prune.
        report: told about every file.
    """
    flow, run_id = name
    folder, manifest_key = layout.run_folder(*name), layout.run_manifest(*name)
    note: RemovalDocument = {
        "version": VERSION,
        "flow": flow,
        "run_id": run_id,
        "manifest": _manifest_sha256(storage, name),
    }
    if any(entry.age < grace for entry in storage.entries(folder)):
        return None
    has_data = _keeps_data_here(storage, name)
    storage.write_bytes(layout.removal(*name), stored_bytes(note))
    freed = 0
    prefixes = [folder, layout.tag_folder(*name)]
    if has_data:
        prefixes.append(layout.data_folder(*name))
    for prefix in prefixes:
        notice.renew()
        for entry in storage.remove_old(prefix, grace, lambda each: each.key != manifest_key):
            freed += entry.size
            report.step(size=entry.size)
            notice.renew()
    if any(entry.key != manifest_key for entry in storage.entries(folder)):
        _forget(storage, name)
        return None
    for entry in storage.remove_old(manifest_key, grace, lambda each: each.key == manifest_key):
        freed += entry.size
        report.step(size=entry.size)
    if isinstance(storage, LocalStorage):
        for prefix in prefixes:
            storage.remove_empty_folders(prefix)
    _forget(storage, name)
    return freed


def interrupted_removals(storage: Storage) -> Iterator[tuple[str, str]]:
    """Runs whose removal was begun and is to be continued; notes that no longer hold are removed."""
    for entry in list(storage.entries(layout.REMOVALS)):
        name = layout.removal_of(entry.key)
        try:
            note = read_document(storage.read_bytes(entry.key, MOST_BYTES), entry.key, "", wrong=_SHAPE.fault)
        except NotInDatastore:
            continue  # another prune has finished it
        except CorruptData:
            _forget(storage, name)  # the run itself is chosen again, or stays
            continue
        if note["manifest"] == _manifest_sha256(storage, name) and next(
            iter(storage.entries(layout.run_folder(*name))), None
        ):
            yield name
        else:
            _forget(storage, name)


def _forget(storage: Storage, name: tuple[str, str]) -> None:
    key = layout.removal(*name)
    for _ in storage.remove_old(key, ANY_AGE, lambda each: each.key == key):
        pass


def _manifest_sha256(storage: Storage, name: tuple[str, str]) -> str:
    try:
        return hashlib.sha256(storage.read_bytes(layout.run_manifest(*name))).hexdigest()
    except NotInDatastore:
        return ""


def _keeps_data_here(storage: Storage, name: tuple[str, str]) -> bool:
    """True if what the run's steps stored with ``S3(run=self)`` is in the datastore itself."""
    try:
        root = read_run_manifest(storage, *name).datatools_root
    except DatastoreUnavailable:
        raise
    except DatastoreError:
        return False
    return root == f"{storage.url}/{layout.DATA}".rstrip("/")
