"""``Deployer``: a program triggers a flow's DAG through Airflow's API, and hears one line of what is wrong.

The API server, the DAG processor's work and the database are Airflow's own; no scheduler runs here, so that
runs stay queued. ``tests/real/airflow/scheduled/test_local_steps.py`` has one that runs to its end.
"""

from __future__ import annotations

import json
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from airflow_conda_flow import DeployedFlow, Deployer
from airflow_conda_flow.errors import LaunchError, LaunchTimeout
from airflow_conda_flow.launch.airflow_api import AirflowApi
from airflow_conda_flow.settings.airflow_api import ApiPlace

from ...parts.airflow_machine import AirflowMachine
from ...parts.process_group import end_group
from ...parts.s3_servers import free_port

FLOW = """
class AFlow(FlowSpec):
    alpha = Parameter("alpha", type=int, default=1)
    a_word = Parameter("a-word", default="x")
    sizes = Parameter("sizes", type=JSONType, default=None)
    @step
    def start(self):
        self.next(self.end)
    @step
    def end(self):
        pass

dag = AFlow.dag(environment="local")
"""
PROJECT = """
from airflow_conda_flow import project
@project(name="p")
class Other(FlowSpec):
    @step
    def start(self):
        pass

for branch in ("one", "two"):
    globals()[branch] = Other.dag(environment="local", branch=branch)
"""
FOREIGN = """
from airflow.sdk import DAG
dag = DAG("foreign", schedule=None)
"""


@contextmanager
def api_server(machine: AirflowMachine) -> Iterator[str]:
    """The address of an Airflow API server that answers."""
    port = free_port()
    machine.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS"] = "True"
    words = [
        machine.airflow_program,
        "api-server",
        "--port",
        str(port),
        "--host",
        "127.0.0.1",
        "--workers",
        "1",
    ]
    with (machine.home / "api.log").open("w") as log:
        process = subprocess.Popen(
            words, env=machine.environ, cwd=machine.home, stdout=log, stderr=log, start_new_session=True
        )
    try:
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 120
        while True:
            try:
                with urllib.request.urlopen(f"{address}/auth/token", timeout=30):
                    break
            except OSError:
                assert process.poll() is None, (machine.home / "api.log").read_text()
                assert time.monotonic() < deadline, (machine.home / "api.log").read_text()
                time.sleep(0.2)
        yield address
    finally:
        end_group(process)


class Airflow:
    """An Airflow with the flows of this file, and an API server."""

    def __init__(self, machine: AirflowMachine, address: str, flow: Path) -> None:
        with urllib.request.urlopen(f"{address}/auth/token", timeout=60) as answer:
            self.token = json.load(answer)["access_token"]
        self.machine, self.address, self.flow = machine, address, flow

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Point this process at it."""
        monkeypatch.setenv("CONDA_FLOW_AIRFLOW_API_URL", self.address)
        monkeypatch.setenv("CONDA_FLOW_AIRFLOW_API_TOKEN", self.token)

    def ask(self, path: str) -> dict:
        """The answer of the API."""
        return AirflowApi(ApiPlace(self.address, "", self.token)).get(*path.split("/"))


@pytest.fixture(scope="module")
def shared(tmp_path_factory, request) -> Iterator[Airflow]:
    """Airflow for all tests of this file."""
    home = tmp_path_factory.mktemp("deployer") / "home"
    machine = AirflowMachine(home, None, request.getfixturevalue("database"))
    flow = machine.flow(FLOW, folder=machine.dags)
    (machine.dags / "foreign.py").write_text(FOREIGN)
    machine.flow(PROJECT, "other.py", machine.dags).write_text(
        (machine.dags / "other.py").read_text().replace("    AFlow()", "    Other()")
    )
    machine.flow("raise RuntimeError('on purpose')  # airflow dag", "broken.py", machine.dags)
    done = machine.airflow("dags", "reserialize")
    assert done.returncode == 0, done.stdout
    with api_server(machine) as address:
        yield Airflow(machine, address, flow)


@pytest.fixture
def airflow(shared, machine, monkeypatch) -> Airflow:
    """Airflow, which this process uses by its settings; its home is a test's own."""
    del machine
    shared.use(monkeypatch)
    return shared


def test_a_run_is_triggered_and_ended(airflow):
    """create() unpauses the DAG; the run has the parameters, is asked for its state, and ends on demand."""
    assert airflow.ask("dags/a_flow")["is_paused"]
    with Deployer(airflow.flow).airflow() as deployer:
        deployed = deployer.create()
    assert (deployed.name, deployed.flow_name) == ("a_flow", "AFlow")
    assert not airflow.ask("dags/a_flow")["is_paused"]
    run = deployed.trigger(alpha=3, a_word=Path("a/b"), sizes={"a": [1, None]})
    other = deployed.trigger(alpha=None)
    assert run.status == other.status == "queued"
    assert run.is_running
    assert run.name != other.name
    told = airflow.ask(f"dags/a_flow/dagRuns/{run.dag_run_id}")
    assert told["conf"] == {"alpha": 3, "a-word": "a/b", "sizes": {"a": [1, None]}}
    assert told["logical_date"] is not None
    assert airflow.ask(f"dags/a_flow/dagRuns/{other.dag_run_id}")["conf"] == {}
    assert run.pathspec == f"AFlow/{run.run_id}"
    assert run.run is None
    with pytest.raises(LaunchTimeout, match=r"has not begun after 0.2 seconds; it is queued") as raised:
        run.wait_for_run(timeout=0.2)
    assert isinstance(raised.value, TimeoutError)
    with pytest.raises(LaunchTimeout, match=r"has not ended after 0.2 seconds; it is queued"):
        run.wait_for_completion(check_interval=0.1, timeout=0.2)
    assert run.terminate() is True
    assert run.status == "failed"
    assert run.terminate() is False
    run.wait_for_completion()
    with pytest.raises(LaunchError, match=r"has ended \(failed\), and local@.* has no run .*'prepare'"):
        run.wait_for_run()


def test_a_flow_without_its_file(airflow):
    """from_deployment needs the id of the DAG alone; the run is found among all flows once it is there."""
    Deployer(airflow.flow).airflow().create()
    run = DeployedFlow.from_deployment("a_flow").trigger(alpha=2)
    same = DeployedFlow.get_triggered_run("a_flow", run.name)
    assert (same.status, same.pathspec, same.run) == ("queued", None, None)
    machine = airflow.machine
    # The task that prepares the run, as a worker runs it.
    done = machine.airflow("tasks", "test", "a_flow", "prepare", run.dag_run_id)
    assert done.returncode == 0, done.stdout
    where = f"local@{machine.datastore}"
    same = DeployedFlow.get_triggered_run("a_flow", run.name, metadata=where)
    found = same.wait_for_run(timeout=60)
    assert (found.pathspec, same.pathspec) == (f"AFlow/{run.run_id}", f"AFlow/{run.run_id}")
    assert found["_parameters"].task["alpha"].data == 2
    # Whoever has the file and that datastore in env= finds it too.
    env = {"CONDA_FLOW_DATASTORE_ROOT": str(machine.datastore)}
    again = Deployer(airflow.flow, env=env).airflow().create().trigger()
    assert again.run is None
    assert again._where == where


def test_a_flow_on_branches(airflow):
    """One of several DAGs is chosen by branch=, or by its id."""
    flow = airflow.machine.dags / "other.py"
    with pytest.raises(
        LaunchError, match=r"several DAGs of Other: p\.test\.one\.other, p\.test\.two\.other\. Give"
    ):
        Deployer(flow).airflow().create()
    assert Deployer(flow, branch="two").airflow().create().name == "p.test.two.other"
    named = Deployer(flow).airflow(dag_id="p.test.one.other").create(paused=True)
    assert named.name == "p.test.one.other"
    with pytest.raises(
        LaunchError, match=r"The DAG p.test.one.other is paused, so that a run would not start"
    ):
        named.trigger()
    with pytest.raises(LaunchError, match=r"has no DAG 'other' of Other"):
        Deployer(flow, production=True).airflow().create()


def test_what_is_wrong_is_said_in_one_line(airflow, monkeypatch, tmp_path):
    """Names, values, kinds and tokens."""
    deployed = Deployer(airflow.flow).airflow().create()

    def said(call, *words, kind=LaunchError, **keywords) -> str:
        with pytest.raises(kind) as raised:
            call(*words, **keywords)
        assert airflow.token not in str(raised.value)
        return str(raised.value)

    assert "a_flow has no parameter 'alhpa'. Did you mean 'alpha'? It has: a-word, alpha, sizes." in said(
        deployed.trigger, alhpa=1
    )
    refused = said(deployed.trigger, alpha="x")
    assert "answers 400 Bad Request" in refused
    assert "'x' is not of type 'integer'" in refused
    assert "\n" not in refused
    assert "'sizes' of a_flow cannot be sent as JSON" in said(deployed.trigger, sizes=float("nan"))
    assert "has no DAG 'a_flwo'. Did you mean 'a_flow'? Its flows are: " in said(
        DeployedFlow.from_deployment, "a_flwo"
    )
    assert "'foreign' is not one of a flow" in said(DeployedFlow.from_deployment, "foreign")
    assert "impl is 'argo-workflows'; flows are" in said(
        DeployedFlow.from_deployment, "a_flow", impl="argo-workflows"
    )
    assert "answers 404" in said(DeployedFlow.get_triggered_run, "a_flow", "manual__never")
    assert "write Deployer(...).airflow()" in said(Deployer(airflow.flow).argo_workflows, name="x")
    assert "there is no such file in" in said(Deployer, "no.py")
    broken = airflow.machine.flow(FLOW, "broken.py", tmp_path)
    assert "has no DAG 'a_flow2' of AFlow2. The flow file is the DAG: end it with" in said(
        Deployer(broken.rename(renamed(broken, "AFlow2"))).airflow().create
    )
    assert "no such option: --environmnet=conda" in said(
        Deployer(airflow.flow, environmnet="conda").airflow().create
    )
    monkeypatch.setenv("CONDA_FLOW_AIRFLOW_API_TOKEN", "wrong")
    assert "refuses the token of CONDA_FLOW_AIRFLOW_API_TOKEN. A POST of" in said(
        DeployedFlow.from_deployment, "a_flow"
    )


def renamed(path: Path, name: str) -> Path:
    """The path of the same flow under another name of its class and file."""
    path.write_text(path.read_text().replace("AFlow", name))
    return path.with_name(f"{name.lower()}.py")


def test_a_file_that_airflow_cannot_import(airflow, tmp_path):
    """The last line of Airflow's error is part of the message."""
    flow = airflow.machine.flow(FLOW, "broken.py", tmp_path)
    flow.write_text(flow.read_text().replace("AFlow", "Broken"))
    with pytest.raises(LaunchError, match=r"cannot import broken.py: RuntimeError: on purpose"):
        Deployer(flow).airflow().create()


class Stub(BaseHTTPRequestHandler):
    """A server whose answers are given in order, the last one again and again; it keeps what it is sent."""

    answers: list[tuple[int, dict, bytes]]
    seen: list[tuple[str, str, str | None]]

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.seen.append((self.command, self.path, self.headers.get("Authorization")))
        status, headers, body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PATCH = _answer  # noqa: N815 - the names of http.server

    def log_message(self, *_arguments) -> None:
        """Print nothing."""


@contextmanager
def stub(*answers: tuple[int, dict, bytes]) -> Iterator[tuple[str, list]]:
    """A server with these answers: its address, and what it is sent."""
    handler = type("Handler", (Stub,), {"answers": list(answers), "seen": []})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", handler.seen
        finally:
            server.shutdown()
            thread.join()


DAG = (200, {}, json.dumps({"dag_id": "d", "tags": [{"name": "conda-flow"}]}).encode())
DETAILS = (200, {}, b'{"is_paused": false, "params": {}}')
RUN = (200, {}, b'{"state": "queued"}')
BUSY = (503, {}, b"busy")
TAKEN = (409, {}, b'{"detail": "taken"}')


def test_errors_that_pass_are_tried_again(machine, monkeypatch):
    """A POST whose answer is lost starts one run: the second one meets a conflict, and finds its own run."""
    del machine
    with stub(BUSY, DAG, DETAILS, BUSY, TAKEN, RUN) as (address, seen):
        monkeypatch.setenv("CONDA_FLOW_AIRFLOW_API_URL", f"{address}/api/v2/")
        run = DeployedFlow.from_deployment("d").trigger()
        assert run.status == "queued"
    assert [each[0] for each in seen] == ["GET", "GET", "GET", "POST", "POST", "GET", "GET"]
    assert seen[-1][1] == f"/api/v2/dags/d/dagRuns/{run.dag_run_id.replace('+', '%2B').replace(':', '%3A')}"


def test_a_logical_date_of_another_run(machine, monkeypatch):
    """It is tried with another date, and not for ever."""
    del machine
    with stub(DAG, DETAILS, TAKEN, RUN) as (address, seen):
        monkeypatch.setenv("CONDA_FLOW_AIRFLOW_API_URL", address)
        assert DeployedFlow.from_deployment("d").trigger().status == "queued"
        assert [each[0] for each in seen][:4] == ["GET", "GET", "POST", "POST"]
    with stub(DAG, DETAILS, TAKEN) as (address, seen):
        monkeypatch.setenv("CONDA_FLOW_AIRFLOW_API_URL", address)
        with pytest.raises(LaunchError, match=r"answers 409 Conflict: taken"):
            DeployedFlow.from_deployment("d").trigger()
        assert len(seen) == 5


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((200, {}, b"<html>"), "does not answer as Airflow's API does: '<html>'."),
        ((200, {}, b"[]"), "does not answer as Airflow's API does"),
        ((302, {"Location": "https://elsewhere.example"}, b""), "redirects to https://elsewhere.example."),
        (
            (403, {}, b'{"detail": "Forbidden"}'),
            "does not allow this to the user of CONDA_FLOW_AIRFLOW_API_TOKEN",
        ),
        ((422, {}, b'{"detail": [{"loc": ["body", "x"], "msg": "no"}]}'), "answers 422"),
    ],
)
def test_answers_that_are_none(machine, monkeypatch, answer, message):
    """One line that names the address and its setting; the token goes to that address alone, once."""
    del machine
    with stub(answer) as (address, seen):
        monkeypatch.setenv("CONDA_FLOW_AIRFLOW_API_URL", address)
        monkeypatch.setenv("CONDA_FLOW_AIRFLOW_API_TOKEN", "a-token")
        with pytest.raises(LaunchError) as raised:
            DeployedFlow.from_deployment("d")
    said = str(raised.value)
    assert message in said
    assert address in said
    assert "\n" not in said
    assert "a-token" not in said
    assert seen == [("GET", "/api/v2/dags/d", "Bearer a-token")]


def test_no_token(machine, monkeypatch):
    """The message names the variable and says where a token comes from."""
    del machine
    with stub((401, {}, b'{"detail": "Not authenticated"}')) as (address, seen):
        monkeypatch.setenv("CONDA_FLOW_AIRFLOW_API_URL", address)
        monkeypatch.delenv("CONDA_FLOW_AIRFLOW_API_TOKEN", raising=False)
        wants = (
            "wants a token; there is none in CONDA_FLOW_AIRFLOW_API_TOKEN. A POST of username and password"
        )
        with pytest.raises(LaunchError, match=wants):
            DeployedFlow.from_deployment("d")
    assert seen == [("GET", "/api/v2/dags/d", None)]


def test_nobody_answers(machine, monkeypatch):
    """The message says where the address comes from."""
    del machine
    monkeypatch.setattr("airflow_conda_flow.launch.airflow_api._PAUSES", (0.0, 0.0))
    monkeypatch.setenv("CONDA_FLOW_AIRFLOW_API_URL", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(LaunchError, match=r"cannot be reached: .*refused.* CONDA_FLOW_AIRFLOW_API_URL names"):
        DeployedFlow.from_deployment("d")
