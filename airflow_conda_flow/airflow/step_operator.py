"""What every operator of a step has in common, wherever the step runs, and the local one."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException

from airflow_conda_flow.airflow.configuration import airflow_settings, open_stores
from airflow_conda_flow.airflow.identity import attempt_of, flow_run_id
from airflow_conda_flow.airflow.log_progress import LogProgress
from airflow_conda_flow.compute.compute import LOCAL
from airflow_conda_flow.datastore.datastore import Datastore
from airflow_conda_flow.datastore.manifests import read_run_manifest
from airflow_conda_flow.environments.environments import Environments
from airflow_conda_flow.errors import CondaFlowError
from airflow_conda_flow.runner.attempt import TaskRequest, TaskResult, run_attempt

if TYPE_CHECKING:
    from airflow.sdk import Context


def step_operator_class(compute: str) -> type[Any]:
    """The operator for steps of that compute."""
    if compute == LOCAL:
        return StepOperator
    raise ValueError(f"There is no operator for steps on {compute}.")


class StepTask:
    """Which attempt of which step an operator runs, and what its end means for Airflow.

    Mixed into an operator.

    Attributes:
        flow: the flow's name.
        step: the step's name.
        kind: how the step goes on.
        indices: the index path of the task; mapped inside a foreach.
    """

    flow: str
    step: str
    kind: str
    indices: Sequence[int]

    def open(self, context: Context) -> tuple[TaskRequest, Datastore, Environments]:
        """The attempt that Airflow's try stands for, and the stores of the settings."""
        datastore, environments = open_stores(airflow_settings(), LogProgress(self.log))  # type: ignore[attr-defined]
        run_id = flow_run_id(self.dag_id, context["run_id"])  # type: ignore[attr-defined]
        run = read_run_manifest(datastore.storage, self.flow, run_id)
        request = TaskRequest(
            flow=self.flow,
            run_id=run_id,
            step=self.step,
            indices=tuple(self.indices),
            attempt=attempt_of(context["ti"].try_number, run["first_attempt"]),
            run_manifest=run,
        )
        return request, datastore, environments

    def conclude(self, context: Context, result: TaskResult) -> list[list[int]] | None:
        """Fail, or give what Airflow needs to go on: for a foreach the index paths of its splits."""
        self._name_split(context, result.manifest)
        if not result.ok:
            self._fail(result.exception or {})
        return self._splits(result.manifest["transition"])

    def _fail(self, exception: Mapping[str, Any]) -> None:
        for line in exception.get("traceback", "").splitlines():
            self.log.error("%s", line)  # type: ignore[attr-defined]
        raise AirflowException(
            f"Step {self.step} failed: {exception.get('type')}: {exception.get('message')}"
        )

    def _name_split(self, context: Context, manifest: Mapping[str, Any]) -> None:
        """Give Airflow's UI the value of the split for a name, where it is a short one."""
        if self.indices:
            name = manifest.get("split_name") or "-".join(str(each) for each in self.indices)
            context["split_name"] = name  # type: ignore[typeddict-unknown-key]

    def _splits(self, transition: Mapping[str, Any] | None) -> list[list[int]] | None:
        if transition is None or transition["foreach"] is None:
            return None
        return [[*self.indices, index] for index in range(transition["num_splits"])]


class StepOperator(StepTask, BaseOperator):
    """Runs one step of a flow as a process on the worker.

    Args:
        flow: the flow's name.
        step: the step's name.
        kind: how the step goes on.
        decorators: the step's, attributes by name.
        indices: the index path of the task; mapped inside a foreach.
    """

    template_fields: Sequence[str] = ("indices",)
    ui_color = "#dce9f5"

    def __init__(
        self,
        *,
        flow: str,
        step: str,
        kind: str,
        decorators: Mapping[str, Any],
        indices: Sequence[int] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.flow = flow
        self.step = step
        self.kind = kind
        self.decorators = decorators
        self.indices = indices
        self._cancel: threading.Event | None = None

    def execute(self, context: Context) -> list[list[int]] | None:
        """Run the step's next attempt; a foreach returns the index paths of its splits."""
        # Not made earlier: Airflow copies operators, and a mutex cannot be copied.
        self._cancel = threading.Event()
        try:
            request, datastore, environments = self.open(context)
            result = run_attempt(
                replace(request, python=sys.executable),
                datastore,
                environments,
                output=lambda _stream, line: self.log.info("%s", line),
                cancel=self._cancel,
            )
        except CondaFlowError as error:
            raise AirflowException(str(error)) from None
        return self.conclude(context, result)

    def on_kill(self) -> None:
        """End the step's process and its children."""
        if self._cancel is not None:
            self._cancel.set()
