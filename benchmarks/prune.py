"""A prune of a million artifacts: seconds and peak memory; in a directory, and with fewer in two kinds of S3.

    .venv/bin/python benchmarks/prune.py [ARTIFACTS [ARTIFACTS_IN_S3]] [--against CHECKOUT]

With another checkout of this repository, its prune of as many artifacts in a directory is measured first.
Every run has 100 tasks with 10 artifacts each. Half of the runs are old, and go with everything.
"""

import argparse
import hashlib
import os
import platform
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path

import harness

sys.path.insert(0, str(harness.REPOSITORY))

from airflow_conda_flow.datastore import layout
from airflow_conda_flow.datastore.datastore import open_datastore
from airflow_conda_flow.records.document import stored_bytes
from tests.parts.old_datastore import GRAPH
from tests.parts.s3_servers import run_moto, run_rclone

TASKS, EACH = 100, 10
PRUNE = """
import resource, sys, time
from airflow_conda_flow.datastore.datastore import open_datastore
from airflow_conda_flow.datastore import keeping
from airflow_conda_flow.datastore.pruning import prune as pruning
from airflow_conda_flow.datastore.pruning.choice import RunChoice
kind, root, removes, grace = sys.argv[1:]
pruning.LEAST_GRACE = 0.0
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
started, cpu = time.perf_counter(), time.process_time()
storage = open_datastore(kind, root, "/tmp/prune-benchmark-cache").storage
choice = RunChoice(older_than=30 * 86400.0)
found = pruning.prune(storage, choice, removes=removes == "yes", grace=float(grace))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print("MEASURED", time.perf_counter() - started, time.process_time() - cpu, peak / 1024, before / 1024,
      len(found.runs), sum(found.swept.count.values()), len(found.faults))
"""


def documents(number, days):
    """Keys and bytes of one run: its manifest and those of its tasks; and the digests of its artifacts."""
    created = (datetime.now(timezone.utc) - timedelta(days=days)).isoformat(timespec="microseconds")
    flow, run_id = "AFlow", f"{number:08}"
    common = {"version": 1, "flow": flow, "run_id": run_id}
    run = {
        **common, "created": created, "origin": "local", "username": "benchmark", "tags": [], "graph": GRAPH,
        "code": {"sha256": hashlib.sha256(run_id.encode()).hexdigest(), "flow_file": "a_flow.py"},
        "environments": {}, "pickle_protocols": {"start": 5, "end": 5}, "parameters": {},
    }  # fmt: skip
    found, digests = {layout.run_manifest(flow, run_id): stored_bytes(run)}, []
    for task in range(TASKS):
        refs = {}
        for place in range(EACH):
            digest = hashlib.sha256(f"{number} {task} {place}".encode()).hexdigest()
            digests.append(digest)
            refs[f"value{place}"] = {
                "sha256": digest, "size": 1, "type": "builtins.int", "protocol": 5, "preview": "1",
            }  # fmt: skip
        step, path = ("end", "0") if not task else ("start", str(task))
        document = {
            **common, "version": 2, "step": step, "task_id": f"{step}-{path}", "attempt": 0, "status": "done",
            "started": created, "finished": created, "split_name": None, "artifacts": refs,
            "transition": None,
            "exception": None, "run_record": None, "environment": None, "python": "3.11.7", "seconds": {},
            "cards": [],
        }  # fmt: skip
        found[f"{layout.run_folder(flow, run_id)}{step}/{path}/0.json"] = stored_bytes(document)
    return found, digests


def fill(storage, artifacts):
    """Store the runs, half of them old, without flushing anything to the disk."""
    runs = artifacts // (TASKS * EACH)
    for number in range(runs):
        days = 90 if number % 2 else 10
        found, digests = documents(number, days)
        found.update({layout.artifact(each): b"x" for each in digests})
        if storage.kind == "s3":
            with ThreadPoolExecutor(16) as pool:
                list(pool.map(lambda each: storage.write_bytes(*each), found.items()))
            continue
        then = time.time() - days * 86400
        for key, data in found.items():
            path = str(storage.local_path(key))
            try:
                fd = os.open(path, os.O_CREAT | os.O_WRONLY)
            except FileNotFoundError:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
                fd = os.open(path, os.O_CREAT | os.O_WRONLY)
            os.write(fd, data)
            os.close(fd)
            os.utime(path, (then, then))


def measure(kind, root, removes, grace, environ, code=harness.REPOSITORY):
    """One prune in a process of its own: (seconds, CPU, peak MB, MB before, runs, swept, faults)."""
    command = [sys.executable, "-c", PRUNE, kind, root, removes, str(grace)]
    _, printed = harness.run(command, env={**os.environ, **environ, "PYTHONPATH": str(code)}, cwd=code)
    return [float(each) for each in printed.split("MEASURED", 1)[1].split()]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("artifacts", nargs="?", type=int, default=1_000_000)
    parser.add_argument("artifacts_in_s3", nargs="?", type=int, default=20_000)
    parser.add_argument("--against", type=Path, help="another checkout")
    arguments = parser.parse_args()
    print(f"{platform.platform()}, Python {platform.python_version()}, load {os.getloadavg()[0]:.0f}\n")
    print("| what | artifacts | seconds | CPU, s | peak MB | MB before | runs | swept |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")

    def show(what, count, numbers):
        seconds, cpu, peak, before, runs, swept, faults = numbers
        assert not faults
        assert swept == count // 2, (swept, count)
        print(
            f"| {what} | {count:,} | {seconds:.1f} | {cpu:.1f} | {peak:.0f} | {before:.0f} | {runs:.0f} | "
            f"{swept:,.0f} |",
            flush=True,
        )
        return seconds

    def show_directory(name, code):
        with tempfile.TemporaryDirectory() as folder:
            fill(open_datastore("local", f"{folder}/root", f"{folder}/cache").storage, arguments.artifacts)
            for what, removes in ((f"{name}, dry run", "no"), (name, "yes")):
                numbers = measure("local", f"{folder}/root", removes, 86400, {}, code)
                seconds = show(what, arguments.artifacts, numbers)
            subprocess.run(["rm", "-rf", f"{folder}/root"], check=True)
        return seconds

    before = arguments.against and show_directory("directory, the other checkout", arguments.against)
    seconds = show_directory("directory", harness.REPOSITORY)
    if before:
        print(f"\nThe directory: {seconds / before:.2f} times the other checkout.\n", flush=True)
    for name, run_server in (("rclone", run_rclone), ("moto", run_moto)):
        if not arguments.artifacts_in_s3:
            return
        with tempfile.TemporaryDirectory() as folder, run_server(Path(folder)) as server:
            os.environ.update(server.environment)
            root = server.make_root()
            fill(open_datastore("s3", root, f"{folder}/cache").storage, arguments.artifacts_in_s3)
            time.sleep(2)
            for what, removes in ((f"{name}, dry run", "no"), (name, "yes")):
                show(what, arguments.artifacts_in_s3, measure("s3", root, removes, 1, server.environment))


if __name__ == "__main__":
    main()
