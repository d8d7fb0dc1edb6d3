"""How fast one large artifact goes into a datastore and comes back, against ``cp`` and plain boto3.

    python benchmarks/datastore_throughput.py [megabytes]

Prints a Markdown table. Every read is verified by SHA-256, which ``cp`` and boto3 do not do; it comes
from another cache directory and from a process that has not hashed the artifact before.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from airflow_conda_flow.datastore import digest
from airflow_conda_flow.datastore.datastore import open_datastore
from tests.datastore.s3_servers import run_moto, run_rclone

REPEATS = 3


def seconds(action) -> float:
    """How long the action takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def measure_local(source: Path, folder: Path, sha256: str):
    """(name, write, read) of ``cp`` and of a local datastore."""
    size = source.stat().st_size
    copies, ours = [], []
    for number in range(REPEATS):
        copy = folder / "copy"
        up = seconds(lambda: subprocess.run(["cp", str(source), str(copy)], check=True))
        down = seconds(lambda: subprocess.run(["cp", str(copy), str(folder / "back")], check=True))
        copies.append((up, down))
        store = open_datastore("local", folder / f"root-{number}", folder / "cache")
        scratch = store.artifacts.scratch_dir() / "artifact"
        shutil.move(copy, scratch)  # what the step process wrote
        up = seconds(lambda: store.artifacts.publish(scratch, sha256))
        digest._known.clear()
        ours.append((up, seconds(lambda: store.artifacts.fetch(sha256, size))))
        shutil.rmtree(store.storage.root)
        (folder / "back").unlink()
    yield "cp (write and read back)", copies
    yield "local datastore (publish from scratch, fetch)", ours


def measure_s3(server, source: Path, folder: Path, sha256: str):
    """(name, write, read) of boto3 and of an S3 datastore on that server."""
    os.environ.update(server.environment)
    size = source.stat().st_size
    boto3s, ours = [], []
    for number in range(REPEATS):
        client, root = server.make_client(), server.make_root()
        bucket = root.split("/")[2]
        up = seconds(lambda: client.upload_file(str(source), bucket, "boto3"))
        back = folder / "back"
        boto3s.append((up, seconds(lambda: client.download_file(bucket, "boto3", str(back)))))
        client.delete_object(Bucket=bucket, Key="boto3")
        back.unlink()
        store = open_datastore("s3", root, folder / f"cache-{number}")
        scratch = store.artifacts.scratch_dir() / "artifact"
        shutil.copy(source, scratch)
        up = seconds(lambda: store.artifacts.publish(scratch, sha256))
        other = open_datastore("s3", root, folder / f"other-{number}")
        ours.append((up, seconds(lambda: other.artifacts.fetch(sha256, size))))
        for key in list(store.storage.list_keys("")):
            client.delete_object(Bucket=bucket, Key=f"some/prefix/{key}")
        shutil.rmtree(store.cache_dir)
        shutil.rmtree(other.cache_dir)
    yield f"{server.name}: boto3", boto3s
    yield f"{server.name}: S3 datastore", ours


def main() -> None:
    """Prints the table."""
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        source = folder / "source"
        source.write_bytes(os.urandom(megabytes * 1_000_000))
        sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
        rows = list(measure_local(source, folder, sha256))
        for run in (run_rclone, run_moto):
            place = folder / run.__name__
            place.mkdir()
            with run(place) as server:
                rows += measure_s3(server, source, place, sha256)
    print(f"{megabytes} MB, median of {REPEATS}, {time.strftime('%Y-%m-%d')}, ", end="")
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.platform()}\n")
    print("| | write s | MB/s | read s | MB/s |\n| --- | --: | --: | --: | --: |")
    for name, times in rows:
        up, down = (statistics.median(column) for column in zip(*times, strict=True))
        print(f"| {name} | {up:.2f} | {megabytes / up:.0f} | {down:.2f} | {megabytes / down:.0f} |")


if __name__ == "__main__":
    main()
