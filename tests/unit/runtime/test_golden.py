"""The messages between runner and step process, word for word.

A change of these files is a change of the protocol: raise its version where an older end cannot
follow. ``UPDATE_GOLDEN=1 pytest tests/unit/runtime/test_golden.py`` writes them anew.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from airflow_conda_flow.runner import step_process
from airflow_conda_flow.runtime import protocol

GOLDEN = Path(__file__).parent / "golden"
FLOW = """
class AFlow(FlowSpec):
    word = Parameter("word", default="hello")
    @step
    def start(self):
        self.items = ["a", "b"]
        self.next(self.each, foreach="items")
    @step
    def each(self):
        self.text = self.input + self.word
        self.next(self.join)
    @step
    def join(self, inputs):
        self.texts = [each.text for each in inputs]
        self.next(self.end)
    @step
    def end(self):
        from airflow_conda_flow import get_metadata
        raise ValueError(self.texts, get_metadata())
"""
TASKS = [("start",), ("each", 0), ("each", 1), ("join",), ("end",)]


@pytest.fixture(scope="module")
def conversations(tmp_path_factory):
    """The messages of both ends in each task of a run, with this machine's names taken out."""
    from airflow_conda_flow.datastore.datastore import open_datastore

    from ...parts.attempt_machine import AttemptMachine

    tmp_path = tmp_path_factory.mktemp("golden")
    said: list[list] = []

    def encode(message):
        said.append(["runner", message])
        return protocol.encode(message)

    def decode(line):
        message = protocol.decode(line)
        said.append(["step", message])
        return message

    datastore = open_datastore("local", tmp_path / "store", tmp_path / "cache")
    run = AttemptMachine(tmp_path / "code", FLOW, datastore, {"word": "hello"})
    run.manifest.update(username="tester", namespace="user:tester")  # not whoever runs the tests
    by_task = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step_process, "encode", encode)
        patch.setattr(step_process, "decode", decode)
        for step, *indices in TASKS:
            said.clear()
            run.attempt(step, *indices)
            by_task["-".join([step, *map(str, indices)])] = _plain(said, tmp_path)
    return by_task


def _plain(said: list, tmp_path: Path) -> list:
    scratch = Path(said[0][1]["scratch"])
    text = json.dumps(said)
    tempdir = said[0][1]["current"]["tempdir"]
    for real, name in ((tempdir, "/scratch/tempdir"), (scratch, "/scratch"), (tmp_path, "")):
        text = text.replace(str(real), name)
    text = re.sub(r"/scratch/task-\w+", "/scratch/tempdir", text)
    plain = json.loads(text)
    if "python" in plain[-1][1]:
        plain[-1][1]["python"] = "3.x.y"
    return plain


@pytest.mark.parametrize("task", ["-".join(map(str, task)) for task in TASKS])
def test_a_conversation(conversations, task):
    """The messages of each kind of task are those in the golden file."""
    path = GOLDEN / f"{task}.json"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(json.dumps(conversations[task], indent=1) + "\n")
    assert conversations[task] == json.loads(path.read_text())


def test_every_message_is_in_a_golden_file(conversations):
    """No kind of message goes unrecorded; ``error`` is what a missing artifact is answered with."""
    kinds = {message["type"] for said in conversations.values() for _, message in said}
    assert kinds == {"task", "fetch", "artifact", "publish", "ask", "answer", "done", "failed"}
    assert protocol.error("why") == {"type": "error", "message": "why", "error": "CondaFlowError"}


def test_a_message_is_one_line_of_ascii():
    """Whatever a text holds, the other end reads the same text."""
    message = {"type": "failed", "exception": {"message": "line\nbreak \u20ac \ud800"}}
    line = protocol.encode(message)
    assert line.isascii()
    assert line.count(b"\n") == 1
    assert protocol.decode(line) == message
