"""Flows from the command line on Batch's real containers."""

from __future__ import annotations

import re
import signal
import time

import pytest

from airflow_conda_flow.compute.batch.failure import ENDED

from ...parts.real_parts import docker
from ..credentials_in_containers import NOTHING, STEALS
from .flows import FLOWS, artifact_hashes, task_manifests

ONE = """
class AFlow(FlowSpec):
    {decorators}
    @step
    def start(self):
        {body}
        self.next(self.end)
    @step
    def end(self):
        print("the end")
"""


def one_step(body, decorators="@batch"):
    """A flow whose first step runs on Batch and does this."""
    return "from airflow_conda_flow import batch, resources\n" + ONE.format(
        body=body.replace("\n", "\n        "), decorators=decorators.replace("\n", "\n    ")
    )


@pytest.mark.parametrize("name", FLOWS)
def test_a_flow_leaves_the_same_artifacts_as_in_local_processes(examples, name):
    """By hash, every artifact of every task."""
    hashes = examples.hashes_of_run(name, "--with", "batch")
    assert len(hashes) == FLOWS[name]
    assert hashes == examples.local_hashes(name)


def test_local_and_batch_steps_of_one_run_share_artifacts(machine):
    """A step without the decorator runs as a process, and reads what the job left."""
    done = machine.run(
        machine.flow(one_step("self.x = 41 + 1\nprint('in a job')").replace('"the end"', "self.x")), "run"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"/start/start-0 \(job \S+\)\] in a job\n", done.stdout)
    assert re.search(r"/end/end-0 \(pid \d+\)\] 42\n", done.stdout)


def test_a_failing_step_shows_its_traceback_once(machine):
    """The user's frames alone, and the run exits 1."""
    done = machine.run(machine.flow(one_step("raise ValueError('on purpose')")), "run")
    assert done.returncode == 1
    assert done.stdout.count("ValueError: on purpose") == 1
    assert re.search(r'File ".*a_flow.py", line \d+, in start', done.stdout)
    assert "airflow_conda_flow/" not in done.stdout
    assert "] Task failed.\n" in done.stdout


def test_a_step_finds_no_credential(machine):
    """The runner has them, from the image here and from a role on AWS; the step uses S3 all the same."""
    done = machine.run(machine.flow(one_step(STEALS.strip())), "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert NOTHING in done.stdout


def test_a_killed_container_is_one_line(machine, cluster):
    """`docker kill` in the middle of a step: what Batch knows, and nothing half-written."""
    machine.environ["CONDA_FLOW_INFRASTRUCTURE_RETRIES"] = "0"
    flow = machine.flow(one_step("import time\nself.x = 1\ntime.sleep(60)"))
    with machine.started(flow, "run") as process:
        docker("kill", cluster.container_of("AFlow-"))
        output = process.stdout.read()
        assert process.wait() == 1
    # moto's describe_jobs has no exit code, with which there is more to say (test_batch_failure.py).
    line = r"\] Batch job \S+ failed: it ended without a word; its container was killed, or its machine was lost\."
    assert len(re.findall(line, output)) == 1, output
    (run_id,) = set(re.findall(r"run-id (\d+)", output))
    assert artifact_hashes(machine, run_id, status="failed") == {"start/0": {}}


def test_a_killed_container_is_tried_again(machine, cluster):
    """Without @retry: the next attempt is a job of its own, and the run is right."""
    flow = machine.flow(
        one_step("import time\nself.x = current.retry_count\nif self.x == 0:\n    time.sleep(60)")
    )
    with machine.started(flow, "run") as process:
        docker("kill", cluster.container_of("AFlow-"))
        output = process.stdout.read()
        assert process.wait() == 0, output
    (run_id,) = set(re.findall(r"run-id (\d+)", output))
    manifests = task_manifests(machine, run_id)
    assert manifests["AFlow/start/0/0"]["status"] == "failed"
    assert manifests["AFlow/start/0/1"]["status"] == "done"
    names = {job["jobName"] for job in cluster.jobs(f"AFlow-{run_id}-start-")}
    assert {name.rpartition("-")[2] for name in names} == {"0", "1"}


def test_ctrl_c_ends_the_job(machine, cluster):
    """The container is gone when the command has ended, and Batch says who asked for it."""
    flow = machine.flow(one_step("import time\nprint('up', flush=True)\ntime.sleep(600)"))
    with machine.started(flow, "run") as process:
        name = cluster.container_of("AFlow-")
        deadline = time.monotonic() + 60
        while "up" not in docker("logs", name).stdout.splitlines():  # moto hands logs on when a job has ended
            assert time.monotonic() < deadline
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        output = process.stdout.read()
        assert process.wait() == 128 + signal.SIGINT
    assert "Task ended with the run." in output
    assert name not in docker("ps", "--format", "{{.Names}}").stdout.split()
    (job,) = [job for job in cluster.jobs("AFlow-") if job["jobId"] in name]
    assert (job["status"], job["statusReason"]) == ("FAILED", ENDED)


def test_the_jobs_of_a_run_that_was_killed(machine, cluster):
    """They are listed and ended by the flow's own command; those of other runs are left alone."""
    flow = machine.flow(one_step("import time\nprint('up', flush=True)\ntime.sleep(600)"))
    with machine.started(flow, "run", "--run-id-file", "id") as process:
        name = cluster.container_of("AFlow-")
        process.kill()
    run_id = (machine.home / "id").read_text()
    (job,) = [job for job in cluster.jobs(f"AFlow-{run_id}-") if job["jobId"] in name]
    line = f"AFlow/{run_id}/start/start-0/0  {cluster.queue}/{job['jobId']}  "
    listed = machine.run(flow, "batch", "list", "--my-runs")
    assert re.fullmatch(re.escape(line) + r"(STARTING|RUNNING)\n", listed.stdout), (
        listed.stdout + listed.stderr
    )
    nobody = machine.run(flow, "batch", "kill", "--user", "nobody")
    assert (nobody.returncode, nobody.stdout, nobody.stderr) == (0, "", "No unfinished jobs.\n")
    assert machine.run(flow, "batch", "kill").stdout == f"{line}told to end\n"
    for _ in range(300):
        if name not in docker("ps", "--format", "{{.Names}}").stdout.split():
            break
        time.sleep(0.2)
    assert name not in docker("ps", "--format", "{{.Names}}").stdout.split()
    assert machine.run(flow, "batch", "list", "--run-id", run_id).stdout == ""


def test_an_image_without_the_runner_gets_it_from_s3(machine, cluster):
    """The user's own image, with its own Python; the runner brings boto3 for the S3 client."""
    machine.environ["CONDA_FLOW_BATCH_IMAGE"] = cluster.bare_image
    body = """import os, sys
print('in', os.path.realpath(sys.executable))
from airflow_conda_flow import S3
with S3(run=self) as s3:
    s3.put('name', 'an object')
    print(s3.get('name').text, 'boto3' in sys.modules)"""
    done = machine.run(machine.flow(one_step(body)), "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "] an object False\n" in done.stdout
    assert "in /usr/bin/python3" in done.stdout


def test_an_image_that_does_not_exist(machine):
    """The run fails with a line about the job, and no traceback of ours."""
    machine.environ["CONDA_FLOW_BATCH_IMAGE"] = "batch-test/airflow-conda-flow-runner:no-such"
    done = machine.run(machine.flow(one_step("pass")), "run")
    assert done.returncode == 1
    assert re.search(
        r"\] Batch job \S+ failed: it ended without a word; its container was killed, or its machine",
        done.stdout,
    ), done.stdout
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"CONDA_FLOW_BATCH_QUEUE": ""}, "Step 'start' has @batch but no job queue. Write @batch(queue=...)"),
        ({"CONDA_FLOW_BATCH_QUEUE": "none"}, "There is no job queue 'none' in us-east-1."),
        ({"CONDA_FLOW_BATCH_IMAGE": ""}, "Step 'start' has @batch but no image."),
        (
            {"CONDA_FLOW_BATCH_POLL_INTERVAL": "soon"},
            "CONDA_FLOW_BATCH_POLL_INTERVAL is 'soon'; write seconds above 0",
        ),
        (
            {"CONDA_FLOW_DATASTORE": "local", "CONDA_FLOW_DATASTORE_ROOT": ""},
            "Set --datastore s3 and --datastore-root",
        ),
    ],
)
def test_what_is_missing_is_said_before_anything_runs(machine, environ, message):
    """One message, exit code 1, no task."""
    machine.environ.update(environ)
    done = machine.run(machine.flow(one_step("pass")), "run")
    assert done.returncode == 1
    assert message in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert "starting" not in done.stdout


def test_batch_that_cannot_be_reached(machine):
    """The endpoint is named, and the run ends."""
    machine.environ["AWS_ENDPOINT_URL_BATCH"] = "http://127.0.0.1:9"
    machine.environ["AWS_MAX_ATTEMPTS"] = "1"
    done = machine.run(machine.flow(one_step("pass")), "run")
    assert done.returncode == 1
    assert (
        "AWS Batch at http://127.0.0.1:9 (AWS_ENDPOINT_URL_BATCH): cannot look at the job queue"
        in done.stderr
    )
    assert "Traceback" not in done.stderr
