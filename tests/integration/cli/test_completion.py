"""``completion``: what a shell does when Tab is pressed, in real shells on a pseudo-terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from ...parts.flow_machine import Machine

FLOW = """
class AFlow(FlowSpec):
    alpha = Parameter("alpha", default=3)
    @step
    def start(self):
        self.next(self.end)
    @step
    def end(self):
        pass
"""
CASES = [
    ("python a_flow.py resu\t", "python a_flow.py resume"),
    ("python a_flow.py run --al\t", "python a_flow.py run --alpha"),
    ("python -u ./a_flow.py --environment con\t", "python -u ./a_flow.py --environment conda"),
    (
        "python a_flow.py --environment conda tag repl\t",
        "python a_flow.py --environment conda tag replace",
    ),
    ("python a_flow.py resume st\t", "python a_flow.py resume start"),
    (
        "python a_flow.py run --run-id-file completion.ba\t",
        "python a_flow.py run --run-id-file completion.bash",
    ),
    ("python other.py completion.ba\t", "python other.py completion.bash"),
]
SHELLS = {
    "bash": ["bash", "--noprofile", "--norc", "-i"],
    "zsh": ["zsh", "-f", "-i"],
}


@pytest.fixture(scope="module")
def machine(tmp_path_factory) -> Machine:
    """A machine with a flow, and a completion script for every shell."""
    machine = Machine(tmp_path_factory.mktemp("completion") / "home")
    flow = machine.flow(FLOW)
    for shell in ("bash", "zsh", "fish"):
        done = machine.run(flow, "completion", shell)
        assert done.returncode == 0, done.stderr
        (machine.home / f"completion.{shell}").write_text(done.stdout)
    return machine


class Terminal:
    """An interactive shell; what is typed is completed by the shell itself."""

    def __init__(self, command: list[str], home: Path) -> None:
        primary, secondary = pty.openpty()
        environ = {
            "PATH": os.environ["PATH"], "HOME": str(home), "TERM": "dumb", "PS1": "$ ", "LANG": "C.UTF-8",
        }  # fmt: skip
        self.process = subprocess.Popen(
            command, stdin=secondary, stdout=secondary, stderr=secondary, cwd=home, env=environ,
            start_new_session=True,
        )  # fmt: skip
        os.close(secondary)
        self.primary = primary

    def type(self, keys: str, until: str, seconds: float = 30) -> str:
        """Press keys; returns what appears, once ``until`` has matched."""
        os.write(self.primary, keys.encode())
        seen = ""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            ready, _, _ = select.select([self.primary], [], [], 0.2)
            if ready:
                seen += os.read(self.primary, 65536).decode("utf-8", "replace")
            if re.search(until, seen):
                return seen
        raise AssertionError(f"{until!r} did not appear after {keys!r}: {seen!r}")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.primary)


@pytest.fixture(params=SHELLS)
def terminal(request, machine):
    """An interactive shell that has read the script."""
    if shutil.which(request.param) is None:
        pytest.skip(f"no {request.param} here")
    terminal = Terminal(SHELLS[request.param], machine.home)
    try:
        terminal.type(f"source ./completion.{request.param}; echo rea''dy\r", r"\nready")
        yield terminal
    finally:
        terminal.close()


@pytest.mark.parametrize(("typed", "completed"), CASES)
def test_tab_completes(terminal, typed, completed):
    """Commands, options, values of options, and files where files belong."""
    begun, added = typed.partition("\t")[0], completed.rpartition(" ")[2]
    assert not begun.endswith(added)
    terminal.type(typed, re.escape(added))
    # Go to the front of the line and put an echo there, so that the shell prints what it has made.
    seen = terminal.type("\x01echo MA''DE \r", r"MADE [^\r\n]*")
    assert re.search(r"MADE ([^\r\n]*)", seen)[1].strip() == completed


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish here")
@pytest.mark.parametrize(("typed", "completed"), CASES)
def test_fish_completes(machine, typed, completed):
    """The same by fish's own ``complete -C``, which gives what Tab would."""
    line, _, _ = typed.partition("\t")
    program = f"source completion.fish; complete -C '{line}'"
    done = subprocess.run(
        ["fish", "--no-config", "-c", program], cwd=machine.home, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert done.stdout.split() == [completed.split()[-1]]


def test_every_command_is_offered_in_bash(machine):
    """Bash's own machinery, asked for all words, gives commands and common options."""
    script = (
        "source ./completion.bash; COMP_WORDS=(python a_flow.py ''); COMP_CWORD=2; "
        "$(complete -p python | sed 's/.*-F \\([^ ]*\\).*/\\1/') python '' a_flow.py; echo \"${COMPREPLY[@]}\""
    )
    done = subprocess.run(
        ["bash", "-c", script], cwd=machine.home, capture_output=True, text=True, check=True
    )
    words = set(done.stdout.split())
    assert {
        "run",
        "resume",
        "dump",
        "logs",
        "tag",
        "package",
        "output-dot",
        "version",
        "--environment",
    } <= words
    assert "--no-pylint" not in words
