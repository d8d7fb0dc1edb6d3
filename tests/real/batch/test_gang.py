"""The nodes of a ``num_parallel`` as jobs that talk to each other."""

from __future__ import annotations

from airflow_conda_flow.compute.batch.failure import is_ending
from airflow_conda_flow.compute.batch.job import job_family
from airflow_conda_flow.compute.batch.jobs import BatchRegion
from airflow_conda_flow.compute.batch.plan import job_arguments, plan_step
from airflow_conda_flow.datastore.s3_storage import S3Storage
from airflow_conda_flow.flow.decorators.batch import BatchDecorator
from airflow_conda_flow.runner.task_request import TaskRequest
from airflow_conda_flow.settings.loading import load_settings

from ...parts.graphs.gang import GANG_STATUSES, gang_statuses, run_gang_both_ways


def test_nodes_are_jobs(cluster, airflow_machine):
    """They run at once and find the main one; where one fails the jobs of the others end, and all run again."""
    machine = airflow_machine
    printed = run_gang_both_ways(machine, "batch")
    statuses = gang_statuses(S3Storage(machine.environ["CONDA_FLOW_DATASTORE_ROOT"], machine.s3))
    assert statuses == [GANG_STATUSES] * 2, printed
    for text in printed:
        assert text.count("finds the main one at 127.0.0.1") >= 3, text
    assert not [job for job in cluster.jobs("ParallelNodes-") if job["status"] not in {"SUCCEEDED", "FAILED"}]


def test_jobs_of_an_earlier_try_are_ended(cluster, tmp_path):
    """Those of the gang's nodes, whatever their attempt, and no other task's."""
    from airflow_conda_flow.airflow.operators.batch_gang import BatchGangOperator

    region = BatchRegion.of_clients(cluster.client("batch"), cluster.client("logs"))
    storage = S3Storage(cluster.server.make_root(), cluster.client("s3"))
    settings = load_settings(environ={"HOME": str(tmp_path), **cluster.environ(storage.url)})
    plan = plan_step("train", {"batch": BatchDecorator().attributes}, settings, storage, region.service)
    arn = region.service.register(plan.definition, storage)

    def submit(step, indices, attempt):
        arguments = job_arguments(plan, arn, TaskRequest("Left", "1", step, indices, attempt), storage.url)
        arguments["containerOverrides"] = {"command": ["sleep", "100"]}
        return region.service.submit(**arguments)

    left = [submit("train", (1, 0), 0), submit("train", (1, 1), 1)]
    others = [submit("train", (0, 0), 0), submit("join", (1,), 0)]
    operator = BatchGangOperator(
        task_id="train", flow="Left", step="train", kind="linear", decorators={}, indices=[1]
    )
    families = [job_family(TaskRequest("Left", "1", "train", (1, node), 2), storage.url) for node in range(2)]
    operator._end_earlier(region.service, plan.queue, families)
    told = {job_id: is_ending(job) for job_id, job in region.service.describe(left + others).items()}
    assert told == {**dict.fromkeys(left, True), **dict.fromkeys(others, False)}
    for job_id in others:
        region.service.terminate(job_id)
