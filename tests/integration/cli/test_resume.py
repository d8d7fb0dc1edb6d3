"""``python flow.py resume``: what is done is cloned, the rest runs."""

from __future__ import annotations

import functools
import json
import re

import pytest

from ...parts.damage import FAULTS, damage
from ...parts.flow_machine import Machine

FLOW = """
import os
class AFlow(FlowSpec):
    alpha = Parameter("alpha", default=3)
    @step
    def start(self):
        print("running start")
        self.items = ["x", "y", "z"]
        self.next(self.body, foreach="items")
    @step
    def body(self):
        print("running body", self.input, current.origin_run_id)
        if self.input == os.environ.get("FAILING"):
            raise ValueError("boom")
        self.y = self.input * 2
        self.next(self.join)
    @step
    def join(self, inputs):
        print("running join")
        self.z = [each.y for each in inputs]
        self.merge_artifacts(inputs, include=["alpha"])
        self.next(self.end)
    @step
    def end(self):
        print("running end", self.z, self.alpha)
"""


@pytest.fixture
def machine(tmp_path) -> Machine:
    """A machine with an empty home."""
    return Machine(tmp_path / "home")


def _ran(done) -> list[str]:
    return re.findall(r"\] running (\w+)", done.stdout)


def _cloned(done) -> list[str]:
    return re.findall(r"\[\d+/(\S+)\] Cloning previously run task \d+/\1", done.stdout)


def _run_id(done) -> str:
    return re.search(r"run-id (\d+)", done.stdout)[1]


def _failed_run(machine: Machine, flow=None, *words: str, failing: str = "y"):
    flow = flow or machine.flow(FLOW)
    done = machine.run(flow, "run", "--max-workers", "1", "--alpha", "7", *words, FAILING=failing)
    assert done.returncode == 1, done.stdout
    return done


def test_what_is_done_is_cloned_and_the_rest_runs(machine):
    """Of a foreach only the splits that failed or did not run; the lines have the field's form."""
    origin = _run_id(_failed_run(machine))
    flow = machine.home / "a_flow.py"
    done = machine.run(flow, "resume")
    assert done.returncode == 0, done.stdout + done.stderr
    assert _cloned(done) == ["start/start-0", "body/body-0"]
    assert _ran(done) == ["body", "body", "join", "end"]
    assert f"] running body y {origin}\n" in done.stdout
    assert "] running end ['xx', 'yy', 'zz'] 7\n" in done.stdout
    lines = [re.sub(r"^\S+ \S+ ", "", line) for line in done.stdout.splitlines()]
    assert lines[0] == "Gathering required information to resume run (this may take a bit of time)..."
    assert lines[1] == f"Workflow starting (run-id {_run_id(done)}):"
    assert lines[2] == f"Cloning AFlow/{origin}"
    assert lines[5] == f"AFlow/{origin} cloned!"
    assert lines[-1] == "Done!"


def test_a_clone_names_the_same_artifacts(machine):
    """Nothing is copied; the clone says where it is from, and is read like any task."""
    origin = _run_id(_failed_run(machine))
    again = _run_id(machine.run(machine.home / "a_flow.py", "resume"))
    runs = machine.datastore / "flows" / "AFlow"
    before = json.loads((runs / origin / "body/0/0.json").read_text())
    after = json.loads((runs / again / "body/0/0.json").read_text())
    assert after["artifacts"] == before["artifacts"]
    assert after["cloned_from"] == {"run_id": origin, "attempt": 0}
    assert json.loads((runs / again / "run.json").read_text())["origin_run_id"] == origin


def _edited(change):
    """A function that edits a manifest, and leaves its checksum."""

    def edit(path):
        document = json.loads(path.read_text())
        change(document)
        path.write_text(json.dumps(document, separators=(",", ":"), ensure_ascii=False))

    return edit


def _older(change):
    """A function that edits a manifest of a version without a checksum."""
    return _edited(lambda document: (document.pop("checksum"), change(document)))


HARM = {
    "no transition": _edited(lambda document: document.update(transition=None)),
    "no status": _edited(lambda document: document.pop("status")),
    "no transition, older": _older(lambda document: document.update(transition=None)),
    "no status, older": _older(lambda document: document.pop("status")),
    "another task's": lambda path: path.write_bytes((path.parents[2] / "body/0/0.json").read_bytes()),
    **{fault: functools.partial(damage, fault=fault) for fault in FAULTS},
}


@pytest.mark.parametrize("harm", HARM)
def test_a_damaged_manifest_ends_the_resumption(machine, harm):
    """In one line that names it and says what to do; doing that, the run is resumed."""
    origin = _run_id(_failed_run(machine))
    key = f"flows/AFlow/{origin}/start/0/0.json"
    HARM[harm](machine.datastore / key)
    done = machine.run(machine.home / "a_flow.py", "resume")
    assert done.returncode == 1
    assert "Done!" not in done.stdout
    assert "Traceback" not in done.stderr
    assert f"{key} in the datastore {machine.datastore} is damaged: it" in done.stderr
    assert "Delete it and resume the run" in done.stderr
    (machine.datastore / key).unlink()
    done = machine.run(machine.home / "a_flow.py", "resume", "--origin-run-id", origin)
    assert done.returncode == 0, done.stdout + done.stderr
    assert _ran(done) == ["start", "body", "body", "body", "join", "end"]


def test_manifests_of_an_older_version_are_resumed(machine):
    """Those without a checksum."""
    origin = _run_id(_failed_run(machine))
    for path in (machine.datastore / "flows" / "AFlow" / origin).rglob("*.json"):
        _older(lambda _document: None)(path)
    done = machine.run(machine.home / "a_flow.py", "resume")
    assert done.returncode == 0, done.stdout + done.stderr
    assert _cloned(done) == ["start/start-0", "body/body-0"]


def test_a_step_runs_again_with_all_after_it(machine):
    """Whatever they have done; the code of now is used."""
    flow = machine.flow(FLOW)
    assert machine.run(flow, "run", "--alpha", "5").returncode == 0
    flow.write_text(flow.read_text().replace("self.input * 2", "self.input * 3"))
    done = machine.run(flow, "resume", "body")
    assert _cloned(done) == ["start/start-0"]
    assert _ran(done) == ["body", "body", "body", "join", "end"]
    assert "] running end ['xxx', 'yyy', 'zzz'] 5\n" in done.stdout
    whole = machine.run(flow, "resume")
    assert whole.returncode == 0
    assert _ran(whole) == []
    assert len(_cloned(whole)) == 6
    assert machine.run(flow, "resume", "end", "--origin-run-id", _run_id(whole)).returncode == 0


def test_a_step_that_goes_on_otherwise_now_runs_again(machine):
    """A step put in between runs, and what comes after it."""
    flow = machine.flow(FLOW)
    assert machine.run(flow, "run").returncode == 0
    text = flow.read_text().replace(
        "        self.next(self.end)\n    @step",
        "        self.next(self.extra)\n    @step\n    def extra(self):\n        print('running extra')\n"
        "        self.next(self.end)\n    @step",
    )
    flow.write_text(text)
    done = machine.run(flow, "resume")
    assert done.returncode == 0, done.stdout
    assert _ran(done) == ["join", "extra", "end"]


def test_parameters_are_those_of_the_origin(machine):
    """They cannot be given; one that was added has its default, one that is required is an error."""
    origin = _run_id(_failed_run(machine))
    flow = machine.home / "a_flow.py"
    given = machine.run(flow, "resume", "--alpha", "4")
    assert given.returncode == 2
    assert "no such option: --alpha" in given.stderr
    added = 'beta = Parameter("beta", default="b")\n    @step\n    def start'
    original = flow.read_text()
    flow.write_text(original.replace("@step\n    def start", added, 1).replace("self.z, self.alpha", "self.z, self.alpha, self.beta").replace('["alpha"]', '["alpha", "beta"]'))  # fmt: skip
    done = machine.run(flow, "resume", "start")
    assert "] running end ['xx', 'yy', 'zz'] 7 b\n" in done.stdout, done.stdout + done.stderr
    flow.write_text(
        original.replace("@step\n    def start", added.replace('default="b"', "required=True"), 1)
    )
    done = machine.run(flow, "resume", "start", "--origin-run-id", origin)
    assert done.returncode == 1
    assert "Parameter 'beta' is required, and the run to be resumed had none of that name." in done.stderr


def test_which_run_is_resumed(machine):
    """The latest one of the user, or the one that is named; the id of the new run is written at its start."""
    flow = machine.flow(FLOW)
    nothing = machine.run(flow, "resume")
    assert nothing.returncode == 1
    assert "There is no run of AFlow by user:tester in" in nothing.stderr
    mine = _run_id(_failed_run(machine))
    other = machine.run(flow, "run", METAFLOW_USER="other")
    unknown = machine.run(flow, "resume", "--origin-run-id", mine[:-1])
    assert unknown.returncode == 1
    assert f"There is no run '{mine[:-1]}' of AFlow" in unknown.stderr
    assert f"Did you mean '{mine}'?" in unknown.stderr
    done = machine.run(flow, "resume", "--run-id-file", "id", "--tag", "again")
    assert f"Cloning AFlow/{mine}" in done.stdout
    assert (machine.home / "id").read_text() == _run_id(done)
    named = machine.run(flow, "resume", "--origin-run-id", f"AFlow/{_run_id(other)}")
    assert f"Cloning AFlow/{_run_id(other)}" in named.stdout
    step = machine.run(flow, "resume", "boddy")
    assert step.returncode == 2
    assert "AFlow has no step 'boddy'. Did you mean 'body'?" in step.stderr
    unwritable = machine.run(flow, "run", "--run-id-file", "no/such/folder")
    assert unwritable.returncode == 1
    assert "--run-id-file no/such/folder cannot be written: No such file or directory." in unwritable.stderr


def test_a_resumed_run_is_resumed(machine):
    """A clone of a clone says where its task ran."""
    first = _run_id(_failed_run(machine))
    flow = machine.home / "a_flow.py"
    second = machine.run(flow, "resume", "--max-workers", "1", FAILING="z")
    assert second.returncode == 1
    third = machine.run(flow, "resume")
    assert third.returncode == 0
    assert _cloned(third) == ["start/start-0", "body/body-0", "body/body-1"]
    runs = machine.datastore / "flows" / "AFlow"
    clone = json.loads((runs / _run_id(third) / "start/0/0.json").read_text())
    assert clone["cloned_from"]["run_id"] == first


def test_nested_splits_are_resumed(machine):
    """Only the branch that failed, inside the split that it is in."""
    flow = machine.flow("""
import os
class AFlow(FlowSpec):
    @step
    def start(self):
        self.outer = [1, 2]
        self.next(self.mid, foreach="outer")
    @step
    def mid(self):
        self.inner = [10 * self.input + n for n in range(2)]
        self.next(self.left, self.right)
    @step
    def left(self):
        print("running left", self.inner)
        self.next(self.both)
    @step
    def right(self):
        print("running right", self.inner)
        self.next(self.leaf, foreach="inner")
    @step
    def leaf(self):
        print("running leaf", self.input)
        self.v = self.input
        if str(self.input) == os.environ.get("FAILING"):
            raise ValueError
        self.next(self.leaves)
    @step
    def leaves(self, inputs):
        self.vs = [each.v for each in inputs]
        self.next(self.both)
    @step
    def both(self, inputs):
        self.vs = inputs.leaves.vs
        self.next(self.all)
    @step
    def all(self, inputs):
        self.vs = [each.vs for each in inputs]
        self.next(self.end)
    @step
    def end(self):
        print("ALL", self.vs)
""")
    failed = machine.run(flow, "run", "--max-workers", "1", FAILING="21")
    assert failed.returncode == 1
    done = machine.run(flow, "resume")
    assert "ALL [[10, 11], [20, 21]]" in done.stdout, done.stdout
    ended = set(re.findall(r"\[\d+/(\S+) \(pid \d+\)\] Task finished", failed.stdout))
    assert set(_cloned(done)) == ended
    again = set(re.findall(r"\[\d+/(\S+) \(pid \d+\)\] Task finished", done.stdout))
    assert not ended & again


@pytest.mark.parametrize("kind", ["moto", "rclone"])
def test_a_run_in_s3_is_resumed(machine, request, kind):
    """The datastore is the same; the machine may be another."""
    server = request.getfixturevalue(f"{kind}_s3")
    words = ["--datastore=s3", f"--datastore-root={server.make_root()}"]
    machine.environ.update(server.environment)
    _failed_run(machine, None, *words)
    other = Machine(machine.home.parent / "other", **server.environment)
    done = other.run(other.flow(FLOW), *words, "resume")
    assert _cloned(done) == ["start/start-0", "body/body-0"], done.stdout + done.stderr
    assert "] running end ['xx', 'yy', 'zz'] 7\n" in done.stdout


def test_nodes_that_run_together_are_resumed_together(machine):
    """They wait for each other, so that none can be a clone where one has to run."""
    flow = machine.flow("""
import os
from airflow_conda_flow import parallel
class AFlow(FlowSpec):
    @step
    def start(self):
        self.next(self.train, num_parallel=3)
    @parallel
    @step
    def train(self):
        print("running train")
        self.node = current.parallel.node_index
        assert str(self.node) != os.environ.get("FAILING")
        self.next(self.join)
    @step
    def join(self, inputs):
        print("running join", sorted(each.node for each in inputs))
        self.next(self.end)
    @step
    def end(self):
        pass
""")
    failed = machine.run(flow, "run", FAILING="2")
    assert failed.returncode == 1
    done = machine.run(flow, "resume")
    assert done.returncode == 0, done.stdout + done.stderr
    assert _cloned(done) == ["start/start-0"]
    assert _ran(done) == ["train", "train", "train", "join"]
    whole = machine.run(flow, "resume", "join")
    assert _cloned(whole) == ["start/start-0", "train/train-0", "train/train-1", "train/train-2"]
