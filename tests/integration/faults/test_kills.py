"""Kills of any process of a run, at any moment, drawn by a seed: after ``resume`` nothing is lost or wrong.

What killed processes were writing never appears; a prune removes it.

``make faults ROUNDS=500`` runs many, and says which processes were killed and how the runs ended. A round that
fails names its seed: ``make faults ROUNDS=1 SEED=17`` runs it again.
"""

from __future__ import annotations

import contextlib
import functools
import os
import random
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_conda_flow.datastore.local_storage import LocalStorage
from airflow_conda_flow.datastore.s3_storage import S3Storage

from ...parts.flow_machine import Machine
from ...parts.graphs.shape_runs import Hashes, hashes_of_run

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_conda_flow.datastore.storage import Storage

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds the processes of a run in /proc")

ROUNDS = int(os.environ.get("ROUNDS", "1"))
SEED = int(os.environ.get("SEED", "1"))
MARK = re.compile(r"[0-9a-f]{8}-\d+-\d+-[0-9a-f]{8}-[0-9a-f]{8}")
"""In the name of what a process makes for a while: a folder in which it works, a file that it still writes."""
FLOW = """
import random
class AFlow(FlowSpec):
    @step
    def start(self):
        self.items = list(range(3))
        self.data = random.Random(1).getrandbits(8_000_000).to_bytes(1_000_000, "big")
        self.next(self.outer, foreach="items")
    @step
    def outer(self):
        self.doubled = self.data[self.input:] * 2
        self.parts = ["a", "b"]
        self.next(self.inner, foreach="parts")
    @step
    def inner(self):
        self.word = self.input * (self.index + 1)
        self.next(self.inner_join)
    @step
    def inner_join(self, inputs):
        self.words = [each.word for each in inputs]
        self.merge_artifacts(inputs, include=["doubled"])
        self.next(self.join)
    @step
    def join(self, inputs):
        self.words = [each.words for each in inputs]
        self.sizes = [len(each.doubled) for each in inputs]
        self.next(self.end)
    @step
    def end(self):
        assert self.words == [["a", "bb"]] * 3, self.words
        assert self.sizes == [2_000_000, 1_999_998, 1_999_996], self.sizes
"""


def processes(machine: Machine) -> dict[int, str]:
    """Command of each process that has the machine's home directory, by process id."""
    mark = f"HOME={machine.home}".encode()
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                words = (folder / "cmdline").read_bytes().split(b"\0")
                if any(words):  # one that has ended and waits for its parent has none
                    found[int(folder.name)] = b" ".join(words).decode("utf-8", "replace")
    return found


def kind_of(command: str) -> str:
    """Which of a run's processes it is, for the report."""
    if "a_flow.py" in command:
        return "launcher"
    return "step" if "runtime/main.py" in command else "another"


@dataclass(frozen=True)
class Place:
    """Where a round's runs are started, and what they use.

    Attributes:
        name: for the report.
        machine: with an empty datastore and an empty cache.
        storage: the datastore's.
        options: of the flow, before its command.
    """

    name: str
    machine: Machine
    storage: Storage
    options: tuple[str, ...] = ()


@pytest.fixture(params=["local", "conda", "moto_s3", "rclone_s3"])
def place(request, tmp_path, monkeypatch) -> Place:
    """A directory, without and with conda environments to make, and each kind of S3."""
    if request.param == "conda":
        channel = request.getfixturevalue("channel")
        machine = Machine(tmp_path / "home", channel.url)
        return Place("conda", machine, LocalStorage(machine.datastore), ("--environment=conda",))
    machine = Machine(tmp_path / "home")
    if request.param == "local":
        return Place("directory", machine, LocalStorage(machine.datastore))
    server = request.getfixturevalue(request.param)
    server.use(monkeypatch)
    root = server.make_root()
    machine.environ.update(server.environment, CONDA_FLOW_DATASTORE="s3", CONDA_FLOW_DATASTORE_ROOT=root)
    return Place(f"S3 ({server.name})", machine, S3Storage(root))


@pytest.fixture(scope="module")
def whole(tmp_path_factory, channel) -> Callable[[Place], tuple[Hashes, float]]:
    """Artifacts of a run that nobody disturbs, and its seconds; it has a datastore and a cache of its own."""

    @functools.cache
    def run(*options: str) -> tuple[Hashes, float]:
        machine = Machine(tmp_path_factory.mktemp("whole") / "home", channel.url)
        flow, ids = machine.flow(FLOW), machine.home / "id"
        began = time.monotonic()
        done = machine.run(flow, *options, "run", "--run-id-file", str(ids))
        seconds = time.monotonic() - began
        assert done.returncode == 0, done.stdout + done.stderr
        return hashes_of_run(LocalStorage(machine.datastore), "AFlow", ids.read_text()), seconds

    return lambda place: run(*place.options)


def kill_one(machine: Machine, drawn: random.Random, process: subprocess.Popen[str]) -> str:
    """Kill one process of the run; returns which, or that the run was over."""
    while process.poll() is None:
        running = processes(machine)
        if not running:
            continue
        victim = drawn.choice(sorted(running))
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
            return kind_of(running[victim])
    return "nothing"


def prune(place: Place) -> None:
    """Remove what dead processes have left; nothing else is old enough."""
    for stored in ("datastore", "cache"):
        tool = [sys.executable, "-m", "airflow_conda_flow.cli.tool", stored, "prune", "--yes"]
        subprocess.run(tool, env=place.machine.environ, capture_output=True, check=True)


def wait_until_nothing_runs(machine: Machine, seconds: float = 60) -> None:
    """Return when no process of the run is left; its launcher has ended."""
    deadline = time.monotonic() + seconds
    while left := processes(machine):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


@pytest.mark.parametrize("seed", range(SEED, SEED + ROUNDS))
def test_a_killed_run_is_finished_by_resume(place, whole, tmp_path, seed, tally):
    """Whatever was killed: no process stays, ``resume`` ends, and the artifacts are those of an undisturbed run."""
    machine = place.machine
    expected, seconds = whole(place)
    drawn = random.Random(f"{seed} {place.storage.kind}")
    flow, ids = machine.flow(FLOW), tmp_path / "id"
    words, killed = ["run"], []
    while True:
        printed = tmp_path / f"output{len(killed)}"
        with printed.open("w") as output:
            process = subprocess.Popen(
                machine.command(flow, *place.options, *words, "--run-id-file", str(ids)),
                stdout=output,
                stderr=subprocess.STDOUT,
                env=machine.environ,
                cwd=machine.home,
            )
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(drawn.uniform(0, seconds * 1.2))
            # The last try is left alone: it has to finish what the kills have left.
            killed.append(kill_one(machine, drawn, process) if len(killed) < 2 else "nothing")
            process.wait(120)
        wait_until_nothing_runs(machine)
        if killed[-1] == "nothing":
            break
        if ids.exists():
            words = ["resume", "--origin-run-id", ids.read_text()]
    text = printed.read_text()
    print(f"seed {seed}, {place.storage.url}: killed {killed[:-1]}, ended with {process.returncode}")
    assert process.returncode == 0, text
    assert "Traceback" not in text
    assert hashes_of_run(place.storage, "AFlow", ids.read_text()) == expected
    for victim in killed:
        if victim != "nothing":
            tally(f"kills: {victim}, {place.name}", happened=1)
    prune(place)
    assert [path for path in machine.home.rglob("*") if MARK.search(path.name)] == []
    assert hashes_of_run(place.storage, "AFlow", ids.read_text()) == expected
