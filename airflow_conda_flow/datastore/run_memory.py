"""Digests of a run and its finished tasks, in the cache directory of the machine that scheduled it.

``resume`` compares the run that it continues with them: whoever may write an S3 datastore could otherwise
change what finished tasks hand on, or let tasks look finished that failed or never started. A process that is
killed may not have noted the end of the tasks that ran, and another machine knows nothing; what nobody
remembers is not compared.
"""

from __future__ import annotations

import contextlib
import functools
import re
from typing import TYPE_CHECKING

from airflow_conda_flow.errors import NotAsPrepared

from . import layout
from .manifests import read_run_manifest
from .remembered import datastore_mark

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_conda_flow.records.run_record import RunRecord
    from airflow_conda_flow.records.task_record import TaskRecord

    from .datastore import Datastore

_RUN = "run"
_TASKS, _NOTED = "tasks", "noted"  # the line of a memory that has one for each task that started
_STARTED, _FAILED = "started", "failed"
_LINE = re.compile(rf"(\S+) ([0-9a-f]{{64}}|{_STARTED}|{_FAILED}|{_NOTED})")


def is_remembered(datastore: Datastore, flow: str, run_id: str) -> bool:
    """True if this machine has scheduled a run of a datastore in S3, and still remembers it."""
    folder = _folder(datastore, flow)
    return folder is not None and (folder / layout.part(run_id)).exists()


def _folder(datastore: Datastore, flow: str) -> Path | None:
    """Where a flow's runs are remembered. None for a directory: who may write there may write here."""
    if datastore.storage.kind != "s3":
        return None
    return datastore.cache_dir / "runs" / datastore_mark(datastore.storage) / layout.part(flow)


class RunMemory:
    """Memory of one run.

    Args:
        datastore: the run's. Nothing is remembered of a directory: who may write there may write here.
        flow: the flow's name.
        run_id: the run's id.
    """

    def __init__(self, datastore: Datastore, flow: str, run_id: str) -> None:
        self._storage = datastore.storage
        self._name = flow, run_id
        folder = _folder(datastore, flow)
        self._path = folder and folder / layout.part(run_id)

    def check_run(self) -> None:
        """Compare the run's record with what was noted.

        Raises:
            NotAsPrepared: it is another one.
        """
        if (sha256 := self._known.get(_RUN)) is not None:
            read_run_manifest(self._storage, *self._name, sha256)

    def has_seen(self, record: TaskRecord) -> bool:
        """Compare the record of a task that is done with what was noted.

        Returns:
            False if the task failed as far as this machine has seen, or never started: it has to run again.

        Raises:
            NotAsPrepared: the task is done, with another record.
        """
        known = self._known.get(record.task_id)
        if known == _FAILED or (known is None and _TASKS in self._known):
            return False
        if known not in {None, _STARTED, record.sha256}:
            raise NotAsPrepared(
                f"{layout.task_manifest(record.name)} in the datastore {self._storage.url} is not what its "
                f"task wrote: its sha256 is {record.sha256}, and this machine remembers {known}.",
                "Nothing was run. Find out who wrote it (docs/security.md), and delete it, so that the task "
                "runs again.",
            )
        return True

    @functools.cached_property
    def _known(self) -> dict[str, str]:
        """Latest note by task; a line that a kill has cut is left out."""
        try:
            lines = [] if self._path is None else self._path.read_text(encoding="ascii").splitlines()
        except (OSError, UnicodeDecodeError):
            return {}
        return {found[1]: found[2] for line in lines if (found := _LINE.fullmatch(line))}

    def note_run(self, run: RunRecord) -> None:
        """Remember the digest of the run's record, and that its tasks are noted from now on."""
        self._note(_RUN, run.sha256)
        self._note(_TASKS, _NOTED)

    def note_start(self, task_id: str) -> None:
        """Remember that an attempt of a task starts."""
        self._note(task_id, _STARTED)

    def note_failure(self, task_id: str) -> None:
        """Remember that the attempt has failed."""
        self._note(task_id, _FAILED)

    def note(self, record: TaskRecord) -> None:
        """Remember the digest of the record of a finished task."""
        self._note(record.task_id, record.sha256)

    def _note(self, name: str, note: str) -> None:
        if self._path is None:
            return
        # A run does not fail for want of a memory.
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="ascii") as file:  # one write of a short line: threads may add
                file.write(f"{name} {note}\n")
