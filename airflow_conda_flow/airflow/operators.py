"""The operators of a compiled flow: prepare the run, run a step, and spread the splits of a foreach."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from airflow_conda_flow.airflow.configuration import airflow_settings, open_stores
from airflow_conda_flow.airflow.identity import attempt_of, flow_run_id
from airflow_conda_flow.airflow.parameters import given_values
from airflow_conda_flow.datastore.manifests import read_run_manifest
from airflow_conda_flow.errors import (
    CondaFlowError,
    FlowDefinitionError,
    ParameterError,
    ResolverNotFound,
    SettingError,
    SolveError,
)
from airflow_conda_flow.flow.definition import read_flow
from airflow_conda_flow.runner.attempt import TaskRequest, TaskResult, run_attempt
from airflow_conda_flow.runner.run_preparation import first_attempt, prepare_run, username

if TYPE_CHECKING:
    from airflow.sdk import Context

_HOPELESS = (FlowDefinitionError, ParameterError, ResolverNotFound, SettingError, SolveError)
"""Failures that another try would only repeat."""


class PrepareOperator(BaseOperator):
    """Resolves every environment of a flow, stores its code package, and commits the run's manifest.

    Args:
        flow_class: the flow.
        environment: ``conda``, or ``local`` for steps in the worker's own interpreter.
    """

    ui_color = "#e4f0e8"

    def __init__(
        self, *, flow_class: type[Any], environment: Literal["conda", "local"], **kwargs: Any
    ) -> None:
        super().__init__(do_xcom_push=False, **kwargs)
        self.flow_class = flow_class
        self.environment = environment

    def execute(self, context: Context) -> None:
        """Prepare the run; done again, it prepares the run again from what the flow is then."""
        try:
            self._prepare(context)
        except _HOPELESS as error:
            raise AirflowFailException(str(error)) from None
        except CondaFlowError as error:
            raise AirflowException(str(error)) from None

    def _prepare(self, context: Context) -> None:
        definition = read_flow(self.flow_class)
        settings = airflow_settings()
        datastore, environments = open_stores(settings, _LogProgress(self))
        run_id = flow_run_id(self.dag_id, context["run_id"])
        first_try = attempt_of(context["ti"].try_number) == 0
        manifest = prepare_run(
            definition,
            datastore=datastore,
            environments=environments,
            channels=settings.channels,
            run_id=run_id,
            parameters=definition.parameter_values(
                given_values(definition.parameters, context["params"], self.dag.params), username()
            ),
            origin="airflow",
            environment=self.environment,
            first_attempt=first_attempt(datastore.storage, definition.name, run_id, is_new=first_try),
        )
        self.log.info("Prepared run %s/%s in %s", definition.name, run_id, datastore.storage.url)
        for step, environment in manifest["environments"].items():
            self.log.info(
                "Step %s: Python %s, environment %s",
                step,
                environment["python"],
                environment["id"][:12],
            )


class StepOperator(BaseOperator):
    """Runs one step of a flow as a process on the worker.

    Args:
        flow: the flow's name.
        step: the step's name.
        kind: how the step goes on.
        indices: the index path of the task; mapped inside a foreach.
    """

    template_fields: Sequence[str] = ("indices",)
    ui_color = "#dce9f5"

    def __init__(
        self, *, flow: str, step: str, kind: str, indices: Sequence[int] = (), **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.flow = flow
        self.step = step
        self.kind = kind
        self.indices = indices
        self._cancel: threading.Event | None = None

    def execute(self, context: Context) -> list[list[int]] | None:
        """Run the step's next attempt; a foreach returns the index paths of its splits."""
        # Not made earlier: Airflow copies operators, and a mutex cannot be copied.
        self._cancel = threading.Event()
        try:
            result = self._run(context, self._cancel)
        except CondaFlowError as error:
            raise AirflowException(str(error)) from None
        self._name_split(context, result.manifest)
        if not result.ok:
            self._fail(result.exception or {})
        return self._splits(result.manifest["transition"])

    def on_kill(self) -> None:
        """End the step's process and its children."""
        if self._cancel is not None:
            self._cancel.set()

    def _run(self, context: Context, cancel: threading.Event) -> TaskResult:
        datastore, environments = open_stores(airflow_settings(), _LogProgress(self))
        run_id = flow_run_id(self.dag_id, context["run_id"])
        run = read_run_manifest(datastore.storage, self.flow, run_id)
        request = TaskRequest(
            flow=self.flow,
            run_id=run_id,
            step=self.step,
            indices=tuple(self.indices),
            attempt=attempt_of(context["ti"].try_number, run["first_attempt"]),
            run_manifest=run,
            python=sys.executable,
        )
        return run_attempt(
            request,
            datastore,
            environments,
            output=lambda _stream, line: self.log.info("%s", line),
            cancel=cancel,
        )

    def _fail(self, exception: Mapping[str, Any]) -> None:
        for line in exception.get("traceback", "").splitlines():
            self.log.error("%s", line)
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


class FanOutOperator(BaseOperator):
    """Puts the splits of a foreach inside a foreach into one list, for the next level to be mapped over.

    Args:
        splits: what the tasks of the mapped step returned.
    """

    template_fields: Sequence[str] = ("splits",)
    ui_color = "#eeeeee"

    def __init__(self, *, splits: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.splits = splits

    def execute(self, context: Context) -> list[list[int]]:
        """The index paths of all splits, in order."""
        del context
        # A slice asks once for all; iterating would ask, and log an error, one past the end.
        return [list(path) for paths in self.splits[:] for path in paths]


class _LogProgress:
    """Resolving and downloading as lines of the task log."""

    def __init__(self, operator: BaseOperator) -> None:
        self._log = operator.log
        self._bytes = 0
        self._mutex = threading.Lock()

    def say(self, text: str) -> None:
        """Log the text."""
        self._log.info("%s", text)

    def expect(self, size: int) -> None:
        """Log how much is to come."""
        if size:
            self._log.info("Fetching packages: %.1f MB", size / 1e6)

    def advance(self, size: int) -> None:
        """Count the bytes."""
        with self._mutex:
            self._bytes += size

    def finish(self) -> None:
        """Log how much came."""
        if self._bytes:
            self._log.info("Fetched %.1f MB", self._bytes / 1e6)
            self._bytes = 0
