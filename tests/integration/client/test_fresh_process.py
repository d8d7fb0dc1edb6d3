"""Each class of the client is the first thing that a fresh interpreter imports."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ...parts.flow_machine import Machine

FLOW = """
from airflow_conda_flow import card, parallel
class AFlow(FlowSpec):
    @card
    @step
    def start(self):
        self.x = 1
        self.next(self.fit, num_parallel=2)
    @parallel
    @step
    def fit(self):
        self.y = current.parallel.node_index
        self.next(self.join)
    @step
    def join(self, inputs):
        self.next(self.end)
    @card
    @step
    def end(self):
        self.done = True
"""

PROGRAM = """
import os, sys
from airflow_conda_flow{module} import {name}
made = {name}(*{arguments!r})
members = [each for each in dir(type(made)) if not each.startswith("_")] + ["__iter__"]
given = {{"loglines": ["stdout"]}}
for member in members:
    if member.startswith(("add_", "remove_", "replace_", "view")):
        continue
    child = os.fork()  # each member is the first that its process uses
    if child:
        if os.waitpid(child, 0)[1]:
            sys.exit(member)
        continue
    try:
        found = getattr(made, member)
        found = found(*given.get(member, [])) if callable(found) else found
        for one in found if hasattr(found, "__next__") else [found]:
            while hasattr(one, "parent"):  # up to the flow
                hash(one), one.origin_pathspec, one.tags
                one = one.parent
        os._exit(0)
    except BaseException:
        import traceback
        traceback.print_exc()
        os._exit(1)
print("all", len(members))
"""

KINDS = [
    ("", "Flow", ["AFlow"]),
    ("", "Run", ["AFlow/RUN"]),
    ("", "Step", ["AFlow/RUN/fit"]),
    ("", "Step", ["AFlow/RUN/_parameters"]),
    ("", "Task", ["AFlow/RUN/start/0"]),
    ("", "Task", ["AFlow/RUN/fit/1"]),
    ("", "Task", ["AFlow/RUN/join/0"]),
    ("", "Task", ["AFlow/RUN/end/0"]),
    ("", "Task", ["AFlow/RUN/_parameters/0"]),
    ("", "DataArtifact", ["AFlow/RUN/fit/1/y"]),
    ("", "Metaflow", []),
    (".client", "Task", ["AFlow/RUN/fit/0"]),
    (".client.past_task", "Task", ["AFlow/RUN/fit/0"]),
    (".client.data_artifact", "DataArtifact", ["AFlow/RUN/start/0/x"]),
    (".cards", "get_cards", ["AFlow/RUN/end/0"]),
    (".client.task_cards", "get_cards", ["AFlow/RUN/end/0"]),
]


@pytest.fixture(scope="module")
def machine(tmp_path_factory) -> Machine:
    """A machine on which the flow ran, and was resumed from its join."""
    machine = Machine(tmp_path_factory.mktemp("fresh") / "home")
    flow = machine.flow(FLOW)
    for words in (["run"], ["resume", "join"]):
        done = machine.run(flow, *words)
        assert done.returncode == 0, done.stdout + done.stderr
    return machine


def _run_ids(machine: Machine) -> list[str]:
    return sorted(path.name for path in (machine.datastore / "flows" / "AFlow").iterdir())


def _python(machine: Machine, program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, env=machine.environ, cwd=machine.home, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("module", "name", "arguments"), KINDS)
def test_every_member_of_what_is_imported_first(machine, module, name, arguments):
    """Whatever it leads to is loaded when it is asked for."""
    arguments = [each.replace("RUN", _run_ids(machine)[-1]) for each in arguments]
    program = PROGRAM.format(module=module, name=name, arguments=arguments)
    assert _python(machine, program).startswith("all ")


def test_where_things_come_from(machine):
    """The tasks that a resumed run cloned, and those that it ran itself."""
    origin, again = _run_ids(machine)
    program = """
from airflow_conda_flow import DataArtifact, Run, Step, Task
for kind, path in [(Run, ""), (Step, "/start"), (Step, "/fit"), (Step, "/join"), (Step, "/_parameters"),
                   (Task, "/fit/1"), (Task, "/join/0"), (DataArtifact, "/fit/1/y"),
                   (DataArtifact, "/end/0/done")]:
    print(path, kind("AFlow/%s" + path).origin_pathspec)
"""
    cards = """
from airflow_conda_flow.cards import get_cards
for followed in (True, False):
    cards = get_cards("AFlow/%s/start/0", follow_resumed=followed)
    print(len(cards), cards.from_resumed, cards.origin_pathspec, [each.from_resumed for each in cards])
"""
    assert _python(machine, cards % again).replace(origin, "O").splitlines() == [
        "1 True AFlow/O/start/start-0 [True]",
        "0 False None []",
    ]
    assert _python(machine, cards % origin).splitlines() == ["1 False None [False]"] * 2
    lines = _python(machine, program % again).replace(origin, "O").splitlines()
    assert lines == [
        " AFlow/O", "/start AFlow/O/start", "/fit AFlow/O/fit", "/join AFlow/O/join",
        "/_parameters AFlow/O/_parameters", "/fit/1 AFlow/O/fit/fit-1", "/join/0 None",
        "/fit/1/y AFlow/O/fit/fit-1/y", "/end/0/done None",
    ]  # fmt: skip
    lines = _python(machine, program % origin).splitlines()
    assert {line.split(" ")[1] for line in lines} == {"None"}


def test_the_main_node_of_a_gang(machine):
    """Other steps have none."""
    program = (
        "from airflow_conda_flow import Step\n"
        "for name in ('fit', 'start', 'join', '_parameters'):\n"
        "    print([each.id for each in Step('AFlow/%s/' + name).control_tasks()])\n"
        "print(list(Step('AFlow/%s/fit').control_tasks('no such tag')))"
    )
    run_id = _run_ids(machine)[0]
    assert _python(machine, program % (run_id, run_id)).split("\n")[:-1] == [
        "['fit-0']",
        "[]",
        "[]",
        "[]",
        "[]",
    ]
