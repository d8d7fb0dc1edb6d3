"""A flow file is mended and tasks are cleared: they run the mended code, and nothing else does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_conda_flow.datastore.s3_storage import S3Storage

from ..standalone import Standalone

BROKEN = """
from toy_place import toy
class {name}(FlowSpec):
    FACTOR = 2
    word = Parameter("word", default="default")
    @step
    def start(self):
        self.next(self.work, self.beside)
    {decorator}
    @step
    def work(self):
        raise ValueError("broken")
        self.next(self.join)
    @step
    def beside(self):
        self.two = "before"
        self.next(self.join)
    @step
    def join(self, inputs):
        self.seen = [inputs.work.three, inputs.beside.two, "before"]
        self.next(self.end)
    @step
    def end(self):
        print("SEEN", *self.seen, self.FACTOR, getattr(self, "added", None))

dag = {name}.dag(schedule=None, environment="{environment}", default_args={{"retries": 0}})
"""
MENDS = {
    'raise ValueError("broken")': "self.three = (self.FACTOR, self.word, {version})",
    '"before"': '"after"',
    "FACTOR = 2": 'FACTOR = 3; added = Parameter("added", default=7)',
    "1.16.0": "1.17.0",
}


class Flow:
    """A flow whose first run has failed."""

    def __init__(self, airflow: Standalone, name: str, **texts: str) -> None:
        self.airflow = airflow
        self.name = name
        self.dag_id = f"{name[:-4].lower()}_flow"
        self.version = texts.pop("version", '"1"')
        self.text = BROKEN.format(**{"name": name, "decorator": "", "environment": "local", **texts})
        self._write(self.text)
        airflow.trigger(self.dag_id, word="given")

    def mend(self) -> None:
        """Write the mended file, once the first run has failed."""
        self.airflow.wait_for_run(self.dag_id, "failed")
        text = self.text
        for old, new in MENDS.items():
            text = text.replace(old, new.format(version=self.version))
        self._write(text)

    def _write(self, text: str) -> None:
        machine = self.airflow.machine
        machine.flow(text, f"{self.dag_id}.py", machine.dags)


def records(storage: S3Storage, flow: str) -> dict[str, dict[str, Any]]:
    """The newest done manifest of each step."""
    found = {}
    for key in storage.list_keys(f"flows/{flow}/"):
        if not key.endswith(".json") or len(key.split("/")) != 6:
            continue
        manifest = json.loads(storage.read_bytes(key))
        if manifest["status"] == "done":
            found[manifest["step"]] = manifest
    return found


def code_of(manifest: dict[str, Any]) -> str:
    """The digest of the code that a task ran."""
    return manifest["run_record"]["code"]["sha256"]


@pytest.mark.timeout(600)
def test_fix_and_clear(running, channel, moto_s3, root, monkeypatch):
    """Alone, then what follows; with prepare; with what follows, in the triggerer and in a new environment."""
    moto_s3.use(monkeypatch)
    conda = f'@conda(libraries={{"six": "1.16.0"}}, python="{channel.python}")'
    flows = [
        Flow(running, "AloneFlow"),
        Flow(running, "PreparedFlow"),
        Flow(running, "TriggeredFlow", decorator="@toy"),
        Flow(
            running,
            "SolvedFlow",
            decorator=conda,
            environment="conda",
            version='__import__("six").__version__',
        ),
    ]
    alone, prepared, triggered, solved = flows
    for flow in flows:
        flow.mend()
    running.clear(alone.dag_id, "work")
    running.clear(prepared.dag_id, "prepare", "work", downstream=["work"])
    for flow in (triggered, solved):
        running.clear(flow.dag_id, "work", downstream=["work"])
    running.wait_for(lambda: "work" in records(S3Storage(root, moto_s3.make_client()), "AloneFlow"))
    running.wait_for_run(alone.dag_id, "failed")
    running.clear(alone.dag_id, "join", "end")
    for flow in flows:
        running.wait_for_run(flow.dag_id)
    storage = S3Storage(root, moto_s3.make_client())
    for flow in flows:
        found = records(storage, flow.name)
        version = "1.17.0" if flow is solved else "1"
        assert f"SEEN (3, 'given', '{version}') before after 3 7" in running.task_log(flow.dag_id, "end")
        # Tasks that were not cleared ran the code that the run was prepared with.
        assert code_of(found["start"]) == code_of(found["beside"])
        assert len({code_of(found[step]) for step in ("work", "join", "end")}) == 1
        assert code_of(found["work"]) != code_of(found["beside"])
        log = running.task_log(flow.dag_id, "work")
        mended = f"Code: package {code_of(found['work'])[:12]}, made "
        assert mended in log, flow.name
        is_revision = flow is not prepared
        (run,) = [key for key in storage.list_keys(f"flows/{flow.name}/") if key.endswith("/run.json")]
        assert json.loads(storage.read_bytes(run))["first_attempt"] == 0
        before = f"The run was prepared with package {code_of(found['beside'])[:12]}, made "
        assert (before in log) is is_revision, flow.name
