"""Attributes that mutators leave at their classes and modules are there in the steps."""

from __future__ import annotations

import pytest

from ...parts.airflow_machine import AirflowMachine
from ...parts.flow_machine import Machine

FLOW = """
import os
from airflow_conda_flow import (
    Config, FlowMutator, StepMutator, config_expr, environment, user_step_decorator,
)
SEEN = []
class Noted(StepMutator):
    names = {}
    def init(self, word="w"):
        self.word = word
    def pre_mutate(self, mutable_step):
        Noted.names[mutable_step.name] = self.word
        SEEN.append("pre")
    def mutate(self, mutable_step):
        SEEN.append("mutate retry" if mutable_step.has_decorator("retry") else "mutate")
        mutable_step.add_decorator(environment, deco_kwargs={"vars": {"A": "b"}})
class OfFlow(FlowMutator):
    def init(self, config=None):
        self.config = config
    def pre_mutate(self, mutable_flow):
        OfFlow.kept = sorted(name for name, _ in mutable_flow.configs)
        OfFlow.config = self.config
        mutable_flow.add_parameter("limit", Parameter("limit", default=10))
    def mutate(self, mutable_flow):
        if os.environ.get("LAUNCHED") and not current.is_running_flow:
            return
        OfFlow.late = len(list(mutable_flow.steps))
        FAIL
class Added(FlowMutator):
    def pre_mutate(self, mutable_flow):
        mutable_flow.add_decorator(OfFlow)
@user_step_decorator
def reads(step_name, flow, inputs, attributes):
    print("AROUND", OfFlow.kept)
    yield
@MUTATORS
class AFlow(FlowSpec):
    settings = Config("settings", default_value={"a": 1})
    @reads
    @Noted(word=config_expr("settings.a"))
    @step
    def start(self):
        print("START", SEEN, Noted.names, OfFlow.kept, OfFlow.config, self.limit, os.environ.get("A"))
        self.next(self.end)
    @step
    def end(self):
        print("END", SEEN, Noted.names, OfFlow.kept, OfFlow.late)
"""
GIVEN = 'OfFlow(config=config_expr("settings.a"))'


@pytest.mark.parametrize(
    ("mutators", "words", "lines"),
    [
        (GIVEN, ["run"], ["AROUND ['settings']", "START ['pre', 'mutate'] {'start': 1} ['settings'] 1 10 b"]),
        (GIVEN, ["run"], ["END ['pre', 'mutate'] {'start': 1} ['settings'] 2"]),
        (
            GIVEN,
            ["run", "--config-value", "settings", '{"a": 5}'],
            ["END ['pre', 'mutate'] {'start': 5} ['settings'] 2"],
        ),
        (GIVEN, ["run", "--with", "retry"], ["END ['pre', 'mutate retry'] {'start': 1} ['settings'] 2"]),
        ("Added", ["run"], ["START ['pre', 'mutate'] {'start': 1} ['settings'] None 10 b"]),
        ("OfFlow", ["run"], ["START ['pre', 'mutate'] {'start': 1} ['settings'] None 10 b"]),
    ],
)
def test_mutators_run_in_steps(tmp_path, mutators, words, lines):
    """With the configs and the decorators that they saw where the flow was read."""
    machine = Machine(tmp_path / "home")
    flow = machine.flow(FLOW.replace("MUTATORS", mutators).replace("FAIL", "pass"))
    done = machine.run(flow, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    for line in lines:
        assert f"] {line}\n" in done.stdout


def test_a_mutator_of_the_command_line(tmp_path):
    """``--with`` names it, in a module that the flow does not import."""
    machine = Machine(tmp_path / "home")
    (machine.home / "beside.py").write_text(
        "from airflow_conda_flow import StepMutator\n"
        "class Late(StepMutator):\n"
        "    names = []\n"
        "    def mutate(self, mutable_step):\n"
        "        self.names.append(mutable_step.name)\n"
    )
    flow = machine.flow("""
class AFlow(FlowSpec):
    @step
    def start(self):
        import beside
        print("GOT", beside.Late.names)
        self.next(self.end)
    @step
    def end(self):
        pass
""")
    assert "] GOT ['start', 'end']\n" in machine.run(flow, "run", "--with", "beside.Late").stdout
    assert "] GOT []\n" in machine.run(flow, "run").stdout


def test_a_mutator_that_fails_in_a_step(tmp_path):
    """Its step runs as the flow was read; the log says what is not there."""
    machine = Machine(tmp_path / "home")
    flow = machine.flow(FLOW.replace("MUTATORS", GIVEN).replace("FAIL", "raise OSError('no such file')"))
    done = machine.run(flow, "run", LAUNCHED="1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (
        "] A mutator failed in this step's process: what it sets at its class or module is missing."
        in done.stdout
    )
    assert "OfFlow.mutate fails: OSError: no such file\n" in done.stdout
    assert "] END ['pre'] {'start': 1} ['settings'] 2\n" in done.stdout


def test_mutators_of_a_dag(tmp_path, database):
    """They run in its steps too."""
    machine = AirflowMachine(tmp_path / "home", "unused", database)
    text = FLOW.replace("MUTATORS", GIVEN).replace("FAIL", "pass")
    machine.flow(
        text + 'dag = AFlow.dag(schedule=None, environment="local", decorators=["retry:times=0"])\n',
        folder=machine.dags,
    )
    done = machine.airflow("dags", "test", "a_flow")
    assert done.returncode == 0, done.stdout
    assert "END ['pre', 'mutate retry'] {'start': 1} ['settings'] 2" in done.stdout
