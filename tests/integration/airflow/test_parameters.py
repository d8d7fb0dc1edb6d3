"""Parameters, configs and `current` of flows as DAGs."""

from __future__ import annotations

import json
import re

import pytest

FLOW = """
from airflow_conda_flow import Config, FlowMutator, IncludeFile, config_expr, resources, user_step_decorator
def later(context):
    return context.configs.settings.word + "/" + context.parameter_name
@user_step_decorator
def noted(step_name, flow, inputs, attributes):
    yield
    flow.noted = attributes["word"]
class Mutated(FlowMutator):
    def pre_mutate(self, mutable_flow):
        mutable_flow.add_parameter("added", Parameter("added", default=mutable_flow.settings.word))
        mutable_flow.start.add_decorator(noted, deco_kwargs={"word": mutable_flow.settings.word})
@Mutated
class AFlow(FlowSpec):
    settings = Config("settings", default="settings.json")
    word = Parameter("word", default="{{ ds }}", help="a word")
    number = Parameter("number", type=int, minimum=1, maximum=9, default=2)
    needed = Parameter("needed", type=float, required=True)
    color = Parameter("color", default="red", choices=["red", "blue"])
    shade = Parameter("shade", choices=["dark", "light"])
    many = Parameter("many", multiple=True, type=int, default=[1, 2])
    parts = Parameter("parts", default="a,b", separator=",", help="parts")
    data = Parameter("data", type=JSONType, default={"a": 1})
    computed = Parameter("computed", default=later)
    from_config = Parameter("from_config", default=settings.word)
    text = IncludeFile("text", default="a.txt")
    @resources(cpu=settings.cpu)
    @step
    def start(self):
        self.seen = [self.word, self.number, self.needed, self.color, self.shade, self.many, self.parts]
        self.seen += [self.data, self.computed, self.from_config, self.text, self.added, self.settings.cpu]
        self.next(self.end)
    @step
    def end(self):
        print("SEEN", ascii(self.seen), self.noted)
        print("RUN", current.dag_id, current.dag_run_id, current.logical_date, current.dag_run_conf)
        print("NAMES", current.parameter_names)

dag = AFlow.dag(schedule=None, environment="local"MORE)
"""
WORD = 'it\'s "$HOME" `id` {{ 1/0 }} $(x)\\n\n\té😀 \\'


@pytest.fixture
def flow(machine):
    """A flow file in the DAG folder, with the files that it names."""
    (machine.dags / "settings.json").write_text('{"word": "from file", "cpu": 2}')
    (machine.dags / "a.txt").write_text("contents")
    return machine.flow(FLOW.replace("MORE", ""), folder=machine.dags)


def form_of(machine, flow) -> dict[str, list]:
    """Default, schema and description of every field of the trigger form."""
    program = f"""
import json, runpy
dag = runpy.run_path({str(flow)!r}, run_name="a_flow")["dag"]
params = {{name: dag.params.get_param(name) for name in dag.params}}
print(json.dumps({{name: [repr(each.value), each.schema, each.description] for name, each in params.items()}}))
"""
    return json.loads(machine.python(program).splitlines()[-1])


def test_the_form(machine, flow):
    """Types, titles, descriptions, choices and limits, as the trigger form has them."""
    form = form_of(machine, flow)
    assert form["word"] == ["'{{ ds }}'", {"type": "string", "title": "word"}, "a word"]
    assert form["number"][1] == {"type": "integer", "minimum": 1, "maximum": 9, "title": "number"}
    assert form["color"][:2] == ["'red'", {"type": "string", "enum": ["red", "blue"], "title": "color"}]
    shade = {"type": ["null", "string"], "enum": [None, "dark", "light"], "title": "shade"}
    assert form["shade"][:2] == ["None", shade]
    many = {"type": "array", "items": {"type": "integer"}, "title": "many"}
    assert form["many"][:2] == ["[1, 2]", many]
    assert form["parts"] == ["'a,b'", {"type": "string", "title": "parts"}, "parts. Separated by ','."]
    assert form["data"][0] == "{'a': 1}"
    assert form["computed"][0] == "None"
    assert form["computed"][2] == "Computed when the run starts, if left empty."
    assert form["from_config"][0] == form["added"][0] == "'from file'"
    assert form["text"][0] == "'a.txt'"
    assert "s3://bucket/key" in form["text"][2]


def test_a_run_with_its_defaults(machine, flow):
    """Defaults, also computed ones and files seen from the flow file; nothing is rendered."""
    done = machine.airflow("dags", "test", "a_flow", "--conf", '{"needed": 1}')
    assert done.returncode == 0, done.stdout
    seen = ["{{ ds }}", 2, 1.0, "red", None, (1, 2), ["a", "b"], {"a": 1}, "from file/computed"]
    seen += ["from file", "contents", "from file", 2]
    assert f"SEEN {ascii(seen)} from file" in done.stdout
    (run,) = machine.datastore.glob("flows/AFlow/*/run.json")
    assert json.loads(run.read_text())["decorators"]["start"]["resources"]["cpu"] == 2


def test_values_of_a_dag_run(machine, flow):
    """They arrive byte for byte; the conf too, but for what Airflow would hide in a log."""
    (machine.home / "b.txt").write_text("other contents")
    text = flow.read_text().replace('environment="local"', 'environment="local", params={"password": ""}')
    flow.write_text(text)
    conf = {
        "password": "hidden-thing",
        "word": WORD,
        "needed": 0.5,
        "number": 9,
        "color": "blue",
        "shade": "dark",
        "many": [7],
        "parts": "x",
        "data": [WORD],
        "computed": WORD,
        "text": str(machine.home / "b.txt"),
        "added": WORD,
    }
    done = machine.airflow("dags", "test", "a_flow", "2026-11-24T01:02:03", "--conf", json.dumps(conf))
    assert done.returncode == 0, done.stdout
    seen = [WORD, 9, 0.5, "blue", "dark", (7,), ["x"], [WORD], WORD, "from file", "other contents", WORD, 2]
    assert f"SEEN {ascii(seen)} from file" in done.stdout
    assert re.search(r"RUN a_flow \S+ 2026-11-24 01:02:03\+00:00 \{", done.stdout), done.stdout
    (run,) = machine.datastore.glob("flows/AFlow/*/run.json")
    assert json.loads(run.read_text())["current"]["dag_run_conf"] == {**conf, "password": "***"}
    assert "'added', 'color', 'computed', 'data', 'from_config', 'many', 'needed'" in done.stdout


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ({"needed": 1, "number": 10, "color": "green"}, "Invalid input for param"),
        ({"needed": 1, "text": "none.txt"}, "Parameter 'text': there is no file "),
    ],
)
def test_wrong_values_start_no_step(machine, flow, conf, message):
    """Airflow refuses what the form does not allow; the prepare task the rest."""
    done = machine.airflow("dags", "test", "a_flow", "--conf", json.dumps(conf))
    assert message in done.stdout
    assert not machine.datastore.joinpath("flows").exists()


def test_configs_of_a_dag(machine, flow):
    """`configs=` and `config_values=` of `dag()` take the place of the defaults, also in the run."""
    value = ', config_values={"settings": {"word": "w", "cpu": 4}}'
    other = machine.flow(FLOW.replace("MORE", value), name="b_flow.py")
    assert form_of(machine, other)["from_config"][0] == "'w'"
    (machine.dags / "mine.json").write_text('{"word": "mine", "cpu": 3}')
    machine.flow(FLOW.replace("MORE", ', configs={"settings": "mine.json"}'), folder=machine.dags)
    done = machine.airflow("dags", "test", "a_flow", "--conf", '{"needed": 1}')
    assert "'mine/computed', 'mine', 'contents', 'mine', 3] mine" in done.stdout, done.stdout


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("", r"a_flow\.py:16: Config 'settings' has the default file settings\.json, which cannot be read"),
        (
            ', config_values={"setings": {}}',
            r"a_flow\.py:40: AFlow\.dag\(\.\.\.\): AFlow has no config 'setings'\. Did you mean 'settings'\?",
        ),
    ],
)
def test_a_wrong_config_is_an_import_error(machine, more, message):
    """It names the line of `dag()`, or of the config."""
    flow = machine.flow(FLOW.replace("MORE", more), folder=machine.dags)
    program = f"""
import runpy
try:
    runpy.run_path({str(flow)!r}, run_name="a_flow")
except ValueError as error:
    print(error)
"""
    assert re.search(message, machine.python(program))
