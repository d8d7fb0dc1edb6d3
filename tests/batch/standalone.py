"""Airflow with all its processes, on ports of its own."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..airflow.conftest import AIRFLOW, AirflowMachine
from ..datastore.s3_servers import free_port
from ..process_group import end_group


class Standalone:
    """A running `airflow standalone`.

    Args:
        machine: whose DAG folder and database it has.
        deadline: when waiting ends, by the monotonic clock.
    """

    def __init__(self, machine: AirflowMachine, deadline: float) -> None:
        self._machine = machine
        self._deadline = deadline

    def trigger(self, dag_id: str, run_id: str) -> None:
        """Start a DAG run; waits until the DAG is known."""
        self.wait_for(
            lambda: self._machine.airflow("dags", "trigger", dag_id, "--run-id", run_id).returncode == 0
        )
        self._machine.airflow("dags", "unpause", dag_id, "--yes")

    def wait_for(self, holds: Callable[[], bool]) -> None:
        """Wait until that holds."""
        while not holds():
            assert time.monotonic() < self._deadline, self.log()[-5000:]
            time.sleep(0.5)

    def log(self) -> str:
        """What all processes printed."""
        return (self._machine.home / "standalone.log").read_text()


@contextmanager
def standalone(machine: AirflowMachine, seconds: float, **environ: str) -> Iterator[Standalone]:
    """Airflow, up while the block runs."""
    ports = [free_port() for _ in range(3)]
    address = f"http://127.0.0.1:{ports[0]}"
    machine.environ.update(
        PATH=f"{AIRFLOW.parent}:{machine.environ['PATH']}",
        AIRFLOW__API__PORT=str(ports[0]),
        AIRFLOW__API__BASE_URL=address,
        AIRFLOW__CORE__EXECUTION_API_SERVER_URL=f"{address}/execution/",
        AIRFLOW__TRIGGERER__DEFAULT_CAPACITY="100",
        # On a busy machine Airflow takes a task whose trigger fired at once for one that was lost, and fails it.
        AIRFLOW__CORE__DEFAULT_TASK_RETRIES="3",
        AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY="1",
        AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT=str(ports[1]),
        AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT=str(ports[2]),
        **environ,
    )
    with (machine.home / "standalone.log").open("w") as log:
        process = subprocess.Popen(
            [str(AIRFLOW), "standalone"],
            env=machine.environ,
            cwd=machine.home,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield Standalone(machine, time.monotonic() + seconds)
        finally:
            end_group(process)
