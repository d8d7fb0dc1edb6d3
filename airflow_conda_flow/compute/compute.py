"""Interface of the computes, the places where a task's runner runs, and the choice of one by decorators."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from airflow_conda_flow.environments.platform import current_platform
from airflow_conda_flow.environments.virtual_packages import check_this_machine
from airflow_conda_flow.errors import FlowDefinitionError, SettingError

if TYPE_CHECKING:
    from airflow_conda_flow.datastore.datastore import Datastore
    from airflow_conda_flow.environments.environments import Environments
    from airflow_conda_flow.records.run_record import RunRecord
    from airflow_conda_flow.runner.attempt import Output
    from airflow_conda_flow.runner.task_request import TaskRequest, TaskResult
    from airflow_conda_flow.settings.loading import Settings

LOCAL = "local"
REMOTE = ("kubernetes", "batch")
"""Decorators that run a step on another machine. The compute has the name of the decorator."""


@dataclass(frozen=True)
class RunContext:
    """Values shared by all tasks of one run.

    Attributes:
        run: the run's record.
        datastore: the datastore that contains the run.
        environments: the environments of this machine.
        settings: the settings in force.
        code_dir: directory of the flow's code on this machine; if None, the run's code package is extracted.
    """

    run: RunRecord
    datastore: Datastore
    environments: Environments
    settings: Settings
    code_dir: Path | None


class Compute(Protocol):
    """Place that runs attempts of one run's tasks; called from many threads at once."""

    def run(
        self,
        request: TaskRequest,
        output: Output,
        on_start: Callable[[str], None],
        cancel: threading.Event,
    ) -> TaskResult:
        """Run one attempt to its end, in the calling thread.

        Args:
            request: the attempt.
            output: receives the lines that the step prints, as they come.
            on_start: receives the name of the process, pod or job that starts, for people: ``pid 123``,
                ``pod x``. Called once; for a local step that leads back to itself, once per round.
            cancel: when set, the attempt is ended early.

        Raises:
            CondaFlowError: the attempt could not be run; it may have left no manifest.
        """


def compute_name(step: str, decorators: Mapping[str, Any]) -> str:
    """Name of the compute of a step: ``local``, or the name of its remote decorator.

    Args:
        step: the step's name, for the message.
        decorators: the step's decorators, by name.

    Raises:
        FlowDefinitionError: the step has more than one remote decorator.
    """
    remote = [name for name in REMOTE if name in decorators]
    if len(remote) > 1:
        raise FlowDefinitionError(
            f"Step {step!r} has both @{remote[0]} and @{remote[1]}; a step runs in one place. Keep one."
        )
    return remote[0] if remote else LOCAL


def remote_steps(decorators: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """Names of the steps that run in containers on other machines.

    Raises:
        FlowDefinitionError: a step has more than one remote decorator.
    """
    return {step for step, each in decorators.items() if compute_name(step, each) != LOCAL}


def step_platforms(decorators: Mapping[str, Mapping[str, Any]], settings: Settings) -> dict[str, str]:
    """Conda platform of every step: this machine's for local steps, else ``remote_platform`` of the settings.

    Raises:
        FlowDefinitionError: a step has more than one remote decorator.
        SettingError: a step runs locally, and this machine is older than the one that environments are
            solved for.
    """
    places = {step: compute_name(step, each) for step, each in decorators.items()}
    if LOCAL in places.values():
        check_this_machine(settings)
    return {
        step: current_platform() if place == LOCAL else settings.remote_platform
        for step, place in places.items()
    }


def check_reachable(names: Iterable[str], settings: Settings) -> None:
    """Raise ``SettingError`` if a step runs on another machine, but the datastore is a local directory."""
    remote = sorted(set(names) - {LOCAL})
    if remote and settings.datastore != "s3":
        raise SettingError(
            f"@{remote[0]} runs steps on other machines, which cannot reach the local datastore "
            f"{settings.datastore_root}. Set --datastore s3 and --datastore-root s3://bucket/prefix, or "
            "CONDA_FLOW_DATASTORE and CONDA_FLOW_DATASTORE_ROOT."
        )


def make_compute(name: str, context: RunContext) -> Compute:
    """Compute of this name, for the tasks of one run.

    Raises:
        SettingError: there is no such compute, or a setting of it is missing or wrong.
        ComputeUnavailable: AWS Batch cannot be reached.
    """
    if name == LOCAL:
        from airflow_conda_flow.compute.local.process import LocalProcess  # noqa: PLC0415 - one of many

        return LocalProcess(context)
    if name == "batch":
        from airflow_conda_flow.compute.batch.jobs import Batch  # noqa: PLC0415 - one of many

        return Batch(context)
    if name == "kubernetes":
        from airflow_conda_flow.compute.kubernetes.pods import Kubernetes  # noqa: PLC0415 - one of many

        return Kubernetes(context)
    raise SettingError(f"There is no compute {name!r}. There is: {', '.join((LOCAL, *REMOTE))}.")
