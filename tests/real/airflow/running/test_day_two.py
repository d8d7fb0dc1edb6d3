"""Years of use of a DAG: pools, callbacks, marking, backfills, catching up, waiting for the past."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest

from airflow_conda_flow.datastore.s3_storage import S3Storage

from ..standalone import Standalone

POOL = """
from airflow_conda_flow import airflow_task
import time
class PoolFlow(FlowSpec):
    @step
    def start(self):
        self.items = list(range(2))
        self.next(self.body, foreach="items")
    @airflow_task(pool="one_at_a_time")
    @step
    def body(self):
        self.begin = time.time()
        time.sleep(0.5)
        self.finish = time.time()
        self.next(self.join)
    @step
    def join(self, inputs):
        spans = sorted((each.begin, each.finish) for each in inputs)
        self.overlap = any(first[1] > second[0] for first, second in zip(spans, spans[1:]))
        self.next(self.end)
    @step
    def end(self):
        print("OVERLAP", self.overlap)

dag = PoolFlow.dag(schedule=None, environment="local")
"""
TOLD = """
def tell(context):
    ti = context["ti"]
    with open("{folder}/told", "a") as file:
        file.write("%s %s\\n" % (ti.task_id, ti.map_index))

class ToldFlow(FlowSpec):
    @step
    def start(self):
        self.items = list(range(2))
        self.next(self.body, foreach="items")
    @step
    def body(self):
        if self.input:
            raise ValueError("boom")
        self.next(self.join)
    @step
    def join(self, inputs):
        self.next(self.end)
    @step
    def end(self):
        pass

import sys
late = None
if {has_deadlines} and "airflow.sdk" in sys.modules:  # not in the processes of steps
    from datetime import timedelta
    from airflow.sdk import DeadlineAlert, DeadlineReference, SyncCallback
    late = DeadlineAlert(
        DeadlineReference.DAGRUN_QUEUED_AT, timedelta(seconds=0.1), SyncCallback("tell_late.tell")
    )
dag = ToldFlow.dag(
    schedule=None, environment="local", default_args={{"retries": 0}}, **({{"deadline": late}} if late else {{}})
)
dag.get_task("body").on_failure_callback = tell
dag.get_task("start").on_success_callback = tell
"""
LATE = """
def tell(**_):
    open("{folder}/told-late", "w").close()
"""
MARKED = """
class MarkedSuccessFlow(FlowSpec):
    @step
    def start(self):
        self.next(self.broken, self.fine)
    @step
    def broken(self):
        raise ValueError("boom")
        self.next(self.join)
    @step
    def fine(self):
        self.next(self.join)
    @step
    def join(self, inputs):
        self.next(self.end)
    @step
    def end(self):
        pass

dag = MarkedSuccessFlow.dag(schedule=None, environment="local", default_args={"retries": 0})
"""
DAILY = """
import datetime
from airflow_conda_flow import airflow_task
class {name}(FlowSpec):
    @airflow_task(depends_on_past=True)
    @step(start=True, end=True)
    def only(self):
        self.day = str(current.logical_date)[:10]

dag = {name}.dag(
    schedule="@daily", start_date=datetime.datetime.fromisoformat("{start}T00:00:00+00:00"), catchup={catchup},
    environment="local", default_args={{"retries": 0}},
)
"""

# Taken once, and written into the flows: the tests may begin before midnight and end after it.
_TODAY = datetime.now(timezone.utc)
DAYS = [f"{_TODAY - timedelta(days=before):%Y-%m-%d}" for before in (3, 2, 1)]


@pytest.fixture(scope="module")
def airflow(running, version) -> Standalone:
    """The running Airflow, with the flows of this file."""
    machine = running.machine
    # Airflow imports a callback for a deadline by its name, from the folder that is in PYTHONPATH.
    (machine.dags / "tell_late.py").write_text(LATE.format(folder=machine.home))
    for name, text in {
        "pool": POOL,
        "told": TOLD.format(folder=machine.home, has_deadlines=version is None),
        "marked_success": MARKED,
        "backfill": DAILY.format(name="BackfillFlow", start=DAYS[0], catchup=False),
        "catchup": DAILY.format(name="CatchupFlow", start=DAYS[0], catchup=True),
    }.items():
        machine.flow(text, f"{name}_flow.py", machine.dags)
    return running


def days(storage: S3Storage, flow: str) -> list[str]:
    """The days that the runs of a flow have stored."""
    found = []
    for key in storage.list_keys(f"flows/{flow}/"):
        if key.endswith("/only/0/0.json"):
            run = json.loads(storage.read_bytes(f"{'/'.join(key.split('/')[:3])}/run.json"))
            found.append(run["current"]["logical_date"][:10])
    return sorted(found)


@pytest.mark.timeout(600)
def test_what_people_do(airflow, version, moto_s3, root, monkeypatch):
    """All of it side by side; nothing waits for the other."""
    moto_s3.use(monkeypatch)
    storage = S3Storage(root, moto_s3.make_client())
    told = airflow.machine.home / "told"
    told.unlink(missing_ok=True)
    if not airflow.query("select 1 from slot_pool where pool = 'one_at_a_time'"):
        airflow.ask("POST", "pools", {"name": "one_at_a_time", "slots": 1})
    airflow.unpause("backfill_flow")
    body = {"from_date": DAYS[0], "to_date": DAYS[1], "reprocess_behavior": "failed"}
    airflow.ask("POST", "backfills", {"dag_id": "backfill_flow", **body})
    for dag_id in ("pool_flow", "told_flow", "marked_success_flow"):
        airflow.trigger(dag_id)
    airflow.unpause("catchup_flow")

    airflow.wait_for_run("marked_success_flow", "failed")
    run = f"dags/marked_success_flow/dagRuns/{airflow.run_id('marked_success_flow')}"
    airflow.ask(
        "PATCH", f"{run}/taskInstances/broken", {"new_state": "success", "note": "it does not matter"}
    )
    # Airflow itself clears what could not run before.
    joined = "select 1 from task_instance where run_id = ? and task_id = 'join' and state = 'failed'"
    airflow.wait_for(
        lambda: airflow.query(joined, airflow.run_id("marked_success_flow")), "marked_success_flow"
    )
    log = airflow.task_log("marked_success_flow", "join")
    assert "broken-0 has not finished. Let it run first" in log

    airflow.wait_for_run("told_flow", "failed")
    airflow.wait_for(lambda: told.exists() and len(told.read_text().splitlines()) == 2)
    assert sorted(told.read_text().splitlines()) == ["body 1", "start -1"]
    if version is None:
        airflow.wait_for((airflow.machine.home / "told-late").exists, "told_flow")

    airflow.wait_for_run("pool_flow")
    assert "OVERLAP False" in airflow.task_log("pool_flow", "end")
    airflow.wait_for(lambda: days(storage, "BackfillFlow")[:2] == DAYS[:2], "backfill_flow")
    airflow.wait_for(lambda: len(days(storage, "CatchupFlow")) >= 3, "catchup_flow")
    assert days(storage, "CatchupFlow")[:3] == DAYS
