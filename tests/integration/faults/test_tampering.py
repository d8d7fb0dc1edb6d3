"""Tampering as a table: each kind of stored file, changed in each way, and then read, resumed and run again.

Never a wrong result: what comes is what was written, or one line that says what is damaged and where.
``make faults ROUNDS=100`` tries more files and ways with ``resume`` and ``run``.
"""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_conda_flow import Run, metadata, namespace
from airflow_conda_flow.client import scope
from airflow_conda_flow.datastore.local_storage import LocalStorage
from airflow_conda_flow.errors import CondaFlowError

from ...parts.damage import FAULTS, damage
from ...parts.flow_machine import Machine
from ...parts.graphs.shape_runs import Hashes, hashes_of_run
from ...parts.tally import CLEAR_ERROR, RIGHT

ROUNDS = int(os.environ.get("ROUNDS", "1"))
SEED = int(os.environ.get("SEED", "1"))
KINDS = {
    "run record": "flows/AFlow/*/run.json",
    "task manifest": "flows/AFlow/*/*/*/*.json",
    "artifact": "artifacts/*/*",
    "code package": "code/*.zip",
    "log": "flows/AFlow/*/*/*/*.stdout",
    "card": "flows/AFlow/*/*/*/*.card.*",
}
"""Kind of a stored file -> where the files of that kind are."""
FOR_PEOPLE = {"log", "card"}
"""Kinds that nothing is computed from: a changed one is shown as it is."""
KEPT = {"code package"}
"""Kinds of which this machine's cache has verified copies that nobody has tampered with."""
WAYS = [*FAULTS, "another of its kind", "gone"]
FLOW = """
from airflow_conda_flow import card
class AFlow(FlowSpec):
    factor = Parameter("factor", default=2)
    @card
    @step
    def start(self):
        print("started")
        self.items = ["a", "b"]
        self.next(self.body, foreach="items")
    @step
    def body(self):
        self.word = self.input * self.factor
        self.next(self.join)
    @step
    def join(self, inputs):
        self.words = [each.word for each in inputs]
        self.next(self.end)
    @step
    def end(self):
        assert self.words == ["aa", "bb"], self.words
"""


@dataclass(frozen=True)
class Stored:
    """A finished run that nobody has tampered with.

    Attributes:
        machine: where it ran.
        flow: the flow file.
        run_id: its id.
        hashes: its artifacts.
        values: what the client reads of it.
    """

    machine: Machine
    flow: Path
    run_id: str
    hashes: Hashes
    values: dict[str, Any]


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> Stored:
    """The run."""
    machine = Machine(tmp_path_factory.mktemp("stored") / "home")
    flow, ids = machine.flow(FLOW), machine.home / "id"
    done = machine.run(flow, "run", "--run-id-file", str(ids))
    assert done.returncode == 0, done.stdout + done.stderr
    run_id = ids.read_text()
    hashes = hashes_of_run(LocalStorage(machine.datastore), "AFlow", run_id)
    values = read_all(machine.datastore, run_id)
    assert values["body"] == ["aa", "bb"]
    return Stored(machine, flow, run_id, hashes, values)


@pytest.fixture(autouse=True)
def _scope():
    yield
    scope.default_namespace()
    scope._selected["metadata"] = None


def read_all(datastore: Path, run_id: str) -> dict[str, Any]:
    """Everything that the client reads of a run: artifacts, source, state, output and cards."""
    metadata(str(datastore))
    namespace(None)
    run = Run(f"AFlow/{run_id}")
    values: dict[str, Any] = {"successful": run.successful, "source": run.code.flowspec}
    for name in ("start", "body", "join", "end"):
        values[name] = [
            task.data.word if name == "body" else {each.id: each.data for each in task.artifacts}
            for task in sorted(run[name], key=lambda task: task.id)
        ]
        for task in run[name]:
            str(task.stdout)
    return values


def tamper(datastore: Path, path: Path, way: str) -> bool:
    """Change a stored file; False if it is the only one of its kind and can only be changed otherwise."""
    if way == "gone":
        path.unlink()
    elif way == "another of its kind":
        pattern = next(each for each in KINDS.values() if path in set(datastore.glob(each)))
        others = [each for each in sorted(datastore.glob(pattern)) if each.read_bytes() != path.read_bytes()]
        if not others:
            return False
        shutil.copyfile(others[0], path)
    else:
        damage(path, way)
    return True


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_tampered_file_is_never_read_as_if_it_were_right(stored, tmp_path, kind, way, tally):
    """The client reads what was written, or raises one line about the file."""
    ends = Counter()
    for number, original in enumerate(sorted(stored.machine.datastore.glob(KINDS[kind]))):
        datastore = tmp_path / str(number)
        shutil.copytree(stored.machine.datastore, datastore)
        path = datastore / original.relative_to(stored.machine.datastore)
        if not tamper(datastore, path, way):
            continue
        try:
            values = read_all(datastore, stored.run_id)
        except CondaFlowError as error:
            ends["said, in lines" if "\n" in str(error) else "said"] += 1
        else:
            # A task without a manifest looks like one that has not ended: there is less, and nothing wrong.
            is_less = (kind, way) == ("task manifest", "gone")
            assert values == stored.values or is_less, path
            ends["less" if is_less else "right"] += 1
    print(kind, way, dict(ends))
    name = f"tampered {kind}, read by the client"
    tally(name, RIGHT, ends["right"] + ends["less"], happened=sum(ends.values()))
    tally(name, CLEAR_ERROR, ends["said"])
    assert "said, in lines" not in ends
    assert kind in FOR_PEOPLE | KEPT or not ends["right"]


def draw(seed: int, stored: Stored, kind: str) -> tuple[Path, str]:
    """A file of that kind, and a way to change it."""
    drawn = random.Random(f"{seed} {kind}")
    path = drawn.choice(sorted(stored.machine.datastore.glob(KINDS[kind])))
    return path.relative_to(stored.machine.datastore), drawn.choice(WAYS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(SEED, SEED + ROUNDS))
def test_a_tampered_run_is_resumed_rightly_or_not_at_all(stored, tmp_path, kind, seed, tally):
    """``resume`` computes what the run would have, or ends with one line; a new run puts everything right."""
    relative, way = draw(seed, stored, kind)
    machine = Machine(tmp_path / "home")
    shutil.copytree(stored.machine.datastore, machine.datastore)
    tamper(machine.datastore, machine.datastore / relative, way)
    flow, ids = machine.flow(FLOW), tmp_path / "id"
    words = ("--origin-run-id", stored.run_id, "--run-id-file", str(ids))
    resumed = machine.run(flow, "resume", "join", *words)
    text = resumed.stdout + resumed.stderr
    print(f"seed {seed}: {relative} {way}: resume ended with {resumed.returncode}")
    # A step that reads a value which is gone fails in the user's own line, whose traceback has none of ours.
    assert "airflow_conda_flow/" not in text, text
    assert "Traceback" not in resumed.stderr, text
    if resumed.returncode == 0:
        hashes = hashes_of_run(LocalStorage(machine.datastore), "AFlow", ids.read_text())
        assert without_parameters(hashes) == without_parameters(stored.hashes)
    outcome = RIGHT if resumed.returncode == 0 else CLEAR_ERROR
    tally(f"tampered {kind}, then resume", outcome, happened=1)
    again = machine.run(flow, "run", "--run-id-file", str(ids))
    assert again.returncode == 0, again.stdout + again.stderr
    hashes = hashes_of_run(LocalStorage(machine.datastore), "AFlow", ids.read_text())
    assert without_parameters(hashes) == without_parameters(stored.hashes)
    values = read_all(machine.datastore, ids.read_text())
    assert values["body"] == stored.values["body"]
    tally(f"tampered {kind}, then run", happened=1)


def without_parameters(hashes: Hashes) -> Hashes:
    """The artifacts of the steps themselves."""
    return {task: each for task, each in hashes.items() if not task.startswith("_parameters")}
