"""The flows that run in every way, and their artifacts."""

from __future__ import annotations

import json
from pathlib import Path

from airflow_conda_flow.datastore.s3_storage import S3Storage

from ...parts.airflow_machine import DAGS

NESTED = '''
from airflow_conda_flow import FlowSpec, step


class NestedFlow(FlowSpec):
    """A branch inside a foreach."""

    @step
    def start(self):
        self.items = [1, 2]
        self.next(self.body, foreach="items")

    @step
    def body(self):
        self.value = self.input
        self.next(self.left, self.right)

    @step
    def left(self):
        self.found = ("left", self.value * 10)
        self.next(self.both)

    @step
    def right(self):
        self.found = ("right", self.value * 100)
        self.next(self.both)

    @step
    def both(self, inputs):
        self.found = [each.found for each in inputs]
        self.next(self.join)

    @step
    def join(self, inputs):
        self.all = [each.found for each in inputs]
        self.next(self.end)

    @step
    def end(self):
        print(self.all)


if __name__ == "__main__":
    NestedFlow()

dag = NestedFlow.dag(schedule=None)
'''
SLEEPER = """
import time
from datetime import timedelta
from airflow_conda_flow import batch

class {name}(FlowSpec):
    @batch
    @step
    def start(self):
        self.tried = current.retry_count
        if {sleeps}:
            time.sleep({seconds})
        self.next(self.end)
    @step
    def end(self):
        pass

dag = {name}.dag(schedule=None, environment="local", default_args={{{arguments}}})
"""
"""A flow whose first step may sleep; to be formatted."""
FLOWS = {"linear_flow": 3, "foreach_flow": 9, "sklearn_flow": 5, "nested_flow": 11}
"""How many tasks each has."""


def flow_text(name: str) -> str:
    """The text of a flow file."""
    return NESTED if name == "nested_flow" else (DAGS / f"{name}.py").read_text()


def on_batch(text: str, arguments: str = "") -> str:
    """The same flow with ``@batch`` on every step."""
    return text.replace("    @step\n", f"    @batch{arguments}\n    @step\n").replace(
        "from airflow_conda_flow import ", "from airflow_conda_flow import batch, "
    )


def write_flow(machine, name: str, text: str, folder=None) -> Path:
    """The flow's file on a machine."""
    path = (folder or machine.home) / f"{name}.py"
    path.write_text(text)
    return path


def flow_name(name: str) -> str:
    """The class in that file."""
    return name.title().replace("_", "")


def runs_of(machine, flow: str) -> set[str]:
    """The ids of a flow's runs."""
    storage = S3Storage(machine.environ["CONDA_FLOW_DATASTORE_ROOT"], machine.s3)
    return set(storage.list_names(f"flows/{flow}/"))


def task_manifests(machine, run_id: str | None = None) -> dict[str, dict]:
    """The manifests of one run's attempts by ``Flow/step/task id/attempt``; of all runs without an id."""
    storage = S3Storage(machine.environ["CONDA_FLOW_DATASTORE_ROOT"], machine.s3)
    found = {}
    for key in storage.list_keys("flows/"):
        parts = key.split("/")
        if key.endswith(".json") and len(parts) == 6 and run_id in {None, parts[2]}:
            found["/".join((parts[1], *parts[3:])).removesuffix(".json")] = json.loads(
                storage.read_bytes(key)
            )
    return found


def artifact_hashes(machine, run_id: str | None = None, status: str = "done") -> dict[str, dict[str, str]]:
    """The sha256 of every artifact of a run's tasks of that status, by ``step/task id``."""
    return {
        "/".join(key.split("/")[1:3]): {name: ref["sha256"] for name, ref in manifest["artifacts"].items()}
        for key, manifest in task_manifests(machine, run_id).items()
        if manifest["status"] == status
    }
