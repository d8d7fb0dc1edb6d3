"""References of the runs of a datastore: the marks of a mark and sweep.

Every SHA-256 in a manifest counts as a reference to whatever has that name, be it an artifact, a code
package, a lock or an archive. So a reference under a key that this version does not know counts too, and a
digest that is none, such as one in a text, only keeps something.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from airflow_conda_flow.datastore import layout
from airflow_conda_flow.datastore.manifests import list_flows, list_runs
from airflow_conda_flow.errors import DamagedDocument, DatastoreError, DatastoreUnavailable, NotInDatastore
from airflow_conda_flow.records.document import VERSION, read_document
from airflow_conda_flow.records.run_record import wrong_run_manifest
from airflow_conda_flow.records.task_record import TASK_VERSION, wrong_task_manifest

from .digest_set import DigestSet
from .report import Report
from .side_by_side import each_of

if TYPE_CHECKING:
    from airflow_conda_flow.datastore.keeping import Notice
    from airflow_conda_flow.datastore.storage import Storage

_DIGEST = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_SUFFIX = layout.TASK_MANIFEST_SUFFIX


def digests_in(data: bytes) -> list[str]:
    """Every SHA-256 in lower-case hex that the bytes contain.

    >>> digests_in(b'{"sha256":"' + b"0" * 64 + b'"}') == ["0" * 64]
    True
    """
    return [each.decode("ascii") for each in _DIGEST.findall(data)]


def mark(
    storage: Storage, runs: Iterable[tuple[str, str]], report: Report, notice: Notice | None = None
) -> tuple[DigestSet, list[str]]:
    """Digests that the manifests of these runs contain, and what is wrong with those that cannot be read.

    Args:
        storage: the datastore's.
        runs: names of the runs, as (flow, run id).
        report: told about every manifest.
        notice: of the prune, which is renewed.
    """
    return _marked(storage, _manifests(storage, runs), report, notice)


def mark_runs(storage: Storage, report: Report) -> tuple[DigestSet, list[str]]:
    """Digests that the manifests of all runs contain, but not those of their tasks; and the faults, as above.

    These are the environments and the code of the runs.
    """
    names = ((flow, run_id) for flow in list_flows(storage) for run_id in list_runs(storage, flow))
    keys = (
        layout.run_folder(*name) + each
        for name in names
        for each in storage.list_names(layout.run_folder(*name))
        if _is_of_run(each)
    )
    return _marked(storage, keys, report, None)


def _marked(
    storage: Storage, keys: Iterable[str], report: Report, notice: Notice | None
) -> tuple[DigestSet, list[str]]:
    marks, faults = DigestSet(), []

    def read(key: str) -> tuple[list[str], str]:
        try:
            data = storage.read_bytes(key)
        except NotInDatastore:
            return [], ""  # its run is being removed by another prune
        return digests_in(data), _fault(storage, key, data)

    for found, fault in each_of(storage, read, keys):
        marks.update(found)
        report.step()
        if notice is not None:
            notice.renew()
        if fault:
            faults.append(fault)
    return marks, faults


def _manifests(storage: Storage, runs: Iterable[tuple[str, str]]) -> Iterator[str]:
    for name in runs:
        yield from (key for key in storage.list_keys(layout.run_folder(*name)) if key.endswith(_SUFFIX))


def _fault(storage: Storage, key: str, data: bytes) -> str:
    is_of_run = _is_of_run(key.rpartition("/")[2])
    version, wrong = (VERSION, wrong_run_manifest) if is_of_run else (TASK_VERSION, wrong_task_manifest)
    try:
        read_document(data, f"{key} in the datastore {storage.url}", "", version, wrong)
    except DatastoreUnavailable:
        raise
    except DatastoreError as error:
        return error.fault if isinstance(error, DamagedDocument) else str(error)
    return ""


def _is_of_run(name: str) -> bool:
    return name == layout.RUN_MANIFEST_NAME or layout.revision_of(name) is not None
