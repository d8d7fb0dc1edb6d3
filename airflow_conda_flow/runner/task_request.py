"""The request to run an attempt, and its result: the input and the output of every compute target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.records.names import AttemptName, TaskName

if TYPE_CHECKING:
    from airflow_conda_flow.records.run_record import RunRecord
    from airflow_conda_flow.records.shapes import ExceptionRecord, TaskRequestDocument
    from airflow_conda_flow.records.task_record import TaskRecord
    from airflow_conda_flow.runner.code_sources import CodeSources

VERSION = 1
"""Version of a request's JSON. Increase it when an older runner, in a user's image, would misread it."""


@dataclass(frozen=True)
class TaskRequest:
    """Request to run one attempt of one task.

    Attributes:
        flow: the flow's name.
        run_id: the run's id.
        step: the step's name.
        indices: the index path.
        attempt: number of the attempt, from 0.
        is_last: whether no retry follows if this attempt fails; ``@catch`` acts on the last attempt only.
        sources: where the flow's modules find their data files; None is the extracted code package. Their
            text comes from the package either way.
        run: the run's record; None reads it from the datastore.
        python: the interpreter for steps without an environment; None is the runner's own.
        run_sha256: ``RunRecord.sha256`` of the run as it was prepared; None if that is not known.
        inputs_sha256: ``inputs_sha256`` of the records of the tasks before it, as whoever starts the attempt
            has seen them end; None if that is not known.
        gang_key: secret of the nodes of a ``num_parallel``, see ``runner.main_node``; None for others.
        tells: whether the attempt prints lines about itself, see ``runner.story``.
        is_elsewhere: whether the attempt has a container to itself: the step begins in the directory of the
            code package, and the nodes of a ``num_parallel`` need the network address of node 0.
    """

    flow: str
    run_id: str
    step: str
    indices: tuple[int, ...] = ()
    attempt: int = 0
    sources: CodeSources | None = None
    run: RunRecord | None = None
    python: str | None = None
    is_last: bool = True
    is_elsewhere: bool = False
    run_sha256: str | None = None
    inputs_sha256: str | None = None
    gang_key: str | None = None
    tells: bool = False

    @property
    def task(self) -> TaskName:
        """Name of the task."""
        return TaskName.at(self.flow, self.run_id, self.step, self.indices)

    @property
    def name(self) -> AttemptName:
        """Name of the attempt."""
        return self.task.attempt(self.attempt)

    def to_dict(self) -> TaskRequestDocument:
        """The request as JSON, without the attributes that only hold on this machine.

        Left out are ``sources``, ``run``, ``python`` and ``is_elsewhere``.
        """
        return {
            "version": VERSION,
            "flow": self.flow,
            "run_id": self.run_id,
            "step": self.step,
            "indices": list(self.indices),
            "attempt": self.attempt,
            "is_last": self.is_last,
            "run_sha256": self.run_sha256,
            "inputs_sha256": self.inputs_sha256,
            "gang_key": self.gang_key,
            "tells": self.tells,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TaskRequest:
        """The request that ``to_dict`` wrote.

        Raises:
            KeyError: a part of the attempt's name is missing.
            SettingError: the request has a version that this runner does not read.

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
            run_sha256=data.get("run_sha256"),
            inputs_sha256=data.get("inputs_sha256"),
            gang_key=data.get("gang_key"),
            tells=data.get("tells", False),
        )


@dataclass(frozen=True)
class TaskResult:
    """Result of an attempt.

    Attributes:
        ok: whether the run can continue: the step succeeded, or ``@catch`` caught its failure.
        record: the record that was committed.
        exception: the failure, caught or not; None if the step succeeded.
        cancelled: whether the attempt was ended from outside.
        reported: whether the failure's traceback is among the lines that the attempt printed.
    """

    ok: bool
    record: TaskRecord
    exception: ExceptionRecord | None = None
    cancelled: bool = False
    reported: bool = False
