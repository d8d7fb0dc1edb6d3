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
