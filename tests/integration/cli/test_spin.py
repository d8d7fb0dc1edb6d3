"""``spin``: one step again, with the inputs of a past run."""

from __future__ import annotations

import asyncio
import signal

import pytest

from airflow_conda_flow import Flow, Runner, inspect_spin
from airflow_conda_flow.client import scope
from airflow_conda_flow.errors import LaunchError, ObjectNotFound

from ...parts.flow_machine import Machine

FLOW = """
import os
from airflow_conda_flow import Flow, card, catch, kubernetes, retry
from airflow_conda_flow.cards import Markdown
class AFlow(FlowSpec):
    alpha = Parameter("alpha", default=1)
    FACTOR = 10
    @step
    def start(self):
        self.x, self.items = "x", ["a", "b"]
        print("START", self.alpha, self.FACTOR)
        self.next(self.body, foreach="items")
    @card
    @catch(var="problem")
    @retry(times=3)
    @step
    def body(self):
        self.y = [self.input, self.x, self.alpha, CHANGED]
        current.card.append(Markdown("on the card"))
        print("BODY", self.y, len(list(Flow("AFlow"))), Flow("AFlow").latest_run.id != current.run_id)
        while os.environ.get("WAITS"):
            import time
            time.sleep(1)
        if os.environ.get("FAILS"):
            raise ValueError("on purpose")
        self.next(self.join)
    @step
    def join(self, inputs):
        self.all = [each.y for each in inputs]
        print("JOIN", self.all)
        self.next(self.end)
    @kubernetes
    @step
    def end(self):
        print("END", self.all)
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory) -> Machine:
    """A machine on which the flow ran up to its last step, which would need a cluster."""
    machine = Machine(tmp_path_factory.mktemp("spin") / "home")
    flow = machine.flow(FLOW.replace("CHANGED", "1").replace("@kubernetes\n", "\n"))
    assert machine.run(flow, "run", "--alpha", "2").returncode == 0
    machine.file = machine.flow(FLOW.replace("CHANGED", "'new'"))
    return machine


def spin(machine, *words, **environ):
    """The output of ``spin``; nothing of it is in the datastore of runs."""
    before = sorted(str(path) for path in machine.datastore.rglob("*"))
    done = machine.run(machine.file, "spin", *words, **environ)
    assert sorted(str(path) for path in machine.datastore.rglob("*")) == before
    return done


def test_a_step_as_it_is_now(machine):
    """The step's code of now, the inputs of its first task; the client sees past runs and not this one."""
    done = spin(machine, "body")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "BODY ['a', 'x', 2, 'new'] 1 True" in done.stdout
    assert done.stdout.splitlines()[-1].endswith("Task finished successfully.")
    assert not list(machine.home.glob(".conda_flow_spin/artifacts/*"))
    page = machine.run(machine.file, "--datastore-root", ".conda_flow_spin", "card", "get", "body").stdout
    assert "on the card" in page


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("start",), "START 2 10"),
        (("RUN/body/1",), "BODY ['b', 'x', 2, 'new']"),
        (("AFlow/RUN/join/0",), "JOIN [['a', 'x', 2, 1], ['b', 'x', 2, 1]]"),
        (("end",), "END [['a', 'x', 2, 1], ['b', 'x', 2, 1]]"),
        (("body", "--artifacts-module", "given.py"), "BODY ['a', {'deep': [1]}, 7, 'new']"),
        (("join", "--artifacts-module", "given.py"), "JOIN [8, 8]"),
        (("start", "--artifacts-module", "given.py"), "START 7 10"),
        (("end", "--skip-decorators"), "END [['a', 'x', 2, 1], ['b', 'x', 2, 1]]"),
    ],
)
def test_tasks_and_their_inputs(machine, words, said):
    """Any task of a run, on this machine whatever its decorators; values stand in for artifacts and parameters."""
    (machine.home / "given.py").write_text('ARTIFACTS = {"x": {"deep": [1]}, "alpha": 7, "y": 8}\n')
    (run,) = (machine.datastore / "flows/AFlow").iterdir()
    done = spin(machine, *(word.replace("RUN", run.name) for word in words))
    assert done.returncode == 0, done.stdout + done.stderr
    assert said in done.stdout


def test_a_step_that_no_run_has_reached(machine):
    """It has the inputs that it would have; one behind it that lacks them says which task of which run."""
    (run,) = (machine.datastore / "flows/AFlow").iterdir()
    text = machine.file.read_text()
    new = "        self.next(self.new)\n    @step\n    def new(self):\n        print('NEW', self.y)\n"
    before, after = text.rsplit("        self.next(self.join)", 1)
    try:
        machine.file.write_text(before + new + "        self.next(self.join)" + after)
        assert "NEW ['a', 'x', 2, 1]" in spin(machine, "new").stdout
        lines = spin(machine, "join").stdout
        assert (
            f"Task join-0 cannot start: task AFlow/{run.name}/new/new-0 has not finished. Let it run first"
            in lines
        )
    finally:
        machine.file.write_text(text)


def test_what_a_killed_spin_has_left_goes_with_the_next(machine, monkeypatch):
    """Its artifacts, which nobody asked to keep."""
    folder = machine.home / ".conda_flow_spin"
    monkeypatch.setitem(machine.environ, "WAITS", "1")
    with machine.started(machine.file, "spin", "body") as process:
        while "BODY" not in (line := process.stdout.readline()):
            assert line
        process.kill()
        process.wait(60)
    assert list(folder.glob(".*.artifacts"))
    monkeypatch.delitem(machine.environ, "WAITS")
    assert machine.run(machine.file, "spin", "body").returncode == 0
    assert not list(folder.glob(".*.artifacts"))


def test_an_interrupt_is_told_apart_from_a_failure(machine, monkeypatch):
    """As in ``run``: what happens is said at once, and that the task did not fail by itself."""
    monkeypatch.setitem(machine.environ, "WAITS", "1")
    with machine.started(machine.file, "spin", "body") as process:
        while "BODY" not in (line := process.stdout.readline()):
            assert line
        process.send_signal(signal.SIGINT)
        said = process.stdout.read()
        assert process.wait(60) == 128 + signal.SIGINT
    assert "Interrupted: ending the task that runs." in said
    assert "Task ended with the run." in said
    assert "Task failed." not in said


def test_a_step_that_fails_is_tried_once(machine):
    """Neither @retry nor @catch hides what happens; the traceback is the user's."""
    done = spin(machine, "body", FAILS="1")
    assert done.returncode == 1
    assert done.stdout.count("BODY") == 1
    assert "ValueError: on purpose" in done.stdout
    assert done.stdout.splitlines()[-1].endswith("Task failed.")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("boyd",), 2, "AFlow has no step 'boyd'. Did you mean 'body'?"),
        (("1/2/3/4/5",), 2, "names no task. Write STEP, or RUN_ID/STEP/TASK_ID."),
        (("12/body/0",), 1, "There is no run '12' of AFlow"),
        (("RUN/body/5-1",), 1, "There is no task '5-1' of step 'body': 1 foreach are around it"),
        (("body", "--artifacts-module", "none.py"), 1, "--artifacts-module none.py: there is no such file."),
        (
            ("body", "--artifacts-module", "a_flow.py"),
            1,
            "ARTIFACTS is None; write a dict of values by name.",
        ),
    ],
)
def test_what_cannot_be_spun(machine, words, code, said):
    """One message says what is wrong."""
    (run,) = (machine.datastore / "flows/AFlow").iterdir()
    done = spin(machine, *(word.replace("RUN", run.name) for word in words))
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_program_hears_of_a_step_that_fails(machine, monkeypatch):
    """``spin`` raises what the step said; ``async_spin`` gives the task."""
    for name, value in (*machine.environ.items(), ("FAILS", "1")):
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(machine.home)
    with Runner(str(machine.file), show_output=False) as runner:
        with pytest.raises(LaunchError, match=r"a_flow.py: the spun step body failed:\n(?s:.*)on purpose"):
            runner.spin("body")

        async def spun():
            return await (await runner.async_spin("body")).wait()

        failed = asyncio.run(spun())
        assert (failed.status, failed.task.exception.exception) == ("failed", "on purpose")


def test_what_was_spun_is_inspected(machine, monkeypatch, tmp_path):
    """persist=True keeps all of the task's artifacts, for the client and for Runner, the datastore of runs gone."""
    monkeypatch.setenv("HOME", str(machine.home))
    monkeypatch.setenv("USER", "tester")
    monkeypatch.setenv("METAFLOW_USER", "tester")
    monkeypatch.setattr(scope, "_open", {})
    monkeypatch.setattr(scope, "_selected", dict(scope._selected))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ObjectNotFound, match=r"There is no .*\.conda_flow_spin"):
        inspect_spin(".")
    with Runner(str(machine.file), show_output=False).spin("body", persist=True) as spun:
        assert spun.status == "successful", spun.stdout
        assert spun.task["y"].data == ["a", "x", 2, "new"]
    machine.datastore.rename(machine.home / "gone")
    inspect_spin(".")
    task = Flow("AFlow").latest_run["body"].task
    assert (task.data.x, task.data.alpha, task.pathspec) == ("x", 2, spun.task.pathspec)
    (machine.home / "gone").rename(machine.datastore)
