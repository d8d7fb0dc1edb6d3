"""Which attempt is to be run, and how it ended: what every compute takes and gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.records.names import AttemptName, TaskName

if TYPE_CHECKING:
    from airflow_conda_flow.records.run_record import RunRecord
    from airflow_conda_flow.records.shapes import ExceptionRecord, TaskRequestDocument
    from airflow_conda_flow.records.task_record import TaskRecord

VERSION = 1
"""Version of a request's JSON. Raise it when an older runner, in somebody's image, would get it wrong."""


@dataclass(frozen=True)
class TaskRequest:
    """Which attempt of which task is to be run.

    Attributes:
        flow: the flow's name.
        run_id: the run's id.
        step: the step's name.
        indices: the index path.
        attempt: from 0.
        is_last: whether the task fails for good if this attempt does; what ``@catch`` waits for.
        code_dir: where the flow file is; None extracts the run's code package.
        run: the run's record; None reads it.
        python: the interpreter for steps without an environment; None is this one.
        is_elsewhere: whether the other nodes of a ``num_parallel`` are found through the network alone.
    """

    flow: str
    run_id: str
    step: str
    indices: tuple[int, ...] = ()
    attempt: int = 0
    code_dir: Path | None = None
    run: RunRecord | None = None
    python: str | None = None
    is_last: bool = True
    is_elsewhere: bool = False

    @property
    def task(self) -> TaskName:
        """The name of the task."""
        return TaskName.at(self.flow, self.run_id, self.step, self.indices)

    @property
    def name(self) -> AttemptName:
        """The name of the attempt."""
        return self.task.attempt(self.attempt)

    def to_dict(self) -> TaskRequestDocument:
        """The attempt's name as JSON; what is found anew on every machine is left out."""
        return {
            "version": VERSION,
            "flow": self.flow,
            "run_id": self.run_id,
            "step": self.step,
            "indices": list(self.indices),
            "attempt": self.attempt,
            "is_last": self.is_last,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TaskRequest:
        """The inverse of ``to_dict``.

        Raises:
            KeyError: a part of the name is missing.
            SettingError: another version of the package wrote it, whose meaning is not known here.

        >>> request = TaskRequest("AFlow", "1", "train", (3, 1), attempt=2)
        >>> TaskRequest.from_dict(request.to_dict()) == request
        True
        """
        version = data.get("version", VERSION)
        if version != VERSION:
            raise SettingError(
                f"The request has version {version!r}, and this runner reads version {VERSION}. Give the "
                "container the same version of airflow-conda-flow as the machine that starts it."
            )
        return cls(
            data["flow"],
            data["run_id"],
            data["step"],
            tuple(data["indices"]),
            data["attempt"],
            is_last=data.get("is_last", True),
        )


@dataclass(frozen=True)
class TaskResult:
    """How an attempt ended.

    Attributes:
        ok: whether its outputs are published; also of a failure that ``@catch`` caught.
        record: what was committed.
        exception: why it failed, caught or not; None if it did not.
        cancelled: whether it was ended from outside.
        reported: whether the failure's traceback is among the lines that the attempt printed.
    """

    ok: bool
    record: TaskRecord
    exception: ExceptionRecord | None = None
    cancelled: bool = False
    reported: bool = False
