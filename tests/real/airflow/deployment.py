"""A real deployment of Airflow for tests: PostgreSQL, Redis, and every component as a machine of its own.

Components share the database, the broker and nothing else: each has its own HOME, AIRFLOW_HOME, TMPDIR, cache and
copy of the DAG folder. They can be killed and started one by one.
"""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil

from ...parts.airflow_machine import AirflowMachine
from ...parts.process_group import end_group
from ...parts.s3_servers import free_port
from ...parts.servers import postgresql, redis
from .standalone import SELDOM_PARSED, Standalone, answers

WORKERS = ("worker-a", "worker-b")
COMMANDS = {
    "api-server": ("api-server",),
    "scheduler": ("scheduler",),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
    **{
        name: ("celery", "worker", "--celery-hostname", name, "--concurrency", "3", "--skip-serve-logs")
        for name in WORKERS
    },
}
"""Airflow's commands by component."""
_NOTICED = {
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "15",
}
"""After how many seconds Airflow notices that a component is gone; its own values are minutes."""


class Deployment(Standalone):
    """A running deployment.

    Attributes:
        machine: where commands of an operator run; its DAG folder is what is deployed.
    """

    def __init__(self, machine: AirflowMachine, port: int, database: str) -> None:
        super().__init__(machine, port, database)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def home(self, component: str) -> Path:
        """The home directory of a component."""
        return self.machine.home / component

    def log_folders(self) -> list[Path]:
        """Those of every component that runs code of tasks."""
        return [self.home(name) / "airflow" / "logs" for name in (*WORKERS, "triggerer")]

    def printed(self) -> str:
        """The last lines of every component."""
        texts = {name: (self.home(name) / "log").read_text()[-1500:] for name in self._processes}
        return "\n".join(f"--- {name}\n{text}" for name, text in texts.items())

    def start(self, *components: str) -> None:
        """Start components; one that was killed comes back to the same home."""
        for name in components:
            home = self.home(name)
            (home / "tmp").mkdir(parents=True, exist_ok=True)
            dags = home / "dags"
            dags.mkdir(exist_ok=True)
            if name in {*WORKERS, "dag-processor"}:
                shutil.copytree(self.machine.dags, dags, dirs_exist_ok=True)
            environ = {
                **self.machine.environ,
                "HOME": str(home),
                "TMPDIR": str(home / "tmp"),
                "AIRFLOW_HOME": str(home / "airflow"),
                "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            }
            with (home / "log").open("ab") as log:
                self._processes[name] = subprocess.Popen(
                    [self.machine.airflow_program, *COMMANDS[name]],
                    env=environ,
                    cwd=home,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )

    def kill(self, *components: str) -> None:
        """Kill components with all that they have started, as the loss of their machines does."""
        lost = [psutil.Process(self._processes[name].pid) for name in components]
        lost += [child for process in lost for child in process.children(recursive=True)]
        for process in lost:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        for name in components:
            self._processes[name].wait(30)

    def end(self) -> None:
        """End every component."""
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                end_group(process, 5)


@contextlib.contextmanager
def deployment(machine: AirflowMachine, **environ: str) -> Iterator[Deployment]:
    """Every component, up and answering while the block runs."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(postgresql())
        broker = stack.enter_context(redis())
        machine.environ.update(
            PATH=f"{machine.interpreter.parent}:{machine.environ['PATH']}",
            AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"postgresql+psycopg2://{database}",
            AIRFLOW__CORE__EXECUTOR="CeleryExecutor",
            AIRFLOW__CELERY__BROKER_URL=broker,
            AIRFLOW__CELERY__RESULT_BACKEND=f"db+postgresql+psycopg2://{database}",
            AIRFLOW__CORE__FERNET_KEY=base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            AIRFLOW__API_AUTH__JWT_SECRET=secrets.token_hex(32),
            AIRFLOW__API__SECRET_KEY=secrets.token_hex(32),
            AIRFLOW__API__PORT=str(port),
            AIRFLOW__API__BASE_URL=address,
            AIRFLOW__API__WORKERS="1",
            AIRFLOW__API__EXPOSE_STACKTRACE="True",
            AIRFLOW__CORE__EXECUTION_API_SERVER_URL=f"{address}/execution/",
            AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS="True",
            AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION="False",
            **SELDOM_PARSED,
            AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT="60",
            **_NOTICED,
            **environ,
        )
        migrated = machine.airflow("db", "migrate")
        assert migrated.returncode == 0, migrated.stdout
        airflow = Deployment(machine, port, database)
        stack.callback(airflow.end)
        airflow.start(*COMMANDS)
        airflow.wait_for(lambda: answers(address))
        yield airflow
