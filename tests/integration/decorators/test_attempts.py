"""@retry, @catch and @timeout, as a user sees them on the command line."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from airflow_conda_flow.datastore.datastore import open_datastore
from airflow_conda_flow.datastore.manifests import read_task_manifest
from airflow_conda_flow.errors import TaskFailed
from airflow_conda_flow.records.names import TaskName
from airflow_conda_flow.records.run_record import RunRecord
from airflow_conda_flow.runner.attempt import caught_outside
from airflow_conda_flow.runner.attempt_record import as_exception
from airflow_conda_flow.runner.task_request import TaskRequest, TaskResult

from ...parts.attempt_machine import AttemptMachine, old_python

HEAD = "from airflow_conda_flow import catch, retry, timeout\n"
RETRIED = """
class AFlow(FlowSpec):
    @retry(times=2)
    @step
    def start(self):
        self.attempt = current.retry_count
        if current.retry_count == 0:
            self.invisible = True
            raise ValueError("first")
        if current.retry_count == 1:
            import os; os.kill(os.getpid(), 9)
        self.next(self.end)
    @step
    def end(self):
        print("seen", self.attempt, hasattr(self, "invisible"))
"""


def test_a_failed_task_is_tried_again_as_a_new_attempt(machine):
    """The lines are Metaflow's; each attempt has a manifest, a pid and its own lines in the log."""
    done = machine.run(machine.flow(HEAD + RETRIED), "run")
    assert done.returncode == 0, done.stdout
    tasks = re.findall(r"/start/start-0 \(pid (\d+)\)\] (Task .*)", done.stdout)
    assert [text for _, text in tasks] == [
        "Task is starting.",
        "Task failed.",
        "Task is starting (retry).",
        "Task failed.",
        "Task is starting (retry).",
        "Task finished successfully.",
    ]
    assert len({pid for pid, _ in tasks}) == 3
    assert "seen 2 False" in done.stdout
    (run,) = (machine.datastore / "flows/AFlow").iterdir()
    manifests = [json.loads((run / f"start/0/{n}.json").read_text()) for n in range(3)]
    assert [each["status"] for each in manifests] == ["failed", "failed", "done"]
    assert "killed by SIGKILL" in manifests[1]["exception"]["message"]


def test_a_task_that_keeps_failing_ends_the_run(machine):
    """After the last retry the run fails with exit code 1; no further attempt starts."""
    flow = machine.flow(HEAD + RETRIED.replace("times=2", "times=1"))
    done = machine.run(flow, "run")
    assert done.returncode == 1
    assert done.stdout.count("Task failed.") == 2
    assert "Task is starting (retry)." in done.stdout


def test_with_retry_gives_every_step_retries(machine):
    """`--with retry:times=2` is `@retry(times=2)` on steps that have none."""
    flow = machine.flow(HEAD + RETRIED.replace("@retry(times=2)\n    ", ""))
    assert machine.run(flow, "run").returncode == 1
    done = machine.run(flow, "run", "--with", "retry:times=2,minutes_between_retries=0")
    assert done.returncode == 0, done.stdout
    wrong = machine.run(flow, "run", "--with", "retry:times=some")
    assert wrong.returncode == 1
    assert "@retry: times is 'some'; write a whole number from 0 up" in wrong.stderr


CAUGHT = """
class Odd(ValueError):
    def __init__(self, a, b):
        super().__init__(f"{a} and {b}")

class AFlow(FlowSpec):
    word = Parameter("word", default="hello")
    @catch(var="problem")
    @retry(times=1)
    @step
    def start(self):
        self.kept, self.count = [1], current.retry_count
        self.lost = (each for each in [])
        raise Odd(1, 2)
        self.next(self.left, self.right)
    @catch(var="problem", print_exception=False)
    @step
    def left(self):
        print("in left", repr(self.problem.exception), self.problem.type, self.kept, self.count)
        print("still", self.word, hasattr(self, "lost"), bool(self.problem))
        import os; os.kill(os.getpid(), 11)
        self.next(self.join)
    @catch(var="problem")
    @step
    def right(self):
        self.next(self.join)
    @catch
    @step
    def join(self, inputs):
        print("in join", inputs.left.problem.exception, inputs.right.problem, inputs.left.kept)
        raise KeyError("j")
        self.next(self.end)
    @step
    def end(self):
        print("end", self.word, hasattr(self, "kept"))
"""


def test_a_caught_failure_lets_the_run_go_on(machine):
    """After the last attempt the attribute holds what went wrong, and what was assigned stays."""
    done = machine.run(machine.flow(HEAD + CAUGHT), "run")
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("Task failed.") == 1  # the first attempt of start
    assert "] @catch caught an exception from step start\n" in done.stdout
    assert re.search(r"\] >    File .*a_flow.py\", line \d+, in start\n", done.stdout), done.stdout
    assert "in left '1 and 2' a_flow.Odd [1] 1" in done.stdout
    assert "still hello False True" in done.stdout
    assert (
        "in join The step's process was killed by SIGSEGV, a segmentation fault: native code crashed. None [1]"
        in done.stdout
    )
    assert "caught an exception from step left" not in done.stdout
    assert "end hello False" in done.stdout
    (run,) = (machine.datastore / "flows/AFlow").iterdir()
    first, last = (json.loads((run / f"start/0/{n}.json").read_text()) for n in range(2))
    assert [first["status"], last["status"]] == ["failed", "done"]
    assert last["exception"]["full_type"] == "a_flow.Odd"
    assert last["transition"]["next"] == ["left", "right"]


def test_a_step_whose_environment_cannot_be_made_is_caught(tmp_path):
    """A failure before the step's process, here a missing interpreter, leaves what came before the step."""
    store = open_datastore("local", tmp_path / "store", tmp_path / "cache")
    run = AttemptMachine(tmp_path / "code", HEAD + CAUGHT, store, {"word": "x"})
    result = run.attempt("start", python="/nowhere/python")
    assert result.ok
    caught = run.value(result, "problem")
    assert "The step's interpreter /nowhere/python cannot be started: No such file" in caught.exception
    assert caught.type == "airflow_conda_flow.errors.TaskFailed"
    assert run.value(result, "word") == "x"


def test_a_task_whose_runner_is_gone_is_caught_from_outside(tmp_path):
    """A pod or job that ended with its runner: what came into the step goes on; an earlier try is no end."""
    store = open_datastore("local", tmp_path / "store", tmp_path / "cache")
    run = AttemptMachine(tmp_path / "code", HEAD + CAUGHT, store, {"word": "x"})
    gone = TaskResult(False, None, as_exception(TaskFailed("The pod is gone.")))
    said = []

    def outside(step, **options):
        request = TaskRequest("AFlow", "1", step, **options)
        return caught_outside(request, RunRecord(run.manifest), store, gone, said.append)

    assert outside("left") is gone  # start has not finished
    assert outside("start", is_last=False) is gone
    assert outside("end") is gone  # no @catch
    assert not said
    assert outside("start", attempt=1).ok
    assert said == ["@catch caught an exception from step start", ">  The pod is gone."]
    result = run.done("right")
    assert run.value(result, "word") == "x"
    caught = read_task_manifest(store.storage, TaskName("AFlow", "1", "start", "0"))
    assert (caught.attempt, caught.next_steps) == (1, ["left", "right"])


@pytest.mark.parametrize("minor", ["3.6", "3.13"])
def test_other_pythons_read_what_was_caught(tmp_path, minor):
    """The exception is plain data of a class that every step process has."""
    python = old_python(minor)
    if python is None:
        pytest.skip(f"no Python {minor} here")
    store = open_datastore("local", tmp_path / "store", tmp_path / "cache")
    run = AttemptMachine(
        tmp_path / "code", HEAD + CAUGHT.replace('f"{a} and {b}"', '"1 and 2"'), store, {"word": "x"}
    )
    run.manifest["pickle_protocols"] = dict.fromkeys(run.manifest["pickle_protocols"], 4)
    assert run.attempt("start", python=python).ok
    assert run.attempt("left", python=python).ok
    assert "in left '1 and 2' a_flow.Odd [1] 0" in run.printed()


SLOW = """
import subprocess, sys, time
class AFlow(FlowSpec):
    @catch(var="late", print_exception=False)
    @retry(times=1)
    @timeout(seconds=1)
    @step
    def start(self):
        if current.retry_count == 0:
            time.sleep(60)
        child = subprocess.Popen(["sleep", "60"])
        print("child", child.pid)
        while True:
            try:
                time.sleep(60)
            except Exception:
                pass
        self.next(self.end)
    @timeout(minutes=1)
    @step
    def end(self):
        print("LATE", self.late.type, self.late.exception)
"""


def test_a_step_that_takes_too_long_is_ended_with_its_children(machine):
    """The first attempt is interrupted where it is; one that ignores that is killed, children too."""
    started = time.monotonic()
    done = machine.run(machine.flow(HEAD + SLOW), "run")
    assert done.returncode == 0, done.stdout
    assert time.monotonic() - started < 30
    message = "Step start timed out after 0 hours, 0 minutes, 1 seconds"
    assert re.search(
        r"line \d+, in start\n.*time.sleep\(60\)\n(.*\n)?.*TimeoutException: " + message, done.stdout
    )
    assert f"LATE airflow_conda_flow.errors.TimeoutException {message}" in done.stdout
    child = int(re.search(r"child (\d+)", done.stdout).group(1))
    assert not _runs(child)


def _runs(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


def test_retries_end_with_the_run(machine):
    """A task that would be tried again is not, once another task has failed the run."""
    flow = machine.flow(
        HEAD
        + """
class AFlow(FlowSpec):
    @step
    def start(self):
        self.next(self.again, self.wrong)
    @retry(times=1000, minutes_between_retries=0)
    @step
    def again(self):
        raise ValueError("again")
        self.next(self.join)
    @step
    def wrong(self):
        import time; time.sleep(1)
        raise KeyError("wrong")
        self.next(self.join)
    @step
    def join(self, inputs):
        self.next(self.end)
    @step
    def end(self):
        pass
"""
    )
    done = machine.run(flow, "run")
    assert done.returncode == 1
    assert "KeyError: 'wrong'" in done.stdout
    assert "Task is starting (retry)." in done.stdout


LINEAR = """
class AFlow(FlowSpec):
    taken = 1
    {decorator}
    @step
    def start(self):
        self.items = [1]
        self.next({target})
    @step
    def each(self):
        self.next(self.join)
    @step
    def join(self{inputs}):
        self.next(self.end)
    @step
    def end(self):
        pass
"""
MISTAKES = [
    ("@catch(var='x')", 'self.each, foreach="items"', "it is a foreach"),
    ("@catch(var='taken')", "self.each", "self.taken is an attribute of the class AFlow already"),
    ("@catch(var='join')", "self.each", "self.join is an attribute of the class AFlow already"),
    ("@catch(var='no name')", "self.each", "@catch: var is 'no name'; write the name of an attribute"),
    ("@catch(print_exception='no')", "self.each", "print_exception is 'no'; write True or False."),
    ("@timeout", "self.each", "@timeout gives no time. Write one, such as @timeout(minutes=30)."),
    ("@timeout(seconds=-1)", "self.each", "@timeout: seconds is -1; write a number from 0 up"),
    ("@timeout(hours='two')", "self.each", "@timeout: hours is 'two'; write a number from 0 up"),
    ("@retry(times=-1)", "self.each", "@retry: times is -1; write a whole number from 0 up"),
    ("@retry(times=1.5)", "self.each", "@retry: times is 1.5; write a whole number from 0 up"),
    ("@retry(minutes_between_retries=None)", "self.each", "minutes_between_retries is None; write a number"),
    ("@retry(time=3)", "self.each", "@retry has no attribute 'time'. Did you mean 'times'?"),
]


@pytest.mark.parametrize(("decorator", "target", "message"), MISTAKES)
def test_mistakes_are_found_before_anything_runs(machine, decorator, target, message):
    """One message with file and line, exit code 1."""
    inputs = ", inputs" if "foreach" in target else ""
    text = LINEAR.format(decorator=decorator, target=target, inputs=inputs)
    flow = machine.flow(HEAD + text)
    done = machine.run(flow, "check")
    assert done.returncode == 1
    assert done.stderr.startswith(f"{flow}:6: ")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_with_catch_is_checked_against_each_step(machine):
    """`--with catch` on a flow with a foreach is refused before the run starts, as @catch there is."""
    text = LINEAR.format(decorator="", target='self.each, foreach="items"', inputs=", inputs")
    done = machine.run(machine.flow(HEAD + text), "run", "--with", "catch:var=x")
    assert done.returncode == 1
    assert "@catch is applied to 'start', which decides by its values" in done.stderr
    assert not machine.datastore.joinpath("flows").exists()
