"""The nodes of a ``num_parallel``, run from the command line or by ``airflow dags test``."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from ..s3_servers import free_port
from .shape_runs import copy_dags
from .shapes import FLOWS

if TYPE_CHECKING:
    from airflow_conda_flow.datastore.storage import Storage

    from ..airflow_machine import AirflowMachine
    from ..flow_machine import Machine

GANG = "parallel_nodes"
GANG_STATUSES = {
    "start/0/0": "done",
    **{f"train/{node}/0": "failed" for node in range(3)},
    **{f"train/{node}/1": "done" for node in range(3)},
    "join/0/0": "done",
    "end/0/0": "done",
}
"""How every attempt ends: the first of every node with the one that fails."""


def run_gang(machine: Machine | AirflowMachine, way: str, *words: str) -> str:
    """Run the flow to a good end; what it printed.

    Args:
        machine: where.
        way: ``command``, or ``dag`` for the DAG in the machine's folder.
        words: options of the command ``run``.
    """
    port = free_port()
    if way == "dag":
        done = machine.airflow("dags", "test", GANG, "--conf", json.dumps({"port": port}))  # type: ignore[union-attr]
    else:
        options = ("--port", str(port), "--max-workers", "2", *words)
        done = machine.run(FLOWS / f"{GANG}.py", "run", *options)
    assert done.returncode == 0, done.stdout
    return done.stdout


def run_gang_both_ways(machine: AirflowMachine, compute: str) -> list[str]:
    """Run the flow from the command line and as a DAG at the same time, on this compute; what both printed."""
    copy_dags([(GANG, {})], machine.dags, decorators=[compute])
    with ThreadPoolExecutor(2) as pool:
        dag = pool.submit(run_gang, machine, "dag")
        return [run_gang(machine, "command", "--with", compute), dag.result()]


def gang_statuses(storage: Storage) -> list[dict[str, str]]:
    """How every attempt of each run ended, by ``step/task id/attempt``."""
    found: dict[str, dict[str, str]] = {}
    for key in storage.list_keys("flows/ParallelNodes/"):
        parts = key.split("/")
        if len(parts) == 6 and key.endswith(".json"):
            attempt = "/".join(parts[3:]).removesuffix(".json")
            found.setdefault(parts[2], {})[attempt] = json.loads(storage.read_bytes(key))["status"]
    return list(found.values())
