"""Two ends of different versions: each refuses what it might get wrong, in one line."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from airflow_conda_flow.runner import task_message
from airflow_conda_flow.runner.task_request import TaskRequest

from ...parts.attempt_machine import one_step


def test_a_step_process_refuses_another_protocol(make_run, monkeypatch):
    """The version that the runner sends is compared, before any of the step's code runs."""
    run = make_run(one_step("print('ran')"))
    monkeypatch.setattr(task_message.protocol, "VERSION", 9)
    exception = run.failure("start")
    assert exception["message"] == (
        "The runner of this step speaks version 9 of the protocol, and the step process version 2: parts of "
        "two versions of airflow-conda-flow are mixed on this machine. Install one."
    )
    assert run.printed() == []


def test_a_runner_refuses_a_request_of_another_version():
    """A container whose image holds another version says so, and runs nothing."""
    request = {**TaskRequest("AFlow", "1", "start").to_dict(), "version": 2}
    command = [sys.executable, "-m", "airflow_conda_flow.runner", "run", json.dumps(request)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (3, "")
    assert ended.stderr == (
        "The request has version 2, and this runner reads version 1. Give the container the same version of "
        "airflow-conda-flow as the machine that starts it.\n"
    )


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '"x"', '{"flow": "AFlow"}'])
def test_a_request_that_is_none(text):
    """A text that is no request is named, with what is expected; exit code 3, no traceback."""
    command = [sys.executable, "-m", "airflow_conda_flow.runner", "run", text]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 3
    assert ended.stderr.startswith(f"The request {text!r} cannot be read: ")
    assert ended.stderr.count("\n") == 1


def test_a_request_without_a_version_is_of_the_first():
    """Requests had none before they were counted."""
    request = TaskRequest("AFlow", "1", "start", (2,), 1)
    document = request.to_dict()
    del document["version"]
    assert TaskRequest.from_dict(document) == request
