"""Containers that reach S3 and nothing else: no channel, no PyPI, no name service, no route anywhere.

The S3 server itself runs inside a network namespace that has nothing but a loopback interface, and the
step's containers join that namespace. What they reach is what listens there.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import time

import pytest

from airflow_conda_flow.datastore.datastore import open_datastore
from airflow_conda_flow.runner.manifest_line import NOTHING, manifest_line

from ...parts.attempt_machine import one_step
from ...parts.real_parts import docker
from ...parts.s3_servers import ACCESS_KEY, SECRET_KEY, executable, run_rclone
from .conftest import HARDENED

PORT = 9000
LOOK_AROUND = """
        import socket
        with open("/proc/net/route") as file:
            self.routes = file.read().splitlines()[1:]
        try:
            socket.getaddrinfo("pypi.org", 443)
            self.names = "resolved"
        except OSError:
            self.names = "refused"
        try:
            socket.create_connection(("{address}", {port}), timeout=3)
            self.channel = "reached"
        except OSError as error:
            self.channel = error.strerror
"""


@pytest.fixture
def isolated_s3(rclone_s3, base_image, tmp_path):
    """The network of a container in which the objects of ``rclone_s3`` are served, on port 9000."""
    name = f"isolated-s3-{secrets.token_hex(4)}"
    rclone = os.path.realpath(executable("rclone"))
    objects = rclone_s3.log.parent / "objects"
    serve = ["serve", "s3", "--config=/dev/null", "--auth-key", f"{ACCESS_KEY},{SECRET_KEY}"]
    docker(
        *("run", "--detach", "--rm", "--name", name, "--network=none"),
        *(f"--volume={rclone}:/rclone:ro", f"--volume={objects}:/objects"),
        *(base_image, "/rclone", *serve, f"--addr=127.0.0.1:{PORT}", "/objects"),
    )
    yield f"container:{name}"
    docker("rm", "--force", name)


@pytest.fixture
def from_outside(rclone_s3, tmp_path, monkeypatch):
    """A function: makes a run read what the containers wrote; the server outside still knows what was there before."""
    with contextlib.ExitStack() as stack:

        def look(run):
            (tmp_path / "outside").mkdir()
            server = stack.enter_context(run_rclone(tmp_path / "outside", rclone_s3.log.parent / "objects"))
            server.use(monkeypatch)
            run.datastore = open_datastore("s3", run.root, tmp_path / "outside" / "cache")

        yield look


@pytest.fixture
def make_isolated_run(make_container_run, rclone_s3, isolated_s3, tmp_path, monkeypatch):
    """Prepares a run outside; its containers are in the isolated network, with an empty resolv.conf."""
    rclone_s3.use(monkeypatch)
    (tmp_path / "resolv.conf").touch()

    def make(text, channel):
        run = make_container_run(text, [channel.url], server=rclone_s3)
        run.network = isolated_s3
        run.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{PORT}"
        run.options = (*HARDENED, f"--volume={tmp_path / 'resolv.conf'}:/etc/resolv.conf:ro")
        return run

    return make


def test_an_environment_comes_from_s3_alone(make_isolated_run, from_outside, channel):
    """The channel's server goes on running on the host: the container has no way to it."""
    host, _, port = channel.url.removeprefix("http://").partition(":")
    run = make_isolated_run(
        f"""
class AFlow(FlowSpec):
    @conda(python="{channel.python}", libraries={{"scikit-learn": "1.5.2"}})
    @step
    def start(self):
{LOOK_AROUND.format(address=host, port=port)}
        import sklearn
        from airflow_conda_flow import S3
        self.sklearn = sklearn.__version__
        with S3(run=self) as s3:
            s3.put_many([("a", "kept"), ("b", b"too")])
            self.objects = [each.text for each in s3.get_all()]
        self.next(self.end)

    @step
    def end(self):
        pass
""",
        channel,
    )
    run.done("start", options=run.options)
    from_outside(run)
    assert run.value("start", "sklearn") == "1.5.2"
    assert run.value("start", "objects") == ["kept", "too"]
    assert run.datastore.storage.read_bytes("data/AFlow/1/b") == b"too"
    assert run.value("start", "routes") == []
    assert run.value("start", "names") == "refused"
    assert run.value("start", "channel") == "Connection refused"


def test_steps_of_old_and_new_pythons_pass_artifacts_on(make_isolated_run, from_outside, channel):
    """As another user each, on a read-only root file system, under a memory limit."""
    minors = sorted(channel.pythons, key=lambda minor: int(minor.split(".")[1]))
    names = ["start", *(f"step_{number}" for number in range(1, len(minors))), "end"]
    steps = []
    for number, minor in enumerate(minors):
        steps.append(f'    @conda(python="{channel.pythons[minor]}")')
        steps.append(f"    @step\n    def {names[number]}(self):\n        import sys, os")
        before = "[]" if number == 0 else "self.seen"
        steps.append(f"        self.seen = {before} + [sys.version.split()[0]]")
        steps.append("        self.user = os.getuid()")
        steps.append(f"        self.next(self.{names[number + 1]})")
    steps.append(
        "    @conda(disabled=True)\n    @step\n    def end(self):\n        self.seen = self.seen + ['end']"
    )
    run = make_isolated_run("class AFlow(FlowSpec):\n" + "\n".join(steps) + "\n", channel)
    for number, name in enumerate(names):
        run.done(name, options=(*run.options, f"--user={1000 + number}"))
    from_outside(run)
    assert run.value("end", "seen") == [*(channel.pythons[minor] for minor in minors), "end"]
    assert [run.value(name, "user") for name in names[:-1]] == [1000 + each for each in range(len(minors))]


def test_a_step_that_needs_too_much_memory_is_told_how_much_it_had(make_container_run):
    """The runner outlives it, and commits why it failed."""
    run = make_container_run(one_step("x = [bytearray(10_000_000) for _ in range(100)]"))
    ended = run.attempt("start", options=("--memory=200m", "--memory-swap=200m"))
    message = (
        "The step's process was killed: it needed more memory than its container may have, 200 MB. "
        "Give the step more with @resources(memory=...)."
    )
    assert ended.stderr.splitlines() == [message]
    assert ended.returncode == 1
    assert run.task("start").exception["message"] == message


def test_a_step_that_the_node_kills_leaves_no_manifest(make_container_run):
    """A container that is gone at once committed nothing: nobody takes it for done."""
    run = make_container_run(one_step("import time; print('up', flush=True); time.sleep(100)"))
    name = f"killed-{time.time_ns()}"
    command = ["docker", *run.command("start", options=("--name", name))]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert [process.stdout.readline() for _ in range(2)] == [f"{manifest_line(NOTHING)}\n", "up\n"]
    docker("kill", name)
    process.communicate(timeout=60)
    assert process.returncode == 137
    assert run.task("start") is None
