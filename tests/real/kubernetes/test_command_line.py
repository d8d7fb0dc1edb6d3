"""Steps as pods of a real cluster, launched by `python flow.py run`."""

from __future__ import annotations

import re
import signal
import time

import pytest

from ..credentials_in_containers import NOTHING, STEALS
from .conftest import EXAMPLES, root_of, write_example

WITH_A_POD = """
class AFlow(FlowSpec):
    @kubernetes({attributes})
    @step
    def start(self):
        {body}
        self.next(self.end)
    @step
    def end(self):
        pass
"""


def one_pod(machine, body, attributes=""):
    """A flow whose first step is a pod."""
    return machine.flow(
        "from airflow_conda_flow import kubernetes, resources\n"
        + WITH_A_POD.format(attributes=attributes, body=body.replace("\n", "\n        "))
    )


def lines_of(done, step):
    """The lines of a step's task, without the time and the prefix."""
    found = re.findall(rf"^\S+ \S+ \[\d+/{step}/\S+ \(pod \S+\)\] (.*)$", done.stdout, re.MULTILINE)
    return [line for line in found if line not in {"Task is starting.", "Task finished successfully."}]


def printed_by(done, step):
    """The lines of a step's task from its start on.

    A cluster that is busy with the pods of other tests may let this one wait; the run then prints why.
    """
    waits = re.compile(r"Pod \S+ (waits for a node|does not start yet)\b")
    return [line for line in lines_of(done, step) if not waits.match(line)]


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_same_artifacts_as_on_this_machine(
    cluster, make_machine, shared_root, node_cache, local_hashes, name
):
    """Each example flow and a nested one: pods give what local processes give, by hash."""
    local = local_hashes(name)
    machine = make_machine(shared_root, CONDA_FLOW_KUBERNETES_NODE_CACHE=str(node_cache))
    flow = write_example(machine, name, machine.home)
    done = machine.run(flow, "--environment=conda", "run", "--with", "kubernetes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(set(re.findall(r"\(pod (\S+)\)", done.stdout))) == len(local)
    assert cluster.hashes(shared_root, name) == local
    cluster.wait_until_empty(name)
    assert list(node_cache.glob("prefixes/*/bin/python"))


def test_every_python_of_the_channel(cluster, make_machine, channel, shared_root, node_cache):
    """A value goes through pods with every Python there is, the oldest among them."""
    machine = make_machine(shared_root, CONDA_FLOW_KUBERNETES_NODE_CACHE=str(node_cache))
    pythons = sorted(channel.pythons.values(), key=lambda version: int(version.split(".")[1]))
    names = ["start", *(f"s{number}" for number in range(1, len(pythons))), "end"]
    steps = "".join(
        f"""
    @conda(python="{python}")
    @step
    def {name}(self):
        import sys
        self.seen = getattr(self, "seen", []) + ["%d.%d.%d" % sys.version_info[:3]]
        self.next(self.{after})
"""
        for python, name, after in zip(pythons, names, names[1:], strict=False)
    )
    flow = machine.flow(
        f"class AFlow(FlowSpec):{steps}    @step\n    def end(self):\n        print('SEEN', self.seen)\n"
    )
    done = machine.run(flow, "--environment=conda", "run", "--with", "kubernetes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert printed_by(done, "end") == [f"SEEN {pythons}"]


def test_more_splits_than_workers(cluster, machine):
    """Eight pods, three at a time, and the right sum."""
    flow = machine.flow("""
class AFlow(FlowSpec):
    @step
    def start(self):
        self.items = list(range(8))
        self.next(self.square, foreach="items")
    @step
    def square(self):
        self.v = self.input ** 2
        self.next(self.join)
    @step
    def join(self, inputs):
        self.total = sum(each.v for each in inputs)
        self.next(self.end)
    @step
    def end(self):
        print("TOTAL", self.total)
""")
    done = machine.run(flow, "run", "--with", "kubernetes", "--max-workers", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert printed_by(done, "end") == [f"TOTAL {sum(number**2 for number in range(8))}"]
    cluster.wait_until_empty("AFlow")


def test_local_and_remote_steps_in_one_run_and_an_image_without_runner(machine, base_image):
    """A pod of any image has the runner; the step after it is a process here and reads its artifacts.

    The working directory of the pod's step has the code.
    """
    (machine.home / "tool.py").write_text("print(open('tool.py').readline()[:5])")
    flow = machine.flow(f"""
from airflow_conda_flow import kubernetes
class AFlow(FlowSpec):
    @kubernetes(image="{base_image}", env={{"MINE": "yes"}}, use_tmpfs=True, tmpfs_size=16)
    @step
    def start(self):
        import os, subprocess, sys
        from airflow_conda_flow import S3
        with S3(run=self) as s3:
            s3.put("name", "an object")
            self.seen = [os.environ["MINE"], sys.executable, s3.get("name").text, current.tempdir]
        self.seen.append(subprocess.check_output([sys.executable, "tool.py"], universal_newlines=True))
        self.next(self.end)
    @step
    def end(self):
        print(*self.seen)
""")
    done = machine.run(flow, "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(
        r"end/end-0 \(pid \d+\)\] yes /\S+/python3\S* an object /metaflow_temp/task-\S+ print\n", done.stdout
    )
    assert printed_by(done, "start") == []


def test_a_failing_step_shows_its_traceback_once(cluster, machine):
    """The user's frames alone, as from a local process; both streams; no pod is left."""
    body = 'import sys\nprint("é😀")\nprint("to stderr", file=sys.stderr)\nraise ValueError("on purpose")'
    done = machine.run(one_pod(machine, body), "run")
    assert done.returncode == 1
    lines = printed_by(done, "start")
    assert sorted(lines[:2]) == ["to stderr", "é😀"]
    assert lines[2] == "Traceback (most recent call last):"
    assert lines[-2:] == ["ValueError: on purpose", "Task failed."]
    assert len(lines) == 7
    cluster.wait_until_empty("AFlow")


def test_a_step_that_runs_out_of_memory_says_so_in_one_line(cluster, machine):
    """The limit is named, and what to write."""
    body = "x = []\nwhile True:\n    x.append(bytearray(10_000_000))"
    done = machine.run(one_pod(machine, body, 'memory=120, qos="Guaranteed", cpu=0.2'), "run")
    assert done.returncode == 1
    said = [line for line in printed_by(done, "start") if line.startswith("Pod ")]
    assert len(said) == 1
    assert re.fullmatch(
        r"Pod \S+ ran out of memory and was killed \(OOMKilled\); its limit was 120M\. "
        r"Give the step more: @resources\(memory=\.\.\.\), in MB\.",
        said[0],
    )
    (manifest,) = cluster.manifests(root_of(machine)).values()
    assert manifest["status"] == "failed"


def test_a_pod_that_is_deleted_fails_its_task_in_one_line(cluster, machine):
    """`kubectl delete pod` in the middle of a step; its artifacts of before are not seen."""
    machine.environ["CONDA_FLOW_INFRASTRUCTURE_RETRIES"] = "0"
    flow = one_pod(machine, 'import time\nprint("up", flush=True)\ntime.sleep(100)')
    with machine.started(flow, "run") as process:
        cluster.delete(cluster.pod_of("AFlow", "start"))
        output = process.communicate(timeout=60)[0]
    assert process.returncode == 1
    assert re.search(r"\] Pod \S+ was (deleted|ended from outside) before its step ended\.", output), output
    assert [each["status"] for each in cluster.manifests(root_of(machine)).values()] == ["failed"]


def test_the_pods_of_a_run_that_was_killed(cluster, machine):
    """They are listed and ended by the flow's own command; those of other runs are left alone."""
    flow = one_pod(machine, "import time\ntime.sleep(100)")
    with machine.started(flow, "run", "--run-id-file", "id") as process:
        pod = cluster.pod_of("AFlow", "start")["metadata"]["name"]
        process.kill()
    run_id = (machine.home / "id").read_text()
    line = f"AFlow/{run_id}/start/start-0/0  {cluster.namespace}/{pod}  "
    for words in (("--user", "tester"), ("--run-id", run_id)):
        assert machine.run(flow, "kubernetes", "list", *words).stdout == f"{line}Running\n"
    nobody = machine.run(flow, "kubernetes", "kill", "--user", "nobody")
    assert (nobody.returncode, nobody.stdout, nobody.stderr) == (0, "", "No unfinished pods.\n")
    assert machine.run(flow, "kubernetes", "kill").stdout == f"{line}told to end\n"
    cluster.wait_until_empty("AFlow")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_no_pod(cluster, machine, number):
    """Ctrl-C while pods run and while one waits for a node."""
    flow = machine.flow("""
from airflow_conda_flow import kubernetes
class AFlow(FlowSpec):
    @step
    def start(self):
        self.next(self.a, self.b)
    @kubernetes
    @step
    def a(self):
        import time
        time.sleep(100)
        self.next(self.join)
    @kubernetes(cpu=1000)
    @step
    def b(self):
        self.next(self.join)
    @step
    def join(self, inputs):
        self.next(self.end)
    @step
    def end(self):
        pass
""")
    with machine.started(flow, "run") as process:
        output = ""
        while "waits for a node" not in output:
            line = process.stdout.readline()
            assert line, output
            output += line
        cluster.pod_of("AFlow", "a")
        process.send_signal(number)
        started = time.monotonic()
        output += process.communicate(timeout=60)[0]
        assert time.monotonic() - started < 20
    assert process.returncode == 128 + number
    assert "Workflow interrupted." in output
    assert re.search(r"/b/b-0 \(pod \S+\)\] Pod \S+ waits for a node: .*Insufficient cpu", output)
    cluster.wait_until_empty("AFlow", seconds=1)  # the run has waited for that itself


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ('image="not-there:1"', r"the image not-there:1 cannot be pulled: ErrImageNeverPull"),
        (
            'namespace="not-there"',
            r'cannot be made in the namespace not-there: namespaces "not-there" not found',
        ),
        ('service_account="not-there"', r'cannot be made in .*serviceaccount "not-there" not found'),
        ('node_selector={"disk": "none"}', r"waits for a node: .* It was given up after \d+ s"),
        (
            'node_cache="/not/there"',
            (
                r"does not start yet\. The cluster says: .*: /not/there is not a directory(?s:.*)"
                r"does not start\. It was given up after \d+ s; .*: /not/there is not a directory"
            ),
        ),
    ],
)
def test_a_pod_that_cannot_start_says_why(cluster, make_machine, attributes, message):
    """One line with the cluster's own reason; the run ends, and no pod is left."""
    # The cluster is asked after 5 s and after 15 s; on a busy machine its first warning comes between them.
    seconds = "20" if "node_cache" in attributes else "6" if "given up" in message else "100"
    machine = make_machine(CONDA_FLOW_KUBERNETES_STARTUP_TIMEOUT=seconds)
    done = machine.run(one_pod(machine, "pass", attributes), "run")
    assert done.returncode == 1
    assert re.search(message, "\n".join(lines_of(done, "start")[:-1])), done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    cluster.wait_until_empty("AFlow")


def test_a_local_datastore_cannot_serve_pods(machine):
    """The message says which setting to set; nothing starts."""
    flow = one_pod(machine, "pass")
    done = machine.run(flow, "--datastore", "local", "--datastore-root", str(machine.home / "d"), "run")
    assert done.returncode == 1
    assert "@kubernetes runs steps on other machines" in done.stderr
    assert "CONDA_FLOW_DATASTORE" in done.stderr
    assert "Workflow starting" not in done.stdout


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"KUBECONFIG": "/not/there"}, "No Kubernetes cluster is configured"),
        ({"CONDA_FLOW_KUBERNETES_CONTEXT": "none"}, "No Kubernetes cluster is configured"),
        (
            {"CONDA_FLOW_KUBERNETES_STARTUP_TIMEOUT": "soon"},
            "CONDA_FLOW_KUBERNETES_STARTUP_TIMEOUT is 'soon'; it takes whole seconds above 0.",
        ),
    ],
)
def test_a_cluster_that_is_not_configured(machine, environ, message):
    """One message before the run starts."""
    done = machine.run(one_pod(machine, "pass"), "run", **environ)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert "Workflow starting" not in done.stdout


def test_no_credential_is_in_a_pod(cluster, machine):
    """The cluster keeps neither key nor value of a pod, and the step finds none; its runner has them."""
    root = root_of(machine)
    until_seen = f"""
import time
with S3(s3root={root!r}) as s3:
    while not s3.get("seen", return_missing=True).exists:
        time.sleep(0.2)
"""
    with machine.started(one_pod(machine, STEALS + until_seen), "run") as process:
        pod = cluster.pod_of("AFlow", "start")
        bucket, _, prefix = root.removeprefix("s3://").partition("/")
        cluster.server.make_client().put_object(Bucket=bucket, Key=f"{prefix}/seen", Body=b"")
        output = process.communicate(timeout=60)[0]
    assert process.returncode == 0, output
    assert NOTHING in output
    for value in (
        cluster.server.environment[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    ):
        assert value not in str(pod)
