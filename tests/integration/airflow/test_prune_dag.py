"""The DAG that prunes: what its runs remove, and how they fail."""

from __future__ import annotations

import shutil

import pytest

from airflow_conda_flow.datastore.datastore import open_datastore

from ...parts.airflow_machine import DAGS, AirflowMachine
from ...parts.old_datastore import OldDatastore


@pytest.fixture
def old(machine) -> OldDatastore:
    """The datastore of the machine, with the DAG in its folder."""
    shutil.copy(DAGS / "prune.py", machine.dags)
    folder = machine.home / ".airflow-conda-flow"
    return OldDatastore(open_datastore("local", folder / "datastore", folder / "cache"))


def _run(machine: AirflowMachine, *words: str):
    return machine.airflow("dags", "test", "conda_flow_prune", *words)


def test_a_run_of_the_dag(machine, old):
    """Runs that are older than its parameter go, the newest and those with the tag stay; its log says so."""
    for number in range(13):
        old.run(f"{number:02}", 120 - number, tags=("keep",) if number == 1 else ())
    unused = old.datastore.cache_dir / "runtime" / "old"
    unused.mkdir(parents=True)
    dry = _run(machine, "--conf", '{"dry_run": true}')
    assert dry.returncode == 0, dry.stdout
    assert "2 of 13 runs would go" in dry.stdout
    done = _run(machine)
    assert done.returncode == 0, done.stdout
    assert "2 of 13 runs removed" in done.stdout
    assert old.runs() == {f"{number:02}" for number in range(13)} - {"00", "02"}


def test_damage_fails_the_task(machine, old):
    """The log names what cannot be read, and the cache is pruned all the same."""
    old.run("1", 120)
    old.storage.write_bytes("flows/AFlow/1/run.json", b"{")
    old.age(120)
    failed = _run(machine)
    assert failed.returncode != 0 or "failed" in failed.stdout
    assert "flows/AFlow/1/run.json in the datastore" in failed.stdout
    assert "0 B freed" in failed.stdout
