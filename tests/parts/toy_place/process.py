"""Toys: processes that run an attempt as a container does, with a folder each for what is known of them."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from airflow_conda_flow.compute.remote_attempt import End, run_to_end
from airflow_conda_flow.compute.runner_environ import runner_environ
from airflow_conda_flow.compute.unfinished import Unfinished
from airflow_conda_flow.records.names import task_id
from airflow_conda_flow.runner.manifest_line import ToldManifest

# The process that starts the runner, and writes down how it ended.
_NURSE = """
import signal, subprocess, sys
signal.signal(signal.SIGTERM, lambda *_: None)  # the runner ends at it, and its code is written down
code = subprocess.call(sys.argv[2:], stdout=open(sys.argv[1] + "/log", "w"), stderr=subprocess.STDOUT)
open(sys.argv[1] + "/code.new", "w").write(str(code))
__import__("os").rename(sys.argv[1] + "/code.new", sys.argv[1] + "/code")
"""


class Toy:
    """One toy: both the ``RemoteTask`` of a worker and the ``Watched`` of the triggerer."""

    pause = 0.2

    def __init__(self, folder, command=None, environ=None, emit=print, read=0):
        self.folder = Path(folder)
        self.command, self.environ, self.emit, self.read = command, environ, emit, read
        self.told = ToldManifest()
        self._over = None

    @property
    def title(self):
        return f"toy {self.folder.name}"

    @property
    def is_over(self):
        # As of the last look: who sees an end has every line.
        if self._over is None:
            self._over = self.has_ended()
        return self._over

    def has_ended(self):
        return (self.folder / "code").exists() or not self._is_alive()

    def _is_alive(self):
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.folder / "pid").read_text())
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        return False

    def start(self):
        self.folder.mkdir(parents=True)
        command = [sys.executable, "-c", _NURSE, str(self.folder), *self.command]
        environ = {**os.environ, **self.environ, "CONDA_FLOW_CACHE_DIR": str(self.folder / "cache")}
        process = subprocess.Popen(command, env=environ, start_new_session=True)
        (self.folder / "pid").write_text(str(process.pid))

    def on_news(self, call):
        """Nothing: a process does not tell."""

    def lines(self):
        # Asked before the reading: only a reading after the end sees all.
        over = self._over = self.has_ended()
        data = b""
        with contextlib.suppress(OSError):
            data = (self.folder / "log").read_bytes()[self.read :]
        if not over:
            data = data[: data.rfind(b"\n") + 1]
        self.read += len(data)
        return self.told.rest(data.decode("utf-8", "replace").splitlines())

    def follow(self, cancel, is_done, seconds=math.inf):
        end = time.monotonic() + seconds
        while True:
            for line in self.lines():
                self.emit(line)
            if self.is_over or cancel.is_set() or time.monotonic() >= end:
                return
            cancel.wait(0.1)

    def end(self):
        with contextlib.suppress(OSError):
            code = (self.folder / "code").read_text()
            silent = f"Toy {self.folder.name} ended with exit code {code} and left no result."
            return End(None, silent, manifest=self.told.sha256, exit_code=int(code))
        return End(f"Toy {self.folder.name} was taken away.", is_lost=True)

    def remove(self, *, wait=False):
        if not self.has_ended():
            with contextlib.suppress(OSError, ValueError):
                os.killpg(int((self.folder / "pid").read_text()), signal.SIGTERM)
            deadline = time.monotonic() + 10
            while wait and not self.has_ended() and time.monotonic() < deadline:
                time.sleep(0.1)
            for line in self.lines() if wait else ():
                self.emit(line)

    def hand_over(self):
        return {"folder": str(self.folder), "read": self.read}

    def close(self):
        pass


def folder_of(settings, request):
    """Where a toy of an attempt lies; the folder of the task has one for each."""
    box = Path(settings.texts["toy_box"].text)
    return (
        box
        / request.flow
        / f"{request.run_id}-{task_id(request.step, request.indices)}"
        / str(request.attempt)
    )


def toy_of(settings, storage, request, emit):
    """A toy for an attempt."""
    command = [sys.executable, "-m", "airflow_conda_flow.runner", "run", json.dumps(request.to_dict())]
    return Toy(folder_of(settings, request), command, runner_environ(settings, storage), emit)


class ToyCompute:
    """Runs attempts as toys, for the command line and for gangs."""

    def __init__(self, context):
        self._context = context

    def run(self, request, output, on_start, cancel):
        context = self._context
        storage = context.datastore.storage
        toy = toy_of(context.settings, storage, request, lambda line: output("stdout", line))
        return run_to_end(toy, storage, request, on_start, cancel)


def unfinished(settings, flow, decorators):
    """Toys of the flow that still run."""
    for folder in sorted((Path(settings.texts["toy_box"].text) / flow).glob("*/*")):
        toy = Toy(folder)
        if not toy.has_ended():
            run_id = folder.parent.name.partition("-")[0]
            task = f"{flow}/{folder.parent.name.replace('-', '/', 2)}/{folder.name}"
            yield Unfinished(run_id, task, str(folder), "playing", toy.remove)
