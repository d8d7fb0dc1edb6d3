"""Sensors of flows: Airflow's own, before everything else of a DAG run; ignored on the command line."""

from __future__ import annotations

import importlib.util
import json
import subprocess

import pytest

HEAD = """
from datetime import timedelta
from airflow_conda_flow import airflow_external_task_sensor, airflow_s3_key_sensor, exit_hook
"""
STEPS = """
class AFlow(FlowSpec):
    @step
    def start(self):
        print("STARTED")
        self.next(self.end)
    @step
    def end(self):
        pass
dag = AFlow.dag(environment="local")
"""
OTHER = """
from airflow.sdk import DAG
from airflow.providers.standard.operators.empty import EmptyOperator
with DAG("other", schedule=None):
    EmptyOperator(task_id="one") >> EmptyOperator(task_id="two")
"""
DESCRIBE = """
import json, os
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
print(json.dumps([bag.import_errors, {task.task_id: {
    "class": type(task).__name__, "upstream": sorted(task.upstream_task_ids), "pool": task.pool,
    "doc_md": task.doc_md,
    **{name: getattr(task, name) for name in ("deferrable", "mode", "soft_fail", "bucket_key", "timeout",
       "external_task_ids", "allowed_states", "failed_states", "aws_conn_id") if hasattr(task, name)},
} for dag in bag.dags.values() for task in dag.tasks}]))
"""
DATE = "2026-01-02T00:00:00+00:00"


def flow_text(*decorators: str) -> str:
    return HEAD + "\n".join(decorators) + STEPS


def test_sensors_are_airflows_and_come_first(airflow_machine):
    """Several of each; the first task of ours waits for all of them, and exit hooks wait for them too."""
    machine = airflow_machine
    flow = flow_text(
        "@exit_hook(on_error=[print])",
        "@airflow_s3_key_sensor(bucket_key='s3://b/k')",
        "@airflow_s3_key_sensor(bucket_key=['a', 'b'], bucket_name='c', aws_conn_id='mine', pool='p', timeout=5)",
        "@airflow_s3_key_sensor(bucket_key='s3://b/x', mode='poke', soft_fail=True, name='prepare')",
        "@airflow_external_task_sensor(external_dag_id='other', external_task_ids='two', "
        "failed_states=['upstream_failed'], execution_delta=timedelta(hours=1), description='the *other*')",
    )
    machine.flow(flow, folder=machine.dags)
    (machine.home / "more" / "aiobotocore").mkdir(parents=True)
    (machine.home / "more" / "aiobotocore" / "__init__.py").touch()
    machine.environ["PYTHONPATH"] = str(machine.home / "more")
    errors, tasks = json.loads(machine.python(DESCRIBE).splitlines()[-1])
    assert errors == {}
    sensors = ["external_task_sensor", "prepare", "s3_key_sensor", "s3_key_sensor_2"]
    assert sorted(tasks) == sorted([*sensors, "prepare_", "start", "end", "exit_hook"])
    assert tasks["prepare_"]["upstream"] == sensors
    assert set(sensors) <= set(tasks["exit_hook"]["upstream"])
    assert [tasks[each]["upstream"] for each in sensors] == [[]] * 4
    first, second, poked = tasks["s3_key_sensor"], tasks["s3_key_sensor_2"], tasks["prepare"]
    assert (first["class"], first["deferrable"], first["bucket_key"]) == ("S3KeySensor", True, ["s3://b/k"])
    assert (second["aws_conn_id"], second["pool"], second["timeout"]) == ("mine", "p", 5)
    assert (poked["deferrable"], poked["mode"], poked["soft_fail"]) == (False, "poke", True)
    external = tasks["external_task_sensor"]
    assert (external["class"], external["deferrable"]) == ("ExternalTaskSensor", True)
    assert (external["external_task_ids"], external["failed_states"]) == (["two"], ["upstream_failed"])
    assert external["doc_md"] == "the *other*"
    (machine.home / "more" / "aiobotocore" / "__init__.py").unlink()
    (machine.home / "more" / "aiobotocore").rmdir()
    if importlib.util.find_spec("aiobotocore") is None:
        _, tasks = json.loads(machine.python(DESCRIBE).splitlines()[-1])
        assert (tasks["s3_key_sensor"]["deferrable"], tasks["s3_key_sensor"]["mode"]) == (False, "reschedule")
        assert tasks["external_task_sensor"]["deferrable"]
    machine.environ["AIRFLOW__CONDA_FLOW__DEFERRABLE"] = "false"
    _, tasks = json.loads(machine.python(DESCRIBE).splitlines()[-1])
    assert (tasks["s3_key_sensor"]["deferrable"], tasks["s3_key_sensor"]["mode"]) == (False, "reschedule")


def test_a_run_waits_for_a_key(airflow_machine, moto_s3):
    """The flow starts when the object is there, and not before."""
    machine = airflow_machine
    machine.environ.update(moto_s3.environment)
    bucket = moto_s3.make_root().removeprefix("s3://").partition("/")[0]
    machine.flow(
        flow_text(
            f"@airflow_s3_key_sensor(bucket_key='s3://{bucket}/a/*.csv', wildcard_match=True, "
            "poke_interval=0.5, timeout=120)"
        ),
        folder=machine.dags,
    )
    lines: list[str] = []
    with subprocess.Popen(
        [machine.airflow_program, "dags", "test", "a_flow", DATE],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=machine.environ,
        cwd=machine.home,
    ) as process:
        looks = 0
        for line in process.stdout:
            lines.append(line)
            looks += "Poking for key" in line
            if looks == 2 and "Poking for key" in line:  # the first look has found nothing
                moto_s3.make_client().put_object(Bucket=bucket, Key="a/b.csv", Body=b"x")
        assert process.wait(60) == 0, lines
    said = "".join(lines)
    assert 2 <= said[: said.index("STARTED")].count("Poking for key") == looks
    assert set(machine.manifests()) == {"start/0", "end/0"}


def test_a_key_that_does_not_come(airflow_machine, moto_s3):
    """With soft_fail the run is skipped: no step runs, and no run of the flow exists."""
    machine = airflow_machine
    machine.environ.update(moto_s3.environment)
    bucket = moto_s3.make_root().removeprefix("s3://").partition("/")[0]
    machine.flow(
        flow_text(
            f"@airflow_s3_key_sensor(bucket_key='s3://{bucket}/never', poke_interval=0.2, timeout=1, "
            "mode='poke', soft_fail=True)"
        ),
        folder=machine.dags,
    )
    done = machine.airflow("dags", "test", "a_flow", DATE)
    assert done.returncode == 0, done.stdout
    assert "STARTED" not in done.stdout
    assert not machine.datastore.exists() or not list(machine.datastore.glob("flows/AFlow/*"))


def test_a_run_waits_for_another_dag(airflow_machine):
    """A run of the other DAG with the same logical date counts, or that of its tasks; another date does not."""
    machine = airflow_machine
    (machine.dags / "other.py").write_text(OTHER)
    machine.flow(
        flow_text(
            "@airflow_external_task_sensor(external_dag_id='other', poke_interval=0.5, timeout=200)",
            "@airflow_external_task_sensor(external_dag_id='other', external_task_ids=['one', 'two'], "
            "poke_interval=0.5, timeout=200)",
        ),
        folder=machine.dags,
    )
    done = machine.airflow("dags", "test", "other", DATE)
    assert done.returncode == 0, done.stdout
    done = machine.airflow("dags", "test", "a_flow", DATE)
    assert done.returncode == 0, done.stdout
    assert "STARTED" in done.stdout


MISTAKES = [
    ("@airflow_s3_key_sensor", "@airflow_s3_key_sensor needs bucket_key, such as"),
    ("@airflow_s3_key_sensor(bucket_key='k')", "no bucket for 'k'; write s3://bucket/key, or bucket_name."),
    ("@airflow_s3_key_sensor(bucket_key='s3://b')", "bucket_key is 's3://b'; write s3://bucket/key."),
    (
        "@airflow_s3_key_sensor(bucket_key='s3://b/k', bucket_name='c')",
        "bucket_key 's3://b/k' names its bucket; leave out bucket_name='c'.",
    ),
    ("@airflow_s3_key_sensor(bucket_key=[])", "bucket_key is empty; name at least one key."),
    (
        "@airflow_s3_key_sensor(bucket_key='s3://b/k', timeout='1h')",
        "timeout is '1h'; write seconds above 0.",
    ),
    (
        "@airflow_s3_key_sensor(bucket_key='s3://b/k', poke_interval=0)",
        "poke_interval is 0; write seconds above",
    ),
    ("@airflow_s3_key_sensor(bucket_key='s3://b/k', mode='defer')", "mode is 'defer'; write 'poke' or"),
    ("@airflow_s3_key_sensor(bucket_key='s3://b/k', name='a b')", "name is 'a b'; write the id of a task"),
    ("@airflow_s3_key_sensor(bucket_key='s3://b/k', name='end')", "name is 'end', which is a step of AFlow."),
    ("@airflow_s3_key_sensor(bucket='b')", "has no attribute 'bucket'. Did you mean 'bucket_key'?"),
    ("@airflow_s3_key_sensor('s3://b/k')", "takes its attributes by name, such as"),
    (
        "@airflow_external_task_sensor(pool='p')",
        "@airflow_external_task_sensor needs external_dag_id, such as",
    ),
    (
        "@airflow_external_task_sensor(external_dag_id='d', allowed_states=['skipped'])",
        "'skipped' is not a state of a DAG run. There is: success, failed, queued, running.",
    ),
    (
        "@airflow_external_task_sensor(external_dag_id='d', external_task_ids=['t'], allowed_states='succes')",
        "'succes' is not a state of a task. Did you mean 'success'?",
    ),
    (
        "@airflow_external_task_sensor(external_dag_id='d', failed_states=['success'])",
        "names the state 'success' twice; keep one.",
    ),
    (
        "@airflow_external_task_sensor(external_dag_id='d', execution_delta=3600)",
        "execution_delta is 3600; write a timedelta, such as timedelta(days=1).",
    ),
    (
        "@airflow_external_task_sensor(external_dag_id='d', external_task_ids=['a', 'a'])",
        "names the task 'a' twice; keep one.",
    ),
]


@pytest.mark.parametrize(("decorator", "message"), MISTAKES)
def test_mistakes_are_one_line_with_file_and_line(machine, decorator, message):
    """On the command line too, although nothing waits there."""
    flow = machine.flow(flow_text(decorator).replace(HEAD, HEAD.lstrip("\n")))
    done = machine.run(flow, "check")
    assert done.returncode == 1
    assert done.stderr.startswith(f"{flow}:4: "), done.stderr
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_two_sensors_with_one_name(machine):
    """The message names the line of one of them."""
    sensor = "@airflow_s3_key_sensor(bucket_key='s3://b/k', name='n')"
    done = machine.run(machine.flow(flow_text(sensor, sensor)), "check")
    assert done.returncode == 1
    assert "another sensor has the name 'n' too. Rename one." in done.stderr


def test_the_command_line_does_not_wait(machine):
    """A run starts at once; ``current.graph`` has the sensors."""
    sensors = (
        "@airflow_s3_key_sensor(bucket_key='s3://b/k')",
        "@airflow_external_task_sensor(external_dag_id='d', execution_delta=timedelta(days=1))",
    )
    said = 'print("STARTED", sorted(each["name"] for each in current.graph["decorators"]))'
    flow = machine.flow(flow_text(*sensors).replace('print("STARTED")', said))
    done = machine.run(flow, "run")
    assert done.returncode == 0, done.stderr
    assert "STARTED ['airflow_external_task_sensor', 'airflow_s3_key_sensor']" in done.stdout
