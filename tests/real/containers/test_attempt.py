"""One attempt in a container of the runner image."""

from __future__ import annotations

import subprocess
import time

import pytest

from airflow_conda_flow.runner.manifest_line import NOTHING, manifest_line

from ...parts.attempt_machine import one_step
from ...parts.real_parts import docker


def test_a_plain_step_runs_in_the_images_own_python(make_container_run):
    run = make_container_run(
        one_step("""
            import sys, os
            print("hello from", sys.executable)
            print("to stderr", file=sys.stderr)
            self.uid = os.getuid()
            self.libraries = [name for name in ("boto3", "rattler") if __import__("importlib.util").util.find_spec(name)]
            self.version = sys.version.split()[0]
        """)
    )
    ended = run.done("start")
    begun, hello, told = ended.stdout.splitlines()
    assert begun == manifest_line(NOTHING)
    assert hello.endswith("/bin/python3")
    assert told == manifest_line(run.task("start").sha256)
    assert ended.stderr.splitlines() == ["to stderr"]
    assert run.value("start", "uid") == 65534
    assert run.value("start", "libraries") == []
    assert run.task("start").python == run.value("start", "version")


@pytest.mark.parametrize("packed", [True, False])
def test_a_conda_step_runs_in_its_environment_from_s3_alone(make_container_run, channel, packed):
    run = make_container_run(
        f"""
class AFlow(FlowSpec):
    @conda(python="{channel.python}", libraries={{"six": "1.17.0"}})
    @step
    def start(self):
        import six, sys
        self.six = six.__version__
        import os
        self.prefix = sys.prefix
        self.cache = sorted(os.listdir("/tmp/airflow-conda-flow-cache"))
        self.next(self.end)

    @step
    def end(self):
        pass
""",
        [channel.url],
        packed=packed,
    )
    channel.stop()
    run.done("start")
    assert run.value("start", "six") == "1.17.0"
    assert run.value("start", "prefix").startswith("/tmp/airflow-conda-flow-cache/")
    assert ("packages" in run.value("start", "cache")) != packed


def test_a_failed_step_exits_with_1_and_leaves_its_exception(make_container_run):
    run = make_container_run(one_step("raise ValueError('no good')"))
    ended = run.attempt("start")
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[0].startswith("Traceback")
    assert ended.stderr.splitlines()[-1] == "ValueError: no good"
    assert "airflow_conda_flow" not in ended.stderr
    assert run.task("start").exception["type"] == "ValueError"


def test_what_cannot_start_exits_with_3_and_says_so_in_the_manifest(make_container_run):
    run = make_container_run(one_step("pass"))
    ended = run.attempt("end")
    assert ended.returncode == 3
    (line,) = ended.stderr.splitlines()
    assert line.startswith("Task end-0 cannot start: task AFlow/1/start/start-0 has not finished.")
    assert run.task("end").status == "failed"


def test_without_a_datastore_the_message_is_one_line(make_container_run):
    run = make_container_run(one_step("pass"))
    run.environ.pop("CONDA_FLOW_DATASTORE")
    run.environ.pop("CONDA_FLOW_DATASTORE_ROOT")
    ended = run.attempt("start")
    assert ended.returncode == 3
    assert ended.stderr == (
        "A container reaches an S3 datastore alone. Set CONDA_FLOW_DATASTORE=s3 and "
        "CONDA_FLOW_DATASTORE_ROOT=s3://bucket/prefix in it.\n"
    )


def test_a_stopped_container_ends_its_step_and_commits_a_failure(make_container_run):
    run = make_container_run(one_step("import time; print('up', flush=True); time.sleep(100)"))
    command = run.command("start", options=("--name", f"stopped-{time.time_ns()}"))
    process = subprocess.Popen(
        ["docker", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert [process.stdout.readline() for _ in range(2)] == [f"{manifest_line(NOTHING)}\n", "up\n"]
    started = time.monotonic()
    docker("stop", "--time", "30", command[command.index("--name") + 1])
    _, errors = process.communicate(timeout=60)
    assert time.monotonic() - started < 10
    assert process.returncode == 143
    assert errors.splitlines()[-1] == "The task was ended before it finished."
    assert run.task("start").status == "failed"
