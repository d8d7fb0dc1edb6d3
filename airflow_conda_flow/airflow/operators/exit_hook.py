"""Operator for ``@exit_hook``: a task that runs after all others, in any state, on a worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_conda_flow.airflow.failures import as_airflow_error
from airflow_conda_flow.airflow.identity import flow_run_id
from airflow_conda_flow.airflow.sdk import AirflowFailException
from airflow_conda_flow.client.exit_hooks import call_hooks
from airflow_conda_flow.client.past_run import Run
from airflow_conda_flow.client.scope import get_metadata
from airflow_conda_flow.client.stored_object import restored
from airflow_conda_flow.errors import CondaFlowError, ObjectNotFound

if TYPE_CHECKING:
    from airflow.sdk import Context


class ExitHookOperator(BaseOperator):
    """Operator that calls the functions of a flow's ``@exit_hook``.

    It is a teardown task, so that the state of the DAG run is decided by the steps alone.

    Args:
        flow: the flow's name.
        last_step: the flow's last step; the run has succeeded if this step has.
        hooks: the functions to call, by the run's success.
    """

    ui_color = "#f5ecdc"

    def __init__(
        self, *, flow: str, last_step: str, hooks: Mapping[bool, Sequence[Any]], **kwargs: Any
    ) -> None:
        super().__init__(do_xcom_push=False, **kwargs)
        self.flow = flow
        self.last_step = last_step
        self.hooks = hooks
        self.as_teardown()

    def execute(self, context: Context) -> None:
        """Call the hooks for the run's outcome.

        Raises:
            AirflowFailException: a hook failed.
        """
        run_id = context["run_id"]
        try:
            run = self._run(run_id)
        except CondaFlowError as error:
            raise as_airflow_error(error) from None
        ti: Any = context["ti"]
        states = ti.get_task_states(self.dag_id, task_ids=[self.last_step], run_ids=[run_id])
        succeeded = states.get(run_id, {}).get(self.last_step) == "success"
        failed = call_hooks(self.hooks[succeeded], run, lambda line: self.log.error("%s", line))
        if failed:
            raise AirflowFailException(f"These exit hooks failed: {', '.join(failed)}. The log says why.")

    def _run(self, run_id: str) -> Run | None:
        """The client's object of the run; None if the run was not prepared."""
        pathspec = f"{self.flow}/{flow_run_id(self.dag_id, run_id)}"
        run: Run = restored(Run, pathspec, None, get_metadata(), None)
        try:
            run.tags  # noqa: B018 - raises if the run does not exist
        except ObjectNotFound:
            return None
        return run
