"""Signals that come before the first task, and signals that a run does not hear."""

from __future__ import annotations

import functools
import signal
import threading
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ...parts.flow_machine import Machine

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
        assert process.wait(60) == 1
        assert time.monotonic() - before < 60
    assert output.endswith("Interrupted.\n")
    assert "Traceback" not in output
    assert (machine.cache / "packages").is_dir(), "the download had begun"
    assert not list(machine.cache.glob("packages/*/[!.]*"))
    assert not list(machine.cache.glob("packages/.*")), "what had come is removed"


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
        assert process.wait(60) == 1
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


def test_a_second_interrupt_ends_the_process(tmp_path):
    """A step that does not hear the first one is ended with the process."""
    machine = Machine(tmp_path / "home")
    with machine.started(machine.flow(STUBBORN), "run") as process:
        while "waits" not in (line := process.stdout.readline()):
            assert line
        process.send_signal(signal.SIGINT)
        while "Interrupted: ending the tasks that run." not in (line := process.stdout.readline()):
            assert line
        before = time.monotonic()
        while process.poll() is None:  # one that comes within a moment counts as the same key
            assert time.monotonic() - before < 60
            process.send_signal(signal.SIGINT)
            time.sleep(0.1)
        took = time.monotonic() - before
        assert process.returncode == 128 + signal.SIGINT
        assert "Interrupted again: ended at once." in process.stdout.read()
    assert took < 5, "the step is given that long to end"
