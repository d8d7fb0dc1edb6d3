"""Flows as DAGs: what Airflow sees when it parses them."""

from __future__ import annotations

import json
import shutil

import pytest

from ...parts.airflow_machine import DAGS

DESCRIBE = """
import json, os
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
print(json.dumps({"errors": bag.import_errors, "dags": {
    dag.dag_id: {
        "file": dag.fileloc,
        "tags": sorted(dag.tags),
        "doc": dag.doc_md,
        "params": {name: dag.params.get_param(name).serialize() for name in dag.params},
        "tasks": {task.task_id: sorted(task.upstream_task_ids) for task in dag.tasks},
        "mapped": sorted(task.task_id for task in dag.tasks if task.is_mapped),
        "docs": {task.task_id: task.doc_md for task in dag.tasks},
    } for dag in bag.dags.values()}}))
"""
HASH = """
import os
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization
from airflow.models.serialized_dag import SerializedDagModel
bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
for dag_id in sorted(bag.dags):
    data = DagSerialization.to_dict(bag.dags[dag_id])
    print(dag_id, SerializedDagModel.hash(data), len(DagSerialization.from_dict(data).task_dict))
"""


@pytest.fixture
def examples(machine):
    """A machine with the example flows in its DAG folder."""
    for path in DAGS.glob("*.py"):
        shutil.copy(path, machine.dags)
    return machine


def test_the_examples_are_dags(examples):
    """Each flow is a DAG: a prepare task, a task for each step, mapped inside a foreach."""
    seen = json.loads(examples.python(DESCRIBE).splitlines()[-1])
    assert seen["errors"] == {}
    dags = seen["dags"]
    assert set(dags) >= {"linear_flow", "sklearn_flow", "foreach_flow"}
    linear = dags["linear_flow"]
    assert linear["tasks"] == {"prepare": [], "start": ["prepare"], "hello": ["start"], "end": ["hello"]}
    assert linear["tags"] == ["conda-flow", "example"]
    assert linear["doc"] == "Says hello from the middle of three steps."
    prepares = "Prepares the run before its first step: environments, code and parameters."
    assert linear["docs"]["prepare"] == prepares
    assert linear["file"] == str(examples.dags / "linear_flow.py")
    assert linear["params"]["greeting"]["schema"]["type"] == "string"
    assert linear["params"]["greeting"]["description"] == "the word to greet with"
    assert dags["sklearn_flow"]["tasks"]["compare"] == ["newer", "older"]
    foreach = dags["foreach_flow"]
    assert foreach["mapped"] == ["count", "shout"]
    assert foreach["tasks"]["shout"] == ["count", "start"]


def test_a_dag_serializes_the_same_each_time(examples):
    """Two parses give the same hash, so that Airflow makes no new version of an unchanged DAG."""
    first, second = examples.python(HASH), examples.python(HASH)
    lines = first.splitlines()[-3:]
    assert [line.split()[0] for line in lines] == ["foreach_flow", "linear_flow", "sklearn_flow"]
    assert [line.split()[2] for line in lines] == ["6", "4", "6"]
    assert lines == second.splitlines()[-3:]


SERIALIZED = """
import json, os
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization
bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
print(bag.import_errors, json.dumps(DagSerialization.to_dict(bag.dags["secretive_flow"])))
"""
SECRETIVE = """
from airflow_conda_flow import FlowSpec, environment, kubernetes, secrets, step

INLINE = {"type": "inline", "id": "a", "options": {"env_vars": {"DOOR": "hunter-door"}}}

class SecretiveFlow(FlowSpec):
    @environment(vars={"PLAIN": "hunter-plain"})
    @step
    def start(self):
        self.items = [1, 2]
        self.next(self.body, foreach="items")

    @secrets(sources=[INLINE])
    @kubernetes(env={"POD": "hunter-pod"}, image="base:1")
    @environment(vars={"MAPPED": "hunter-mapped"})
    @step
    def body(self):
        self.next(self.join)

    @step
    def join(self, inputs):
        self.next(self.end)

    @step
    def end(self):
        pass

dag = SecretiveFlow.dag()
"""


def test_no_value_of_an_environment_or_a_secret_is_stored_with_the_dag(machine):
    """Airflow stores a mapped task's arguments: the names are there, and no value, for any place of a step."""
    (machine.dags / "secretive_flow.py").write_text(SECRETIVE)
    stored = machine.python(SERIALIZED).splitlines()[-1]
    assert stored.startswith("{} ")
    assert "hunter" not in stored
    assert "MAPPED" in stored
    assert "POD" in stored


def test_parsing_needs_no_channel_and_writes_nothing(examples, channel):
    """A DAG file is parsed with the channel gone, and the cache stays empty."""
    channel.stop()
    assert json.loads(examples.python(DESCRIBE).splitlines()[-1])["errors"] == {}
    assert not examples.cache.exists()
    assert not examples.datastore.exists()


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("self.next(self.ende)", 6, "Step 'start' leads to 'ende', which is not a step of AFlow."),
        ("self.x = 1", 5, "Step 'start' does not call self.next()"),
    ],
)
def test_a_wrong_flow_is_an_import_error_with_its_line(machine, text, line, message):
    """Airflow shows a fault of a flow as file, line and message."""
    flow = machine.flow(
        f"""
class AFlow(FlowSpec):
    @step
    def start(self):
        {text}
    @step
    def end(self):
        pass
dag = AFlow.dag()
""",
        folder=machine.dags,
    )
    (error,) = json.loads(machine.python(DESCRIBE).splitlines()[-1])["errors"].values()
    assert f"{flow}:{line}: {message}" in error.replace("\n", " ") or message in error


def test_a_range_needs_a_lock_file(machine):
    """Without one it is an import error that names the command; with one beside the flow the DAG is there."""
    flow = machine.flow(
        """
class AFlow(FlowSpec):
    @conda(libraries={"six": ">=1"})
    @step
    def start(self):
        self.next(self.end)
    @step
    def end(self):
        pass
dag = AFlow.dag()
""",
        folder=machine.dags,
    )
    (error,) = json.loads(machine.python(DESCRIBE).splitlines()[-1])["errors"].values()
    assert "the version of 'six' is '>=1', a range" in error
    assert f"pin it in a lock file: python {flow} environment lock" in error
    flow.with_suffix(".lock").touch()  # it is read when a run is prepared
    assert list(json.loads(machine.python(DESCRIBE).splitlines()[-1])["dags"]) == ["a_flow"]


def test_the_dag_changes_with_the_code_of_its_steps(machine):
    """Airflow makes a new version of a DAG when its hash changes; the order of a set does not change it."""
    text = """
class AFlow(FlowSpec):
    @step
    def start(self):
        self.words = ["x"]
        self.next(self.body, foreach="words")
    @step
    def body(self):
        assert self.input in {"x", "y", "z"}
        self.next(self.join)
    @step
    def join(self, inputs):
        self.next(self.end)
    @step
    def end(self):
        pass
dag = AFlow.dag(schedule=None)
"""

    def seen(text: str) -> str:
        machine.flow(text, folder=machine.dags)
        return machine.python(HASH).splitlines()[-1]

    texts = [text, text.replace("pass", "print()"), text.replace('"z"', '"w"'), "A = 1\n" + text, text]
    hashes = [seen(each) for each in texts]
    assert len(set(hashes)) == 4
    assert hashes[-1] == hashes[0]


def test_a_wrong_keyword_names_the_line(machine):
    """A misspelt DAG keyword is one message with the nearest that exists."""
    machine.flow(
        """
class AFlow(FlowSpec):
    @step
    def start(self):
        self.next(self.end)
    @step
    def end(self):
        pass
dag = AFlow.dag(shedule=None)
""",
        folder=machine.dags,
    )
    (error,) = json.loads(machine.python(DESCRIBE).splitlines()[-1])["errors"].values()
    assert "AFlow.dag(...): 'shedule' is not a keyword of a DAG. Did you mean 'schedule'?" in error
    assert "a_flow.py:10: " in error


def test_a_folder_of_untouched_flow_files(machine, tmp_path):
    """The loader makes DAGs of files that do not mention Airflow; a broken one does not hide the rest."""
    flows = tmp_path / "flows"
    text = """
class AFlow(FlowSpec):
    @step
    def start(self):
        self.next(self.end)
    @step
    def end(self):
        pass
"""
    machine.flow(text, folder=flows)
    machine.flow(
        text.replace("self.next(self.end)", "pass").replace("AFlow", "BrokenFlow"), "broken_flow.py", flows
    )
    (machine.dags / "load.py").write_text(
        f"from airflow_conda_flow.airflow.loader import load_flows  # dag\nload_flows({str(flows)!r}, globals(), tags=['mine'])\n"
    )
    seen = json.loads(machine.python(DESCRIBE).splitlines()[-1])
    assert seen["errors"] == {}
    assert seen["dags"]["a_flow"]["tasks"] == {"prepare": [], "start": ["prepare"], "end": ["start"]}
    assert seen["dags"]["a_flow"]["tags"] == ["conda-flow", "mine"]
    assert seen["dags"]["broken_flow"]["tags"] == ["broken flow"]
    assert "broken_flow.py:5: Step 'start' does not call self.next()" in seen["dags"]["broken_flow"]["doc"]


def test_no_flow_of_a_loaded_folder_replaces_another(machine, tmp_path):
    """A DAG id that is taken is said; files of one name in two folders are two modules."""
    text = """
class {name}(FlowSpec):
    @step
    def start(self):
        self.next(self.end)
    @step
    def end(self):
        pass
"""
    lines = ["from airflow_conda_flow.airflow.loader import load_flows  # dag"]
    for folder, name in ("one", "OneFlow"), ("two", "TwoFlow"):
        machine.flow(text.format(name=name), "train.py", tmp_path / folder)
        lines.append(f"load_flows({str(tmp_path / folder)!r}, globals())")
    machine.flow(text.format(name="OneFlow"), "two_flow.py", tmp_path / "two")
    (machine.dags / "load.py").write_text("\n".join([*lines, ""]))
    seen = json.loads(machine.python(DESCRIBE).splitlines()[-1])
    assert seen["errors"] == {}
    assert sorted(seen["dags"]) == ["one_flow", "two_flow", "two_flow_broken"]
    assert "broken flow" not in seen["dags"]["two_flow"]["tags"]
    assert (
        "its flow would be the DAG 'one_flow', as is that of another"
        in seen["dags"]["two_flow_broken"]["doc"]
    )


def test_the_dag_line_costs_nothing_as_a_program(machine):
    """Run as a program, the file with its `.dag()` line imports no Airflow."""
    flow = machine.flow(
        """
import atexit, sys
atexit.register(lambda: print("AIRFLOW", "airflow" in sys.modules))
class AFlow(FlowSpec):
    @step
    def start(self):
        import sys
        assert "airflow" not in sys.modules
        self.next(self.end)
    @step
    def end(self):
        pass
dag = AFlow.dag(schedule="@daily")
"""
    )
    done = machine.run(flow, "run")
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1] == "AIRFLOW False"


def test_the_provider_is_known_with_its_settings(machine):
    """Airflow lists the provider, and every setting is an option of `[conda_flow]`."""
    assert "airflow-conda-flow" in machine.airflow("providers", "list").stdout
    program = """
from airflow_conda_flow.airflow.provider_info import get_provider_info
from airflow_conda_flow.settings.loading import options as known
options = get_provider_info()["config"]["conda_flow"]["options"]
print(set(options) == {o.name for o in known()}, all(o["description"] for o in options.values()))
from airflow.configuration import conf
print(conf.get("conda_flow", "channels"))
from airflow_conda_flow.airflow.configuration import airflow_settings
print(airflow_settings().resolver)
"""
    machine.environ["AIRFLOW__CONDA_FLOW__RESOLVER"] = "mamba"
    assert machine.python(program).splitlines()[-3:] == ["True True", "conda-forge", "mamba"]


def test_every_task_has_tries_for_lost_workers(machine):
    """Also those that run no step, and whatever the DAG says of retries."""
    text = """
class AFlow(FlowSpec):
    @step
    def start(self):
        self.words = ["x"]
        self.next(self.inner, foreach="words")
    @step
    def inner(self):
        self.letters = ["y"]
        self.next(self.body, foreach="letters")
    @step
    def body(self):
        self.next(self.join)
    @step
    def join(self, inputs):
        self.next(self.outer)
    @step
    def outer(self, inputs):
        self.next(self.end)
    @step
    def end(self):
        pass
dag = AFlow.dag(schedule=None, default_args={"retries": 1})
"""
    machine.flow(text, folder=machine.dags)
    tries = """
import json, os
from airflow.dag_processing.dagbag import DagBag
dag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).dags["a_flow"]
print(json.dumps({task.task_id: task.retries for task in dag.tasks}))
"""
    found = json.loads(machine.python(tries).splitlines()[-1])
    assert set(found) >= {"prepare", "inner_splits", "body"}
    assert set(found.values()) == {3}


def test_arguments_for_the_task_of_a_step(machine):
    """``@airflow_task`` sets them, for mapped tasks too, before those of ``default_args``; callbacks take the task."""
    text = """
from airflow_conda_flow import airflow_task
def tell(context):
    pass
class AFlow(FlowSpec):
    @airflow_task(pool="small", pool_slots=2, priority_weight=-3, weight_rule="absolute", queue="big")
    @step
    def start(self):
        self.words = ["x"]
        self.next(self.body, foreach="words")
    @airflow_task(max_active_tis_per_dagrun=4, max_active_tis_per_dag=5, depends_on_past=True, pool="small",
                  executor_config={"pod_template_file": "/t.yaml"}, owner="me", wait_for_downstream=True)
    @step
    def body(self):
        self.next(self.join)
    @step
    def join(self, inputs):
        self.next(self.end)
    @step
    def end(self):
        pass
dag = AFlow.dag(schedule=None, default_args={"queue": "usual", "owner": "us"}, decorators=["airflow_task:pool=other"])
dag.get_task("end").on_failure_callback = [tell]
dag.get_task("body").on_failure_callback = [tell]
"""
    machine.flow(text, folder=machine.dags)
    program = """
import json, os
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
assert not bag.import_errors, bag.import_errors
names = ["pool", "pool_slots", "priority_weight", "queue", "max_active_tis_per_dag", "max_active_tis_per_dagrun",
         "depends_on_past", "wait_for_downstream", "owner", "executor_config"]
tasks = {each.task_id: {name: getattr(each, name) for name in names} for each in bag.dags["a_flow"].tasks}
tells = {each.task_id: bool(each.has_on_failure_callback) for each in bag.dags["a_flow"].tasks}
print(json.dumps([tasks, tells]))
"""
    tasks, tells = json.loads(machine.python(program).splitlines()[-1])
    assert tasks["start"]["pool"] == "small"
    assert (tasks["start"]["pool_slots"], tasks["start"]["priority_weight"]) == (2, -3)
    assert (tasks["start"]["queue"], tasks["start"]["owner"]) == ("big", "us")
    body = tasks["body"]
    assert (body["max_active_tis_per_dagrun"], body["max_active_tis_per_dag"]) == (4, 5)
    assert (body["depends_on_past"], body["wait_for_downstream"]) == (True, True)
    assert (body["executor_config"], body["owner"]) == ({"pod_template_file": "/t.yaml"}, "me")
    assert (tasks["join"]["pool"], tasks["join"]["queue"]) == ("other", "usual")
    assert tasks["prepare"]["pool"] == "default_pool"
    assert tells == {"prepare": False, "start": False, "body": True, "join": False, "end": True}
