"""Requests to AWS Batch: about queues, job definitions and jobs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

from airflow_conda_flow.compute.batch.errors import reporting
from airflow_conda_flow.compute.batch.failure import ENDED
from airflow_conda_flow.compute.batch.job import Definition
from airflow_conda_flow.datastore import layout
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.errors import NotInDatastore, SettingError

Job = Mapping[str, Any]
"""Entry of ``describe_jobs``, or of ``list_jobs``, which has fewer keys."""

_AT_ONCE = 100  # AWS's limit on the ids of one describe_jobs request
_CLAIM_SECONDS = 5.0
"""Seconds for which a claim is valid: time for another process to register the definition that it claimed.

A shorter time lets several processes register the same definition, which is harmless but untidy. A longer one
delays everybody if the process that made the claim has died.
"""


class BatchService:
    """AWS Batch in one region; safe to use from many threads.

    Every method that sends a request raises ``ComputeUnavailable`` if Batch cannot be reached or refuses it.

    Args:
        client: boto3 client for ``batch``.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._fargate: dict[str, bool] = {}
        self._definitions: dict[str, str] = {}
        self._mutex = threading.Lock()

    @property
    def region(self) -> str:
        """Name of the region."""
        return str(self._client.meta.region_name)

    def is_on_fargate(self, queue: str) -> bool:
        """True if the jobs of a queue run on Fargate, False if they run on EC2; asks AWS once per queue.

        Raises:
            SettingError: the queue does not exist or is disabled.
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
        # AWS does not allow a queue to mix Fargate and EC2, so the first compute environment is enough.
        first = min(queues[0]["computeEnvironmentOrder"], key=lambda each: each["order"])
        with reporting(f"look at the compute environment of the job queue {queue!r}"):
            found = self._client.describe_compute_environments(
                computeEnvironments=[first["computeEnvironment"]]
            )["computeEnvironments"]
        resources = found[0].get("computeResources") or {} if found else {}
        return str(resources.get("type", "")).startswith("FARGATE")

    def register(self, definition: Definition, storage: Storage) -> str:
        """ARN of a definition; registers it if no process has done so yet.

        Idempotent. Processes that submit at the same time agree through a claim in the datastore on which of
        them registers: Batch itself would give each of them a new revision.

        Args:
            definition: the definition, whose name is the hash of its content.
            storage: the datastore's storage.

        Raises:
            DatastoreError: the claim cannot be read or written.
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
        # The lowest revision, so that all processes use the same one if several were registered.
        first = min(found, key=lambda each: each["revision"], default=None)
        return None if first is None else str(first["jobDefinitionArn"])

    def _await_other(self, name: str, storage: Storage) -> str | None:
        """ARN of a definition that another process is registering; None if this process must register it."""
        key = layout.job_definition_claim(self.region, name)
        if storage.write_if_absent(key, b""):
            return None
        try:
            _, age = storage.read_with_age(key)
        except NotInDatastore:
            return None
        # An older claim means that the definition was deregistered since, or that its claimant died.
        while age < _CLAIM_SECONDS:
            time.sleep(0.5)
            age += 0.5
            if arn := self._active(name):
                return arn
        return None

    def submit(self, **arguments: Any) -> str:
        """Submit a job and return its id. The arguments are those of boto3's ``submit_job``."""
        with reporting(f"submit a job to the queue {arguments['jobQueue']!r}"):
            return str(self._client.submit_job(**arguments)["jobId"])

    def find(self, queue: str, prefix: str) -> list[Job]:
        """Jobs of a queue whose names begin with the prefix, in any status."""
        # A filter by name also makes list_jobs return every status; without one it returns running jobs only.
        filters = [{"name": "JOB_NAME", "values": [f"{prefix}*"]}]
        found: list[Job] = []
        with reporting(f"look for jobs in the queue {queue!r}"):
            for page in self._client.get_paginator("list_jobs").paginate(jobQueue=queue, filters=filters):
                found.extend(page["jobSummaryList"])
        return found

    def describe(self, job_ids: Iterable[str]) -> dict[str, Job]:
        """Jobs by id; an id that Batch does not list is missing from the result."""
        wanted = list(job_ids)
        found: dict[str, Job] = {}
        with reporting("look at jobs"):
            for start in range(0, len(wanted), _AT_ONCE):
                answer = self._client.describe_jobs(jobs=wanted[start : start + _AT_ONCE])
                found.update((job["jobId"], job) for job in answer["jobs"])
        return found

    def terminate(self, job_id: str, reason: str = ENDED) -> None:
        """Terminate a job in any status; a job that has ended is left as it is."""
        with reporting(f"end the job {job_id}"):
            self._client.terminate_job(jobId=job_id, reason=reason)
