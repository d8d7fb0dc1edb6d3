"""A datastore with runs of any age, made by the functions that store real ones; no step is run for them."""

from __future__ import annotations

import hashlib
import os
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

from airflow_conda_flow.datastore import code_package, layout
from airflow_conda_flow.datastore.datastore import Datastore
from airflow_conda_flow.datastore.logs import write_log
from airflow_conda_flow.datastore.manifests import write_run_manifest, write_task_manifest
from airflow_conda_flow.environments.lock import Lock, LockedPackage
from airflow_conda_flow.records.run_record import RunRecord
from airflow_conda_flow.records.task_record import DONE, FAILED, make_task_record

DAY = 24 * 3600.0
GRAPH = {
    "name": "AFlow",
    "line": 1,
    "doc": "",
    "start": "start",
    "end": "end",
    "steps": [
        {
            "name": name, "kind": kind, "out_steps": after, "in_steps": before, "foreach": None, "condition": None,
            "switch_cases": [], "is_join": False, "num_parallel": False, "conditional": False,
            "split_parents": [], "matching_join": None, "line": 2, "doc": "",
        }
        for name, kind, before, after in (("start", "linear", [], ["end"]), ("end", "end", ["start"], []))
    ],
}  # fmt: skip


def sha256(data: bytes) -> str:
    """The hex SHA-256."""
    return hashlib.sha256(data).hexdigest()


def lock_bytes(spec_id: str, platform: str, packages: tuple[bytes, ...]) -> bytes:
    """A lock with packages of these contents."""
    facts = {"version": "1", "build": "0", "build_number": 0, "subdir": "noarch", "channel": "http://host"}
    more = {"depends": (), "noarch": "generic", "python_site_packages_path": None, "stated": False}
    locked = (
        LockedPackage(
            name=f"a{number}",
            url="http://host/noarch/a-1-0.conda",
            sha256=sha256(each),
            size=len(each),
            **facts,
            **more,
        )
        for number, each in enumerate(packages)
    )
    return Lock(spec_id, platform, tuple(locked)).to_bytes()


class OldDatastore:
    """Makes runs in a local datastore, and ages what is in it."""

    def __init__(self, datastore: Datastore) -> None:
        self.datastore = datastore
        self.storage = datastore.storage

    def artifact(self, data: bytes) -> dict:
        """Publishes an artifact; returns its reference."""
        scratch = self.datastore.artifacts.scratch_dir()
        path = scratch / "value"
        path.write_bytes(data)
        self.datastore.artifacts.publish(path, sha256(data))
        scratch.rmdir()
        return {"sha256": sha256(data), "size": len(data), "type": "bytes", "protocol": 5, "preview": None}

    def run(
        self,
        run_id: str,
        days: float = 0.0,
        values: tuple[bytes, ...] = (),
        *,
        flow: str = "AFlow",
        state: str = DONE,
        tags: tuple[str, ...] = (),
        origin: str = "local",
        resumed: str | None = None,
        **changes: object,
    ) -> RunRecord:
        """Stores a run with one task or two; everything that is stored by then is as old as the run, or older."""
        created = datetime.now(timezone.utc) - timedelta(days=days)
        package = code_package.CodePackage(sha256(run_id.encode()), run_id.encode(), "a_flow.py")
        code_package.publish(self.storage, package)
        document = {
            "version": 1,
            "flow": flow,
            "run_id": run_id,
            "created": created.isoformat(timespec="microseconds"),
            "origin": origin,
            "username": "tester",
            "tags": list(tags),
            "graph": GRAPH,
            "code": {"sha256": package.sha256, "flow_file": "a_flow.py"},
            "environments": {},
            "pickle_protocols": {"start": 5, "end": 5},
            "parameters": {"word": self.artifact(b"word of " + run_id.encode())},
            "origin_run_id": resumed,
            **changes,
        }
        run = RunRecord(document)  # type: ignore[arg-type]
        write_run_manifest(self.storage, run)
        refs = {f"value{number}": self.artifact(each) for number, each in enumerate(values)}
        for step in ("start", "end") if state == DONE else ("start",):
            name = run.task(step, ()).attempt(0)
            write_log(self.storage, name, "stdout", b"2026-11-24T19:05:33.488689Z hello\n")
            write_task_manifest(
                self.storage,
                make_task_record(
                    name,
                    status=DONE if state == DONE else FAILED,
                    started=run.created,
                    finished=run.created,
                    split_name=None,
                    artifacts=refs,
                    transition=None,
                    exception=None,
                    run_record=run.ref,
                    environment=None,
                    python="3.11.7",
                    seconds={},
                    cards=[],
                ),
            )
        self.age(days)
        return run

    def lock(self, spec_id: str, packages: tuple[bytes, ...], platform: str = "linux-64") -> str:
        """Stores a lock with these packages, as an S3 datastore has them; returns its key."""
        for each in packages:
            self.storage.write_bytes(layout.package(sha256(each), "a-1-0.conda"), each)
        key = layout.lock(platform, spec_id)
        self.storage.write_bytes(key, lock_bytes(spec_id, platform, packages))
        return key

    def age(self, days: float, prefix: str = "") -> None:
        """Makes everything as old that is younger, below a prefix."""
        if days <= 0:
            return
        then = time.time() - days * DAY
        for path in Path(self.storage.url).rglob("*"):
            is_below = str(path.relative_to(self.storage.url)).startswith(prefix)
            if is_below and path.is_file() and path.stat().st_mtime > then:
                os.utime(path, (then, then))

    def keys(self, prefix: str = "") -> set[str]:
        """All keys below a prefix."""
        return set(self.storage.list_keys(prefix))

    def runs(self, flow: str = "AFlow") -> set[str]:
        """Ids of the runs of a flow."""
        return set(self.storage.list_names(layout.flow_folder(flow)))

    def holds(self, data: bytes) -> bool:
        """True if the artifact with these bytes is there."""
        return self.storage.exists(layout.artifact(sha256(data)))
