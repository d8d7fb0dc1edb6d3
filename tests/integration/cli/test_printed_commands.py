"""Commands that messages tell the user to write: a shell runs them as they are printed."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ...parts.flow_machine import Machine

FLOW = """
@conda_base(disabled=True)  # so that nothing is solved
class AFlow(FlowSpec):
    @step
    def start(self):
        self.next(self.end)
    @step
    def end(self):
        pass
"""
RANGE = """
from airflow_conda_flow import Config
class AFlow(FlowSpec):
    names = Config("names", default_value='{"six": "1.16.0"}')
    @conda(libraries=names, python="PYTHON")
    @step
    def start(self):
        self.next(self.end)
    @conda(disabled=True)
    @step
    def end(self):
        pass
"""


class Shell(Machine):
    """A machine with a shell whose ``python`` is another one, without this package."""

    def say(self, command: str, code: int = 0) -> str:
        """Output of a command line that a shell runs in the home directory."""
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=self.home,
            env={**self.environ, "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr


PYTHON = shlex.quote(sys.executable)


@pytest.fixture
def machine(tmp_path) -> Shell:
    """A machine with an empty home."""
    return Shell(tmp_path / "home")


def _script(machine: Shell) -> tuple[str, Path]:
    return "flows/a_flow.py", machine.flow(FLOW, folder=machine.home / "flows")


def _space(machine: Shell) -> tuple[str, Path]:
    return "'my flows/a flow.py'", machine.flow(FLOW, "a flow.py", folder=machine.home / "my flows")


def _no_text(machine: Shell) -> tuple[str, Path]:
    folder = machine.home / os.fsdecode(b"caf\xe9's 100% flows")
    return """"$(printf 'caf\\351\\047s 100%% flows/a_flow.py')\"""", machine.flow(FLOW, folder=folder)


def _module(machine: Shell) -> tuple[str, Path]:
    flow = machine.flow("from pkg.words import WORD\n" + FLOW, folder=machine.home / "pkg" / "flows")
    (machine.home / "pkg" / "words.py").write_text("WORD = 'word'")
    return "-m pkg.flows.a_flow", flow


def _package(machine: Shell) -> tuple[str, Path]:
    return "-m pkg.flows", machine.flow(FLOW, "__main__.py", folder=machine.home / "pkg" / "flows")


def _directory(machine: Shell) -> tuple[str, Path]:
    return "flows", machine.flow(FLOW, "__main__.py", folder=machine.home / "flows")


def _link(machine: Shell) -> tuple[str, Path]:
    flow = machine.flow(FLOW, folder=machine.home / "flows")
    (machine.home / "links").mkdir()
    (machine.home / "links" / "link.py").symlink_to(flow)
    return "links/link.py", flow


def _linked_module(machine: Shell) -> tuple[str, Path]:
    (machine.home / "link.py").symlink_to(machine.flow(FLOW, folder=machine.home / "flows"))
    return "-m link", machine.home / "link.py"


def _other_program(machine: Shell) -> tuple[str, Path]:
    flow = machine.flow(FLOW, folder=machine.home / "flows")
    (machine.home / "start.py").write_text("from flows import a_flow\na_flow.AFlow()\n")
    return "start.py", flow


_SCRIPT = """
import sys
from {module} import main
if __name__ == "__main__":
    sys.exit(main())
"""


def _console_script(machine: Shell) -> tuple[str, Path]:
    flow = machine.flow(FLOW, folder=machine.home / "bin")
    (machine.home / "bin" / "entry.py").write_text("from a_flow import AFlow\ndef main():\n    AFlow()\n")
    (machine.home / "bin" / "train").write_text(_SCRIPT.format(module="entry"))
    return "bin/train", flow


def _console_script_of_a_package(machine: Shell) -> tuple[str, Path]:
    text = "from ..words import WORD\n" + FLOW + "def main():\n    AFlow()\n"
    flow = machine.flow(text, folder=machine.home / "bin" / "pkg" / "flows")
    (machine.home / "bin" / "pkg" / "words.py").write_text("WORD = 'word'")
    (machine.home / "bin" / "train").write_text(_SCRIPT.format(module="pkg.flows.a_flow"))
    return "bin/train", flow


LAYOUTS = {
    "a script in another directory": _script,
    "a path with a space": _space,
    "a path that is no text": _no_text,
    "a module of a package": _module,
    "a package": _package,
    "a directory": _directory,
    "a symbolic link": _link,
    "a symbolic link as a module": _linked_module,
    "a program that imports the flow": _other_program,
    "a console script": _console_script,
    "a console script of a package": _console_script_of_a_package,
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_flow_is_started_as_it_was(machine, layout):
    """A printed command starts the flow in the same way, and the lock file is where the flow looks for it."""
    typed, flow = LAYOUTS[layout](machine)
    said = machine.say(f"{PYTHON} {typed} environment lock --check", code=1)
    command = said.splitlines()[-1].partition("Write it: ")[2]
    assert command == f"{PYTHON} {typed} environment lock"
    assert f"Wrote {flow.stem}.lock." in machine.say(command)
    assert flow.with_suffix(".lock").is_file()
    flow.with_suffix(".lock").write_text("damaged")
    said = machine.say(f"{PYTHON} {typed} --environment=conda run", code=1)
    assert "Wrote" in machine.say(said.splitlines()[-1].partition("Write it anew: ")[2])
    assert "has what the steps" in machine.say(f"{command} --check")


@pytest.mark.parametrize("layout", ["a console script", "a console script of a package"])
def test_a_console_script_runs_the_flow(machine, layout):
    """Its main module only calls a function of another one; the steps import what the flow does."""
    typed, _ = LAYOUTS[layout](machine)
    assert "Done!" in machine.say(f"{PYTHON} {typed} run")


@pytest.mark.parametrize("layout", ["a path with a space", "a module of a package"])
def test_usage_errors_and_first_words(machine, layout):
    """So do the commands in usage errors, and those that a flow without a command prints."""
    typed, _ = LAYOUTS[layout](machine)
    said = machine.say(f"{PYTHON} {typed} environment lock --no-such-option", code=2)
    advice = said.splitlines()[-1].partition("Try: ")[2]
    assert "--upgrade" in machine.say(advice)
    words = machine.say(f"{PYTHON} {typed}").splitlines()
    shown = next(line for line in words if line.endswith("  shows a description of this flow."))
    assert "Step start" in machine.say(shown.removesuffix("  shows a description of this flow."))
    columns = {re.search(r"  (shows|runs) ", line).start(1) for line in words[-3:]}
    assert len(columns) == 1
    said = machine.say(f"{PYTHON} {typed} completion --help").splitlines()
    script = next(line for line in said if line.startswith("bash: source <("))
    assert "complete -o default" in machine.say(script.removeprefix("bash: source <(").removesuffix(")"))


def test_options_that_a_command_repeats(machine, channel):
    """Those that choose channels, places, configs and platforms; the command then acts on the same things."""
    flow = machine.flow(RANGE.replace("PYTHON", channel.python), folder=machine.home / "flows")
    options = (
        f"--datastore-root 'a root' --cache-dir 'a cache' --channels {channel.url} "
        '--config-value names \'{"six": ">=1.16"}\' --with retry:times=1'
    )
    started = f"{PYTHON} flows/a_flow.py"
    said = machine.say(f"{started} {options} --environment=conda run --max-workers 1", code=1)
    command = said.splitlines()[-1].partition("pin it in a lock file: ")[2]
    assert command == f"{started} {options} environment lock"
    assert "Wrote a_flow.lock." in machine.say(command)
    said = machine.say(f"{started} --channels {channel.url} environment lock --check", code=1)
    assert "asks for six 1.16.0, and six >=1.16 was locked" in said
    assert said.endswith(f": {started} --channels {channel.url} environment lock\n")
    flow.with_suffix(".lock").unlink()
    said = machine.say(f"{started} environment show --cache-dir 'a cache'", code=1)
    command = said.splitlines()[-1].partition("Resolve it first: ")[2]
    assert command == f"{started} --cache-dir 'a cache' environment resolve"


@pytest.mark.parametrize(
    "layout",
    ["a path with a space", "a path that is no text", "a module of a package", "a symbolic link as a module"],
)
def test_where_no_command_line_started_the_flow(machine, layout):
    """In Airflow and in programs, the command works from any directory."""
    _, flow = LAYOUTS[layout](machine)
    module = "pkg.flows.a_flow"
    if layout != "a module of a package":
        load = f"a_flow = importlib.util.spec_from_file_location('unusual_prefix_a_flow', {str(flow)!r})\n"
    else:
        load = f"import {module}\na_flow = {module}.__spec__\n"
    program = machine.home / "program.py"
    program.write_text(
        "import importlib.util, sys\n"
        f"{load}"
        "module = importlib.util.module_from_spec(a_flow)\n"
        "sys.modules[a_flow.name] = module\n"
        "a_flow.loader.exec_module(module)\n"
        "from airflow_conda_flow.flow.definition import read_flow\n"
        "print(read_flow(module.AFlow).lock_command)\n"
    )
    command = machine.say(f"{PYTHON} program.py").strip()
    assert command.endswith(" environment lock")
    elsewhere = command.replace("python", PYTHON, 1)  # the shell's own python lacks this package
    assert f"Wrote {flow.stem}.lock." in machine.say(f"cd / && {elsewhere}")
    assert flow.with_suffix(".lock").is_file()


def test_a_program_in_no_file(machine):
    """The command starts the flow file: nobody can repeat what a program read from its standard input."""
    flow = machine.flow(FLOW, folder=machine.home / "flows")
    program = "from flows import a_flow; a_flow.AFlow()"
    said = machine.say(f"echo '{program}' | {PYTHON} - environment lock --check", code=1)
    command = said.splitlines()[-1].partition("Write it: ")[2]
    machine.say(f"cd / && {command.replace('python', PYTHON, 1)}")
    assert flow.with_suffix(".lock").is_file()
