"""A run in S3 whose tasks are containers of the runner image, started by Docker as Batch and Kubernetes do."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_conda_flow.datastore.datastore import open_datastore
from airflow_conda_flow.datastore.manifests import read_attempt
from airflow_conda_flow.environments.environments import Environments
from airflow_conda_flow.environments.platform import current_platform
from airflow_conda_flow.flow.definition import read_flow
from airflow_conda_flow.records.names import TaskName
from airflow_conda_flow.records.task_record import TaskRecord
from airflow_conda_flow.runner.container_command import RUNNER, run_words
from airflow_conda_flow.runner.run_preparation import prepare_run
from airflow_conda_flow.runner.task_request import TaskRequest
from airflow_conda_flow.runtime import pickling
from airflow_conda_flow.settings.loading import load_settings

from ...parts.attempt_machine import IMPORTS, load_flow_module
from ...parts.real_parts import docker
from ...parts.s3_servers import S3Server

HARDENED = ("--read-only", "--tmpfs", "/tmp:mode=1777,exec,size=2g", "--cap-drop", "ALL", "--memory", "1g")


class ContainerRun:
    """One prepared run of a flow ``AFlow``; each attempt is a container of its own.

    Attributes:
        run: the run's record.
        root: the datastore's.
        image: what containers are made of.
        program: the start of their command.
        network: the network that they are in.
        environ: the variables that a container gets.
    """

    def __init__(
        self, server: S3Server, image: str, folder: Path, text: str, channels: list[str], *, packed: bool
    ) -> None:
        self.root = server.make_root()
        self.image = image
        self.program = [RUNNER]
        self.network = "host"
        self.environ = {
            **{name: value for name, value in server.environment.items() if not value.startswith("/")},
            "CONDA_FLOW_DATASTORE": "s3",
            "CONDA_FLOW_DATASTORE_ROOT": self.root,
        }
        self.datastore = open_datastore("s3", self.root, folder / "cache")
        self.environments = Environments(folder / "cache", self.datastore.storage)
        file = folder / "code" / "a_flow.py"
        file.parent.mkdir()
        file.write_text(IMPORTS + text, encoding="utf-8")
        definition = read_flow(load_flow_module(file).AFlow)
        self.run = prepare_run(
            definition,
            datastore=self.datastore,
            environments=self.environments,
            settings=load_settings(
                overrides={
                    "channels": ",".join(channels) or "unused",
                    "datastore": "s3",
                    "datastore_root": self.root,
                },
                environ={},
            ),
            platforms=dict.fromkeys(definition.graph.steps, current_platform()),
            in_containers=definition.graph.steps if packed else (),
            run_id="1",
            parameters={},
            origin="local",
            environment="conda" if channels else "local",
        )

    def command(
        self, step: str, *indices: int, attempt: int = 0, options: tuple[str, ...] = HARDENED
    ) -> list[str]:
        """The words after ``docker`` that run one attempt."""
        request = TaskRequest("AFlow", "1", step, indices, attempt, run_sha256=self.run.sha256)
        variables = [word for name, value in self.environ.items() for word in ("--env", f"{name}={value}")]
        return [
            "run",
            "--rm",
            f"--network={self.network}",
            *options,
            *variables,
            self.image,
            *self.program,
            *run_words(request),
        ]

    def attempt(self, step: str, *indices: int, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run one attempt to its end, however it ends."""
        return docker(*self.command(step, *indices, **options), check=False)

    def done(self, step: str, *indices: int, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run one attempt that must succeed."""
        ended = self.attempt(step, *indices, **options)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended

    def task(self, step: str, task_id: str = "0", attempt: int = 0) -> TaskRecord | None:
        """The record of an attempt, or None."""
        return read_attempt(self.datastore.storage, TaskName("AFlow", "1", step, task_id).attempt(attempt))

    def value(self, step: str, name: str) -> Any:
        """The value of an artifact of a step's first attempt."""
        ref = self.task(step).artifacts[name]
        return pickling.load_from_file(str(self.datastore.artifacts.fetch(ref["sha256"], ref["size"])))


@pytest.fixture
def make_container_run(runner_image, moto_s3, tmp_path, monkeypatch) -> Callable[..., ContainerRun]:
    """Prepares a run of a flow of that text; with channels its steps have environments, packed or not."""
    moto_s3.use(monkeypatch)

    def make(
        text: str, channels: list[str] | None = None, server: S3Server = moto_s3, *, packed: bool = False
    ) -> ContainerRun:
        return ContainerRun(server, runner_image, tmp_path, text, channels or [], packed=packed)

    return make
