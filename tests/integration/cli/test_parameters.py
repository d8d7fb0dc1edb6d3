"""Parameters of `run`: types, environment variables, defaults that are functions, files."""

from __future__ import annotations

import re

import pytest

from ...parts.flow_machine import Machine

FLOW = """
from airflow_conda_flow import IncludeFile
def later(context):
    return f"{context.flow_name}/{context.parameter_name}/{context.user_name}/{context.ds_type}"
def lines(text):
    return text.splitlines()
class AFlow(FlowSpec):
    word = Parameter("word", default="hello", help="a word, 100% of it")
    number = Parameter("number", type=int, minimum=1, maximum=9)
    ratio = Parameter("ratio", default=0.5)
    flag = Parameter("flag", default=False)
    data = Parameter("data", type=JSONType, default='{"a": [1]}')
    many = Parameter("many", multiple=True, type=int, default=[1, 2])
    parts = Parameter("parts", default="a,b", separator=",")
    color = Parameter("co-lor", default="red", choices=["red", "blue"])
    computed = Parameter("computed", default=later)
    environment = Parameter("environment", default="production")
    needed = Parameter("needed", required=True, default="it has a default")
    text = IncludeFile("text", default="a.txt")
    raw = IncludeFile("raw", is_text=False)
    parsed = IncludeFile("parsed", default="a.txt", parser=lines)
    @step
    def start(self):
        self.data["b"] = 2  # stays in this step
        self.next(self.end)
    @step
    def end(self):
        names = ["word", "number", "ratio", "flag", "data", "many", "parts", "color", "computed"]
        names += ["environment", "needed", "text", "raw", "parsed"]
        for name in names:
            print(name, "=", ascii(getattr(self, name)))
        print("names", current.parameter_names == sorted(names))
"""
DEFAULTS = {
    "word": "'hello'",
    "number": "None",
    "ratio": "0.5",
    "flag": "False",
    "data": "{'a': [1]}",
    "many": "(1, 2)",
    "parts": "['a', 'b']",
    "color": "'red'",
    "computed": "'AFlow/computed/tester/local'",
    "environment": "'production'",
    "needed": "'it has a default'",
    "text": "'one\\ntw\\xf6\\n'",
    "raw": "None",
    "parsed": "['one', 'tw\\xf6']",
}


@pytest.fixture
def machine(tmp_path) -> Machine:
    """A machine with a file beside the flow."""
    machine = Machine(tmp_path / "home")
    (machine.home / "flows").mkdir()
    (machine.home / "flows/a.txt").write_text("one\ntwö\n", encoding="utf-8")
    return machine


@pytest.fixture
def flow(machine):
    """A flow with parameters of every kind, in another folder than the working directory."""
    return machine.flow(FLOW, folder=machine.home / "flows")


def values(done) -> dict[str, str]:
    """The last step's line for each parameter; the run must finish."""
    assert done.returncode == 0, done.stderr + done.stdout
    return dict(re.findall(r"\] (\w+) = (.*)", done.stdout))


def test_defaults(machine, flow):
    """Texts, functions, files beside the flow; a change of a value in place stays in its step."""
    done = machine.run(flow, "run")
    assert values(done) == DEFAULTS
    assert "] names True\n" in done.stdout


def test_values_on_the_command_line(machine, flow):
    """Each type takes what it should, several values too, and a name of one of our options."""
    (machine.home / "b.bin").write_bytes(b"\xff\x00")
    words = [
        "--number",
        "3",
        "--ratio=1",
        "--flag",
        "yes",
        "--data",
        '{"c": null}',
        "--many",
        "4",
        "--many",
        "5",
    ]
    words += ["--parts", "x", "--co-lor", "blue", "--computed", "now", "--environment", "conda"]
    words += ["--raw", "b.bin", "--parsed", str(machine.home / "flows/a.txt"), "--word", ""]
    got = values(machine.run(flow, "run", *words))
    assert got == DEFAULTS | {
        "word": "''",
        "number": "3",
        "ratio": "1.0",
        "flag": "True",
        "data": "{'c': None}",
        "many": "(4, 5)",
        "parts": "['x']",
        "color": "'blue'",
        "computed": "'now'",
        "environment": "'conda'",
        "raw": "b'\\xff\\x00'",
    }


def test_environment_variables(machine, flow):
    """Ours goes before Metaflow's, the command line before both; no byte of a value changes."""
    word = 'it\'s "$HOME" `id` {{ ds }}\n\té😀 $(x)'
    done = machine.run(
        flow,
        "run",
        "--number=2",
        CONDA_FLOW_RUN_WORD=word,
        METAFLOW_RUN_WORD="no",
        METAFLOW_RUN_NUMBER="1",
        METAFLOW_RUN_MANY="7 8",
        METAFLOW_RUN_CO_LOR="blue",
    )
    got = values(done)
    assert (got["word"], got["number"], got["many"], got["color"]) == (ascii(word), "2", "(7, 8)", "'blue'")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--number", "10"], "Parameter 'number' takes a whole number from 1 to 9; got '10'."),
        (["--co-lor", "green"], "Parameter 'co-lor' takes one of 'red', 'blue'; got 'green'."),
        (["--many", "x"], "Parameter 'many' takes a whole number; got ['x']."),
        (["--data", "{"], "Parameter 'data' takes JSON; got '{'."),
        (["--flag", "maybe"], "Parameter 'flag' takes true or false; got 'maybe'."),
        (["--text", "nowhere.txt"], "Parameter 'text': there is no file "),
    ],
)
def test_wrong_values_are_usage_errors(machine, flow, words, message):
    """One message, exit code 2, and nothing was started."""
    done = machine.run(flow, "run", *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not machine.datastore.exists()


def test_wrong_contents_of_files(machine, flow):
    """A file that is no text, and a parser that fails, say which parameter it is."""
    (machine.home / "b.bin").write_bytes(b"\xff")
    done = machine.run(flow, "run", "--text", "b.bin")
    assert done.returncode == 1
    assert "Parameter 'text': the file " in done.stderr
    assert "is not a text in utf-8" in done.stderr
    flow.write_text(flow.read_text().replace("return text.splitlines()", "return int(text)"))
    failed = machine.run(flow, "run")
    assert failed.returncode == 1
    assert "Parameter 'parsed': its parser lines fails: ValueError: " in failed.stdout


def test_a_default_that_cannot_be_computed(machine, flow):
    """The function's error, with the parameter's name and line."""
    flow.write_text(flow.read_text().replace("context.flow_name", "context.flow"))
    done = machine.run(flow, "run")
    assert done.returncode == 2
    message = "The default of parameter 'computed' cannot be computed: AttributeError: "
    assert re.search(rf"{flow}:\d+: {message}", done.stderr), done.stderr


def test_help_shows_what_a_parameter_takes(machine, flow):
    """Help texts, limits and defaults, as a person reads them."""
    text = " ".join(machine.run(flow, "run", "--help").stdout.split())
    assert "--word STR a word, 100% of it (default 'hello')" in text
    assert "--number INT (a whole number from 1 to 9)" in text
    assert "--many INT (may be given again; default (1, 2))" in text
    assert "--parts STR (separated by ','; default 'a,b')" in text
    assert "--computed STR (default: computed when the run starts)" in text
    assert "--text FILE (default 'a.txt')" in text


def test_a_file_in_s3(machine, flow, moto_s3):
    """`s3://bucket/key` works with a local datastore too."""
    client = moto_s3.make_client()
    client.create_bucket(Bucket="inputs")
    client.put_object(Bucket="inputs", Key="a/b?c.txt", Body="über".encode())
    machine.environ.update(moto_s3.environment)
    got = values(machine.run(flow, "run", "--text", "s3://inputs/a/b?c.txt"))
    assert got["text"] == ascii("über")
    missing = machine.run(flow, "run", "--text", "s3://inputs/none")
    assert missing.returncode == 1
    assert "There is no object s3://inputs/none." in missing.stderr
