"""A real deployment of Airflow for tests: PostgreSQL, Redis, and every component as a machine of its own.

Components share the database, the broker and nothing else: each has its own HOME, AIRFLOW_HOME, TMPDIR, cache and
copy of the DAG folder. They can be killed and started one by one.
"""

from __future__ import annotations

import base64
import contextlib
import json
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
PODS = "pods"
"""The component of which the pods of the KubernetesExecutor are instances, with one home."""
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
        return [self.home(name) / "airflow" / "logs" for name in (*WORKERS, "triggerer", PODS)]

    def printed(self) -> str:
        """The last lines of every component."""
        texts = {name: (self.home(name) / "log").read_text()[-1500:] for name in self._processes}
        return "\n".join(f"--- {name}\n{text}" for name, text in texts.items())

    def make_home(self, component: str) -> None:
        """Make the home directory of a component, with the DAG folder as it is now."""
        home = self.home(component)
        (home / "tmp").mkdir(parents=True, exist_ok=True)
        (home / "dags").mkdir(exist_ok=True)
        if component in {*WORKERS, PODS, "dag-processor"}:
            shutil.copytree(self.machine.dags, home / "dags", dirs_exist_ok=True)

    def environ(self, component: str) -> dict[str, str]:
        """The environment variables of a component."""
        home = self.home(component)
        return {
            **self.machine.environ,
            "HOME": str(home),
            "TMPDIR": str(home / "tmp"),
            "AIRFLOW_HOME": str(home / "airflow"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        }

    def start(self, *components: str) -> None:
        """Start components; one that was killed comes back to the same home."""
        for name in components:
            home = self.home(name)
            self.make_home(name)
            environ = self.environ(name)
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
def deployment(machine: AirflowMachine) -> Iterator[Deployment]:
    """Every component, up and answering while the block runs.

    Tasks run on Celery's workers, or with ``executor="KubernetesExecutor"`` in pods, beside those of steps.

    Args:
        machine: has the settings for pods of steps.
    """
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(postgresql())
        broker = stack.enter_context(redis())
        machine.environ.update(
            PATH=f"{machine.interpreter.parent}:{machine.environ['PATH']}",
            AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"postgresql+psycopg2://{database}",
            AIRFLOW__CORE__EXECUTOR="CeleryExecutor,KubernetesExecutor",
            AIRFLOW__KUBERNETES_EXECUTOR__IN_CLUSTER="False",
            AIRFLOW__KUBERNETES_EXECUTOR__CONFIG_FILE=machine.environ["KUBECONFIG"],
            AIRFLOW__KUBERNETES_EXECUTOR__NAMESPACE=machine.environ["CONDA_FLOW_KUBERNETES_NAMESPACE"],
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
        )
        migrated = machine.airflow("db", "migrate")
        assert migrated.returncode == 0, migrated.stdout
        airflow = Deployment(machine, port, database)
        _add_pods(airflow)
        stack.callback(airflow.end)
        stack.callback(airflow.close)
        airflow.start(*COMMANDS)
        airflow.wait_for(lambda: answers(address))
        yield airflow


def _add_pods(airflow: Deployment) -> None:
    """Make the home and the template of the pods of the KubernetesExecutor.

    Their image is the file system of this machine, whose Airflow is that of the tests. For the image that the
    template names only ``chroot`` is needed.
    """
    airflow.make_home(PODS)
    template = airflow.home(PODS) / "template.json"
    airflow.machine.environ.update(
        AIRFLOW__KUBERNETES_EXECUTOR__POD_TEMPLATE_FILE=str(template),
        AIRFLOW__KUBERNETES_EXECUTOR__DELETE_WORKER_PODS="False",  # a test looks at them
    )
    container = {
        "name": "base",
        "image": airflow.machine.environ["CONDA_FLOW_KUBERNETES_RUNNER_IMAGE"],
        "imagePullPolicy": "Never",
        "command": ["chroot", "/machine"],
        "securityContext": {"runAsUser": 0},  # which chroot needs
        "env": [{"name": name, "value": text} for name, text in sorted(airflow.environ(PODS).items())],
        "volumeMounts": [{"name": "machine", "mountPath": "/machine"}],
    }
    spec = {
        "restartPolicy": "Never",
        "hostNetwork": True,
        "containers": [container],
        "volumes": [{"name": "machine", "hostPath": {"path": "/"}}],
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "worker"}, "spec": spec}
    template.write_text(json.dumps(pod))
