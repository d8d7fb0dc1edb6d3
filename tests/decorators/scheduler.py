"""A real scheduler, API server, triggerer and DAG processor for one test."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..airflow.conftest import AIRFLOW, AirflowMachine

_PATIENCE = 220


@contextmanager
def running_scheduler(machine: AirflowMachine) -> Iterator[int]:
    """`airflow standalone` on ports of its own while the block runs; gives the API server's port."""
    port = 20000 + os.getpid() % 20000
    machine.environ.update(
        PATH=f"{AIRFLOW.parent}:{machine.environ['PATH']}",
        AIRFLOW__API__PORT=str(port),
        AIRFLOW__API__BASE_URL=f"http://127.0.0.1:{port}",
        AIRFLOW__CORE__EXECUTION_API_SERVER_URL=f"http://127.0.0.1:{port}/execution/",
        AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS="True",
        AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT=str(port + 1),
        AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT=str(port + 2),
    )
    with (machine.home / "standalone.log").open("w") as log:
        standalone = subprocess.Popen(
            [str(AIRFLOW), "standalone"],
            env=machine.environ,
            cwd=machine.home,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            wait_for(lambda: _answers(port))  # a task that starts before the API server fails
            yield port
        finally:
            os.killpg(standalone.pid, signal.SIGTERM)
            try:
                standalone.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(standalone.pid, signal.SIGKILL)
                standalone.wait()


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v2/version", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def trigger(machine: AirflowMachine, dag_id: str, run_id: str) -> None:
    """Trigger a DAG as soon as it is known, and let it run."""
    wait_for(lambda: machine.airflow("dags", "trigger", dag_id, "--run-id", run_id).returncode == 0)
    machine.airflow("dags", "unpause", dag_id, "--yes")


def wait_for(found: Callable[[], Any]) -> Any:
    """What the function gives once that is true; fails after a while."""
    deadline = time.monotonic() + _PATIENCE
    while not (value := found()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.5)
    return value
