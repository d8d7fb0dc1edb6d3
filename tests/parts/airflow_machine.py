"""An Airflow installation of its own for the tests: home, database, DAG folder."""

from __future__ import annotations

import base64
import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .flow_machine import Machine
from .warm_airflow import COMMAND, can_be_warm, run_warm

DAGS = Path(__file__).parents[2] / "dags"
FERNET_KEY = base64.urlsafe_b64encode(b"for the tests of this repository").decode()


class AirflowMachine(Machine):
    """A machine with Airflow on it.

    Attributes:
        dags: its DAG folder.
        interpreter: the interpreter that has Airflow; that of the tests unless it is set.
    """

    def __init__(self, home: Path, channel_url: str | None, database: Path, **environ: str) -> None:
        super().__init__(home, channel_url, **environ)
        self.interpreter = Path(sys.executable)
        self.dags = home / "dags"
        self.dags.mkdir()
        airflow_home = home / "airflow"
        airflow_home.mkdir()
        shutil.copy(database, airflow_home / "airflow.db")
        self.environ.update(
            AIRFLOW_HOME=str(airflow_home),
            AIRFLOW__CORE__DAGS_FOLDER=str(self.dags),
            AIRFLOW__CORE__LOAD_EXAMPLES="False",
            AIRFLOW__CORE__FERNET_KEY=FERNET_KEY,
            AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL="5",
            NO_COLOR="1",
        )

    @property
    def airflow_program(self) -> str:
        """The path of the command ``airflow``."""
        return str(self.interpreter.parent / "airflow")

    def airflow(self, *words: str, seconds: float = 280, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run an Airflow command to its end; both streams are in ``stdout``."""
        environ = {**self.environ, **environ}
        if can_be_warm(environ, self.home):
            command = ["airflow", *words]
            return run_warm(
                self.interpreter, COMMAND, command, environ, self.home, seconds, stderr=subprocess.STDOUT
            )
        return subprocess.run(
            [self.airflow_program, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environ,
            cwd=self.home,
            check=False,
            timeout=seconds,
        )

    def program(
        self, text: str, *words: str, seconds: float = 120, warm: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a Python program in this machine's Airflow to its end.

        Args:
            text: the program.
            words: its arguments.
            seconds: how long it may take.
            warm: whether Airflow may have been imported before it starts.
        """
        if warm and can_be_warm(self.environ, self.home):
            return run_warm(self.interpreter, text, ["-c", *words], self.environ, self.home, seconds)
        return subprocess.run(
            [self.interpreter, "-W", "ignore", "-c", text, *words],
            capture_output=True,
            text=True,
            env=self.environ,
            cwd=self.home,
            check=False,
            timeout=seconds,
        )

    def python(self, text: str, *, warm: bool = True) -> str:
        """The output of a Python program in this machine's Airflow; it must succeed. See ``program``."""
        done = self.program(text, warm=warm)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="package")
def database(tmp_path_factory) -> Path:
    """A migrated SQLite database of Airflow, made once for all workers."""
    shared = tmp_path_factory.getbasetemp().parent / "airflow-database"
    shared.mkdir(exist_ok=True)
    with (shared / "mutex").open("w") as mutex:
        fcntl.flock(mutex, fcntl.LOCK_EX)
        done = shared / "home" / "airflow.db"
        if not (shared / "ready").exists():
            machine = Machine(shared / "home", AIRFLOW_HOME=str(shared / "home"))
            migrate_database(Path(sys.executable), machine)
            (shared / "ready").touch()
    return done


def migrate_database(python: Path, machine: Machine) -> None:
    """Make the database of the Airflow of an interpreter, in the machine's AIRFLOW_HOME."""
    command = [str(python.parent / "airflow"), "db", "migrate"]
    subprocess.run(command, env=machine.environ, check=True, capture_output=True)
