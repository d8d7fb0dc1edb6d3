"""Flows under Airflow's scheduler, their steps local processes on the worker: triggers, retries, events, the clock."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path

import pytest

from airflow_conda_flow import Deployer
from airflow_conda_flow.client import scope

from ..standalone import Standalone

MAPPED = """
class MappedFlow(FlowSpec):
    words = Parameter("words", default="a b")
    @step
    def start(self):
        self.items = self.words.split()
        self.next(self.body, foreach="items")
    @step
    def body(self):
        if current.retry_count == 0 and self.input == "y":
            raise RuntimeError("the first attempt fails")
        self.done = self.input * 2
        self.next(self.join)
    @step
    def join(self, inputs):
        self.all = [each.done for each in inputs]
        self.next(self.end)
    @step
    def end(self):
        print(self.all)

from datetime import timedelta
dag = MappedFlow.dag(schedule=None, default_args={"retries": 1, "retry_delay": timedelta(seconds=1)})
"""
CAUGHT = """
from airflow_conda_flow import catch, retry
class CaughtFlow(FlowSpec):
    @catch(var="problem")
    @retry(times=1, minutes_between_retries=0.05)
    @step
    def start(self):
        raise ValueError("on purpose")
        self.next(self.end)
    @step
    def end(self):
        print("CAUGHT", self.problem.exception)

dag = CaughtFlow.dag(schedule=None, environment="local")
"""
HOOKED = """
from airflow_conda_flow import exit_hook
from pathlib import Path
def tell(run):
    ended = {task.pathspec.split("/", 2)[2]: task.successful for step in run for task in step}
    Path("PATH").write_text(f"{run.pathspec}: {sorted(ended.items())}")
def broken():
    raise ValueError("the hook's own")
@exit_hook(on_error=[broken, tell])
class HookedFlow(FlowSpec):
    @step
    def start(self):
        self.items = ["fails", "waits"]
        self.next(self.body, foreach="items")
    @step
    def body(self):
        import time
        if self.input == "fails":
            raise ValueError("on purpose")
        while not Path("PATH.go").exists():
            time.sleep(0.2)
        self.next(self.after)
    @step
    def after(self):
        self.next(self.join)
    @step
    def join(self, inputs):
        self.next(self.end)
    @step
    def end(self):
        pass

dag = HookedFlow.dag(schedule=None, environment="local")
"""
FIRST = """
class FirstFlow(FlowSpec):
    @step
    def start(self):
        self.next(self.end)
    @step
    def end(self):
        print("the first one's line")

dag = FirstFlow.dag(environment="local")
"""
SECOND = """
from airflow_conda_flow import trigger
@trigger(event={"name": "conda_flow.FirstFlow.end", "parameters": {"run": "run_id"}})
class SecondFlow(FlowSpec):
    run = Parameter("run", default="none")
    @step
    def start(self):
        self.next(self.end)
    @step
    def end(self):
        print("GIVEN", self.run)
        print("TRIGGER", *current.trigger.event)
        print("FROM", current.trigger.run["end"].task.stdout)

dag = SecondFlow.dag(environment="local")
"""
CLOCK = """
from airflow_conda_flow import schedule
@schedule(cron="* * * * *")
class ClockFlow(FlowSpec):
    @step(start=True, end=True)
    def only(self):
        print("DATE", current.logical_date)

dag = ClockFlow.dag(environment="local")
"""
TRIGGERED = """
from airflow_conda_flow import airflow_external_task_sensor
# It waits for itself: it is deferred as soon as it waits in the triggerer.
@airflow_external_task_sensor(external_dag_id="triggered_flow", external_task_ids=["external_task_sensor"],
                              allowed_states=["deferred"], poke_interval=1)
class TriggeredFlow(FlowSpec):
    word = Parameter("word", default="none")
    @step
    def start(self):
        self.said = self.word * 2
        self.next(self.end)
    @step
    def end(self):
        pass

dag = TriggeredFlow.dag(environment="local")
"""
FLOWS = {
    "mapped": MAPPED,
    "caught": CAUGHT,
    "hooked": HOOKED,
    "first": FIRST,
    "second": SECOND,
    "triggered": TRIGGERED,
    "clock": CLOCK,
}
LOCAL_DATASTORE = """
import os
os.environ.update(CONDA_FLOW_DATASTORE="local", CONDA_FLOW_DATASTORE_ROOT="{root}")
"""
"""The first lines of each flow file: this Airflow's datastore is in S3."""


@pytest.fixture(scope="module")
def airflow(running) -> Standalone:
    """The running Airflow, with every flow of these tests in its DAG folder; they were started."""
    machine = running.machine
    for name, text in FLOWS.items():
        here = LOCAL_DATASTORE.format(root=machine.datastore)
        machine.flow(
            here + text.replace("PATH", str(machine.home / "hooked")), f"{name}_flow.py", machine.dags
        )
    running.trigger("mapped_flow", words="x y z")
    for name in ("caught_flow", "hooked_flow", "first_flow"):
        running.trigger(name)
    return running


def run_of(airflow: Standalone, flow: str) -> Path:
    """The folder of the flow's only run."""
    (run,) = (airflow.machine.datastore / "flows" / flow).iterdir()
    return run


@pytest.mark.timeout(400)
def test_a_triggered_flow(airflow):
    """Parameters by the trigger, mapped tasks, and a retry as a new attempt."""
    airflow.wait_for_run("mapped_flow")
    run = run_of(airflow, "MappedFlow")
    assert (run / "end/0/0.stdout").read_text().rstrip().endswith("['xx', 'yy', 'zz']")
    assert sorted(path.name for path in run.glob("body/1/*.json")) == ["0.json", "1.json"]
    assert json.loads((run / "body/1/1.json").read_text())["status"] == "done"
    assert json.loads((run / "body/0/0.json").read_text())["split_name"] == "x"


@pytest.mark.timeout(400)
def test_a_program_triggers_a_flow(airflow, monkeypatch, tmp_path):
    """The run waits for its sensor in the triggerer, runs, and is read by the program that triggered it."""
    machine = airflow.machine
    monkeypatch.setattr(scope, "_open", {})
    env = {
        "HOME": str(machine.home),
        "CONDA_FLOW_AIRFLOW_API_URL": f"http://127.0.0.1:{airflow.port}",
        "CONDA_FLOW_AIRFLOW_API_TOKEN": airflow.token,
        "CONDA_FLOW_DATASTORE_ROOT": str(machine.datastore),
    }
    airflow.wait_for(lambda: airflow.query("select 1 from serialized_dag where dag_id = ?", "triggered_flow"))
    flow = tmp_path / "triggered_flow.py"  # the program's own copy
    flow.write_text((machine.dags / flow.name).read_text().replace("    AFlow()", "    TriggeredFlow()"))
    deployed = Deployer(flow, env=env).airflow().create()
    triggered = deployed.trigger(word="ha")
    run = triggered.wait_for_run(timeout=250)
    triggered.wait_for_completion(check_interval=0.5, timeout=100)
    assert triggered.status == "success", airflow.task_log("triggered_flow")
    assert (run.pathspec, run["start"].task.data.said) == (triggered.pathspec, "haha")
    assert not triggered.terminate()
    assert "Pausing task as DEFERRED" in airflow.task_log("triggered_flow", "external_task_sensor")


@pytest.mark.timeout(400)
def test_the_second_try_comes_after_the_delay(airflow):
    """It starts no sooner than ``@retry`` says, and is the one that ``@catch`` catches."""
    airflow.wait_for_run("caught_flow")
    run = run_of(airflow, "CaughtFlow")
    first, second = (json.loads((run / f"start/0/{number}.json").read_text()) for number in range(2))
    assert [first["status"], second["status"]] == ["failed", "done"]
    assert _seconds(second["started"]) - _seconds(first["finished"]) >= 3
    assert "CAUGHT on purpose" in (run / "end/0/0.stdout").read_text()


@pytest.mark.timeout(400)
def test_an_exit_hook_waits_for_every_task_of_a_run_that_failed(airflow):
    """Airflow gives up the last step when a split fails, and the hook still waits for the other split.

    The DAG run has failed in spite of the hooks' own task, and a hook that fails does not stop the next.
    """
    statement = "select task_id, map_index, state from task_instance where dag_id = 'hooked_flow'"

    def states() -> dict[tuple[str, int], str | None]:
        return {(task, index): state for task, index, state in airflow.query(statement)}

    airflow.wait_for(lambda: states().get(("end", -1)) == "upstream_failed", "hooked_flow")
    found = states()
    assert found["body", 1] == "running"
    assert found["exit_hook", -1] is None
    (airflow.machine.home / "hooked.go").touch()
    airflow.wait_for_run("hooked_flow", "failed")
    told = (airflow.machine.home / "hooked").read_text()
    ended = [("body/body-0", False), ("body/body-1", True), ("start/start-0", True)]
    assert re.fullmatch(rf"HookedFlow/run-[\w-]+: {re.escape(str(ended))}", told), told


@pytest.mark.timeout(400)
def test_a_finished_flow_starts_another(airflow):
    """The end of one flow is the event of the next, whose parameter comes from the event's extra."""
    machine = airflow.machine
    found = airflow.wait_for(
        lambda: list(machine.datastore.glob("flows/SecondFlow/asset*/end/0/0.json")), "second_flow"
    )
    text = found[0].with_suffix(".stdout").read_text()
    run = run_of(airflow, "FirstFlow")
    assert f"GIVEN {run.name}\n" in text
    assert re.search(
        rf"TRIGGER conda_flow\.FirstFlow\.end FirstFlow/{run.name}/end/end-0 20\S+ \S+ run\n", text
    )
    assert "FROM the first one's line\n" in text


@pytest.mark.timeout(400)
def test_only_flows_that_another_dag_listens_to_update_assets(airflow):
    """The others' ends are not among Airflow's assets, and make no events."""
    airflow.wait_for_run("mapped_flow")
    airflow.wait_for_run("first_flow")
    assert airflow.query("select name from asset") == [("conda_flow.FirstFlow.end",)]
    assert airflow.query("select distinct source_dag_id from asset_event") == [("first_flow",)]


@pytest.mark.timeout(400)
def test_the_clock_starts_a_flow(airflow):
    """``@schedule``: the next full minute makes a run of its own, whose logical date the step is told."""
    statement = (
        "select logical_date from dag_run where dag_id = 'clock_flow' and run_type = 'scheduled' "
        "and state = 'success'"
    )
    ((date,), *_) = airflow.wait_for(lambda: airflow.query(statement), "clock_flow")
    airflow.ask("PATCH", "dags/clock_flow", {"is_paused": True})
    printed = [
        path.read_text() for path in airflow.machine.datastore.glob("flows/ClockFlow/*/only/0/0.stdout")
    ]
    assert any(f"DATE {date:%Y-%m-%d %H:%M}:00" in text for text in printed), (date, printed)


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
