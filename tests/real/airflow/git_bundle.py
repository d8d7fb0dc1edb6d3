"""A git repository of flows, as a versioned bundle beside the DAG folder of a test's Airflow."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from ...parts.airflow_machine import AirflowMachine
from ...parts.real_parts import missing

BUNDLE = "flows-in-git"
_WHO = ("-c", "user.name=tester", "-c", "user.email=tester@example.com")


def repository_of(machine: AirflowMachine) -> Path:
    """The repository, whose folder ``flows`` has the flows."""
    return machine.home / "repository"


def add_bundle(machine: AirflowMachine) -> None:
    """Make the repository, without any flow, and tell Airflow of it; nothing where git is not installed."""
    if shutil.which("git") is None:
        return
    repository = repository_of(machine)
    repository.mkdir()
    git(repository, "init", "--quiet", "--initial-branch", "main")
    git(repository, "commit", "--quiet", "--allow-empty", "--message", "Begin")
    tracked = {"tracking_ref": "main", "subdir": "flows", "repo_url": str(repository), "refresh_interval": 1}
    bundles = [
        {
            "name": "dags-folder",
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {},
        },
        {"name": BUNDLE, "classpath": "airflow.providers.git.bundles.git.GitDagBundle", "kwargs": tracked},
    ]
    machine.environ["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"] = json.dumps(bundles)


def need_bundle(machine: AirflowMachine) -> None:
    """Skip a test where git is not installed."""
    if not repository_of(machine).exists():
        missing("git is not installed")


def git(repository: Path, *words: str) -> str:
    """Output of a git command, which must succeed."""
    command = ["git", *_WHO, *words]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
