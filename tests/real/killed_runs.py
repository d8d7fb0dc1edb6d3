"""Runs of which pods, jobs and the launching process are killed, drawn by a seed; ``resume`` finishes them."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from airflow_conda_flow.datastore.s3_storage import S3Storage

from ..parts.flow_machine import Machine
from ..parts.graphs.shape_runs import Hashes, hashes_of_run

KILLS = 2
FLOW = """
from airflow_conda_flow import batch, kubernetes, retry
class AFlow(FlowSpec):
    @step
    def start(self):
        self.items = ["a", "b", "c"]
        self.data = bytes(range(256)) * 20_000
        self.next(self.body, foreach="items")
    @retry(times=5, minutes_between_retries=0.02)
    @@PLACE@@
    @step
    def body(self):
        import time
        time.sleep(1)
        self.word = self.input * 2
        self.copy = self.data[self.index:]
        self.next(self.join)
    @step
    def join(self, inputs):
        self.words = [each.word for each in inputs]
        self.sizes = [len(each.copy) for each in inputs]
        self.next(self.end)
    @retry(times=5, minutes_between_retries=0.02)
    @@PLACE@@
    @step
    def end(self):
        assert (self.words, self.sizes) == (["aa", "bb", "cc"], [5_120_000, 5_119_999, 5_119_998])
"""
Victims = Callable[[], dict[str, tuple[str, Callable[[], object]]]]
"""A function: what can be killed now, by name: its kind, and what kills it."""


@dataclass
class KilledRuns:
    """Runs of ``FLOW`` in one place.

    Attributes:
        machine: launches them.
        storage: the datastore's.
        place: the decorator of two of their steps.
        victims: what else than the launching process can be killed.
    """

    machine: Machine
    storage: S3Storage
    place: str
    victims: Victims

    def undisturbed(self) -> tuple[Hashes, float]:
        """Artifacts and seconds of a run of which nothing is killed."""
        began = time.monotonic()
        process, ids = self._start(["run"], "undisturbed")
        assert process.wait(240) == 0, self._printed("undisturbed")
        return hashes_of_run(self.storage, "AFlow", ids.read_text()), time.monotonic() - began

    def round(self, seed: int, expected: Hashes, seconds: float) -> list[str]:
        """Kill something twice, at moments that the seed draws; returns the kinds of what was killed.

        Whatever it was, the run or its ``resume`` ends well, with the artifacts of an undisturbed run.
        """
        drawn = random.Random(f"{seed} {self.place}")
        words, killed, ids = ["run"], [], None
        for number in range(KILLS + 2):
            name = f"{seed}-{number}"
            process, written = self._start(words, name)
            while len(killed) < KILLS:
                try:
                    process.wait(drawn.uniform(0, seconds * 1.2 / KILLS))
                    break
                except subprocess.TimeoutExpired:
                    killed.append(self._kill_one(drawn, process))
            code = process.wait(240)
            ids = written if written.exists() else ids
            if code == 0:
                break
            assert "Traceback" not in self._printed(name), self._printed(name)
            if ids is not None:
                words = ["resume", "--origin-run-id", ids.read_text()]
        assert code == 0, self._printed(name)
        assert ids is not None
        assert hashes_of_run(self.storage, "AFlow", ids.read_text(), is_retried=True) == expected
        print(f"seed {seed}, {self.place}: killed {killed}")
        return killed

    def _kill_one(self, drawn: random.Random, process: subprocess.Popen[str]) -> str:
        """Kill a victim, as likely the launching process as any other; returns its kind."""
        found = {"launcher": ("launcher", process.kill), **self.victims()}
        kind, kill = found[drawn.choice(sorted(found))]
        kill()
        return kind

    def _start(self, words: list[str], name: str) -> tuple[subprocess.Popen[str], Path]:
        flow = self.machine.flow(FLOW.replace("@@PLACE@@", self.place))
        ids = self.machine.home / f"id-{name}"
        with self._log(name).open("w") as output:
            process = subprocess.Popen(
                self.machine.command(flow, *words, "--run-id-file", str(ids)),
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self.machine.environ,
                cwd=self.machine.home,
                text=True,
            )
        return process, ids

    def _log(self, name: str) -> Path:
        return self.machine.home / f"output-{name}"

    def _printed(self, name: str) -> str:
        return self._log(name).read_text()
