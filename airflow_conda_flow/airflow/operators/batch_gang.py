"""Operator for the nodes of a ``num_parallel`` with ``@batch``: one job per node, all submitted at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from airflow_conda_flow.airflow.operators.batch import BatchStepOperator
from airflow_conda_flow.airflow.operators.gang import GangTask
from airflow_conda_flow.airflow.operators.tries import Try
from airflow_conda_flow.compute.batch.board import OVER
from airflow_conda_flow.compute.batch.job import job_family
from airflow_conda_flow.compute.batch.jobs import Batch
from airflow_conda_flow.compute.batch.service import BatchService
from airflow_conda_flow.compute.compute import Compute, RunContext
from airflow_conda_flow.runner.task_request import TaskRequest

if TYPE_CHECKING:
    from airflow.sdk import Context


class BatchGangOperator(GangTask, BatchStepOperator):
    """Operator that runs the nodes of a step as jobs of AWS Batch, and waits for them in the worker."""

    def compute(
        self, context: Context, requests: Sequence[TaskRequest], tried: Try, run: RunContext
    ) -> Compute:
        """Compute that submits the jobs; first terminates those of an earlier try whose worker was lost."""
        # A gang starts and fails as a whole, so unlike a single job the old ones are not waited for.
        del context
        self.connect(tried.settings)
        region, plan = self.region_and_plan(tried)
        root = tried.settings.datastore_root
        self._end_earlier(region.service, plan.queue, [job_family(each, root) for each in requests])
        return Batch(run, {self.step: (region, plan)})

    def _end_earlier(self, service: BatchService, queue: str, families: Sequence[str]) -> None:
        for family in families:
            for job in service.find(queue, family):
                if job["status"] not in OVER:
                    self.log.info("Ending job %s of an earlier try.", job["jobId"])
                    service.terminate(job["jobId"])
