"""Every option of every command changes something, or is refused."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from ...parts.flow_machine import Machine

FLOW = """
from airflow_conda_flow import Config, card, project, trigger_on_finish
@project(name="p")
@trigger_on_finish(flow="BFlow")
class AFlow(FlowSpec):
    settings = Config("settings", default_value={"a": 1})
    alpha = Parameter("alpha", default=3)
    @card
    @step
    def start(self):
        print("GOT", self.settings.a)
        self.next(self.end)
    @step
    def end(self):
        pass
"""

COMMANDS = """
run
resume
spin start
show
check
output-dot
output-raw
completion bash
help
version
dump RUN/start
logs RUN/start
logs scrub RUN/start --attempt 0
tag add --run-id RUN x
tag remove --run-id RUN x
tag replace --run-id RUN --add y --remove x
tag list
card list
card get RUN/start page.html
card view RUN/start
card server --run-id RUN --port 99999
package info
package list
package save out.tar
environment resolve
environment lock
environment show --run-id RUN
environment list
environment export start
environment rebuild
environment verify
environment diff RUN RUN
kubernetes list
kubernetes kill
batch list
batch kill
"""

PROGRAM = """
import argparse, contextlib, importlib.util, json, os, sys
from dataclasses import replace
from airflow_conda_flow.cli import main, parser
from airflow_conda_flow.settings.loading import Settings

class Words(argparse.Namespace):
    def __getattribute__(self, name):
        read.add(name)
        return super().__getattribute__(name)

class Recorded(Settings):
    def __getattribute__(self, name):
        read.add(name)
        return super().__getattribute__(name)

def parsed(*given):
    words = parse(*given)
    leaf = words.command_parser
    found = {each.dest for each in leaf._actions if each.help != argparse.SUPPRESS and each.dest != "help"}
    offered.update(found)
    read.clear()
    return Words(**vars(words))

def loaded(overrides):
    before = set(read)
    settings = load(overrides)
    object.__setattr__(settings, "__class__", Recorded)
    read.difference_update(set(overrides) - before)  # all are read to make the settings
    return settings

parse, load = main.parse, parser.load_settings
main.parse, parser.load_settings = parsed, loaded
read, offered = set(), set()
spec = importlib.util.spec_from_file_location("a_flow", "a_flow.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
with contextlib.redirect_stdout(sys.stderr), contextlib.suppress(SystemExit, OverflowError):
    main.main(module.AFlow, sys.argv[1:])
print(json.dumps(sorted(offered - read)), flush=True)
os._exit(0)
"""

ELSEWHERE = {
    "config_files", "config_values",  # read by given_configs, before all others
    "stdout", "stderr",  # of logs: read by name
    "timestamps",  # of logs show
    "latest", "include_not_done", "my_runs",  # say what is the default
    "follow_resumed",  # read for clones
}  # fmt: skip
"""Attributes that this recording does not see."""


@pytest.fixture(scope="module")
def machine(tmp_path_factory, channel) -> Machine:
    """A machine on which the flow ran once; ``run_id`` is its id."""
    machine = Machine(tmp_path_factory.mktemp("options") / "home", channel.url, BROWSER="true")
    machine.file = machine.flow(FLOW)
    assert machine.run(machine.file, "environment", "resolve").returncode == 0
    done = machine.run(machine.file, "run", "--run-id-file", "id")
    assert done.returncode == 0, done.stdout + done.stderr
    machine.run_id = (machine.home / "id").read_text()
    return machine


@pytest.mark.parametrize("command", COMMANDS.strip().splitlines())
def test_every_option_is_read(machine, command):
    """The command looks at each option that its help lists."""
    words = command.replace("RUN", machine.run_id).split()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        capture_output=True, text=True, env=machine.environ, cwd=machine.home, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) - ELSEWHERE == set(), done.stderr


def test_every_command_is_above(machine):
    """A new one has to be added."""
    program = (
        "import argparse, sys, runpy\n"
        "from airflow_conda_flow.cli.parser import build_parser\n"
        "from airflow_conda_flow.flow.definition import read_flow\n"
        "flow = runpy.run_path('a_flow.py', run_name='a')['AFlow']\n"
        "def leaves(parser, name):\n"
        "    subs = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]\n"
        "    for sub in subs:\n"
        "        for word, each in sub.choices.items(): leaves(each, [*name, word])\n"
        "    if not subs: print(*name)\n"
        "leaves(build_parser(read_flow(flow)), [])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, env=machine.environ, cwd=machine.home, check=True,
    )  # fmt: skip
    missing = [leaf for leaf in done.stdout.splitlines() if f"\n{leaf}" not in COMMANDS]
    assert missing == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["resume", "--config-value", "settings", "{}"], "'resume' keeps the configs of the run that it"),
        (["--config-value", "settings", "{}", "resume"], "'resume' keeps the configs of the run that it"),
        (["--config", "settings", "s.json", "resume", "end"], "'resume' keeps the configs of the run that"),
        (["--with", "retry", "show"], "--with has no effect on 'show'. It is for: run, resume, spin,"),
        (["--with", "retry", "dump", "@/start"], "--with has no effect on 'dump'."),
        (["--trigger", "BFlow/1", "spin", "start"], "--trigger has no effect on 'spin'. It is for: run, re"),
        (["--trigger", "BFlow/1", "tag", "list"], "--trigger has no effect on 'tag'."),
        (["spin", "start", "--with", "retry"], "no such option: --with. This command does not use it."),
        (["show", "--environment", "conda"], "no such option: --environment. This command does not use it."),
        (["tag", "list", "--quiet"], "no such option: --quiet. This command does not use it."),
        (["logs", "@/start", "--branch", "x"], "no such option: --branch. This command does not use it."),
        (["version", "--datastore=s3"], "no such option: --datastore=s3. This command does not use it."),
        (["package", "info", "--resolver", "x"], "no such option: --resolver. This command does not use it."),
        (["dump", "@/start", "--max-workers", "3"], "no such option: --max-workers."),
    ],
)
def test_what_has_no_effect_is_refused(machine, words, message):
    """One line, exit code 2."""
    (machine.home / "s.json").write_text('{"a": 2}')
    done = machine.run(machine.file, *[each.replace("@", machine.run_id) for each in words])
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize(
    ("words", "environ", "said"),
    [
        (["--config-value", "settings", '{"a": 5}', "spin", "start"], {}, "GOT 5"),
        (["spin", "start", "--config-value", "settings", '{"a": 6}'], {}, "GOT 6"),
        (["spin", "start", "--config", "settings", "s.json"], {}, "GOT 2"),
        (["spin", "start"], {"METAFLOW_FLOW_CONFIG_VALUE": '{"settings": {"a": 7}}'}, "GOT 7"),
        (["spin", "start"], {}, "GOT 1"),
        (["resume", "start"], {"METAFLOW_FLOW_CONFIG_VALUE": '{"settings": {"a": 7}}'}, "GOT 1"),
        (["spin", "start"], {"METAFLOW_DEFAULT_DECOSPECS": "no.such"}, "GOT 1"),
        (["--with", "resources:cpu=1", "spin", "start"], {}, "GOT 1"),
    ],
)
def test_configs_of_a_run_that_is_spun_or_resumed(machine, words, environ, said):
    """Given ones count for a spun step; a resumed run keeps its own."""
    (machine.home / "s.json").write_text('{"a": 2}')
    done = machine.run(machine.file, *words, **environ)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"] {said}\n" in done.stdout


@pytest.mark.parametrize(
    "words",
    [
        ["resume", "start"],
        ["resume", "start", "--origin-run-id", "RUN"],
        ["resume", "--origin-run-id", "RUN", "start", "--tag", "x"],
        ["--quiet", "resume", "start"],
        ["spin", "start"],
        ["--datastore=local", "spin", "RUN/start/0", "--persist"],
        ["spin", "--run-id-file", "a/b", "RUN/start"],
        ["spin", "CFlow/RUN/start/0"],
    ],
)
def test_a_required_config_is_the_origins(machine, words):
    """It need not be given again, and where it must not be, it cannot be."""
    text = FLOW.replace('default_value={"a": 1}', "required=True").replace("AFlow", "CFlow")
    flow = machine.flow(text, folder=machine.home / "c", name="c_flow.py")
    flow.write_text(flow.read_text().replace("    AFlow()", "    CFlow()"))
    (machine.home / "a").mkdir(exist_ok=True)
    done = machine.run(flow, "run", "--config-value", "settings", '{"a": 8}', "--run-id-file", "id2")
    assert done.returncode == 0, done.stderr
    run_id = (machine.home / "id2").read_text()
    done = machine.run(flow, *[each.replace("RUN", run_id) for each in words])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "] GOT 8\n" in done.stdout
