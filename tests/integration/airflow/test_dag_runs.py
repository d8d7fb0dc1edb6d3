"""DAG runs of compiled flows, with real steps in real environments."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing

from ..cli.test_run import NESTED

FLOW = """
class AFlow(FlowSpec):
    word = Parameter("word", default="hello", help="a word")
    many = Parameter("many", type=JSONType, default=[1])
    @conda(libraries={"six": "1.16.0"})
    @step
    def start(self):
        import six
        self.seen = [six.__version__, self.word, self.many]
        self.next(self.end)
    @step
    def end(self):
        try:
            import airflow
        except ModuleNotFoundError as error:
            print("as it should be:", error)
        print("SEEN", ascii(self.seen))

dag = AFlow.dag(schedule=None)
"""
WORD = 'it\'s "$HOME" `id`\n\té😀'


def test_dags_test_runs_a_flow_with_parameters(machine):
    """`airflow dags test` runs each step in its own environment; values arrive byte for byte.

    The packages are those of the lock file in the DAG folder: a range is not solved, and no channel is read.
    """
    flow = machine.flow(FLOW.replace('"1.16.0"}', '">=1.16,<1.17"}'), folder=machine.dags)
    assert machine.run(flow, "environment", "lock").returncode == 0
    conf = json.dumps({"word": WORD, "many": {"a": [None]}})
    nowhere = {"CONDA_CHANNELS": "http://127.0.0.1:9/none"}
    done = machine.airflow("dags", "test", "a_flow", "--conf", conf, **nowhere)
    assert done.returncode == 0, done.stdout
    assert f"SEEN {ascii(['1.16.0', WORD, {'a': [None]}])}" in done.stdout
    assert "as it should be: No module named 'airflow'" in done.stdout
    assert {m["status"] for m in machine.manifests().values()} == {"done"}


def test_modules_that_are_elsewhere(machine):
    """The prepare task packs what the setting names; steps need no path to it."""
    library = machine.home / "libraries" / "shared"
    library.mkdir(parents=True)
    (library / "__init__.py").write_text("WORD = 'shared'")
    text = FLOW.replace('print("SEEN", ascii(self.seen))', 'import shared; print("SEEN", shared.WORD)')
    machine.flow(text.replace("class AFlow", "import shared\nclass AFlow"), folder=machine.dags)
    given = {"PYTHONPATH": str(library.parent), "CONDA_FLOW_PACKAGE_MODULES": "shared"}
    done = machine.airflow("dags", "test", "a_flow", **given)
    assert done.returncode == 0, done.stdout
    assert "SEEN shared" in done.stdout


def test_modules_of_the_dag_folder(machine):
    """Airflow imports from the whole DAG folder, steps from the flow's own: the prepare task says what they lack."""
    (machine.dags / "common").mkdir()
    (machine.dags / "common" / "tool.py").write_text("WORD = 'tool'")
    text = FLOW.replace('print("SEEN", ascii(self.seen))', 'print("SEEN", tool.WORD)')
    flow = machine.flow(
        text.replace("class AFlow", "from common import tool\nclass AFlow"), folder=machine.dags / "team"
    )
    line = f"{flow}:3: Steps start, end lack the module common, which is imported from {machine.dags}/common here"
    done = machine.airflow("dags", "test", "a_flow")
    assert line in done.stdout.replace("\n", " "), done.stdout
    assert "No module named 'common'" in done.stdout
    assert "(CONDA_FLOW_PACKAGE_MODULES=common)" in done.stdout
    done = machine.airflow("dags", "test", "a_flow", CONDA_FLOW_PACKAGE_MODULES="common")
    assert "SEEN tool" in done.stdout
    assert "lack the module" not in done.stdout


def test_nested_foreach_gives_the_same_artifacts_as_a_local_run(machine):
    """Dynamic task mapping over two levels: the same values, by hash, as `python flow.py run`."""
    flow = machine.flow(NESTED + "\ndag = AFlow.dag(schedule=None)\n", folder=machine.dags)
    done = machine.airflow("dags", "test", "a_flow")
    assert done.returncode == 0, done.stdout
    in_airflow = machine.manifests()
    machine.datastore.rename(machine.home / "airflow-datastore")
    assert machine.run(flow, "--environment=conda", "run").returncode == 0
    local = machine.manifests()
    assert len(local) == 27
    assert {key: _hashes(value) for key, value in in_airflow.items()} == {
        key: _hashes(value) for key, value in local.items()
    }


def _hashes(manifest):
    return {name: ref["sha256"] for name, ref in manifest["artifacts"].items()}


def test_a_failing_step_fails_its_task_with_the_users_traceback(machine):
    """The log shows the flow's own lines, and the DAG run fails."""
    machine.flow(FLOW.replace('print("SEEN"', 'raise ValueError("on purpose")  #'), folder=machine.dags)
    done = machine.airflow("dags", "test", "a_flow")
    assert "ValueError: on purpose" in done.stdout
    assert re.search(r'File ".*a_flow\.py", line 18, in end', done.stdout), done.stdout
    assert "runtime/main.py" not in done.stdout
    assert machine.manifests()["end/0"]["status"] == "failed"


def test_an_environment_that_cannot_be_solved_fails_the_prepare_task(machine):
    """The solver's message is the task's failure, and no step starts."""
    machine.flow(FLOW.replace('"1.16.0"}', '"9.9"}'), folder=machine.dags)
    done = machine.airflow("dags", "test", "a_flow")
    assert "The environment of step start cannot be solved" in done.stdout
    assert "There is: 1.16.0, 1.17.0." in done.stdout
    assert not machine.datastore.joinpath("flows").exists()


RENDERED = """
from airflow_conda_flow import environment, secrets
class AFlow(FlowSpec):
    @environment(vars={"TOKEN": "hunter-3"})
    @conda(libraries={"six": "1.16.0"})
    @step
    def start(self):
        self.words = ["x"]
        self.next(self.body, foreach="words")
    @secrets(sources=[{"type": "inline", "id": "own", "options": {"env_vars": {"WORD": "hunter-4"}}}])
    @environment(vars={"GREETING": "{{ params }}"})
    @step
    def body(self):
        import os
        print("GREETING IS", os.environ["GREETING"])
        self.next(self.join)
    @step
    def join(self, inputs):
        self.next(self.end)
    @step
    def end(self):
        pass

dag = AFlow.dag(schedule=None)
"""


def test_rendered_fields(machine):
    """All that is known of a step before it runs, but no value of a variable or secret; templates stay texts."""
    machine.flow(RENDERED, folder=machine.dags)
    done = machine.airflow("dags", "test", "a_flow")
    assert done.returncode == 0, done.stdout
    assert "GREETING IS {{ params }}" in done.stdout
    with closing(sqlite3.connect(machine.home / "airflow" / "airflow.db")) as database:
        rows = database.execute(
            "select task_id, rendered_fields from rendered_task_instance_fields"
        ).fetchall()
    fields = {task: json.loads(text) for task, text in rows}
    start = fields["start"]["facts"]
    assert (start["step"], start["runs_on"]) == ("start", "local")
    assert start["decorators"]["environment"] == {"vars": ["TOKEN"]}
    assert start["environment"]["libraries"] == {"six": "1.16.0"}
    assert fields["body"]["facts"]["decorators"]["environment"] == {"vars": ["GREETING"]}
    assert fields["body"]["indices"] == [0]
    assert fields["prepare"]["facts"]["file"] == "a_flow.py"
    assert "hunter-" not in str(rows)
    assert "linux-64; six 1.16.0" in done.stdout  # the log names them too


ARMS = """
class AFlow(FlowSpec):
    @step
    def start(self):
        self.items = ["short", "long", "short"]
        self.next(self.choose, foreach="items")
    @step
    def choose(self):
        self.way = self.input
        self.next({"short": self.short, "long": self.long}, condition="way")
    @step
    def short(self):
        self.next(self.met)
    @step
    def long(self):
        self.next(self.longer)
    @step
    def longer(self):
        self.letters = ["a", "b"]
        self.next(self.inner, foreach="letters")
    @step
    def inner(self):
        self.next(self.gather)
    @step
    def gather(self, inputs):
        self.next(self.met)
    @step
    def met(self):
        self.way = self.input
        self.next(self.join)
    @step
    def join(self, inputs):
        self.ways = [each.way for each in inputs]
        self.next(self.end)
    @step
    def end(self):
        print("WAYS", self.ways)

dag = AFlow.dag(schedule=None, environment="local")
"""


def test_an_arm_that_a_split_did_not_take_starts_no_worker(machine):
    """The scheduler skips all steps of the arm, not the first alone; no try of them begins."""
    machine.flow(ARMS, folder=machine.dags)
    done = machine.airflow("dags", "test", "a_flow")
    assert done.returncode == 0, done.stdout
    assert "WAYS ['short', 'long', 'short']" in done.stdout
    with closing(sqlite3.connect(machine.home / "airflow" / "airflow.db")) as database:
        rows = database.execute(
            "select task_id, map_index, state, try_number from task_instance order by 1, 2"
        ).fetchall()
    tries = {(task, index): (state, number) for task, index, state, number in rows}
    done, skipped = ("success", 1), ("skipped", 0)
    for task in ("long", "longer", "gather"):
        assert [tries[task, index] for index in range(3)] == [skipped, done, skipped], rows
    assert [tries["short", index] for index in range(3)] == [done, skipped, done]
    assert [tries["met", index] for index in range(3)] == [done] * 3
    assert [tries["inner", index] for index in range(2)] == [done] * 2
