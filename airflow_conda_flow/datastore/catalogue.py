"""``RunCatalogue``: answers questions about the runs in a datastore, as plain data.

Arguments and results of ``call`` are JSON, so that a step process, which has neither storages nor their
libraries, can ask its runner.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from airflow_conda_flow.errors import DamagedDocument, NotInDatastore, ObjectNotFound
from airflow_conda_flow.records.lock_document import read_lock_document
from airflow_conda_flow.records.names import TaskName, full_id, whole_number
from airflow_conda_flow.records.run_record import RunRecord, TaggedRun
from airflow_conda_flow.records.task_record import TaskRecord
from airflow_conda_flow.records.times import stated_moment

from . import code_package, layout
from .datastore import Datastore
from .local_storage import LocalStorage
from .logs import read_stamped_log
from .manifests import (
    list_attempts,
    list_flows,
    list_runs,
    list_steps,
    list_tasks,
    read_run_manifest,
    read_task_manifest,
)
from .notice import warn
from .parameters_task import STEP, TASK_ID, parameters_task
from .publish import read_published
from .run_memory import is_remembered
from .tags import change_tags, system_tags, user_tags

_READERS = 16  # requests at a time, as in ``manifests.py``
_MICROSECONDS = re.compile(r"\d{16}")
"""Id of a local run: its start time in microseconds, so these runs are sorted without reading manifests."""

_Item = TypeVar("_Item")
_Found = TypeVar("_Found")


class RunCatalogue:
    """Reader of runs, which can also change their tags. Thread-safe.

    Args:
        datastore: where the runs are stored.

    Attributes:
        CALLS: the methods that a step process may call.
    """

    CALLS = frozenset(
        {
            "artifact", "attempts", "card", "card_data", "card_names", "card_path", "change_tags", "code",
            "describe", "flows", "lock", "log", "run", "run_ids", "runs", "steps", "task_ids", "tasks",
        }
    )  # fmt: skip

    def __init__(self, datastore: Datastore) -> None:
        self._datastore = datastore
        self._storage = datastore.storage

    def call(self, name: str, arguments: Sequence[Any]) -> Any:
        """Call the method of that name, one of ``CALLS``; returns its result as JSON."""
        if name not in self.CALLS:
            raise ValueError(f"A catalogue has no {name!r}.")
        result = getattr(self, name)(*arguments)
        return [_as_json(each) for each in result] if isinstance(result, list) else _as_json(result)

    def is_remembered(self, flow: str, run_id: str) -> bool:
        """True if this machine has scheduled the run, and its datastore is in S3."""
        return is_remembered(self._datastore, flow, run_id)

    def describe(self) -> str:
        """Name of the datastore, such as ``local@/home/a/.airflow-conda-flow/datastore``."""
        return self._datastore.describe()

    def flows(self) -> list[str]:
        """Names of all flows that have runs, sorted."""
        return list_flows(self._storage)

    def run_ids(self, flow: str) -> list[str]:
        """Ids of a flow's runs, the newest first; none whose time of start is in a damaged record."""
        started: dict[str, str] = {}
        other = []
        for run_id in list_runs(self._storage, flow):
            if _MICROSECONDS.fullmatch(run_id):
                started[run_id] = run_id
            else:
                other.append(run_id)
        for run_id, run in zip(
            other,
            self._each(other, lambda each: self._unless_damaged(self._manifest, flow, each)),
            strict=True,
        ):
            if run is not None:
                started[run_id] = str(_microseconds(run.created))
        return sorted(started, key=lambda run_id: (started[run_id], run_id), reverse=True)

    def run(self, flow: str, run_id: str) -> TaggedRun | None:
        """A run with its current tags, None if there is no such run."""
        run = self._manifest(flow, run_id)
        return None if run is None else self._with_tags(run)

    def runs(self, flow: str, run_ids: Sequence[str]) -> list[TaggedRun | None]:
        """Results of ``run`` for all ids, in order; for a run whose record is damaged None, with a warning.

        One damaged document must not hide all other runs of a flow.
        """
        return self._each(run_ids, lambda run_id: self._unless_damaged(self.run, flow, run_id))

    def steps(self, flow: str, run_id: str) -> list[str]:
        """Names of the steps that have a task of which something is stored, sorted."""
        return list_steps(self._storage, flow, run_id)

    def task_ids(self, flow: str, run_id: str, step: str) -> list[str]:
        """Ids of the step's tasks of which something is stored, in the order of their splits.

        A task that still runs is among them if it has stored a card or the address of a main node.
        """
        if step == STEP:
            return [TASK_ID] if self._manifest(flow, run_id) is not None else []
        return sorted(list_tasks(self._storage, flow, run_id, step), key=_by_number)

    def tasks(
        self, flow: str, run_id: str, step: str, task_ids: Sequence[str], first_attempt: int
    ) -> list[TaskRecord | None]:
        """Record of each task: of the attempt that is done, else of the last one; None if it has none.

        Args:
            flow: the flow's name.
            run_id: the run's id.
            step: the step's name.
            task_ids: the tasks' ids.
            first_attempt: lowest attempt that counts; earlier ones belong to a former run with the same id.
        """
        if step == STEP:
            known = self._parameters(flow, run_id)
            return [known.get(full_id(step, task_id)) for task_id in task_ids]

        def read(task_id: str) -> TaskRecord | None:
            done = read_task_manifest(self._storage, TaskName(flow, run_id, step, task_id))
            if done is not None and done.attempt >= first_attempt:
                return done
            attempts = self.attempts(flow, run_id, step, task_id, first_attempt)
            return attempts[-1] if attempts else None

        return self._each(task_ids, read)

    def attempts(
        self, flow: str, run_id: str, step: str, task_id: str, first_attempt: int
    ) -> list[TaskRecord]:
        """Records of all attempts of a task that have ended, sorted by attempt."""
        if step == STEP:
            return [
                each for key, each in self._parameters(flow, run_id).items() if key == full_id(step, task_id)
            ]
        found = list_attempts(self._storage, TaskName(flow, run_id, step, task_id))
        return [each for each in found if each.attempt >= first_attempt]

    def log(self, flow: str, run_id: str, step: str, task_id: str, attempt: int, stream: str) -> str:
        """Log of an attempt, ``stdout`` or ``stderr``, each line with its time stamp."""
        name = TaskName(flow, run_id, step, task_id).attempt(attempt)
        return read_stamped_log(self._storage, name, stream).decode("utf-8", "replace")

    def artifact(self, sha256: str, size: int) -> str:
        """Path of a verified file with an artifact's bytes."""
        return str(self._datastore.artifacts.fetch(sha256, size))

    def card(self, flow: str, run_id: str, step: str, task_id: str, attempt: int, card_name: str) -> str:
        """Card of an attempt, as HTML."""
        name = TaskName(flow, run_id, step, task_id).attempt(attempt)
        data = self._storage.read_bytes(layout.card(name, card_name))
        return data.decode("utf-8", "replace")

    def card_data(
        self, flow: str, run_id: str, step: str, task_id: str, attempt: int, card_name: str
    ) -> str | None:
        """Last data update of a card, as JSON; None if it has none."""
        name = TaskName(flow, run_id, step, task_id).attempt(attempt)
        try:
            return self._storage.read_bytes(layout.card_data(name, card_name)).decode("utf-8", "replace")
        except NotInDatastore:
            return None

    def card_names(self, flow: str, run_id: str, step: str, task_id: str, attempt: int) -> list[str]:
        """Names of the cards that an attempt has stored, also while it runs, sorted."""
        folder = layout.task_folder(TaskName(flow, run_id, step, task_id))
        found = (layout.card_of(folder + name) for name in self._storage.list_names(folder))
        return [each[3] for each in found if each is not None and each[2] == attempt]

    def card_path(self, flow: str, run_id: str, step: str, task_id: str, attempt: int, card_name: str) -> str:
        """Path of a card's page: of its file, or its URL in S3."""
        key = layout.card(TaskName(flow, run_id, step, task_id).attempt(attempt), card_name)
        return str(self._storage.local_path(key) or f"{self._storage.url}/{key}")

    def code(self, sha256: str) -> str:
        """Path of a directory with the files of a code package, which must not be changed."""
        return str(code_package.extract(self._storage, sha256, self._datastore.cache_dir))

    def lock(self, platform: str, spec_id: str) -> dict[str, Any] | None:
        """Lock of an environment as a document, None if neither the datastore nor the cache has it."""
        key = layout.lock(platform, spec_id)
        # With a local datastore, locks are in the cache directory only.
        for storage in (self._storage, LocalStorage(self._datastore.cache_dir, "cache_dir")):
            if (data := read_published(storage, key)) is not None:
                name = str(storage.local_path(key) or f"{key} in the datastore {storage.url}")
                return read_lock_document(data, name, spec_id, platform)
        return None

    def change_tags(self, flow: str, run_id: str, add: Sequence[str], remove: Sequence[str]) -> list[str]:
        """Remove and add tags of a run as one change; returns its current user tags.

        Raises:
            ObjectNotFound: there is no such run.
            TaggingError: as ``tags.change_tags``.
        """
        run = self._manifest(flow, run_id)
        if run is None:
            raise ObjectNotFound(f"Run('{flow}/{run_id}') does not exist in {self.describe()}.")
        return change_tags(self._storage, run, add, remove)

    def _manifest(self, flow: str, run_id: str) -> RunRecord | None:
        try:
            return read_run_manifest(self._storage, flow, run_id)
        except NotInDatastore:
            return None

    def _unless_damaged(
        self, read: Callable[[str, str], _Found | None], flow: str, run_id: str
    ) -> _Found | None:
        try:
            return read(flow, run_id)
        except DamagedDocument as error:
            warn(f"Run('{flow}/{run_id}') is left out: {error}")
            return None

    def _parameters(self, flow: str, run_id: str) -> dict[str, TaskRecord]:
        """The task of the step ``_parameters`` by its id; empty if there is no such run."""
        run = self._manifest(flow, run_id)
        return {} if run is None else {TASK_ID: parameters_task(run)}

    def _with_tags(self, run: RunRecord) -> TaggedRun:
        return TaggedRun.of(run, system_tags(run), user_tags(self._storage, run))

    def _each(self, items: Sequence[_Item], read: Callable[[_Item], _Found]) -> list[_Found]:
        """Results of ``read`` for all items, in order; in parallel from S3."""
        if self._storage.kind == "local" or len(items) < 2:  # noqa: PLR2004  nothing to overlap
            return [read(item) for item in items]
        with ThreadPoolExecutor(min(_READERS, len(items))) as pool:
            return list(pool.map(read, items))


def _as_json(value: Any) -> Any:
    return value.document if isinstance(value, (RunRecord, TaskRecord)) else value


def _microseconds(created: str) -> int:
    return int(stated_moment(created).timestamp() * 1_000_000)


def _by_number(task_id: str) -> tuple[tuple[int, int | str], ...]:
    """Sort key of a task id that puts ``10`` after ``9``, and anything that is no number last."""
    parts = ((each, whole_number(each)) for each in task_id.split("-"))
    return tuple((1, text) if number is None else (0, number) for text, number in parts)
