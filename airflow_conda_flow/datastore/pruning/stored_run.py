"""The runs of a datastore, as a prune sees them: age, state, size, and what they need."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_conda_flow.datastore import layout
from airflow_conda_flow.datastore.keeping import has_ended
from airflow_conda_flow.datastore.manifests import (
    list_flows,
    list_runs,
    read_run_manifest,
    read_task_manifest,
)
from airflow_conda_flow.errors import DamagedDocument, DatastoreError, DatastoreUnavailable, NotInDatastore
from airflow_conda_flow.records.times import stated_moment

from .side_by_side import each_of

if TYPE_CHECKING:
    from airflow_conda_flow.datastore.storage import Storage
    from airflow_conda_flow.records.run_record import RunRecord

DONE, FAILED, RUNNING = "done", "failed", "running"
STATES = (DONE, FAILED, RUNNING)
UNFINISHED_FOR = 7 * 24 * 3600.0
"""Seconds for which a run of Airflow that has not come to its end counts as running.

A run gives a sign of life every few hours while one of its tasks runs, but not while all of them wait: for a
pod, a sensor, or somebody who clears them.
"""


@dataclass(frozen=True)
class StoredRun:
    """A run.

    Attributes:
        flow: the flow's name.
        run_id: the run's id.
        age: seconds since it was prepared, by this machine's clock; since its last sign of life if its
            manifest cannot be read.
        quiet: seconds since its last sign of life, by the storage's clock.
        state: ``done``, ``failed`` or ``running``; empty if it cannot be read.
        origin_run_id: the run that it resumed, or None.
        size: bytes of its manifests, logs and cards.
        files: number of these.
        fault: what cannot be read of it; empty if there is nothing.
    """

    flow: str
    run_id: str
    age: float
    quiet: float
    state: str
    origin_run_id: str | None
    size: int
    files: int
    fault: str = ""

    @property
    def name(self) -> tuple[str, str]:
        """Flow and run id."""
        return self.flow, self.run_id

    @property
    def pathspec(self) -> str:
        """The run's name as users write it."""
        return f"{self.flow}/{self.run_id}"


def stored_runs(storage: Storage, grace: float, flows: Collection[str] = ()) -> Iterator[StoredRun]:
    """Every run of these flows, of all if none is named.

    Args:
        storage: the datastore's.
        grace: seconds after its last sign of life for which a run counts as running if it is not done, and
            has not noted its end either.
        flows: names of flows.
    """
    names = [(flow, run_id) for flow in (flows or list_flows(storage)) for run_id in list_runs(storage, flow)]
    for found in each_of(storage, lambda name: read_stored_run(storage, *name, grace), names):
        if found is not None:
            yield found


def read_stored_run(storage: Storage, flow: str, run_id: str, grace: float) -> StoredRun | None:
    """One run; None if nothing is stored of it."""
    size = files = 0
    quiet = float("inf")
    for entry in storage.entries(layout.run_folder(flow, run_id)):
        size, files, quiet = size + entry.size, files + 1, min(quiet, entry.age)
    if not files:
        return None
    try:
        run = read_run_manifest(storage, flow, run_id)
        state = _state(storage, run, quiet, grace)
    except DatastoreUnavailable:
        raise
    except NotInDatastore:
        fault = f"{layout.run_manifest(flow, run_id)} is missing"
        return StoredRun(flow, run_id, quiet, quiet, "", None, size, files, fault)
    except DatastoreError as error:
        fault = error.fault if isinstance(error, DamagedDocument) else str(error)
        return StoredRun(flow, run_id, quiet, quiet, "", None, size, files, fault)
    age = time.time() - stated_moment(run.created).timestamp()
    return StoredRun(flow, run_id, age, quiet, state, run.origin_run_id, size, files)


def _state(storage: Storage, run: RunRecord, quiet: float, grace: float) -> str:
    end = read_task_manifest(storage, run.task(run.graph.end, ()))
    if end is not None and end.attempt >= run.first_attempt:
        return DONE
    patience = max(grace, UNFINISHED_FOR) if run.origin == "airflow" else grace
    return RUNNING if quiet < patience and not has_ended(storage, run.flow, run.run_id) else FAILED
