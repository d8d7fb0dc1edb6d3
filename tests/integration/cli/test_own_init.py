"""Flow classes with an ``__init__``, and flow objects outside of runs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ...parts.airflow_machine import AirflowMachine
from ...parts.flow_machine import Machine

FLOW = """
import threading
class AFlow(FlowSpec):
    def __init__(self, SIGNATURE):
        BODY
    @step
    def start(self):
        print("START", SHOWN)
        CHANGE
        self.next(self.a, self.b)
    @step
    def a(self):
        print("A", SHOWN)
        self.next(self.join)
    @step
    def b(self):
        self.next(self.join)
    @step
    def join(self, inputs):
        print("JOIN", SHOWN)
        self.merge_artifacts(inputs)
        print("MERGED", SHOWN)
        self.next(self.end)
    @step
    def end(self):
        print("END", SHOWN)
"""


def _machine(tmp_path, call: str, signature: str, body: str, shown: str, change: str = "pass"):
    machine = Machine(tmp_path / "home")
    text = FLOW.replace("SIGNATURE", signature).replace("BODY", body)
    machine.file = machine.flow(text.replace("SHOWN", shown).replace("CHANGE", change))
    machine.file.write_text(machine.file.read_text().replace("    AFlow()", f"    {call}"))
    return machine


SIZED = "self.size = size; super().__init__()"


@pytest.mark.parametrize(
    ("call", "signature", "body", "shown", "said"),
    [
        ("AFlow(size=5)", "size=3", SIZED, "self.size", "5"),
        ("AFlow(5)", "size", SIZED, "self.size", "5"),
        ("AFlow()", "size=3", SIZED, "self.size", "3"),
        ("AFlow('x', words=['a', {'b': None}])", "*args, **more", "self.size = args, more; super().__init__()",
         "self.size", "(('x',), {'words': ['a', {'b': None}]})"),
        ("AFlow(size=7, use_cli=True)", "size=3, **more", "self.size = size; super().__init__(**more)",
         "self.size", "7"),
        ("for size in (4, 9):\n        AFlow(size)", "size", SIZED, "self.size", "4"),
        ("AFlow(size=2)", "size=3", "self.lock, self.size = threading.Lock(), size; super().__init__()",
         "self.size, type(self.lock).__name__", "2 lock"),
    ],
)  # fmt: skip
def test_every_step_has_what_the_call_gave(tmp_path, call, signature, body, shown, said):
    """Never a default in its place; what cannot be pickled is made anew in each step."""
    done = _machine(tmp_path, call, signature, body, shown).run(tmp_path / "home/a_flow.py", "run")
    assert done.returncode == 0, done.stdout + done.stderr
    for step in ("START", "A", "JOIN", "MERGED", "END"):
        assert f"] {step} {said}\n" in done.stdout


def test_what_a_step_assigns_counts(tmp_path):
    """Later steps have it, after a join too."""
    machine = _machine(tmp_path, "AFlow(size=5)", "size=3", SIZED, "self.size", "self.size = 8")
    done = machine.run(machine.file, "run")
    assert done.returncode == 0, done.stdout + done.stderr
    for line in ("START 5", "A 8", "JOIN 5", "MERGED 8", "END 8"):
        assert f"] {line}\n" in done.stdout
    for words in (["resume", "a"], ["spin", "a"]):
        assert "] A 8\n" in machine.run(machine.file, *words).stdout


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("AFlow(size=object())", "AFlow(...) is called with a object as size, which steps cannot be given"),
        (
            "AFlow([1, {2: print}])",
            "AFlow(...) is called with a list as argument 1, which steps cannot be given",
        ),
        (
            "AFlow(size=lambda: 3)",
            "AFlow(...) is called with a function as size, which steps cannot be given",
        ),
    ],
)
def test_arguments_that_steps_cannot_have(tmp_path, call, said):
    """One line, at the call."""
    machine = _machine(tmp_path, call, "size=3", SIZED, "self.size")
    done = machine.run(machine.file, "run")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    number = machine.file.read_text().splitlines().index(f"    {call}") + 1
    assert done.stderr.startswith(f"{machine.file}:{number}: {said}")


@pytest.mark.parametrize(
    ("signature", "said"),
    [
        ("size=3", None),
        ("size", "AFlow.__init__ cannot be called without arguments (missing a required argument: 'size')"),
    ],
)
def test_in_a_dag(tmp_path, database, signature, said):
    """No program makes the object there: defaults count, and without one the DAG says so."""
    machine = AirflowMachine(tmp_path / "home", "unused", database)
    text = FLOW.replace("SIGNATURE", signature).replace("BODY", SIZED).replace("SHOWN", "self.size")
    text = text.replace("CHANGE", "pass") + 'dag = AFlow.dag(schedule=None, environment="local")\n'
    machine.flow(text, folder=machine.dags)
    done = machine.airflow("dags", "test", "a_flow")
    if said is None:
        assert done.returncode == 0, done.stdout
        assert "END 3" in done.stdout
    else:
        assert said in done.stdout.replace("\n", "")


USES = [
    ("f.name", "AFlow"),
    ("f.script_name", "a_flow.py"),
    ("[(each.name, each.__name__) for each in f]", "[('end', 'end'), ('start', 'start')]"),
    ("type(f.alpha).__name__", "Parameter"),
    ("f.FACTOR", "2"),
    ("[hasattr(f, each) for each in ('input', 'index', 'nope')]", "[False, False, False]"),
    ("f.size", "4"),
    ("(f.end(), f.done)[1]", "1"),
]


@pytest.mark.parametrize(("expression", "said"), USES)
def test_an_object_without_the_command_line(tmp_path, expression, said):
    """It starts nothing, and has what Metaflow's has."""
    file = tmp_path / "a_flow.py"
    file.write_text(f"""
from airflow_conda_flow import FlowSpec, Parameter, step
class AFlow(FlowSpec):
    alpha = Parameter("alpha", default=3)
    FACTOR = 2
    def __init__(self, size=1, **more):
        super().__init__(**more)
        self.size = size
    @step
    def start(self):
        self.next(self.end)
    @step
    def end(self):
        self.done = 1
f = AFlow(4, use_cli=False)
print({expression})
""")
    done = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, check=False)
    assert done.stdout == f"{said}\n", done.stderr


UNICODE = """
class AFlow(FlowSpec):
    größe = Parameter("größe", default=3)
    breite = Parameter("naïve-é", default="x", help="ü")
    名前 = Parameter("名前", default="x")
    @step
    def start(self):
        print("GOT", self.größe, self.breite, self.名前)
        self.next(self.end)
    @step
    def end(self):
        print("END", self.größe, self.breite, self.名前)
dag = AFlow.dag(schedule=None, environment="local")
"""


def test_names_of_parameters_in_any_alphabet(tmp_path, database):
    """As options, as environment variables, and in the conf of a DAG run."""
    machine = AirflowMachine(tmp_path / "home", "unused", database)
    flow = machine.flow(UNICODE, folder=machine.dags)
    done = machine.run(flow, "run", "--größe", "5", "--naïve-é=y", METAFLOW_RUN_名前="z")
    assert "] GOT 5 y z\n" in done.stdout, done.stderr
    assert "] END 5 y z\n" in done.stdout
    done = machine.airflow("dags", "test", "a_flow", "--conf", '{"größe": 6, "名前": "q"}')
    assert "END 6 x q" in done.stdout
