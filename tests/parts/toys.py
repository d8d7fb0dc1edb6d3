"""The toy place for tests: a flow file with the folder of the toys beside it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from airflow_conda_flow.datastore.storage import Storage

from .flow_machine import Machine

TOYS = Path(__file__).parent / "toy_place"
DAG = """

from datetime import timedelta

dag = ToyFlow.dag(schedule=None, environment="local", default_args={"retry_delay": timedelta(seconds=1)})
"""


def toy_flow(machine: Machine, folder: Path, root: str, server: dict[str, str]) -> Path:
    """Write the flow of the toys into a folder, and tell the machine where its datastore and toys are."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(TOYS, folder / "toy_place", dirs_exist_ok=True)
    path = folder / "toy_flow.py"
    text = (TOYS / "flow.py").read_text()
    head, _, tail = text.partition('\n\nif __name__ == "__main__":')
    path.write_text(head + DAG + '\n\nif __name__ == "__main__":' + tail)
    machine.environ.update(
        server,
        CONDA_FLOW_DATASTORE="s3",
        CONDA_FLOW_DATASTORE_ROOT=root,
        CONDA_FLOW_TOY_BOX=str(machine.home / "toys"),
    )
    return path


def what_is_left(storage: Storage, flow: str = "ToyFlow") -> dict[str, dict[str, dict[str, str]]]:
    """By origin (``local`` or ``airflow``): the artifacts' hashes of every task, and the status of failed attempts.

    The newest run of each origin counts.
    """
    left: dict[str, dict[str, dict[str, str]]] = {}
    folders = [f"flows/{flow}/{run.rstrip('/')}/" for run in storage.list_names(f"flows/{flow}/")]
    runs = {folder: json.loads(storage.read_bytes(f"{folder}run.json")) for folder in folders}
    for folder, run in sorted(runs.items(), key=lambda each: each[1]["created"]):
        found = left[run["origin"]] = {}
        for key in storage.list_keys(folder):
            step, *rest = key.removeprefix(folder).split("/")
            if len(rest) == 2 and rest[1].endswith(".json"):
                manifest = json.loads(storage.read_bytes(key))
                name = f"{step}/{rest[0]}"
                if manifest["status"] == "done":
                    found[name] = {name: ref["sha256"] for name, ref in manifest["artifacts"].items()}
                elif "exception" in manifest:
                    found[f"{name}/{rest[1]}"] = {"failed": manifest["exception"]["type"]}
    return left
