"""Older versions of Airflow for tests, each in an environment of its own with providers of its time.

They are kept under ``.cache`` and made by the first process that asks. Our package is put into each as a user
would put it there: with all versions that are there as constraints, so that nothing moves.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .airflow_machine import AirflowMachine, migrate_database
from .flow_machine import Machine

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).parent / "uv"


@dataclass(frozen=True)
class AirflowVersion:
    """An Airflow that our package works with.

    Attributes:
        airflow: its version.
        amazon: version of the provider for Amazon.
        kubernetes: version of the provider for Kubernetes.
        date: the day of its release: dependencies that are newer may break it.
    """

    airflow: str
    amazon: str
    kubernetes: str
    date: str

    def machine(self, home: Path, channel_url: str | None, **environ: str) -> AirflowMachine:
        """A machine with this Airflow, which is installed first if need be."""
        folder = self._installed()
        machine = AirflowMachine(home, channel_url, folder / "home" / "airflow.db", **environ)
        machine.interpreter = folder / "bin" / "python"
        return machine

    def _installed(self) -> Path:
        digest = hashlib.sha256(f"{self} {sys.version}".encode())
        for each in (ROOT / "pyproject.toml", Path(__file__)):
            digest.update(each.read_bytes() + str(ROOT).encode())
        shared = ROOT / ".cache" / "airflow"
        shared.mkdir(parents=True, exist_ok=True)
        folder = shared / f"{self.airflow}-{digest.hexdigest()[:16]}"
        with (shared / f"{self.airflow}.mutex").open("w") as mutex:
            fcntl.flock(mutex, fcntl.LOCK_EX)
            if not (folder / "ready").exists():
                for old in shared.glob(f"{self.airflow}-*"):
                    shutil.rmtree(old)
                self._install(folder)
                (folder / "ready").touch()
        return folder

    def _install(self, folder: Path) -> None:
        _run(UV, "venv", "--quiet", "--python", sys.executable, folder)
        python = folder / "bin" / "python"
        there = ("pip", "install", "--quiet", "--python", python)
        _run(
            *(UV, *there, "--exclude-newer", self.date),
            f"apache-airflow=={self.airflow}",
            f"apache-airflow-providers-amazon=={self.amazon}",
            f"apache-airflow-providers-cncf-kubernetes=={self.kubernetes}",
            *("psycopg2-binary", "asyncpg"),  # with which Airflow uses PostgreSQL
        )
        constraints = folder / "constraints.txt"
        constraints.write_text(_run(UV, "pip", "freeze", "--quiet", "--python", python))
        _run(UV, *there, "--constraint", constraints, "--editable", f"{ROOT}[airflow]")
        machine = Machine(folder / "home", AIRFLOW_HOME=str(folder / "home"))
        migrate_database(python, machine)


def _run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


OLDER = (
    AirflowVersion("3.0.6", amazon="9.15.0", kubernetes="10.8.0", date="2025-10-28"),
    AirflowVersion("3.1.8", amazon="9.24.0", kubernetes="10.15.0", date="2026-03-31"),
    AirflowVersion("3.2.2", amazon="9.31.0", kubernetes="10.18.0", date="2026-06-24"),
)
"""The newest of each minor version before the one that the tests themselves are run with."""
