"""The requests to S3 that preparing a run makes."""

from __future__ import annotations

import importlib.util
import time

from airflow_conda_flow.datastore import publish
from airflow_conda_flow.datastore.datastore import open_datastore
from airflow_conda_flow.environments.environments import Environments
from airflow_conda_flow.environments.platform import current_platform
from airflow_conda_flow.flow.definition import read_flow
from airflow_conda_flow.runner.run_preparation import prepare_run
from airflow_conda_flow.settings.loading import load_settings

FLOW = """
from airflow_conda_flow import FlowSpec, conda, step

class AFlow(FlowSpec):
    @conda(python="{python}", libraries={{"six": "1.17.0"}})
    @step
    def start(self):
        self.next(self.end)

    @conda(python="{python}", libraries={{"six": "1.16.0"}})
    @step
    def end(self):
        pass
"""


def _wait_until_settled(storage):
    """A lock that was published a moment ago is read again, as another writer may overwrite it."""
    deadline = time.monotonic() + 60
    while any(each.age < publish.SETTLED_AGE for each in storage.entries("environments/")):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_warm_start_reads_lock_and_document_of_each_environment_and_once_the_code(
    channel, moto_s3, tmp_path, monkeypatch, caplog
):
    """On a worker that has never seen the flow; no channel is there, and all that is written is the run's manifest."""
    moto_s3.use(monkeypatch)
    root = moto_s3.make_root()
    file = tmp_path / "code" / "a_flow_to_prepare.py"
    file.parent.mkdir()
    file.write_text(FLOW.format(python=channel.python))
    (file.parent / "fast.so").touch()
    spec = importlib.util.spec_from_file_location("a_flow_to_prepare", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    definition = read_flow(module.AFlow)

    def prepare(machine: str, run_id: str) -> list[tuple[str, str]]:
        datastore = open_datastore("s3", root, tmp_path / machine)
        requests = []
        client = datastore.storage.client
        client.meta.events.register(
            "before-send.s3",
            lambda request, **_: requests.append((request.method, request.url.partition("some/prefix/")[2])),
        )
        prepare_run(
            definition,
            datastore=datastore,
            environments=Environments(tmp_path / machine, datastore.storage),
            settings=load_settings({"channels": channel.url}, environ={}),
            platforms=dict.fromkeys(definition.graph.steps, current_platform()),
            in_containers=definition.graph.steps,
            run_id=run_id,
            parameters={},
            origin="airflow",
            environment="conda",
        )
        return requests

    prepare("first", "1")
    assert "Steps on other machines lack the compiled module fast.so: only sources are" in caplog.text
    channel.stop()
    _wait_until_settled(open_datastore("s3", root, tmp_path / "first").storage)
    requests = prepare("second", "2")
    reads = sorted((method, key.partition("/")[0]) for method, key in requests if method in {"GET", "HEAD"})
    # The code package is read too: what is stored counts only once it was verified. And a machine that has never
    # seen the environments asks how old lock, archive and document are, of which a prune removes what is old.
    ages = [*[("HEAD", "code")] * 2, *[("HEAD", "environments")] * 6]
    assert reads == [("GET", "code"), *[("GET", "environments")] * 4, *ages]
    assert [each for each in requests if each[0] not in {"GET", "HEAD"}] == [
        ("PUT", "flows/AFlow/2/run.json")
    ]
    again = [key for method, key in prepare("second", "3") if method == "HEAD"]
    assert not [key for key in again if key.startswith("environments")]
