"""The parameters of a run as outputs of a task: Metaflow's ``Run("AFlow/1")["_parameters"]``.

No such task ever runs, and nothing is stored for it: everything comes from the run manifest.
"""

from __future__ import annotations

from airflow_conda_flow.records.names import TaskName, task_id
from airflow_conda_flow.records.run_record import RunRecord
from airflow_conda_flow.records.task_record import DONE, TaskRecord, make_task_record

STEP = "_parameters"
TASK_ID = task_id(STEP, ())


def parameters_task(run: RunRecord) -> TaskRecord:
    """Record of a task whose artifacts are a run's parameters, configs and constants."""
    return make_task_record(
        TaskName(run.flow, run.run_id, STEP, TASK_ID).attempt(run.first_attempt),
        status=DONE,
        started=run.created,
        finished=run.created,
        split_name=None,
        artifacts=run.first_namespace,
        transition=None,
        exception=None,
        run_record=run.ref,
        environment=None,
        python=None,
        seconds={},
        cards=[],
    )
