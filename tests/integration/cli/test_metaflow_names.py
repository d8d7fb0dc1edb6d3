"""Flows that were written for Metaflow and import another package now."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from airflow_conda_flow import exception

from ...parts.flow_machine import Machine

FLOW = """
from airflow_conda_flow import (
    Config, Run, Task, card, catch, metaflow_version, parallel_imap_unordered, parallel_map, profile, project, retry,
    secrets)
from airflow_conda_flow.cards import EventsTimeline, JSONViewer, Markdown, YAMLViewer
from airflow_conda_flow.exception import (
    ExternalCommandFailed, MetaflowException, MetaflowNotFound, MissingInMergeArtifactsException,
    UnhandledInMergeArtifactsException)

class OwnError(MetaflowException):
    headline = "Own"

def place(context):
    return "%s %s %s" % (current.project_name, current.branch_name, context.parameter_name)

@project(name="a_project")
class AFlow(FlowSpec):
    FACTOR = 3
    where = Parameter("where", default=place)
    words = Parameter("words", default="a,b", separator=",")
    config = Config("config", default_value={"depth": 2})

    @retry(times=2, minutes_between_retries=0)
    @catch(var="problem", print_exception=False)
    @step
    def start(self):
        if current.retry_count < 2:
            raise OwnError
        self.kept = [self._current_step, current.trigger, self.where]
        raise ExternalCommandFailed("catch me")
        # never reached: @catch goes the way that the graph says
        self.next(self.left, self.right)

    @step
    def left(self):
        self.side = 1
        self.run, self.task = current.run, current.task
        assert Task(current.pathspec) == self.task
        assert current.tags == {"given"}
        Task(current.pathspec).parent.parent.add_tag("seen")
        assert self.run["start"].task.exception is None
        with profile("maps"):
            for _ in range(5):
                self.squares = parallel_map(lambda item: item * self.FACTOR, range(20), max_parallel=3)
            self.any_order = sorted(parallel_imap_unordered(lambda item: "x" * 100000 * item, [2, 1]), key=len)
        self.next(self.join)

    @secrets(sources=[{"type": "inline", "id": "1", "options": {"env_vars": {"PLACE": "Kaliningrad"}}}])
    @card(id="one")
    @card(type="blank")
    @step
    def right(self):
        self.side = 2
        import os
        print("place", os.environ["PLACE"], os.environ["PLACE"][::-1])
        current.card["one"].append(Markdown("gone"))
        happened = EventsTimeline("Calls", max_events=2)
        for number in range(3):
            happened.update({"call": "number %d" % number}, "success", payloads={"data": JSONViewer({"n": [number]})})
        current.card["one"] = [Markdown("# Hello"), happened, YAMLViewer({"deep": {"a": 1}}, title="Y")]
        try:
            parallel_map(lambda item: 1 // item, [0])
        except MetaflowException as error:
            assert "ZeroDivisionError" in str(error)
        try:
            Run("NoFlow/1")
        except MetaflowNotFound as error:
            print("not found", metaflow_version.get_version())
        self.next(self.join)

    @step
    def join(self, inputs):
        for call, expected in [
            (lambda: self.merge_artifacts(inputs), UnhandledInMergeArtifactsException),
            (lambda: self.merge_artifacts(inputs, include=["nothing"]), MissingInMergeArtifactsException),
        ]:
            try:
                call()
            except expected:
                continue
            raise AssertionError(expected)
        self.left_task = inputs.left.task
        self.merge_artifacts(inputs, include=["squares", "any_order", "kept", "problem", "run"])
        self.next(self.end)

    @step
    def end(self):
        pass
"""
READ = """
from airflow_conda_flow import namespace
from airflow_conda_flow.client import Flow, Task
from airflow_conda_flow.cards import get_cards
run = Flow("AFlow").latest_run
data = run.data
assert data.squares == list(range(0, 60, 3)), data.squares
assert [len(each) for each in data.any_order] == [100000, 200000]
assert data.kept == ["start", None, "a_project user.tester where"], data.kept
assert (data.problem.exception, data.problem.type) == (
    "catch me", "airflow_conda_flow.exception.ExternalCommandFailed")
assert run["start"].task.exception is None and "seen" in run.user_tags
assert [fact.value for fact in run["start"].task.metadata if fact.type == "attempt"] == ["0", "1", "2"]
given = run["_parameters"].task
assert (given.data.where, given.data.words, given.data.FACTOR, given.data.config["depth"]) == (
    data.kept[2], ["a", "b"], 3, 2)
assert given == Task(run.pathspec + "/_parameters/0") and given.stdout == "" and not list(given.parent_tasks)
assert "_parameters" in run and "_parameters" not in [step.id for step in run]
cards = get_cards(run["right"].task)
assert [(each.id, each.type) for each in cards] == [("one", "default"), (None, "blank")], cards
page = cards[0].get()
assert "Hello" in page and "gone" not in page and "number 0" not in page
assert page.index("number 2") < page.index("number 1") and "deep:\\n  a: 1" in page and "success" in page
assert cards[0]._repr_html_().startswith("<iframe srcdoc=")
assert [each.name for each in get_cards(run["right"].task.pathspec, type="blank")] == ["card1"]
assert len(get_cards(run["left"].task)) == 0
namespace("user:somebody-else")
assert data.run == run and data.run["left"].task == data.left_task
assert data.left_task.data.side == 1
assert Task(data.left_task.pathspec, _namespace_check=False).parent.parent == run
"""


@pytest.fixture
def machine(tmp_path) -> Machine:
    """A machine of its own."""
    return Machine(tmp_path)


def test_a_flow_of_metaflows_names(machine):
    """Errors, parallel_map, current.run and current.task, and what the client gives of such a run."""
    done = machine.run(machine.flow(FLOW), "run", "--tag", "given")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PROFILE: maps completed in" in done.stdout
    assert "place *** dargninilaK" in done.stdout
    read = subprocess.run(
        [sys.executable, "-c", READ], capture_output=True, text=True, env=machine.environ, check=False
    )
    assert read.returncode == 0, read.stderr
    flow = machine.home / "a_flow.py"
    dumped = machine.run(flow, "dump", f"{_run_id(machine)}/_parameters")
    assert "words [size: 24 type: <class 'list'>] = ['a', 'b']" in dumped.stdout, dumped.stdout
    pathspec = f"{_run_id(machine)}/right/right-0"
    listed = machine.run(flow, "card", "list").stdout.splitlines()
    assert [line.partition("  hash ")[0] for line in listed] == [
        f"{pathspec}  one  default  attempt 0",
        f"{pathspec}  card1  blank  attempt 0",
    ]
    shown = machine.run(flow, "card", "list", _run_id(machine), "--as-json", "--type", "blank").stdout
    (found,) = json.loads(shown)
    assert found["pathspec"] == f"AFlow/{pathspec}"
    (of_blank,) = found["cards"]
    assert (of_blank["id"], of_blank["type"], of_blank["filename"]) == (None, "blank", "0.card1.card.html")
    assert listed[1].endswith(f"  hash {of_blank['hash'][:8]}")
    (one,) = json.loads(machine.run(flow, "card", "list", pathspec, "--as-json", "--id", "one").stdout)[
        "cards"
    ]
    assert (one["id"], one["type"]) == ("one", "default")
    assert "Hello" in machine.run(flow, "card", "get", pathspec, "--hash", one["hash"]).stdout
    flat = machine.run(flow, "tag", "list", "--flat", "--hide-system-tags", "--run-id", _run_id(machine))
    assert flat.stdout == "given\nseen\n"


AFTER = """
from airflow_conda_flow import trigger_on_finish
@trigger_on_finish(flow="FirstFlow")
class AFlow(FlowSpec):
    @step
    def start(self):
        self.next(self.end)
    @step
    def end(self):
        t = current.trigger
        print("trigger", t and (t.event.name, t.run.data.x, t["FirstFlow"].id, "x" in t))
"""
FIRST = """
class FirstFlow(FlowSpec):
    @step
    def only(self):
        self.x = 3
AFlow = FirstFlow
"""


def test_a_run_that_another_run_is_taken_to_have_started(machine):
    """--trigger says which; without it current.trigger is None."""
    assert machine.run(machine.flow(FIRST, "first.py"), "run").returncode == 0
    (run,) = (machine.datastore / "flows" / "FirstFlow").iterdir()
    flow = machine.flow(AFTER)
    done = machine.run(flow, "--trigger", f"FirstFlow/{run.name}", "run")
    assert f"trigger ('conda_flow.FirstFlow.end', 3, '{run.name}', False)\n" in done.stdout, done.stderr
    assert "trigger None\n" in machine.run(flow, "run").stdout
    read = (
        "from airflow_conda_flow import Flow\n"
        "print([each.trigger and each.trigger.run.pathspec for each in Flow('AFlow')])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", read], capture_output=True, text=True, env=machine.environ, check=False
    )
    assert shown.stdout == f"[None, 'FirstFlow/{run.name}']\n", shown.stderr
    done = machine.run(flow, "run", "--trigger", "FirstFlow/1")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("--trigger FirstFlow/1: there is no such run in local@")


FALLBACK = """
from airflow_conda_flow import current, user_step_decorator
@user_step_decorator
def fallback(step_name, flow, inputs=None, attributes=None):
    def replacement(flow):
        setattr(flow, attributes["indicator"], True)
    yield None if current.retry_count == 0 else replacement
"""
FLAGGED = """
class AFlow(FlowSpec):
    again = Parameter("again", is_flag=True)
    quick = Parameter("quick", default=True, is_flag=True)
    times = 0
    @step
    def start(self):
        print("flags", self.again, self.quick, sorted(self._graph_info["steps"]))
        1 // self.times
        self.next(self.end)
    @step
    def end(self):
        print("failed", self.failed)
"""


def test_a_decorator_of_a_module_that_the_flow_does_not_import(machine):
    """--with names its module; a function in the step's place goes on as the step would. A flag is bare."""
    (machine.home / "helping.py").write_text(FALLBACK)
    flow = machine.flow(FLAGGED)
    words = ("--with", "retry:minutes_between_retries=0", "--with", "helping.fallback:indicator=failed")
    done = machine.run(flow, "--environment=local", "run", *words, "--again", "--quick=false")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "flags True False ['end', 'start']" in done.stdout
    assert "failed True" in done.stdout
    done = machine.run(flow, "show", METAFLOW_DEFAULT_ENVIRONMENT="fast-bakery")
    assert done.stderr == "METAFLOW_DEFAULT_ENVIRONMENT is 'fast-bakery'; write local, conda or pypi.\n"
    environ = {"CONDA_FLOW_RESOLVER": "mamba", "PATH": ""}  # which environments of steps alone ask for
    done = machine.run(flow, "run", **environ, METAFLOW_DEFAULT_ENVIRONMENT="pypi")
    assert "mamba" in done.stderr
    assert "mamba" not in machine.run(flow, "run", **environ).stderr
    done = machine.run(flow, "run", "--with", "nothing.fallback")
    assert done.returncode == 1
    expected = "--with nothing.fallback: its module cannot be imported: No module named 'nothing'.\n"
    assert done.stderr == expected


def test_all_of_metaflows_errors_are_there():
    """Under their names, so that an ``except`` of a flow goes on catching; each is one of Metaflow's base."""
    names = """CommandException ExternalCommandFailed InvalidDecoratorAttribute MetaflowDataMissing MetaflowException
    MetaflowExceptionWrapper MetaflowInternalError MetaflowInvalidPathspec MetaflowNamespaceMismatch MetaflowNotFound
    MetaflowTaggingError MetaflowUnknownUser MissingInMergeArtifactsException ParameterFieldFailed
    ParameterFieldTypeMismatch UnhandledInMergeArtifactsException"""
    assert set(names.split()) <= set(exception.__all__)
    found = [getattr(exception, name) for name in exception.__all__]
    assert all(issubclass(each, Exception) for each in found)
    caught = [each for each in found if each is not exception.MetaflowExceptionWrapper]
    assert all(issubclass(each, exception.MetaflowException) for each in caught)


PLACES = """
import airflow_conda_flow as flow
from airflow_conda_flow import parameters
from airflow_conda_flow.client.core import Flow, MetaflowData
from airflow_conda_flow.decorators import step
from airflow_conda_flow.flowspec import FlowSpec
from airflow_conda_flow.includefile import IncludeFile
from airflow_conda_flow.metaflow_config import DATASTORE_SYSROOT_LOCAL, DATASTORE_SYSROOT_S3, DEFAULT_DATASTORE
from airflow_conda_flow.metaflow_current import current
from airflow_conda_flow.plugins.cards.card_modules.components import Markdown
from airflow_conda_flow.util import get_username, resolve_identity, which

class AFlow(FlowSpec):
    @step
    def only(self):
        from airflow_conda_flow.metaflow_config import DATASTORE_SYSROOT_LOCAL, DATATOOLS_S3ROOT
        print("places", DATASTORE_SYSROOT_LOCAL, DATATOOLS_S3ROOT)
assert (flow.FlowSpec, flow.cards.Markdown, flow.Flow) == (FlowSpec, Markdown, Flow)
assert flow.parameters.Parameter is parameters.Parameter is flow.Parameter and current is flow.current
assert which("sh").endswith("/sh") and which("no-such-program") is None
assert (DATASTORE_SYSROOT_S3, DEFAULT_DATASTORE, resolve_identity()) == (None, "local", "user:" + get_username())
print("datastore", DATASTORE_SYSROOT_LOCAL)
if __name__ == "__main__":
    from airflow_conda_flow.runner.metaflow_runner import ExecutingRun, Runner
    AFlow()
"""


def test_names_where_metaflow_keeps_them(machine):
    """A module of Metaflow's gives what the package has; for another name it says what to write."""
    path = machine.home / "places.py"
    path.write_text(PLACES)
    done = machine.run(path, "run")
    assert done.returncode == 0, done.stderr
    assert f"datastore {machine.datastore}\n" in done.stdout
    assert f"places {machine.datastore} None\n" in done.stdout
    path.write_text("from airflow_conda_flow.decorators import StepDecorator")
    done = machine.run(path)
    expected = f"{path}:1: Metaflow's decorators.StepDecorator is not here: write a step decorator with"
    assert done.stderr.startswith(expected)
    assert done.returncode == 1


def test_what_is_not_here_says_what_to_write(machine):
    """The message of an import is the whole answer."""
    path = machine.home / "names.py"
    path.write_text(
        "import airflow_conda_flow as flow\n"
        "assert flow.cards.Markdown and flow.exception.MetaflowException and flow.client.Flow is flow.Flow\n"
        "assert flow.datatools.S3 is flow.S3\n"
        "from airflow_conda_flow import FlowSpec, torchrun\n"
    )
    done = subprocess.run(
        [sys.executable, str(path)], capture_output=True, text=True, env=machine.environ, check=False
    )
    assert done.stderr.startswith(f"{path}:4: Metaflow's torchrun is not here: write @pytorch_parallel")
    assert done.returncode == 1


def _run_id(machine: Machine) -> str:
    (run,) = (machine.datastore / "flows" / "AFlow").iterdir()
    return run.name
