"""``Task``: one execution of a step, with its logs and artifacts."""

import re
from collections import namedtuple
from datetime import datetime, timezone

from airflow_conda_flow.client.data_artifact import DataArtifact
from airflow_conda_flow.client.run_code import RunCode
from airflow_conda_flow.client.stored_object import StoredObject, local_time
from airflow_conda_flow.client.task_data import TaskData
from airflow_conda_flow.client.task_environment import TaskEnvironment
from airflow_conda_flow.client.task_exception import TaskException
from airflow_conda_flow.client.task_metadata import task_metadata
from airflow_conda_flow.errors import InvalidPathspec
from airflow_conda_flow.records import lineage, names
from airflow_conda_flow.records.task_record import TaskRecord

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Literal, overload

    from airflow_conda_flow.client.past_step import Step
    from airflow_conda_flow.client.task_metadata import Metadata
    from airflow_conda_flow.records.shapes import TaskManifest

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6})Z (.*)", re.DOTALL)  # UTC


class Task(StoredObject):
    """One task of a run: ``Task("TrainFlow/1795547131171801/fit/fit-3")``. Iteration yields its artifacts.

    A task exists once one of its attempts has ended. It shows the attempt given by ``attempt``, by
    default the one that succeeded, or else the last one.
    """

    depth = 4

    if TYPE_CHECKING:

        @property
        def parent(self) -> "Step":
            """Step that the task belongs to."""

        def __iter__(self) -> "Iterator[DataArtifact]":
            """Iterate over the artifacts."""

        def __getitem__(self, name: str) -> "DataArtifact":
            """Artifact with this name."""

    @classmethod
    def _known(cls, step: StoredObject, record: TaskRecord) -> "Task":
        made: Task = cls._of(step, record.task_id)
        made._found = record
        return made

    # Outcome.

    @property
    def finished(self) -> bool:
        """True if the task has succeeded; a failed task may still be retried."""
        return self._record().is_done

    @property
    def successful(self) -> bool:
        """True if the task has succeeded."""
        return self.finished

    @property
    def exception(self) -> "TaskException | None":
        """Exception that made the task fail; None if it did not fail, or if ``@catch`` caught it."""
        exception = self._record().exception
        return None if exception is None or self.finished else TaskException(exception)

    @property
    def created_at(self) -> "datetime":
        """Time when the attempt started, in this machine's time zone."""
        return local_time(self._record().started)

    @property
    def finished_at(self) -> "datetime":
        """Time when the attempt ended, in this machine's time zone."""
        record = self._record()
        return local_time(record.finished or record.started)

    @property
    def current_attempt(self) -> int:
        """Number of the attempt, counted from 0."""
        return self._record().attempt

    @property
    def manifest(self) -> "TaskManifest":
        """Manifest of the attempt, in the current form, which docs/architecture.md describes."""
        return self._record().document

    def _record(self) -> TaskRecord:
        if "_found" not in self.__dict__:
            self._load()
        return self._found

    # Artifacts and logs.

    @property
    def data(self) -> "TaskData":
        """Artifacts as attributes, each read on first access: ``task.data.x``."""
        return TaskData(self)

    @property
    def artifacts(self) -> "Any":
        """Named tuple of ``DataArtifact``s, without reading their values."""
        names = self._public_names()
        made = namedtuple("Artifacts", names, rename=True)  # type: ignore[misc]  # the names are data
        return made(*(self._artifact(name) for name in names))

    @property
    def stdout(self) -> str:
        """Text that the task wrote to standard output."""
        return self._text("stdout")

    @property
    def stderr(self) -> str:
        """Text that the task wrote to standard error, including the traceback if it failed."""
        return self._text("stderr")

    @property
    def stdout_size(self) -> int:
        """Size of the standard output, in bytes."""
        return len(self.stdout.encode("utf-8"))

    @property
    def stderr_size(self) -> int:
        """Size of the standard error, in bytes."""
        return len(self.stderr.encode("utf-8"))

    if TYPE_CHECKING:

        @overload
        def loglines(
            self, stream: str, as_unicode: "Literal[True]" = True
        ) -> "Iterator[tuple[datetime | None, str]]": ...

        @overload
        def loglines(
            self, stream: str, as_unicode: "Literal[False]"
        ) -> "Iterator[tuple[datetime | None, bytes]]": ...

        @overload
        def loglines(
            self, stream: str, as_unicode: bool
        ) -> "Iterator[tuple[datetime | None, str | bytes]]": ...

    def loglines(self, stream: str, as_unicode: bool = True) -> "Iterator[tuple[datetime | None, Any]]":
        """Pairs (time, line) of everything that the task wrote to one stream.

        The time is in this machine's time zone; None for a line without a time.

        Args:
            stream: ``stdout`` or ``stderr``.
            as_unicode: give lines as ``str``; if False, as ``bytes``.

        Raises:
            InvalidPathspec: there is no such stream.
        """
        for line in self._log(stream).split("\n"):
            moment, text = _timed(line)
            if moment is not None or text:
                yield moment, text if as_unicode else text.encode("utf-8")

    # Definition and origin.

    @property
    def index(self) -> "int | None":
        """Index of the innermost split, counted from 0; None outside a foreach."""
        path = self._indices()
        return path[-1] if path else None

    @property
    def code(self) -> "RunCode":
        """Source code that the task ran: the run's, or that of the flow file as it was mended since then."""
        ref = self._record().run_record
        if ref is None:
            return self.parent.parent.code
        return RunCode(self._catalogue, ref["code"]["sha256"], ref["code"]["flow_file"])

    @property
    def runtime_name(self) -> str:
        """Name of the scheduler: ``dev`` for the command line, ``airflow`` for Airflow."""
        return self.parent.parent.runtime_name

    @property
    def environment(self) -> "TaskEnvironment | None":
        """Locked conda environment that the task ran in; None if the step has no environment."""
        record, run = self._record(), self._run_record()
        if record.environment is None:
            return None
        own = run.environment_of(record.step)
        # A clone's step may have no environment in the resuming run; then any other one tells the platform.
        known = [own] if own else list(run.environments.values())
        platform = known[0]["platform"] if known else "linux-64"
        return TaskEnvironment(self._catalogue, record.environment, platform, record.python)

    @property
    def environment_info(self) -> "dict[str, Any] | None":
        """Environment as plain data; None if the step has no environment."""
        environment = self.environment
        return None if environment is None else environment.to_dict()

    @property
    def metadata(self) -> "list[Metadata]":
        """Facts about the task, as ``Metadata`` with name and value."""
        return task_metadata(self)

    @property
    def metadata_dict(self) -> "dict[str, str]":
        """Facts about the task, by name."""
        return {each.name: each.value for each in self.metadata}

    @property
    def origin_pathspec(self) -> "str | None":
        """Pathspec of the task that ``resume`` cloned this one from; None if the task itself ran."""
        record = self._record()
        return record.ran_as.task.pathspec if record.is_clone else None

    # Neighbours in the graph.

    @property
    def parent_tasks(self) -> "Iterator[Task]":
        """Tasks whose outputs were the inputs of this task."""
        return self._tasks(self._parents())

    @property
    def child_tasks(self) -> "Iterator[Task]":
        """Tasks that follow this one and have ended."""
        return self._tasks(self._next())

    @property
    def parent_task_pathspecs(self) -> "Iterator[str]":
        """Pathspecs of ``parent_tasks``; the tasks themselves are not read."""
        return (self._pathspec_of(key) for key in self._parents())

    @property
    def child_task_pathspecs(self) -> "Iterator[str]":
        """Pathspecs of ``child_tasks``."""
        return (task.pathspec for task in self.child_tasks)

    def _indices(self) -> "tuple[int, ...]":
        """Index path of the task; empty outside a foreach."""
        graph = self.parent.parent.graph
        if self._is_parameters():
            return ()
        return names.indices(self._parts[2], self.id, graph.foreach_depth(self._parts[2]))

    def _is_parameters(self) -> bool:
        """True for the task of ``_parameters``, which is not part of the graph."""
        return self._parts[2] not in self.parent.parent.graph.steps

    def _is_control(self) -> bool:
        """True for the main node of a ``num_parallel``."""
        graph = self.parent.parent.graph
        return not self._is_parameters() and graph.is_in_gang(self._parts[2]) and self.index == 0

    def _parents(self) -> "list[tuple[str, tuple[int, ...]]]":
        if self._is_parameters():
            return []
        return lineage.parents(self.parent.parent.graph, self._parts[2], self._indices(), self._record_of)

    def _next(self) -> "list[tuple[str, tuple[int, ...]]]":
        return lineage.next_tasks(self.parent.parent.graph, self._indices(), self._record().transition)

    def _record_of(self, step: str, indices: "tuple[int, ...]") -> "TaskRecord | None":
        found = self.parent.parent._child(step)
        task = None if found is None else found._child(names.task_id(step, indices))
        return task._record() if task is not None and task.finished else None

    def _tasks(self, keys: "list[tuple[str, tuple[int, ...]]]") -> "Iterator[Task]":
        by_step: "dict[str, list[str]]" = {}
        for step, indices in keys:
            by_step.setdefault(step, []).append(names.task_id(step, indices))
        for step, task_ids in by_step.items():
            found = self.parent.parent._child(step)
            if found is not None:
                yield from found._read(task_ids)

    def _pathspec_of(self, key: "tuple[str, tuple[int, ...]]") -> str:
        return "/".join(self._parts[:2] + (key[0], names.task_id(*key)))

    # Children.

    def _load(self) -> None:
        first_attempt = self._run_record().first_attempt
        flow, run_id, step, task_id = self._parts
        if self._attempt is None:
            (found,) = self._catalogue.call("tasks", [flow, run_id, step, [task_id], first_attempt])
        else:
            attempts = self._catalogue.call("attempts", [flow, run_id, step, task_id, first_attempt])
            found = next((each for each in attempts if TaskRecord(each).attempt == self._attempt), None)
        if found is None:
            raise self._missing()
        self._found = TaskRecord(found)

    def _public_names(self) -> "list[str]":
        return [name for name in self._record().artifacts if not name.startswith("_")]

    def _artifact(self, name: str) -> "DataArtifact":
        return DataArtifact._known(self, name, self._record().artifacts[name])

    def _children(self) -> "Iterator[DataArtifact]":
        return (self._artifact(name) for name in self._public_names())

    def _child(self, name: str) -> "DataArtifact | None":
        return self._artifact(name) if name in self._record().artifacts else None

    def _log(self, stream: str) -> str:
        if stream not in {"stdout", "stderr"}:
            raise InvalidPathspec("loglines(%r): write 'stdout' or 'stderr'." % stream)
        arguments = [*self._record().ran_as.parts, stream]
        return self._catalogue.call("log", arguments)  # type: ignore[no-any-return]

    def _text(self, stream: str) -> str:
        return "\n".join(_timed(line)[1] for line in self._log(stream).split("\n"))


def _timed(line: str) -> "tuple[datetime | None, str]":
    """Pair (time, text) of a log line, in this machine's time zone; the time is None if the line has none."""
    found = _TIME.match(line)
    if found is None:
        return None, line
    moment = datetime.strptime(found.group(1), "%Y-%m-%dT%H:%M:%S.%f")  # noqa: DTZ007 - next line
    return moment.replace(tzinfo=timezone.utc).astimezone().replace(tzinfo=None), found.group(2)
