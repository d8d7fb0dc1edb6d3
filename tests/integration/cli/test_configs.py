"""`Config`: given as files, texts and environment variables; used in decorators, parameters and steps."""

from __future__ import annotations

import json
import re

import pytest

from ...parts.flow_machine import Machine

FLOW = """
from airflow_conda_flow import Config, ConfigValue, config_expr, resources
def pairs(text):
    return dict(line.split("=") for line in text.splitlines())
SUFFIX = "-x"
class AFlow(FlowSpec):
    settings = Config("settings", default="settings.json")
    other = Config("other", default_value={"cpu": 2, "memory": 512, "more": {"gpu": 1}})
    listed = Config("listed", default_value="a=1", parser=pairs)
    text = Config("text", default_value="as it is", plain=True)
    nothing = Config("nothing")
    alpha = Parameter("alpha", default=settings.model.alpha, help=config_expr("settings.help.upper()"))
    names = Parameter("names", default=config_expr("[each.name + SUFFIX for each in settings.items_]"))
    @resources(**other.more, cpu=other.cpu, memory=config_expr("other['memory'] * 2"))
    @step
    def start(self):
        self.kept = self.settings.model
        self.next(self.end)
    @step
    def end(self):
        try:
            self.settings.model.alpha = 3
        except TypeError as error:
            print("ERROR", error)
        print("VALUES", self.alpha, self.names, self.settings["model"]["alpha"], self.listed.a, self.text)
        print("KINDS", type(self.settings).__name__, type(self.kept._data).__name__, self.nothing, self.settings.items_[1].name)
        print("NAMES", current.parameter_names)
"""
SETTINGS = {"model": {"alpha": 0.25}, "help": "how much", "items_": [{"name": "a"}, {"name": "b"}]}


@pytest.fixture
def machine(tmp_path) -> Machine:
    """A machine with a settings file beside the flow."""
    machine = Machine(tmp_path / "home")
    (machine.home / "flows").mkdir()
    (machine.home / "flows/settings.json").write_text(json.dumps(SETTINGS))
    return machine


@pytest.fixture
def flow(machine):
    """A flow with configs, in another folder than the working directory."""
    return machine.flow(FLOW, folder=machine.home / "flows")


def attributes(machine) -> dict:
    """The `@resources` of the step, from the run's manifest."""
    (path,) = machine.datastore.glob("flows/AFlow/*/run.json")
    found = json.loads(path.read_text())["decorators"]["start"]["resources"]
    return {name: value for name, value in found.items() if value is not None}


def test_defaults(machine, flow):
    """A file beside the flow and a dict, in decorators, in parameters' defaults and help, and in steps."""
    done = machine.run(flow, "run")
    assert done.returncode == 0, done.stderr + done.stdout
    assert "] VALUES 0.25 ['a-x', 'b-x'] 0.25 1 as it is\n" in done.stdout
    assert "] KINDS ConfigValue dict None b\n" in done.stdout
    assert "] ERROR A config does not change. Change a copy: config.to_dict().\n" in done.stdout
    names = ["alpha", "listed", "names", "nothing", "other", "settings", "text"]
    assert f"] NAMES {names}\n" in done.stdout
    assert attributes(machine) == {"cpu": 2, "memory": 1024, "gpu": 1}
    assert "HOW MUCH (default 0.25)" in machine.run(flow, "run", "--help").stdout


def test_given_on_the_command_line(machine, flow):
    """Files are seen from the working directory; before the command and behind it."""
    (machine.home / "mine.json").write_text(json.dumps(SETTINGS | {"model": {"alpha": 7}}))
    value = '{"cpu": 4, "memory": 1, "more": {}}'
    done = machine.run(flow, "--config", "settings", "mine.json", "run", "--config-value", "other", value)
    assert "] VALUES 7 [" in done.stdout, done.stderr + done.stdout
    assert attributes(machine) == {"cpu": 4, "memory": 2}


def test_environment_variables(machine, flow):
    """JSON objects of files and of values; the command line goes before them."""
    (machine.home / "mine.json").write_text(json.dumps(SETTINGS | {"model": {"alpha": 7}}))
    variables = {
        "METAFLOW_FLOW_CONFIG": '{"settings": "mine.json"}',
        "CONDA_FLOW_CONFIG_VALUE": '{"listed": "a=5", "text": "it\'s \\"$HOME\\" `é`"}',
    }
    done = machine.run(flow, "run", "--config-value", "listed", "a=6", **variables)
    assert "] VALUES 7 ['a-x', 'b-x'] 7 6 it's \"$HOME\" `é`\n" in done.stdout, done.stderr + done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--config", "setings", "x"], "AFlow has no config 'setings'. Did you mean 'settings'?"),
        (["--config", "settings", "x.json"], "Config 'settings': the file x.json cannot be read."),
        (["--config-value", "settings", "{"], "Config 'settings' is not JSON: "),
        (["--config-value", "settings", "[1]"], "Config 'settings' is a list; write a dict"),
        (["--config-value", "listed", "x"], "Config 'listed': its parser pairs fails: ValueError: "),
        (
            ["--config-value", "text", "a", "--config", "text", "flows/settings.json"],
            "Config 'text' is given as a file and as a value; keep one.",
        ),
        (["--config", "settings"], "expected 2 arguments"),
    ],
)
def test_wrong_configs_are_usage_errors(machine, flow, words, message):
    """One message, exit code 2, and nothing was started."""
    done = machine.run(flow, *words, "run") if len(words) > 2 else machine.run(flow, "run", *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not machine.datastore.exists()


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('"settings.json"', '"none.json"', "has the default file none.json, which cannot be read"),
        ("settings.model.alpha", "settings.model.beta", "waits for a config: settings.model.beta cannot be"),
        ("cpu=other.cpu", "cpu=other.cpus", "@resources: other.cpus cannot be looked up in the config: Attr"),
        ("cpu=other.cpu", "cpu=nothing.cpu", "@resources: nothing.cpu cannot be looked up in the config"),
        ('{"cpu": 2,', '{"cpu": "x",', "@resources: cpu is 'x'"),
        (' = Config("nothing")', ' = Config("no thing")', "is not a name"),
        (
            '"as it is", plain',
            '"as it is", default="x", plain',
            "has both a default, which is a file, and a default_value",
        ),
        ("plain=True", "parser=3", "has the parser 3"),
        (
            ' = Config("nothing")',
            " = other.cpu or 3",
            "other.cpu has no value yet while the flow file is read",
        ),
        (
            ' = Config("nothing")',
            ' = f"{other.cpu}"',
            "other.cpu has no value yet while the flow file is read",
        ),
        (' = Config("nothing")', " = 2 * other.cpu", "Put the whole expression into config_expr(...)."),
        ("cpu=other.cpu", "cpu=other.get('cpus', 'x')", "@resources: cpu is 'x'"),
    ],
)
def test_mistakes_in_the_flow_name_their_line(machine, flow, before, after, message):
    """The line of the config, the parameter or the decorator; exit code 1."""
    text = flow.read_text()
    assert before in text
    flow.write_text(text.replace(before, after))
    done = machine.run(flow, "run")
    assert done.returncode == 1
    assert message in done.stderr, done.stderr
    assert re.match(rf"{flow}:\d+: ", done.stderr)
    assert not machine.datastore.exists()


def test_a_required_config(machine, flow):
    """It is asked for where it is missing."""
    flow.write_text(flow.read_text().replace('Config("nothing")', 'Config("nothing", required=True)'))
    done = machine.run(flow, "run")
    assert done.returncode == 2
    assert "Config 'nothing' is required. Give it with --config nothing FILE" in done.stderr
    assert machine.run(flow, "run", "--config-value", "nothing", "{}").returncode == 0


def test_a_resumed_run_keeps_its_configs(machine, flow):
    """The decorators, the parameters and the steps of the second run see what the first run was given."""
    flow.write_text(
        flow.read_text().replace("        try:\n", "        assert SUFFIX == '-new'\n        try:\n")
    )
    value = '{"cpu": 4, "memory": 1, "more": {}}'
    failed = machine.run(flow, "run", "--config-value", "other", value, "--config-value", "listed", "a=5")
    assert failed.returncode == 1
    flow.write_text(flow.read_text().replace('SUFFIX = "-x"', 'SUFFIX = "-new"'))
    done = machine.run(flow, "resume")
    assert "] VALUES 0.25 ['a-x', 'b-x'] 0.25 5 as it is\n" in done.stdout, done.stderr + done.stdout
    runs = [json.loads(path.read_text()) for path in machine.datastore.glob("flows/AFlow/*/run.json")]
    assert [each["decorators"]["start"]["resources"]["cpu"] for each in runs] == [4, 4]


def test_a_parameter_called_as_the_option(machine):
    """Behind ``run`` it is the parameter's; configs are given before it."""
    flow = machine.flow("""
from airflow_conda_flow import Config
class AFlow(FlowSpec):
    settings = Config("settings", default_value={"a": 1})
    given = Parameter("config", default="none")
    @step
    def start(self):
        print("GOT", self.given, self.settings.a)
        self.next(self.end)
    @step
    def end(self):
        pass
""")
    for words, seen in (
        (["run", "--config", "hello"], "GOT hello 1"),
        (["--config-value", "settings", '{"a": 2}', "run"], "GOT none 2"),
        (["--config-value", "settings", '{"a": 2}', "run", "--config", "hello"], "GOT hello 2"),
    ):
        done = machine.run(flow, *words)
        assert done.returncode == 0, done.stdout + done.stderr
        assert seen in done.stdout
