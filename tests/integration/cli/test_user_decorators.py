"""Decorators that users write: around a step, and mutators of steps and flows."""

from __future__ import annotations

import json
import re

import pytest

from ...parts.flow_machine import Machine

HEAD = """
from airflow_conda_flow import (
    USER_SKIP_STEP, Config, FlowMutator, MutableFlow, MutableStep, StepMutator, UserStepDecorator,
    conda_base, config_expr, resources, user_step_decorator,
)
"""
AROUND = (
    HEAD
    + """
@user_step_decorator
def noted(step_name, flow, inputs=None, attributes=None):
    print("before", step_name, attributes, inputs is not None)
    yield
    flow.noted = getattr(flow, "noted", []) + [step_name]
    print("after", step_name)

@user_step_decorator
def skipped(step_name, flow, inputs):
    flow.items = ["a", "b"]
    yield USER_SKIP_STEP

@user_step_decorator
def caught(step_name, flow, inputs, attributes):
    try:
        yield
    except ValueError as error:
        flow.caught = str(error)

@user_step_decorator
def replaced(step_name, flow, inputs):
    def other(flow):
        flow.way = "right"
        return True
    yield other

@user_step_decorator
def never(step_name, flow, inputs):
    return
    yield

class Timed(UserStepDecorator):
    def init(self, unit="s", **options):
        self.unit = unit
    def pre_step(self, step_name, flow, inputs=None):
        print("timed before", step_name, self.unit)
    def post_step(self, step_name, flow, exception=None):
        print("timed after", step_name, exception)
        return exception

class AFlow(FlowSpec):
    settings = Config("settings", default_value={"limit": 3})
    @noted(limit=settings.limit)
    @Timed(unit="ms")
    @step
    def start(self):
        print("in start")
        self.next(self.wide)
    @noted
    @skipped
    @step
    def wide(self):
        print("NOT HERE")
        self.items = []
        self.next(self.body, foreach="items")
    @Timed
    @caught
    @step
    def body(self):
        self.item = self.input
        raise ValueError(self.input)
        self.next(self.join)
    @noted
    @step
    def join(self, inputs):
        self.got = [(each.item, each.caught) for each in inputs]
        self.merge_artifacts(inputs, include=["noted"])
        self.next(self.choose)
    @replaced
    @step
    def choose(self):
        print("NOT HERE")
        self.way = "left"
        self.next({"left": self.left, "right": self.right}, condition="way")
    @step
    def left(self):
        self.next(self.end)
    @never
    @step
    def right(self):
        print("NOT HERE")
        self.next(self.end)
    @step
    def end(self):
        print("GOT", self.got, self.way, self.noted)
"""
)


@pytest.fixture
def machine(tmp_path) -> Machine:
    """A machine with an empty home."""
    return Machine(tmp_path / "home")


def printed(done) -> list[str]:
    """The output of the steps of a run; it must finish."""
    assert done.returncode == 0, done.stderr + done.stdout
    lines = [line.partition("] ")[2] for line in done.stdout.splitlines()]
    return [line for line in lines if line and not line.startswith(("Task ", "Foreach "))]


def test_code_around_steps(machine):
    """Outermost first and last; skips, replaces, catches; in a foreach, a join and a switch."""
    assert printed(machine.run(machine.flow(AROUND), "run", "--max-workers=1")) == [
        "before start {'limit': 3} False",
        "timed before start ms",
        "in start",
        "timed after start None",
        "after start",
        "before wide {} False",
        "after wide",
        "timed before body s",
        "timed after body None",
        "timed before body s",
        "timed after body None",
        "before join {} True",
        "after join",
        "GOT [('a', 'a'), ('b', 'b')] right ['start', 'wide', 'join']",
    ]


def test_with_adds_a_users_decorator(machine):
    """`--with noted:limit=9` goes to every step that has none."""
    text = AROUND.replace("    @noted\n", "").replace("    @noted(limit=settings.limit)\n", "")
    text = text.replace('self.merge_artifacts(inputs, include=["noted"])', "self.noted = []")
    done = machine.run(machine.flow(text), "run", "--with", "noted:limit=9")
    lines = printed(done)
    assert lines.count("before end {'limit': 9} False") == 1
    assert lines.count("before body {'limit': 9} False") == 2
    wrong = machine.run(machine.flow(text), "run", "--with", "notedd")
    assert (wrong.returncode, "there is no decorator @notedd" in wrong.stderr) == (1, True)


@pytest.mark.parametrize(
    ("decorator", "body", "message"),
    [
        ("caught", "raise KeyError('k')", r"KeyError: 'k'"),
        ("twice", "pass", r"@twice yields twice; a user step decorator yields once\."),
        ("raising", "pass", r"RuntimeError: after the step"),
        ("wrong", "pass", r"@wrong sets 3 in place of step 'start'"),
        ("elsewhere", "pass", r"self\.next\(\) has no option 'to'\."),
    ],
)
def test_failures_around_steps(machine, decorator, body, message):
    """An exception that a decorator lets pass, or raises itself, fails the step."""
    text = f"""
@user_step_decorator
def twice(step_name, flow, inputs):
    yield
    yield
@user_step_decorator
def raising(step_name, flow, inputs):
    yield
    raise RuntimeError("after the step")
@user_step_decorator
def caught(step_name, flow, inputs):
    try:
        yield
    except ValueError:
        pass
@user_step_decorator
def wrong(step_name, flow, inputs):
    yield 3
@user_step_decorator
def elsewhere(step_name, flow, inputs):
    yield {{"to": "end"}}
class AFlow(FlowSpec):
    @{decorator}
    @step
    def start(self):
        {body}
        self.next(self.end)
    @step
    def end(self):
        pass
"""
    done = machine.run(machine.flow(HEAD + text), "run")
    assert done.returncode == 1
    assert re.search(message, done.stdout), done.stdout


MUTATED = (
    HEAD
    + """
import helpers
class Everywhere(FlowMutator):
    def init(self, *names, **options):
        self.names = names
        self.options = options
    def pre_mutate(self, mutable_flow):
        assert isinstance(mutable_flow, MutableFlow)
        print("FLOW", self.names, self.options, sorted(name for name, _ in mutable_flow.steps))
        print("PARAMETERS", [(name, each.name) for name, each in mutable_flow.parameters])
        print("CONFIGS", dict(mutable_flow.configs), mutable_flow.settings.cpu, mutable_flow.old.name)
        mutable_flow.add_parameter("new", Parameter("new", default=5, help="a new one"))
        mutable_flow.remove_parameter("old")
        mutable_flow.add_decorator("conda_base", deco_kwargs={"python": "3.11.7"})
        mutable_flow.start.add_decorator(ByConfig)
        for name, mutable_step in mutable_flow.steps:
            mutable_step.add_decorator(helpers.shouting, deco_kwargs={"word": name})
    def mutate(self, mutable_flow):
        print("MUTATE", mutable_flow.end.has_decorator("resources"))
        mutable_flow.end.add_decorator("resources:cpu=1", duplicates=MutableStep.OVERRIDE)

class ByConfig(StepMutator):
    def mutate(self, mutable_step):
        assert isinstance(mutable_step, MutableStep)
        ((name, dotted, positional, attributes),) = mutable_step.get_decorator_specs("resources")
        print("STEP", name, dotted.rpartition(".")[2], positional, attributes["cpu"])
        removed = mutable_step.remove_decorator("resources", deco_kwargs=attributes)
        config = mutable_step.flow.settings
        print("REMOVED", removed, mutable_step.remove_decorator("retry"))
        mutable_step.add_decorator(resources, deco_kwargs=dict(config))

@Everywhere("a", b=config_expr("settings.cpu"))
class AFlow(FlowSpec):
    settings = Config("settings", default_value={"cpu": 4, "memory": 7})
    old = Parameter("old", default=1)
    kept = Parameter("kept", default=2)
    @resources(cpu=2)
    @step
    def start(self):
        print("START", self.new, self.kept, hasattr(self, "old"), current.parameter_names)
        try:
            self.new = 3
        except AttributeError as error:
            print("ERROR", error)
        self.next(self.end)
    @step
    def end(self):
        print("END", self.shouted)
"""
)
HELPERS = """
from airflow_conda_flow import user_step_decorator
@user_step_decorator
def shouting(step_name, flow, inputs, attributes):
    yield
    flow.shouted = getattr(flow, "shouted", "") + attributes["word"].upper() + "!"
"""


def mutated(machine) -> dict:
    """The manifest of the only run."""
    (path,) = machine.datastore.glob("flows/AFlow/*/run.json")
    return json.loads(path.read_text())


def test_mutators(machine):
    """They see and change parameters, decorators and steps, once, before the run; steps see the result."""
    (machine.home / "helpers.py").write_text(HELPERS)
    flow = machine.flow(MUTATED)
    done = machine.run(flow, "run", "--with", "resources:cpu=9", "--new", "6")
    assert done.returncode == 0, done.stderr + done.stdout
    before, _, after = done.stdout.partition("Workflow starting")
    assert re.sub(r"(?m)^.*\d{4}-.*$", "", before).split("\n")[:6] == [
        "FLOW ('a',) {'b': 4} ['end', 'start']",
        "PARAMETERS [('old', 'old'), ('kept', 'kept')]",
        "CONFIGS {'settings': {'cpu': 4, 'memory': 7}} 4 old",
        "MUTATE True",
        "STEP resources ResourcesDecorator [] 2",
        "REMOVED True False",
    ]
    assert "] START 6 2 False ['kept', 'new', 'settings']\n" in after
    assert "] ERROR 'new' is a parameter" in after
    assert "] END START!\n" in after
    assert "FLOW" not in after
    decorators = mutated(machine)["decorators"]
    assert {name: each["resources"]["cpu"] for name, each in decorators.items()} == {"start": 4, "end": 1}
    assert "a new one (default 5)" in machine.run(flow, "run", "--help").stdout


@pytest.mark.parametrize(
    ("before", "after", "line", "message"),
    [
        ('print("MUTATE"', "raise KeyError('k') #", "raise KeyError", r"Everywhere\.mutate fails: KeyError: 'k'"),
        ('"new", Parameter(', '"kept", Parameter(', "add_parameter", r"adds the parameter 'kept', but AFlow has"),
        ('"new", Parameter("new", default=5, help="a new one")', '"new", 3', "add_parameter", r"adds 3 as a para"),
        ('"conda_base", deco', '"cnda_base", deco', "cnda_base", r"adds @cnda_base, and there is no such"),
        ('{"python": "3.11.7"}', '{"python": "3"}', '"3"', "@conda_base: the version of 'python' is '3', a range"),
        ('mutable_flow.end.add_decorator("r', 'mutable_flow.add_decorator("conda_base") #', 'conda_base") #', r"adds @conda_base in mutate\(\); add it in pre_mutate\(\)\."),
        ("(helpers.shouting", "(print", "(print", r"adds <built-in function print>, which is not a decorator"),
        ('"word": name', '"word": print', "(helpers", r"@shouting is added to a step with arguments that JSON does not have"),
        ("    def init(self, *names", "    def initt(self, *names", "@Everywhere", r"has no init\(self, \.\.\.\) to take them"),
        ("    @resources(cpu=2)\n    @step", "    @ByConfig()\n    @ByConfig\n    @step", "@ByConfig()", r"@ByConfig is applied twice to 'start'"),
        ("    @resources(cpu=2)\n    @step", "    @resources(cpu=2)\n    @step\n    @ByConfig", "@ByConfig", r"@ByConfig decorates a step: write it above @step"),
        ("duplicates=MutableStep.OVERRIDE", "duplicates=MutableStep.ERROR", "ERROR", r"adds @resources to step 'end', which has one"),
    ],
)  # fmt: skip
def test_mistakes_of_mutators_name_their_line(machine, before, after, line, message):
    """The mutator's own line in the flow file, before anything runs."""
    (machine.home / "helpers.py").write_text(HELPERS)
    assert before in MUTATED
    flow = machine.flow(MUTATED.replace(before, after))
    done = machine.run(flow, "run", "--with", "resources:cpu=9")
    assert done.returncode == 1
    assert re.search(message, done.stderr), done.stderr
    number = int(re.match(rf"{flow}:(\d+): ", done.stderr).group(1))
    assert line in flow.read_text().splitlines()[number - 1], done.stderr
    assert not machine.datastore.exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def plain(a, b, c):\n    pass", "plain is not a generator function"),
        ("def few(a):\n    yield", "few takes 1 arguments"),
    ],
)
def test_functions_that_are_no_step_decorators(machine, text, message):
    """The line of the function."""
    done = machine.run(
        machine.flow(f"{HEAD}\n@user_step_decorator\n{text}\nclass AFlow(FlowSpec):\n    pass"), "run"
    )
    assert done.returncode == 1
    assert re.match(rf"{machine.home}/a_flow\.py:\d+: @user_step_decorator: {message}", done.stderr)


def test_on_the_oldest_python(tmp_path, channel):
    """All of it in steps with Python 3.6: user decorators, configs, parsed files, `current`."""
    if "3.6" not in channel.pythons:
        pytest.skip("no Python 3.6 on this machine")
    machine = Machine(tmp_path / "home", channel.url)
    text = AROUND.replace("class AFlow", f'@conda_base(python="{channel.pythons["3.6"]}")\nclass AFlow')
    extra = """
        import sys
        print(sys.version_info[:2], self.text, self.settings.limit, current.graph["steps"]["end"]["type"])
        print(current.logical_date, "logical_date" in current, "card" in current, current.get("branch_name", 7))
        print(current.run.pathspec == "AFlow/" + current.run_id, current.flow_name)
"""
    text = text.replace(
        "    settings = Config",
        '    text = IncludeFile("text", default="a.txt", parser=str.upper)\n    settings = Config',
    )
    text = text.replace("USER_SKIP_STEP, Config,", "USER_SKIP_STEP, Config, IncludeFile,")
    (machine.home / "a.txt").write_text("é")
    done = machine.run(machine.flow(text + extra), "--environment=conda", "run")
    lines = printed(done)
    assert "GOT [('a', 'a'), ('b', 'b')] right ['start', 'wide', 'join']" in lines
    assert "(3, 6) É 3 end" in lines
    assert "None False False 7" in lines
    assert "True AFlow" in lines
