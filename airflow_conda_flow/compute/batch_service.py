"""What is asked of AWS Batch: which machines a queue has, definitions, jobs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

from airflow_conda_flow.compute.batch_errors import reporting
from airflow_conda_flow.compute.batch_failure import ENDED
from airflow_conda_flow.compute.batch_job import Definition
from airflow_conda_flow.datastore import layout
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.errors import NotInDatastore, SettingError

Job = Mapping[str, Any]
"""An entry of ``describe_jobs``, or of ``list_jobs``, which says less."""

_AT_ONCE = 100  # ids that describe_jobs takes
_CLAIM_SECONDS = 5.0
"""How long a submitter may take from saying that it registers a definition to having done so."""


class BatchService:
    """AWS Batch in one region; safe to use from many threads.

    Args:
        client: boto3's for ``batch``.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._fargate: dict[str, bool] = {}
        self._definitions: dict[str, str] = {}
        self._mutex = threading.Lock()

    @property
    def region(self) -> str:
        """The region's name."""
        return str(self._client.meta.region_name)

    def is_on_fargate(self, queue: str) -> bool:
        """Whether the jobs of a queue run on Fargate; else they run on EC2.

        Raises:
            SettingError: there is no such queue, or it takes no jobs.
        """
        with self._mutex:
            if queue not in self._fargate:
                self._fargate[queue] = self._ask_for_kind(queue)
            return self._fargate[queue]

    def _ask_for_kind(self, queue: str) -> bool:
        with reporting(f"look at the job queue {queue!r}"):
            queues = self._client.describe_job_queues(jobQueues=[queue])["jobQueues"]
        if not queues:
            raise SettingError(
                f"There is no job queue {queue!r} in {self.region}. Set CONDA_FLOW_BATCH_QUEUE, or write "
                "@batch(queue=...); for another region CONDA_FLOW_BATCH_REGION, or region=."
            )
        if queues[0]["state"] != "ENABLED":
            raise SettingError(f"The job queue {queue!r} is disabled. Enable it, or name another one.")
        first = min(queues[0]["computeEnvironmentOrder"], key=lambda each: each["order"])
        with reporting(f"look at the compute environment of the job queue {queue!r}"):
            found = self._client.describe_compute_environments(
                computeEnvironments=[first["computeEnvironment"]]
            )["computeEnvironments"]
        resources = found[0].get("computeResources") or {} if found else {}
        return str(resources.get("type", "")).startswith("FARGATE")

    def register(self, definition: Definition, storage: Storage) -> str:
        """The ARN of a definition, registered by the first who needs it.

        Args:
            definition: with a name that is the hash of its content.
            storage: the datastore's; those who submit at once agree there on who registers.
        """
        name = definition["jobDefinitionName"]
        with self._mutex:
            if name not in self._definitions:
                arn = self._active(name) or self._await_other(name, storage)
                self._definitions[name] = arn or self._register(definition)
            return self._definitions[name]

    def _register(self, definition: Definition) -> str:
        with reporting("register a job definition"):
            return str(self._client.register_job_definition(**definition)["jobDefinitionArn"])

    def _active(self, name: str) -> str | None:
        with reporting("look for a job definition"):
            found = self._client.describe_job_definitions(jobDefinitionName=name, status="ACTIVE")[
                "jobDefinitions"
            ]
        first = min(found, key=lambda each: each["revision"], default=None)
        return None if first is None else str(first["jobDefinitionArn"])

    def _await_other(self, name: str, storage: Storage) -> str | None:
        """The ARN of a definition that another submitter registers now; None if it is ours to do."""
        key = layout.job_definition_claim(self.region, name)
        if storage.write_if_absent(key, b""):
            return None
        try:
            _, age = storage.read_with_age(key)
        except NotInDatastore:
            return None
        while age < _CLAIM_SECONDS:  # an older claim is of a definition that somebody removed since
            time.sleep(0.5)
            age += 0.5
            if arn := self._active(name):
                return arn
        return None

    def submit(self, **arguments: Any) -> str:
        """Submit a job; gives its id. The arguments are those of ``submit_job``."""
        with reporting(f"submit a job to the queue {arguments['jobQueue']!r}"):
            return str(self._client.submit_job(**arguments)["jobId"])

    def find(self, queue: str, prefix: str) -> list[Job]:
        """The jobs of a queue whose names begin so, whatever their status."""
        filters = [{"name": "JOB_NAME", "values": [f"{prefix}*"]}]
        found: list[Job] = []
        with reporting(f"look for jobs in the queue {queue!r}"):
            for page in self._client.get_paginator("list_jobs").paginate(jobQueue=queue, filters=filters):
                found.extend(page["jobSummaryList"])
        return found

    def describe(self, job_ids: Iterable[str]) -> dict[str, Job]:
        """The jobs by id; one that is not known is missing."""
        wanted = list(job_ids)
        found: dict[str, Job] = {}
        with reporting("look at jobs"):
            for start in range(0, len(wanted), _AT_ONCE):
                answer = self._client.describe_jobs(jobs=wanted[start : start + _AT_ONCE])
                found.update((job["jobId"], job) for job in answer["jobs"])
        return found

    def terminate(self, job_id: str, reason: str = ENDED) -> None:
        """Ask for the end of a job, whatever its status; does nothing to one that has ended."""
        with reporting(f"end the job {job_id}"):
            self._client.terminate_job(jobId=job_id, reason=reason)
