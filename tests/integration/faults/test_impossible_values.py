"""Documents that somebody has written with impossible values and a right checksum: every reader says one line.

``tests/unit/records/test_impossible_values.py`` tries every key and value on the records themselves;
``make faults ROUNDS=100`` tries more of them here, with the client, the command line and ``resume``.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import shutil
import sys
from pathlib import Path

import pytest

from airflow_conda_flow import Flow, Run, metadata, namespace
from airflow_conda_flow.cards import get_cards
from airflow_conda_flow.cli import main, tool
from airflow_conda_flow.client import scope
from airflow_conda_flow.errors import CondaFlowError
from airflow_conda_flow.records.document import stored_bytes

from ...parts.flow_machine import Machine
from ...parts.impossible import impossible
from ...parts.tally import CLEAR_ERROR, RIGHT

ROUNDS = int(os.environ.get("ROUNDS", "1"))
SEED = int(os.environ.get("SEED", "1"))
CHANGES = 12
"""Changes of a round; each is read in every way."""
FLOW = """
from airflow_conda_flow import card, catch, retry
class AFlow(FlowSpec):
    factor = Parameter("factor", default=2)
    @card
    @step
    def start(self):
        print("started")
        self.items = ["a" * 100_000, "b" * 100_000]
        self.next(self.body, foreach="items")
    @retry(times=1, minutes_between_retries=0)
    @step
    def body(self):
        if self.index and not current.retry_count:
            raise ValueError("no")
        self.word = self.input[:1] * self.factor
        self.next(self.join)
    @step
    def join(self, inputs):
        self.words = [each.word for each in inputs]
        self.kind = "x"
        self.next({"x": self.left, "y": self.right}, condition="kind")
    @catch(var="problem")
    @step
    def left(self):
        self.next(self.end)
    @step
    def right(self):
        self.next(self.end)
    @card(id="facts", type="blank")
    @step
    def end(self):
        print(self.words)
"""


class Stored:
    """A finished run, and one that resumed it.

    Attributes:
        machine: where they ran.
        flow: the flow file.
        run_ids: their ids.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.flow = machine.flow(FLOW)
        self.run_ids = [self._done("run", "--tag", "old"), self._done("resume", "join")]
        changed = machine.run(self.flow, "tag", "add", "new", "--run-id", self.run_ids[0])
        assert changed.returncode == 0, changed.stderr

    def _done(self, *words: str) -> str:
        ids = self.machine.home / "id"
        done = self.machine.run(self.flow, *words, "--run-id-file", str(ids))
        assert done.returncode == 0, done.stdout + done.stderr
        return ids.read_text()

    def changes(self):
        """(relative path, words about the change, changed document) of every change of every document."""
        for path in sorted(self.machine.datastore.rglob("*.json")):
            document = json.loads(path.read_bytes())
            del document["checksum"]
            for what, changed in impossible(document):
                yield path.relative_to(self.machine.datastore), what, changed

    def commands(self) -> list[list[str]]:
        """The commands that read, of the flow file and of the tool."""
        first, second = self.run_ids
        return [
            ["logs", f"{first}/body"],
            ["logs", f"{second}/body", "--attempt", "0"],
            ["card", "list", first],
            ["card", "list", second, "--as-json"],
            ["card", "get", f"{first}/end"],
            ["dump", f"{first}/body"],
            ["tag", "list", "--run-id", first],
            ["datastore", "usage"],
            ["datastore", "prune", "--keep-last", "1", "--older-than", "1d"],
            ["datastore", "prune", "--tag", "old"],
        ]


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> Stored:
    """The runs."""
    return Stored(Machine(tmp_path_factory.mktemp("impossible") / "home"))


@pytest.fixture
def flow_class(stored, monkeypatch):
    """The flow in this process."""
    spec = importlib.util.spec_from_file_location("a_flow", stored.flow)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "a_flow", module)
    spec.loader.exec_module(module)
    return module.AFlow


@pytest.fixture
def datastore(stored, tmp_path, monkeypatch):
    """A copy of the datastore, which this process reads as the user of the runs."""
    for name, value in {
        **stored.machine.environ,
        "CONDA_FLOW_DATASTORE_ROOT": str(tmp_path / "copy"),
    }.items():
        monkeypatch.setenv(name, value)
    shutil.copytree(stored.machine.datastore, tmp_path / "copy")
    scope.default_namespace()
    yield tmp_path / "copy"
    scope.default_namespace()
    scope._selected["metadata"] = None


def look_at(thing) -> None:
    """Ask an object of the client for everything that it tells."""
    repr(thing)
    for name in dir(type(thing)):
        if not name.startswith("_") and isinstance(getattr(type(thing), name, None), property):
            found = getattr(thing, name)
            if hasattr(found, "__next__"):
                list(found)


def read_with_client(datastore: Path, run_ids: list[str]) -> None:
    """Ask the client for everything."""
    metadata(str(datastore))
    namespace(None)
    assert all(run.created_at for run in Flow("AFlow"))
    for run_id in run_ids:
        run = Run(f"AFlow/{run_id}")
        look_at(run)
        for step in [*run, run["_parameters"]]:
            look_at(step)
            for task in step:
                look_at(task)
                for each in [*task, *get_cards(task)]:
                    look_at(each)


def read_with_command(flow_class, words: list[str]) -> int:
    """Exit code of a command, in this process."""
    return tool.main(words) if words[0] == "datastore" else main.main(flow_class, words)


@pytest.mark.parametrize("seed", range(SEED, SEED + ROUNDS))
def test_every_reader_says_one_line(stored, flow_class, datastore, seed, capsys, tally):
    """The client raises an error of ours; a command ends with 0 or 1, and an error is a line."""
    changes = random.Random(seed).sample(list(stored.changes()), CHANGES)
    for relative, what, changed in changes:
        path = datastore / relative
        right = path.read_bytes()
        path.write_bytes(stored_bytes(changed))
        try:
            said = client_says(datastore, stored.run_ids)
            for words in stored.commands():
                code = read_with_command(flow_class, words)
                errors = capsys.readouterr().err
                assert code in {0, 1}, words
                assert "Traceback" not in errors or "logs" in words, words  # one of the flow's own
        except Exception as error:
            raise AssertionError(f"seed {seed}: {relative}: {what}") from error
        path.write_bytes(right)
        tally("impossible values, read", CLEAR_ERROR if said else RIGHT, happened=1)


def client_says(datastore: Path, run_ids: list[str]) -> str:
    """Error of the client about a datastore; empty if there is none."""
    try:
        read_with_client(datastore, run_ids)
    except CondaFlowError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("seed", range(SEED, SEED + ROUNDS))
def test_resume_says_one_line(stored, datastore, seed, tmp_path, tally):
    """It computes what the run would have, or ends with a line that has no traceback of ours."""
    relative, what, changed = random.Random(f"resume {seed}").choice(list(stored.changes()))
    (datastore / relative).write_bytes(stored_bytes(changed))
    words = ("resume", "join", "--origin-run-id", stored.run_ids[0])
    resumed = stored.machine.run(stored.flow, *words, CONDA_FLOW_DATASTORE_ROOT=str(datastore))
    text = f"seed {seed}: {relative}: {what}: {resumed.stdout}{resumed.stderr}"
    assert resumed.returncode in {0, 1}, text
    assert "airflow_conda_flow/" not in text, text
    assert "Traceback" not in resumed.stderr, text
    tally("impossible values, resumed", CLEAR_ERROR if resumed.returncode else RIGHT, happened=1)
