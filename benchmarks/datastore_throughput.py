"""How fast one large artifact goes into a datastore and comes back, against ``cp`` and plain boto3.

    python benchmarks/datastore_throughput.py [megabytes]

Prints a Markdown table. The datastore hashes what it publishes and verifies what it fetches, which
``cp`` and boto3 do not do; S3 is read from another cache directory, as another machine would.
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
from tests.parts.s3_servers import run_moto, run_rclone

REPEATS = 3
CP = shutil.which("cp") or "/bin/cp"


def seconds(action, *args) -> float:
    """How long the action takes."""
    started = time.perf_counter()
    action(*args)
    return time.perf_counter() - started


def cp(source: Path, target: Path) -> None:
    """Copies with the system's ``cp``."""
    subprocess.run([CP, source, target], check=True)


def measure_local(source: Path, folder: Path, sha256: str):
    """(name, [(write, read), ...]) of ``cp`` and of a local datastore."""
    size = source.stat().st_size
    copy, back = folder / "copy", folder / "back"
    copies, ours = [], []
    for number in range(REPEATS):
        copies.append((seconds(cp, source, copy), seconds(cp, copy, back)))
        back.unlink()
        store = open_datastore("local", folder / f"root-{number}", folder / "cache")
        scratch = store.artifacts.scratch_dir() / "artifact"
        copy.rename(scratch)  # as if the step process had written it
        write = seconds(store.artifacts.publish, scratch, sha256)
        digest.forget()
        ours.append((write, seconds(store.artifacts.fetch, sha256, size)))
        shutil.rmtree(store.storage.root)
    yield "cp", copies
    yield "local datastore: publish from scratch, fetch", ours


def measure_s3(server, source: Path, folder: Path, sha256: str):
    """(name, [(write, read), ...]) of boto3 and of an S3 datastore on that server."""
    os.environ.update(server.environment)
    size = source.stat().st_size
    back = folder / "back"
    boto3s, ours = [], []
    for number in range(REPEATS):
        client, root = server.make_client(), server.make_root()
        bucket = root.split("/")[2]
        write = seconds(client.upload_file, str(source), bucket, "boto3")
        boto3s.append((write, seconds(client.download_file, bucket, "boto3", str(back))))
        back.unlink()
        client.delete_object(Bucket=bucket, Key="boto3")
        store = open_datastore("s3", root, folder / f"cache-{number}")
        other = open_datastore("s3", root, folder / f"other-{number}")
        scratch = store.artifacts.scratch_dir() / "artifact"
        shutil.copy(source, scratch)
        assert not store.storage.exists("x")  # connects
        assert not other.storage.exists("x")
        write = seconds(store.artifacts.publish, scratch, sha256)
        ours.append((write, seconds(other.artifacts.fetch, sha256, size)))
        for key in list(store.storage.list_keys("")):
            client.delete_object(Bucket=bucket, Key=f"some/prefix/{key}")
        shutil.rmtree(store.cache_dir)
        shutil.rmtree(other.cache_dir)
    yield f"{server.name}: boto3, not verified", boto3s
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
