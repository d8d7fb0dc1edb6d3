"""@exit_hook: on the command line, and as the last task of a DAG."""

from __future__ import annotations

import json

import pytest

FLOW = """
from airflow_conda_flow import exit_hook, namespace
def well():
    print("WELL")
def told(run):
    print("TOLD", run.pathspec, run.successful, run.data.x, sorted(run.user_tags))
def broken(**given):
    raise ValueError("the hook's own")
def failed(run=None):
    print("FAILED", run and [(task.pathspec, task.successful) for step in run for task in step])
@exit_hook(on_success=[well])
@exit_hook(options={"image": "none:1"}, on_success=[told], on_error=[broken, failed])
class AFlow(FlowSpec):
    is_bad = Parameter("is-bad", default=False)
    @step
    def start(self):
        self.x = 1
        if self.is_bad:
            raise RuntimeError("the step's")
        self.next(self.end)
    @step
    def end(self):
        pass
"""


def test_hooks_of_runs_on_the_command_line(machine):
    """They get the run, in the datastore that it is in; one that fails says so and changes nothing."""
    flow = machine.flow(FLOW)
    done = machine.run(flow, "--datastore-root", "elsewhere", "run", "--tag", "a")
    lines = done.stdout.splitlines()
    (run,) = (machine.home / "elsewhere/flows/AFlow").iterdir()
    assert lines[-3:-1] == ["WELL", f"TOLD AFlow/{run.name} True 1 ['a']"]
    assert lines[-1].endswith("Done!")
    bad = machine.run(flow, "run", "--is-bad", "True")
    (run,) = (machine.datastore / "flows/AFlow").iterdir()
    assert bad.returncode == 1
    assert bad.stdout.splitlines()[-1] == f"FAILED [('AFlow/{run.name}/start/start-0', False)]"
    assert "The exit hook broken() failed:\nTraceback (most recent call last):" in bad.stderr
    assert bad.stderr.endswith("ValueError: the hook's own\n")
    assert "call_hook" not in bad.stderr


def test_a_run_that_never_began(machine):
    """A failure before the first task is an error too, without a run; the message is the run's."""
    text = FLOW.replace(
        "    @step\n    def start", '    @conda(libraries={"nothing": "1"})\n    @step\n    def start'
    )
    flow = machine.flow(text)
    done = machine.run(flow, "--environment=conda", "--channels", "file:///nowhere", "run")
    assert done.returncode == 1
    assert done.stdout.endswith("FAILED None\n")
    assert "file:///nowhere" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("", "@exit_hook calls nothing."),
        ("on_error=print", "on_error is 'print'; write a list of functions"),
        ("on_error=[lambda x, y=1: x]", "<lambda>() takes x. It is called with the run as run="),
        ("on_fail=[print]", "@exit_hook has no attribute 'on_fail'."),
    ],
)
def test_wrong_hooks_name_their_line(machine, arguments, said):
    """Mistakes are found where the flow is read."""
    done = machine.run(machine.flow(FLOW.replace("on_success=[well]", arguments)), "show")
    assert done.returncode == 1
    assert f"a_flow.py:12: {said}" in done.stderr.replace("@exit_hook: ", "")


def test_hooks_of_dag_runs(airflow_machine):
    """The last task, on the worker; the client reads the datastore of Airflow's configuration.

    What fails is in test_attempts_in_airflow.py, under a scheduler.
    """
    store = airflow_machine.home / "elsewhere"
    airflow_machine.environ["AIRFLOW__CONDA_FLOW__DATASTORE_ROOT"] = str(store)
    airflow_machine.flow(
        FLOW + 'dag = AFlow.dag(environment="local", schedule=None)\n', folder=airflow_machine.dags
    )
    good = airflow_machine.airflow("dags", "test", "a_flow", "2026-01-01")
    assert good.returncode == 0, good.stdout
    (first,) = (store / "flows/AFlow").iterdir()
    assert "WELL" in good.stdout
    assert f"TOLD AFlow/{first.name} True 1 []" in good.stdout


BEFORE = """
import json, os
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
print(json.dumps({name: sorted(dag.get_task("exit_hook").upstream_task_ids) for name, dag in bag.dags.items()}))
"""
HEAD = """
from airflow_conda_flow import exit_hook
@exit_hook(on_error=[print])
class {name}(FlowSpec):
"""


def test_the_task_of_the_hooks_follows_as_few_tasks_as_it_has_to(airflow_machine):
    """Only those that may still run when the last step has a state already: before joins, and mapped ones."""
    shapes = {
        "line": {"start": "self.a", "a": "self.b", "b": "self.end"},
        "split": {
            "start": "self.a, self.b",
            "a": "self.c",
            "b": "self.join",
            "c": "self.join",
            "join": "self.end",
        },
        "switch": {
            "start": '{"x": self.a, "y": self.b}, condition="way"',
            "a": "self.c",
            "b": "self.c",
            "c": "self.end",
        },
        "nested": {
            "start": 'self.a, foreach="items"',
            "a": 'self.b, foreach="items"',
            "b": "self.inner",
            "inner": "self.outer",
            "outer": "self.end",
        },
    }
    for name, steps in shapes.items():
        text = HEAD.format(name=name.title())
        for step, following in steps.items():
            inputs = ", inputs" if step in {"join", "inner", "outer"} else ""
            text += f"    @step\n    def {step}(self{inputs}):\n        self.items, self.way = [1, 2], 'x'\n"
            text += f"        self.next({following})\n"
        text += "    @step\n    def end(self):\n        pass\n"
        text += f'dag = {name.title()}.dag(environment="local", schedule=None)\n'
        airflow_machine.flow(text, f"{name}.py", airflow_machine.dags)
    found = json.loads(airflow_machine.python(BEFORE).splitlines()[-1])
    assert found == {
        "line": ["end"],
        "split": ["b", "c", "end"],
        "switch": ["a", "b", "end"],
        "nested": ["a", "a_splits", "b", "end", "inner"],
    }
