"""Interface of the computes: what runs attempts in one kind of place, for the command line."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from airflow_conda_flow.flow.places import place_named

if TYPE_CHECKING:
    from airflow_conda_flow.datastore.datastore import Datastore
    from airflow_conda_flow.environments.environments import Environments
    from airflow_conda_flow.records.run_record import RunRecord
    from airflow_conda_flow.runner.attempt import Output
    from airflow_conda_flow.runner.code_sources import CodeSources
    from airflow_conda_flow.runner.fork_servers import ForkServers
    from airflow_conda_flow.runner.task_request import TaskRequest, TaskResult
    from airflow_conda_flow.settings.loading import Settings


@dataclass(frozen=True)
class RunContext:
    """Values shared by all tasks of one run.

    Attributes:
        run: the run's record.
        datastore: the datastore that contains the run.
        environments: the environments of this machine.
        settings: the settings in force.
        sources: where the flow's data files are on this machine, as in ``TaskRequest``.
        fork_servers: those that may start the processes of local steps.
    """

    run: RunRecord
    datastore: Datastore
    environments: Environments
    settings: Settings
    sources: CodeSources | None
    fork_servers: ForkServers | None = None


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


def make_compute(name: str, context: RunContext) -> Compute:
    """Compute of the place of this name, for the tasks of one run.

    Raises:
        SettingError: a setting of it is missing or wrong.
        ComputeUnavailable: AWS Batch cannot be reached.
        LookupError: there is no such place.
    """
    made: Compute = place_named(name).load("compute")(context)
    return made
