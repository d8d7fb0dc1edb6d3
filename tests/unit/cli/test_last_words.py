"""Output that cannot be written is a failure, in one line; a reader that has left is none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_conda_flow.cli import signals
from airflow_conda_flow.cli.signals import ended_by, exit_code

from ...parts.flow_machine import Machine

FULL = Path("/dev/full")
FLOW = """
class AFlow(FlowSpec):
    @step
    def start(self):
        self.next(self.end)
    @step
    def end(self):
        pass
"""


@pytest.fixture(params=["flow", "tool"])
def command(request, tmp_path):
    """A function: runs a command that prints something, or one that fails, with the given streams."""
    if not FULL.exists():
        pytest.skip("only Linux has a device that is full")
    machine = Machine(tmp_path / "home")
    flow = machine.flow(FLOW)
    words = {
        ("flow", True): machine.command(flow, "show"),
        ("flow", False): machine.command(flow, "logs", "none"),
        ("tool", True): [sys.executable, "-m", "airflow_conda_flow.cli.tool", "datastore", "usage"],
        ("tool", False): [
            *(sys.executable, "-m", "airflow_conda_flow.cli.tool", "cache", "prune"),
            *("--older-than", "1h"),
        ],
    }

    def run(*, works: bool, **streams) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words[request.param, works], env=machine.environ, text=True, check=False, timeout=60, **streams
        )

    return run


def test_output_on_a_full_disk_is_a_failure(command):
    """A file that is cut off is not taken for a whole one."""
    with FULL.open("w") as full:
        done = command(works=True, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert done.stderr.endswith("The output cannot be written: No space left on device.\n")
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_run_goes_on_without_its_output(tmp_path, unbuffered):
    """Hours of work are not thrown away because the disk of the log is full; the exit code tells of it."""
    if not FULL.exists():
        pytest.skip("only Linux has a device that is full")
    machine = Machine(tmp_path / "home")
    flow = machine.flow(FLOW.replace("pass", "print('the last line')"))
    environ = {**machine.environ, "PYTHONUNBUFFERED": unbuffered}
    with FULL.open("w") as full:
        command = machine.command(flow, "run", "--run-id-file", str(tmp_path / "id"))
        done = subprocess.run(
            command, env=environ, text=True, check=False, timeout=60, stdout=full, stderr=subprocess.PIPE
        )
    assert done.returncode == 1
    assert done.stderr.count("No space left on device. Tasks go on all the same.\n") == 1
    assert "Workflow failed" not in done.stderr
    run_id = (tmp_path / "id").read_text()
    assert f"Run {run_id} is done, but lines of it could not be written." in done.stderr
    logs = subprocess.run(
        machine.command(flow, "logs", f"{run_id}/end"),
        env=environ,
        text=True,
        check=True,
        capture_output=True,
    )
    assert "the last line" in logs.stdout


def test_a_message_that_cannot_be_written_changes_no_exit_code(command):
    """The command failed for a reason of its own."""
    with FULL.open("w") as full:
        done = command(works=False, stdout=subprocess.PIPE, stderr=full)
    assert done.returncode == 1


@pytest.mark.parametrize("works", [True, False])
def test_nobody_reads(command, works):
    """No traceback and no exit code of Python's own, whichever stream the reader has left."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = command(works=works, stdout=write_end, stderr=write_end)
    os.close(write_end)
    assert done.returncode in ({0, 1} if works else {1})


def test_the_message_is_below_the_output(tmp_path, monkeypatch):
    """Also in a pipe, where Python holds the output back."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    program = "from airflow_conda_flow.cli.last_words import say_last; print('output'); say_last('message')"
    with (tmp_path / "log").open("w+") as log:
        subprocess.run([sys.executable, "-c", program], stdout=log, stderr=log, check=True)
        log.seek(0)
        assert log.read() == "output\nmessage\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_exit_code_says_which_signal_came(number, monkeypatch):
    """As shells count; a command that ends well all the same, as servers do, has 0."""
    monkeypatch.setattr(signals, "hurry", lambda: None)
    with pytest.raises(KeyboardInterrupt), ended_by():
        os.kill(os.getpid(), number)
    assert exit_code(1) == 128 + number
    assert exit_code(0) == 0
    with ended_by():
        assert exit_code(1) == 1
