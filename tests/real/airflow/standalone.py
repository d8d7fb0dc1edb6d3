"""A running Airflow for tests: scheduler, API server, triggerer and DAG processor, on ports of their own.

Its database is PostgreSQL's, as that of deployments: SQLite lets one process write at a time. There the scheduler of a
busy machine ends with "database is locked", and the API server's requests wait for one another.
"""

from __future__ import annotations

import functools
import json
import re
import secrets
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2

from airflow_conda_flow.records.dag_names import flow_run_id

from ...parts.airflow_machine import AirflowMachine
from ...parts.process_group import end_group
from ...parts.s3_servers import free_port
from ...parts.servers import postgresql

SELDOM_PARSED = {
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
    "AIRFLOW__DAG_PROCESSOR__STALE_DAG_THRESHOLD": "6000",
}
"""Settings by which a DAG file is read again only when it changes, which costs a second of processor time.

In older versions a DAG counts as stale when its file was read for a callback alone, until it is read for its DAGs."""
_SECONDS = 250
_ANSWER = 60  # seconds for one answer of the API server, on a machine with much to do


class Standalone:
    """A running `airflow standalone`.

    Attributes:
        machine: whose DAG folder and database it has.
        port: of the API server.
        database: Airflow's, as ``user@host:port/name``.
    """

    def __init__(self, machine: AirflowMachine, port: int, database: str) -> None:
        self.machine = machine
        self.port = port
        self.database = database
        self._run_ids: dict[str, str] = {}
        self._ahead: set[str] = set()
        self._token: str | None = None

    def run_id(self, dag_id: str) -> str:
        """The id of the DAG's run that was triggered last."""
        return self._run_ids[dag_id]

    def flow_run_id(self, dag_id: str) -> str:
        """Our id of that run, by which the datastore knows it."""
        return flow_run_id(dag_id, self._run_ids[dag_id])

    def query(self, statement: str, *values: str) -> list[tuple]:
        """The answer of Airflow's database."""
        with self._connection.cursor() as cursor:
            cursor.execute(statement.replace("?", "%s"), values)
            return cursor.fetchall()

    @functools.cached_property
    def _connection(self) -> Any:
        """One for all questions, of which there are two a second: a new one costs sixty times as much as a question."""
        connection = psycopg2.connect(f"postgresql://{self.database}")
        connection.autocommit = True  # each question sees what is committed by then
        return connection

    def close(self) -> None:
        """Leave the database, whose server waits for that when it ends."""
        self._connection.close()

    @property
    def token(self) -> str:
        """A token for the API server."""
        if self._token is None:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}/auth/token", timeout=_ANSWER
            ) as answer:
                self._token = json.load(answer)["access_token"]
        return self._token

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The answer of the API server, as its pages' buttons get it."""
        address = f"http://127.0.0.1:{self.port}"
        request = urllib.request.Request(f"{address}/api/v2/{path}", json.dumps(body).encode(), method=method)
        request.add_header("Authorization", f"Bearer {self.token}")
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=_ANSWER) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            answer = error.read().decode("utf-8", "replace")
            raise AssertionError(f"{method} {path}: {error.code} {answer}\n{self._told('')}") from None

    def trigger_ahead(self, *dag_ids: str) -> None:
        """Start runs for which tests will ask by ``trigger``, so that each of them finds its own well under way."""
        for dag_id in dag_ids:
            self.trigger(dag_id)
        self._ahead.update(dag_ids)

    def trigger(self, dag_id: str, **parameters: Any) -> None:
        """Start a DAG run as soon as the DAG is known, unless one was started ahead; its id is new."""
        if dag_id in self._ahead:
            self._ahead.remove(dag_id)
            return
        run_id = self._run_ids[dag_id] = f"run-{secrets.token_hex(4)}"
        self.unpause(dag_id)
        body = {"dag_run_id": run_id, "logical_date": None, "conf": parameters}
        self.ask("POST", f"dags/{dag_id}/dagRuns", body)

    def unpause(self, dag_id: str) -> None:
        """Let the scheduler run a DAG, as soon as the DAG is known."""
        self.wait_for(lambda: self.query("select 1 from serialized_dag where dag_id = ?", dag_id), dag_id)
        self.ask("PATCH", f"dags/{dag_id}", {"is_paused": False})  # it may have been known before, and paused

    def clear(self, dag_id: str, *tasks: str, downstream: Sequence[str] = (), newest: bool = False) -> None:
        """Clear tasks of the run that was triggered last, and what follows some of them, in one action.

        Args:
            dag_id: the DAG.
            tasks: ids of the tasks.
            downstream: tasks among them that are cleared with all that follows.
            newest: whether they run the newest version of a versioned bundle, and not that of the run.
        """
        following = {task for each in downstream for task in self._following(dag_id, each)}
        body = {
            "dry_run": False,
            "dag_run_id": self._run_ids[dag_id],
            "task_ids": sorted({*tasks, *following}),
            "only_failed": False,
            "reset_dag_runs": True,
            **({"run_on_latest_version": True} if newest else {}),
        }
        statement = "select clear_number from dag_run where dag_id = ? and run_id = ?"
        before = self.query(statement, dag_id, self._run_ids[dag_id])
        self.ask("POST", f"dags/{dag_id}/clearTaskInstances", body)
        # Some versions answer before they commit.
        self.wait_for(lambda: self.query(statement, dag_id, self._run_ids[dag_id]) != before, dag_id)

    def _following(self, dag_id: str, task: str) -> set[str]:
        """Tasks after a task, at any distance."""
        after = {
            each["task_id"]: each["downstream_task_ids"]
            for each in self.ask("GET", f"dags/{dag_id}/tasks")["tasks"]
        }
        found: set[str] = set()
        open_tasks = [task]
        while open_tasks:
            new = set(after[open_tasks.pop()]) - found
            found |= new
            open_tasks += new
        return found

    def wait_for_run(self, dag_id: str, state: str = "success", seconds: float = _SECONDS) -> None:
        """Return when the run that was triggered last has ended, in this state."""
        statement = "select state from dag_run where dag_id = ? and run_id = ?"

        def ended() -> list[tuple]:
            found = self.query(statement, dag_id, self._run_ids[dag_id])
            return found if found and found[0][0] in {"success", "failed"} else []

        assert self.wait_for(ended, dag_id, seconds) == [(state,)], self._told(dag_id)

    def wait_for(self, found: Callable[[], Any], dag_id: str = "", seconds: float = _SECONDS) -> Any:
        """The result of the function once that is true."""
        deadline = time.monotonic() + seconds
        while not (value := found()):
            assert time.monotonic() < deadline, self._told(dag_id)
            time.sleep(0.5)
        return value

    def running_try(self, dag_id: str, task_id: str) -> tuple[int, int]:
        """The number of the try of a task that runs, of the run that was triggered last, and its process."""
        statement = (
            "select try_number, pid from task_instance "
            "where dag_id = ? and run_id = ? and task_id = ? and state = 'running' and pid is not null"
        )
        ((number, pid),) = self.wait_for(
            lambda: self.query(statement, dag_id, self._run_ids[dag_id], task_id), dag_id
        )
        return int(number), int(pid)

    def log_folders(self) -> list[Path]:
        """The folders in which the logs of tasks are, in the order in which they are to be read."""
        return [self.machine.home / "airflow" / "logs"]

    def task_log(self, dag_id: str = "", task: str = "") -> str:
        """The logs of tasks: of all DAGs, of one, or of one of its tasks.

        Of a DAG that was triggered here, only the run that was triggered last counts.
        """
        run = f"run_id={self._run_ids[dag_id]}" if dag_id in self._run_ids else "**"
        found = [folder.glob(f"dag_id={dag_id or '*'}/{run}/**/*.log*") for folder in self.log_folders()]
        paths = [path for each in found for path in sorted(each)]
        return "".join(path.read_text() for path in paths if not task or f"task_id={task}/" in str(path))

    def tries_begun(self, dag_id: str, task: str, index: int) -> int:
        """How many tries of a task of the run that was triggered last have a line of log."""
        folder = self.machine.home / "airflow" / "logs" / f"dag_id={dag_id}"
        mapped = f"/map_index={index}" if index >= 0 else ""
        paths = folder.glob(f"run_id={self._run_ids[dag_id]}/task_id={task}{mapped}/attempt=*.log")
        return sum(
            1 for path in paths if re.fullmatch(r"attempt=\d+\.log", path.name) and path.stat().st_size
        )

    def printed(self) -> str:
        """The output of Airflow's processes."""
        return _log_file(self.machine).read_text()

    def _told(self, dag_id: str) -> str:
        """The logs to read when something did not happen."""
        states = self.query(
            "select task_id, map_index, state, try_number from task_instance where dag_id = ?", dag_id
        )
        printed = self.printed()
        return f"{states}\n{self.task_log(dag_id)[-4000:] if dag_id else ''}\n{printed[-4000:]}"


@contextmanager
def standalone(machine: AirflowMachine, **environ: str) -> Iterator[Standalone]:
    """Airflow, up and answering while the block runs."""
    ports = [free_port() for _ in range(3)]
    address = f"http://127.0.0.1:{ports[0]}"
    # LocalExecutor forks that many workers before it does anything.
    machine.environ.setdefault("AIRFLOW__CORE__PARALLELISM", "16")
    machine.environ.update(
        PATH=f"{machine.interpreter.parent}:{machine.environ['PATH']}",
        AIRFLOW__API__PORT=str(ports[0]),
        AIRFLOW__API__BASE_URL=address,
        AIRFLOW__API__WORKERS="1",  # of several, 3.0 ends those that take 5 s to come up, and they never do
        AIRFLOW__API__EXPOSE_STACKTRACE="True",  # an answer of 500 says why
        AIRFLOW__CORE__EXECUTION_API_SERVER_URL=f"{address}/execution/",
        AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS="True",
        AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION="False",
        **SELDOM_PARSED,
        AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT="60",  # two processors, and much else to do
        AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT=str(ports[1]),
        AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT=str(ports[2]),
        **environ,
    )
    with postgresql() as database, _log_file(machine).open("w") as log:
        machine.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = f"postgresql+psycopg2://{database}"
        process = subprocess.Popen(
            [machine.airflow_program, "standalone"],  # which makes the tables first
            env=machine.environ,
            cwd=machine.home,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            airflow = Standalone(machine, ports[0], database)
            # A task that starts before the API server fails.
            airflow.wait_for(lambda: answers(address) or process.poll() is not None)
            assert process.poll() is None, airflow.printed()
            with closing(airflow):
                yield airflow
        finally:
            end_group(process)


def _log_file(machine: AirflowMachine) -> Path:
    return machine.home / "standalone.log"


def answers(address: str) -> bool:
    """True if an API server at the address answers."""
    try:
        with urllib.request.urlopen(f"{address}/api/v2/version", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False
