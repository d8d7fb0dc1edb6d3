"""What every compute is: a place where the runner of a task runs, chosen by a step's decorators."""

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
    from airflow_conda_flow.settings import Settings

LOCAL = "local"
REMOTE = ("kubernetes", "batch")
"""Decorators that send a step elsewhere; the compute has the decorator's name."""


@dataclass(frozen=True)
class RunContext:
    """What the tasks of one run have in common.

    Attributes:
        run: the run's record.
        datastore: where the run is kept.
        environments: the environments of this machine.
        settings: the settings in force.
        code_dir: where the flow file is on this machine; None takes it from the run's code package.
    """

    run: RunRecord
    datastore: Datastore
    environments: Environments
    settings: Settings
    code_dir: Path | None


class Compute(Protocol):
    """Runs attempts of one run's tasks; called from many threads at once."""

    def run(
        self,
        request: TaskRequest,
        output: Output,
        on_start: Callable[[str], None],
        cancel: threading.Event,
    ) -> TaskResult:
        """Run one attempt to its end, in the calling thread.

        Args:
            request: which attempt.
            output: takes the lines that the step prints, as they come.
            on_start: called once, with what people call the thing that runs: ``pid 123``, ``pod x``.
            cancel: when set, the attempt ends early and nothing of it is left running.

        Raises:
            CondaFlowError: the attempt could not be run; it may have left no manifest.
        """


def compute_name(step: str, decorators: Mapping[str, Any]) -> str:
    """Where a step runs: ``local``, or the name of its remote decorator.

    Args:
        step: the step's name, for the message.
        decorators: the step's, by name.

    Raises:
        FlowDefinitionError: it has two of them.
    """
    remote = [name for name in REMOTE if name in decorators]
    if len(remote) > 1:
        raise FlowDefinitionError(
            f"Step {step!r} has both @{remote[0]} and @{remote[1]}; a step runs in one place. Keep one."
        )
    return remote[0] if remote else LOCAL


def remote_steps(decorators: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """The steps that run in containers elsewhere."""
    return {step for step, each in decorators.items() if compute_name(step, each) != LOCAL}


def step_platforms(decorators: Mapping[str, Mapping[str, Any]], settings: Settings) -> dict[str, str]:
    """The conda platform of every step: this machine's, or the setting's for steps elsewhere.

    Raises:
        SettingError: a step runs here, and this machine is older than environments are solved for.
    """
    places = {step: compute_name(step, each) for step, each in decorators.items()}
    if LOCAL in places.values():
        check_this_machine(settings)
    return {
        step: current_platform() if place == LOCAL else settings.remote_platform
        for step, place in places.items()
    }


def check_reachable(names: Iterable[str], settings: Settings) -> None:
    """Raise ``SettingError`` if a step runs elsewhere and the datastore is a directory of this machine."""
    remote = sorted(set(names) - {LOCAL})
    if remote and settings.datastore != "s3":
        raise SettingError(
            f"@{remote[0]} runs steps on other machines, which cannot reach the local datastore "
            f"{settings.datastore_root}. Set --datastore s3 and --datastore-root s3://bucket/prefix, or "
            "CONDA_FLOW_DATASTORE and CONDA_FLOW_DATASTORE_ROOT."
        )


def make_compute(name: str, context: RunContext) -> Compute:
    """The compute of that name, for the tasks of one run."""
    if name == LOCAL:
        from airflow_conda_flow.compute.local_process import LocalProcess  # noqa: PLC0415 - one of many

        return LocalProcess(context)
    if name == "batch":
        from airflow_conda_flow.compute.batch import Batch  # noqa: PLC0415 - one of many

        return Batch(context)
    if name == "kubernetes":
        from airflow_conda_flow.compute.kubernetes import Kubernetes  # noqa: PLC0415 - one of many

        return Kubernetes(context)
    raise SettingError(f"There is no compute {name!r}. There is: {', '.join((LOCAL, *REMOTE))}.")
