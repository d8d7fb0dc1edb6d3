"""Seconds from `docker run` to a step's first line: code, environment, start; against pip and one archive."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import boto3
import harness

from airflow_conda_flow._version import __version__
from airflow_conda_flow.datastore.datastore import open_datastore
from airflow_conda_flow.datastore.manifests import read_attempt
from airflow_conda_flow.environments.environments import Environments
from airflow_conda_flow.environments.packed import CONTAINER_CACHE, find_packed
from airflow_conda_flow.environments.platform import current_platform
from airflow_conda_flow.flow.definition import read_flow
from airflow_conda_flow.records.names import TaskName
from airflow_conda_flow.runner.container import SCRATCH
from airflow_conda_flow.runner.container_command import RUNNER, run_words
from airflow_conda_flow.runner.manifest_line import ToldManifest
from airflow_conda_flow.runner.run_preparation import prepare_run
from airflow_conda_flow.runner.task_request import TaskRequest
from airflow_conda_flow.settings.loading import load_settings

IMAGE = os.environ.get("IMAGE", f"airflow-conda-flow-runner:{__version__}")
PORT = 9187
TIMES = int(os.environ.get("TIMES", "3"))
LIBRARIES = {"numpy": "1.26.4", "scikit-learn": "1.5.2"}
FLOW = f"""
from airflow_conda_flow import FlowSpec, conda, step

class AFlow(FlowSpec):
    @conda(python="{harness.PYTHON}", libraries={LIBRARIES})
    @step
    def start(self):
        import time
        print(time.time(), flush=True)
        import sklearn
        print(time.time(), flush=True)
        self.next(self.end)

    @step
    def end(self):
        pass
"""


def main():
    harness.WORK.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=harness.WORK))
    server = serve(work)
    try:
        measure(work)
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(work)


def serve(work):
    """An S3 server on the loopback interface."""
    os.environ.update(
        AWS_ENDPOINT_URL=f"http://127.0.0.1:{PORT}",
        AWS_ACCESS_KEY_ID="testkey",
        AWS_SECRET_ACCESS_KEY="testsecret",
        AWS_DEFAULT_REGION="us-east-1",
    )
    (work / "objects" / "bucket").mkdir(parents=True)
    rclone = Path(sys.executable).parent / "rclone"
    command = [rclone, "serve", "s3", "--config=/dev/null", "--auth-key=testkey,testsecret"]
    server = subprocess.Popen(
        [*command, f"--addr=127.0.0.1:{PORT}", work / "objects"], stderr=subprocess.DEVNULL
    )
    time.sleep(2)
    return server


def measure(work):
    datastore = open_datastore("s3", "s3://bucket/root", work / "cache")
    environments = Environments(work / "cache", datastore.storage)
    harness.channel()
    started = time.perf_counter()
    run = prepare(work, datastore, environments)
    prepared = time.perf_counter() - started
    started = time.perf_counter()
    prepare(work, datastore, environments)
    again = time.perf_counter() - started
    environment = run.environment_of("start")
    packed = find_packed(datastore.storage, environment["platform"], environment["id"])
    stored = work / "objects/bucket/root/environments" / environment["platform"]
    archive = stored / f"{packed.sha256}.tar.zst"

    cold = [attempt(work, datastore, number) for number in range(TIMES)]
    cache = new_folder(work)
    attempt(work, datastore, TIMES, cache)
    warm = [attempt(work, datastore, TIMES + 1 + number, cache) for number in range(TIMES)]
    extracted = harness.median_of(TIMES, lambda: extract(archive, work))
    key = archive.relative_to(work / "objects/bucket").as_posix()
    archives = sorted(from_archive(key, packed.prefix, work) for _ in range(TIMES))[TIMES // 2]
    megabytes = archive.stat().st_size / 1e6
    # As if the archive had been removed. The runner then takes the packages.
    boto3.client("s3").delete_object(Bucket="bucket", Key=key)
    packages = [attempt(work, datastore, 3 * TIMES + number) for number in range(TIMES)]
    pip = harness.median_of(1, pip_install)

    rows = [
        ("prepare: solved, mirrored, packed", prepared, None, ""),
        ("prepare again", again, None, ""),
        ("zstd -dc and tar -x of the same environment, from a file", extracted, None, ""),
        ("a container that extracts this archive from S3: until the first line", archives, None, ""),
        ("a container that does pip install: until the first line", pip, None, ""),
    ]
    for name, attempts in (("cold", cold), ("cold, of packages", packages), ("node cache", warm)):
        parts = [sorted(each[part] for each in attempts)[TIMES // 2] for part in range(6)]
        for what, seconds in zip(
            ("container and runner", "code", "environment", "start"), parts, strict=False
        ):
            peer = (seconds / extracted, "extraction") if what == "environment" else (None, "")
            rows.append((f"{name}: {what}", seconds, *peer))
        rows.append((f"{name}: until the first line", parts[4], parts[4] / archives, "the archive"))
        rows.append((f"{name}: the same", parts[4], parts[4] / pip, "pip install"))
        rows.append((f"{name}: import sklearn", parts[5], None, ""))
    harness.table(
        f"A container's first line: Python, numpy, scipy, scikit-learn ({megabytes:.0f} MB packed)", rows
    )


def prepare(work, datastore, environments):
    """Prepare the run, as for a flow whose steps all run in containers."""
    file = work / "code" / "a_flow.py"
    file.parent.mkdir(exist_ok=True)
    file.write_text(FLOW)
    sys.path.insert(0, str(file.parent))
    import a_flow

    definition = read_flow(a_flow.AFlow)
    return prepare_run(
        definition,
        datastore=datastore,
        environments=environments,
        settings=load_settings({"channels": str(harness.WORK / "channel")}),
        platforms=dict.fromkeys(definition.graph.steps, current_platform()),
        in_containers=definition.graph.steps,
        run_id="1",
        parameters={},
        origin="local",
        environment="conda",
    )


def new_folder(work):
    """An empty directory that every user may write.

    Nothing is removed before the end: ext4 takes seconds to make files where many were deleted just now.
    """
    folder = Path(tempfile.mkdtemp(dir=work))
    folder.chmod(0o777)
    return folder


def attempt(work, datastore, number, cache=None):
    """Seconds of: container and runner, code, environment, start; of them all; of the import.

    ``cache`` is the cache of the node; None is an empty one.
    """
    scratch, cache = new_folder(work), new_folder(work) if cache is None else cache
    variables = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    variables.update(CONDA_FLOW_DATASTORE="s3", CONDA_FLOW_DATASTORE_ROOT="s3://bucket/root")
    words = [word for item in variables.items() for word in ("--env", "=".join(item))]
    mounts = [f"--volume={scratch}:{SCRATCH}", f"--volume={cache}:{CONTAINER_CACHE}"]
    command = ["docker", "run", "--rm", "--network=host", *words, *mounts, IMAGE, RUNNER]
    begin = time.time()
    _, printed = harness.run([*command, *run_words(TaskRequest("AFlow", "1", "start", (), number))])
    line, imported = (float(text) for text in ToldManifest().rest(printed.splitlines()))
    task = read_attempt(datastore.storage, TaskName("AFlow", "1", "start", "0").attempt(number))
    runner = datetime.fromisoformat(task.started).timestamp()
    # The file, not its folder: the step writes bytecode there later.
    (flow_file,) = (scratch / "code").glob("*/a_flow.py")
    code = flow_file.stat().st_ctime
    (prefix,) = (each for each in (cache / "prefixes").iterdir() if not each.name.startswith("."))
    environment = max(prefix.stat().st_ctime, code)
    return (
        runner - begin,
        code - runner,
        environment - code,
        line - environment,
        line - begin,
        imported - line,
    )


def extract(archive, work):
    """Seconds to decompress and unpack a file on this disk."""
    target = new_folder(work)
    seconds, _ = harness.run(["sh", "-c", f"zstd -dc {archive} | tar -x -C {target}"])
    return seconds


FROM_ARCHIVE = """
import subprocess, sys
sys.path.insert(0, "/opt/airflow-conda-flow/site")
import boto3, zstandard
key, prefix = sys.argv[1:]
body = boto3.client("s3").get_object(Bucket="bucket", Key=key)["Body"]
tar = subprocess.Popen(["tar", "-x", "-C", prefix], stdin=subprocess.PIPE)
zstandard.ZstdDecompressor().copy_stream(body, tar.stdin)
tar.stdin.close()
assert tar.wait() == 0
subprocess.run([prefix + "/bin/python", "-c", "import time; print(time.time())"], check=True)
"""
"""The least that gets an environment into a container: nothing is verified, nothing is reported."""


def from_archive(key, prefix, work):
    """Seconds from `docker run` to the first line, in a container that streams one archive through tar."""
    folder = new_folder(work)
    variables = [
        word
        for name in os.environ
        if name.startswith("AWS_")
        for word in ("--env", f"{name}={os.environ[name]}")
    ]
    home = "/opt/airflow-conda-flow"
    python = [
        f"{home}/lib/ld.so",
        "--inhibit-cache",
        "--library-path",
        f"{home}/lib",
        f"{home}/python/bin/python3",
    ]
    command = [
        "docker",
        "run",
        "--rm",
        "--network=host",
        *variables,
        f"--volume={folder}:{prefix}",
        IMAGE,
        *python,
    ]
    begin = time.time()
    _, printed = harness.run([*command, "-I", "-S", "-c", FROM_ARCHIVE, key, prefix])
    return float(printed) - begin


def pip_install():
    """Seconds from `docker run` to the first line, in a container that installs from PyPI."""
    pins = " ".join(f"{name}=={version}" for name, version in LIBRARIES.items())
    script = (
        f"python3 -m venv /tmp/v && /tmp/v/bin/pip install -q --disable-pip-version-check {pins} && "
        "/tmp/v/bin/python -c 'import time; print(time.time())'"
    )
    configuration = Path("/etc/pip.conf")
    mounts = [f"--volume={configuration}:{configuration}:ro"] if configuration.exists() else []
    variables = [word for name in os.environ if name.startswith("PIP_") for word in ("--env", name)]
    begin = time.time()
    _, printed = harness.run(
        ["docker", "run", "--rm", "--network=host", *mounts, *variables, IMAGE, "sh", "-c", script]
    )
    return float(printed.split()[-1]) - begin


if __name__ == "__main__":
    sys.exit(main())
