"""Reading past runs inside a step: through the runner, in whatever environment the step has."""

from __future__ import annotations

import re

import pytest

from airflow_conda_flow import S3, Flow, Run
from airflow_conda_flow.client import scope
from airflow_conda_flow.datatools import s3_access

from ...parts.flow_machine import Machine

MAKER = """
DECORATOR
class MakerFlow(FlowSpec):
    @step
    def start(self):
        self.genres = {"a": [1, 2]}
        print("made")
        self.next(self.end)
    @step
    def end(self):
        pass
"""
READER = """
class AFlow(FlowSpec):
    DECORATOR
    @step
    def start(self):
        import sys
        from airflow_conda_flow import Flow, Run, get_metadata, get_namespace
        from airflow_conda_flow.errors import ObjectNotFound
        print("metadata", get_metadata(), get_namespace(), sys.version_info[:2])
        run = Flow("MakerFlow").latest_successful_run
        self.genres = run.data.genres
        self.run = run
        run.add_tag("read")
        print("tags", sorted(run.user_tags), repr(run["start"].task.stdout), len(run.code.flowspec) > 100)
        try:
            Run("MakerFlow/1")
        except ObjectNotFound as error:
            print("error", error)
        assert "boto3" not in sys.modules
        self.next(self.end)
    @step
    def end(self):
        print("read", self.genres, self.run.data.genres, self.run)
"""


def _maker(machine: Machine, *words: str, decorator: str = "") -> None:
    flow = machine.flow(MAKER.replace("DECORATOR", decorator), name="maker_flow.py")
    flow.write_text(flow.read_text().replace("AFlow()", "MakerFlow()"))
    done = machine.run(flow, *words, "run")
    assert done.returncode == 0, done.stdout


@pytest.fixture
def machine(tmp_path, channel) -> Machine:
    """A machine with the test channel."""
    return Machine(tmp_path / "home", channel.url)


@pytest.mark.parametrize("python", ["3.6", "3.8", "3.11", None])
def test_past_runs_are_read_in_a_step(machine, channel, python):
    """In an environment of its own, where nothing of ours but the standard library is, and without."""
    if python is not None and python not in channel.pythons:
        pytest.skip("no such interpreter here")
    decorator = f"@conda(python={channel.pythons[python]!r})" if python else ""
    words = ["--environment=conda"] if python else []
    _maker(machine, *words, decorator=decorator.replace("conda", "conda_base"))
    flow = machine.flow(READER.replace("DECORATOR", decorator))
    done = machine.run(flow, *words, "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"] metadata local@{machine.datastore} user:tester" in done.stdout
    assert "] tags ['read'] 'made\\n' True" in done.stdout
    assert f"] error Run('MakerFlow/1') does not exist in local@{machine.datastore}." in done.stdout
    assert "] read {'a': [1, 2]} {'a': [1, 2]} Run('MakerFlow/" in done.stdout


OBJECTS = """
        from airflow_conda_flow import S3
        with S3(run=self) as s3, S3(run=run, prefix="other") as other:
            print("stored", s3.put("a/b", "text", metadata={"n": 1}))
            other.put("c", b"past")
            print("got", s3.get("a/b").text, [each.metadata for each in s3.get_all(return_info=True)])
            path = s3.get("a/b").path
        import os
        print("left", os.path.exists(path), run.id)
        assert "boto3" not in sys.modules
"""


@pytest.mark.parametrize("kind", ["moto", "rclone"])
def test_past_runs_and_objects_in_s3_are_read_in_a_step(machine, request, kind, monkeypatch):
    """The step has no boto3; its runner has. What steps store by S3(run=...) is below the datastore."""
    server = request.getfixturevalue(f"{kind}_s3")
    machine.environ.update(server.environment)
    root = server.make_root()
    words = ["--datastore=s3", f"--datastore-root={root}"]
    _maker(machine, *words)
    reader = READER.replace("DECORATOR", "@conda()").replace(
        "        self.next(self.end)", OBJECTS.strip("\n") + "\n        self.next(self.end)"
    )
    flow = machine.flow(reader)
    done = machine.run(flow, "--environment=conda", *words, "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "] got text [{'n': 1}]" in done.stdout
    (stored,) = re.findall(rf"\] stored {root}/data/AFlow/(\d+)/a/b", done.stdout)
    assert f"run-id {stored}" in done.stdout
    (past,) = re.findall(r"\] left False (\d+)", done.stdout)
    bucket = root.split("/")[2]
    client = server.make_client()
    assert client.get_object(Bucket=bucket, Key=f"other/MakerFlow/{past}/c")["Body"].read() == b"past"
    server.use(monkeypatch)
    monkeypatch.setattr(s3_access, "_direct", [])
    scope.metadata(root)
    try:
        with S3(run=Run(f"AFlow/{stored}", _namespace_check=False)) as s3:
            assert [each.text for each in s3.get_many(["a/b"])] == ["text"]
    finally:
        scope._selected["metadata"] = None
    assert "] tags ['read'] 'made\\n' True" in done.stdout
    assert "] read {'a': [1, 2]} {'a': [1, 2]} Run('MakerFlow/" in done.stdout


def test_a_process_that_the_step_started_cannot_ask(machine):
    """It says so, in place of waiting for an answer that another process gets."""
    _maker(machine)
    flow = machine.flow("""
import multiprocessing
def read():
    from airflow_conda_flow import Flow
    from airflow_conda_flow.errors import CondaFlowError
    try:
        Flow("MakerFlow")
    except CondaFlowError as error:
        print("child", error)
class AFlow(FlowSpec):
    @step
    def start(self):
        from airflow_conda_flow import Flow
        Flow("MakerFlow")
        child = multiprocessing.get_context("fork").Process(target=read)
        child.start()
        child.join()
        self.next(self.end)
    @step
    def end(self):
        pass
""")
    done = machine.run(flow, "run")
    assert "] child A process that a step started cannot ask the step's runner." in done.stdout, done.stdout


@pytest.mark.parametrize("kind", ["local", "moto"])
def test_the_environment_of_a_task(machine, request, kind, monkeypatch):
    """Its packages as they were locked: in the datastore, or in this machine's cache."""
    words: list[str] = []
    if kind != "local":
        server = request.getfixturevalue(f"{kind}_s3")
        machine.environ.update(server.environment)
        server.use(monkeypatch)
        words = ["--datastore=s3", f"--datastore-root={server.make_root()}"]
    maker = '@conda_base(libraries={"six": "1.16.0"})'
    _maker(machine, "--environment=conda", *words, decorator=maker)
    cache = machine.cache if kind == "local" else machine.home / "another-cache"
    monkeypatch.setenv("CONDA_FLOW_CACHE_DIR", str(cache))
    monkeypatch.setenv("METAFLOW_USER", "tester")
    scope.metadata(words[1].partition("=")[2] if words else str(machine.datastore))
    try:
        task = Flow("MakerFlow").latest_run["start"].task
        environment = task.environment
        packages = {each.name: each for each in environment.packages}
        assert packages["six"].version == "1.16.0"
        assert packages["six"].stated
        assert len(packages["six"].sha256) == 64
        assert packages["python"].version == environment.python
        assert task.environment_info["id"] == environment.id
        assert task.data.genres == {"a": [1, 2]}
    finally:
        scope._selected["metadata"] = None
