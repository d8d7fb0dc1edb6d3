"""Signals that come before the first task, and signals that a run does not hear."""

from __future__ import annotations

import functools
import os
import re
import signal
import sys
import threading
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from subprocess import PIPE, STDOUT

import pytest

from airflow_conda_flow.environments.environments import Environments
from airflow_conda_flow.environments.platform import current_platform
from airflow_conda_flow.environments.spec import EnvironmentSpec

from ...parts.faulty_s3 import faulty
from ...parts.flow_machine import Machine
from ...parts.signals import start

FLOW = """
class AFlow(FlowSpec):
    @step
    def start(self):
        self.next(self.end)
    @step
    def end(self):
        import time
        print("waits", flush=True)
        time.sleep(1)
"""


class _Stalling(SimpleHTTPRequestHandler):
    """Sends the beginning of a package, and then nothing more until the test ends."""

    def __init__(self, *args, asked: threading.Event, ended: threading.Event, **kwargs) -> None:
        self.asked, self.ended = asked, ended
        super().__init__(*args, **kwargs)

    def copyfile(self, source, outputfile) -> None:
        if not self.path.endswith(".conda"):
            super().copyfile(source, outputfile)
            return
        outputfile.write(source.read(300_000))
        self.asked.set()
        self.ended.wait(120)

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def stalled(channel):
    """The URL of a channel whose packages never come whole, and when one was asked for."""
    asked, ended = threading.Event(), threading.Event()
    handler = functools.partial(_Stalling, directory=str(channel.directory), asked=asked, ended=ended)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        ended.set()
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_download_that_stands_still_does_not_hold_the_run(tmp_path, stalled, number):
    """The run ends at once, with one word."""
    url, asked = stalled
    machine = Machine(tmp_path / "home", url)
    with machine.started(machine.flow(FLOW), "--environment=conda", "run") as process:
        assert asked.wait(60)
        before = time.monotonic()
        process.send_signal(number)
        output = process.stdout.read()
        assert process.wait(60) == 128 + number
        assert time.monotonic() - before < 60
    assert output.endswith("Interrupted.\n")
    assert "Traceback" not in output
    assert (machine.cache / ".scratch").is_dir(), "the download had begun"
    assert not list(machine.cache.glob("packages/*"))
    assert not list(machine.cache.glob(".scratch/*")), "what had come is removed"


@pytest.fixture(scope="module")
def stored_in_s3(tmp_path_factory, channel, moto_s3) -> Machine:
    """A machine that has run the flow, so that its environment is in S3."""
    root = moto_s3.make_root()
    stored = {"CONDA_FLOW_DATASTORE": "s3", "CONDA_FLOW_DATASTORE_ROOT": root}
    machine = Machine(tmp_path_factory.mktemp("stored"), channel.url, **moto_s3.environment, **stored)
    done = machine.run(machine.flow(FLOW), "--environment=conda", "run")
    assert done.returncode == 0, done.stdout + done.stderr
    return machine


@pytest.fixture
def half_from_s3(tmp_path, stored_in_s3, moto_s3):
    """Another machine, to which the packages come half."""

    def choose(method: str, path: str, _count: int) -> str:
        return "hang" if method == "GET" and "/packages/" in path else "pass"

    with faulty(moto_s3, choose) as proxy:
        machine = Machine(tmp_path / "home")
        machine.environ.update(stored_in_s3.environ, HOME=str(machine.home), **proxy.server.environment)
        yield machine


def _unfinished(machine: Machine) -> list[str]:
    """Names of what a process makes for a while, in the cache."""
    names = [name for _, folders, files in os.walk(machine.cache) for name in (*folders, *files)]
    return [name for name in names if re.search(r"-\d+-\d+-[0-9a-f]{8}-[0-9a-f]{8}", name)]


def _wait_for_a_half(machine: Machine, process) -> None:
    deadline = time.monotonic() + 60
    while not any(".conda." in name for name in _unfinished(machine)):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_download_from_s3_leaves_nothing(half_from_s3, number):
    """The thread that waits for S3 cannot be ended, and its file is removed all the same."""
    machine = half_from_s3
    with machine.started(machine.flow(FLOW), "--environment=conda", "run") as process:
        _wait_for_a_half(machine, process)
        before = time.monotonic()
        process.send_signal(number)
        output = process.stdout.read()
        assert process.wait(60) == 128 + number
        assert time.monotonic() - before < 20
    assert output.endswith("Workflow interrupted.\n")
    assert _unfinished(machine) == []
    assert not list(machine.cache.glob("packages/*/*"))


def test_a_killed_download_from_s3_is_removed_by_the_next_run(half_from_s3, moto_s3):
    """Also by one that needs no package."""
    machine = half_from_s3
    with machine.started(machine.flow(FLOW), "--environment=conda", "run") as process:
        _wait_for_a_half(machine, process)
        process.kill()
        process.wait(60)
    assert _unfinished(machine)
    done = machine.run(machine.flow(FLOW), "run", **moto_s3.environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert _unfinished(machine) == []


LISTED = """
class AFlow(FlowSpec):
    @conda(file="explicit.txt")
    @step
    def start(self):
        self.next(self.end)
    @step
    def end(self):
        pass
"""


@pytest.fixture
def listed(tmp_path, channel, stalled):
    """The text of a file that lists the packages of an environment, in the channel that stalls."""
    url, _ = stalled
    spec = EnvironmentSpec(channel.python, {"six": "1.16.0"}, (channel.url,), current_platform())
    packages = Environments(tmp_path / "another machine").solve({"start": spec})["start"].packages
    lines = [f"{each.url.replace(channel.url, url)}#sha256:{each.sha256}" for each in packages]
    return "@EXPLICIT\n" + "\n".join(lines) + "\n"


@pytest.mark.parametrize("word", ["resolve", "lock"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_command_ends_as_a_run_does(tmp_path, stalled, listed, word, number):
    """Any command hears every signal: one word, the exit code of shells, and nothing half-written."""
    url, asked = stalled
    machine = Machine(tmp_path / "home", url)
    flow = machine.flow(LISTED)
    (machine.home / "explicit.txt").write_text(listed)
    with machine.started(flow, "--environment=conda", "environment", word) as process:
        assert asked.wait(60)
        before = time.monotonic()
        process.send_signal(number)
        output = process.stdout.read()
        assert process.wait(60) == 128 + number
        assert time.monotonic() - before < 20, "the channel stands still for longer"
    assert output.endswith("Interrupted.\n")
    assert "Fetching 2 packages\n" in output
    assert " MB in " not in output, "as if it had come"
    assert "Traceback" not in output
    assert _unfinished(machine) == []
    assert sorted(each.name for each in machine.home.iterdir() if each.name[0] != ".") == [
        "a_flow.py",
        "explicit.txt",
    ]


WAITS = """
class AFlow(FlowSpec):
    @step
    def start(self):
        import time
        self.x = [1] * 1000
        print("waits", flush=True)
        time.sleep(600)
        self.next(self.end)
    @step
    def end(self):
        pass
"""


@pytest.fixture
def s3_that_stops(tmp_path, moto_s3):
    """A machine with a datastore in S3, and two events: once the first is set, S3 answers no request.

    The second one is set by the first such request.
    """
    stopped, asked = threading.Event(), threading.Event()

    def choose(*_) -> str:
        if not stopped.is_set():
            return "pass"
        asked.set()
        return "stall"

    with faulty(moto_s3, choose) as proxy:
        root = moto_s3.make_root()
        environ = {
            **proxy.server.environment,
            "CONDA_FLOW_DATASTORE": "s3",
            "CONDA_FLOW_DATASTORE_ROOT": root,
        }
        yield Machine(tmp_path / "home", **environ), stopped, asked


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_s3_that_is_gone_does_not_hold_the_run(s3_that_stops, number):
    """The last writes are tried for a few seconds, not for the minutes that a run has otherwise."""
    machine, stopped, _ = s3_that_stops
    with machine.started(machine.flow(WAITS), "run") as process:
        while "waits" not in (line := process.stdout.readline()):
            assert line
        stopped.set()
        before = time.monotonic()
        process.send_signal(number)
        output = process.stdout.read()
        assert process.wait(100) == 128 + number
        took = time.monotonic() - before
    assert "Workflow interrupted." in output
    assert "Traceback" not in output
    assert took < 40, output  # one request with its tries waits for 90 s otherwise


def test_a_tool_that_waits_for_s3_ends_at_once(s3_that_stops):
    """A command that only reads does not wait for the answer."""
    machine, stopped, asked = s3_that_stops
    assert machine.run(machine.flow(FLOW), "run").returncode == 0
    stopped.set()
    command = [sys.executable, "-m", "airflow_conda_flow.cli.tool", "datastore", "usage"]
    with start(command, stdout=PIPE, stderr=STDOUT, text=True, env=machine.environ) as process:
        assert asked.wait(60)
        before = time.monotonic()
        process.send_signal(signal.SIGTERM)
        output = process.stdout.read()
        assert process.wait(60) == 128 + signal.SIGTERM
        took = time.monotonic() - before
    assert output.endswith("Interrupted.\n")
    assert "Traceback" not in output
    assert took < 15


def test_a_run_under_nohup_outlives_its_terminal(tmp_path):
    """A signal that was ignored when the run began stays ignored."""
    machine = Machine(tmp_path / "home")
    with machine.started(machine.flow(FLOW), "run", ignored=[signal.SIGHUP]) as process:
        while "waits" not in (line := process.stdout.readline()):
            assert line
        process.send_signal(signal.SIGHUP)
        output = process.stdout.read()
        assert process.wait(60) == 0
    assert "Done!" in output


SLOW_ENVIRONMENT = """
if __name__ == "__main__":
    import asyncio
    from airflow_conda_flow.environments import rattler_link
    real = rattler_link._install
    async def slowly(*words):
        await real(*words)
        print("it is linked", flush=True)
        await asyncio.sleep(60)
    rattler_link._install = slowly

class AFlow(FlowSpec):
    @conda(libraries={"six": "1.17.0"})
    @step
    def start(self):
        print("the step began", flush=True)
        self.next(self.end)
    @step
    def end(self):
        pass
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_task_that_makes_its_environment_is_ended_at_once(tmp_path, channel, number):
    """No step is started to be ended, and nothing of the environment is left."""
    machine = Machine(tmp_path / "home", channel.url)
    with machine.started(machine.flow(SLOW_ENVIRONMENT), "--environment=conda", "run") as process:
        output = ""
        while "it is linked" not in output:
            line = process.stdout.readline()
            assert line, output
            output += line
        before = time.monotonic()
        process.send_signal(number)
        output += process.stdout.read()
        assert process.wait(60) == 128 + number
        took = time.monotonic() - before
    assert took < 20, output  # linking would have taken a minute
    assert "Making the environment " in output
    assert "Workflow interrupted." in output
    assert "the step began" not in output
    assert "Traceback" not in output
    prefixes = [each.name for each in (machine.cache / "prefixes").iterdir()]
    assert [name for name in prefixes if not name.endswith(".mutex")] == []
    extracted = (machine.cache / "extracted").iterdir()
    assert not [each for each in extracted if each.name.startswith(".") and each.is_dir()]


STUBBORN = """
class AFlow(FlowSpec):
    @step
    def start(self):
        import signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("waits", flush=True)
        time.sleep(600)
        self.next(self.end)
    @step
    def end(self):
        pass
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_interrupt_ends_the_process(tmp_path, number):
    """A step that does not hear the first one is ended with the process."""
    machine = Machine(tmp_path / "home")
    with machine.started(machine.flow(STUBBORN), "run") as process:
        while "waits" not in (line := process.stdout.readline()):
            assert line
        process.send_signal(number)
        while "Interrupted: ending the tasks that run." not in (line := process.stdout.readline()):
            assert line
        before = time.monotonic()
        while process.poll() is None:  # one that comes within a moment counts as the same key
            assert time.monotonic() - before < 60
            process.send_signal(number)
            time.sleep(0.1)
        took = time.monotonic() - before
        assert process.returncode == 128 + number
        assert process.stdout.read().endswith("Interrupted again: ended at once.\n")  # there are no pods
    assert took < 5, "the step is given that long to end"
