"""Several first starts of one flow at once: nothing is stored or cached yet, and all of them want to make it.

``make faults ROUNDS=20`` runs rounds of 8 and 24 starts. A round that fails names its seed: ``make faults ROUNDS=1
SEED=17`` runs it again.
"""

from __future__ import annotations

import os
import random
import subprocess
import time

import pytest

from airflow_conda_flow.datastore.local_storage import LocalStorage
from airflow_conda_flow.datastore.s3_storage import S3Storage

from ...parts.flow_machine import Machine
from ...parts.graphs.shape_runs import hashes_of_run
from ...parts.tally import OTHERWISE

ROUNDS = int(os.environ.get("ROUNDS", "1"))
SEED = int(os.environ.get("SEED", "1"))
STARTS = (8, 24) if "ROUNDS" in os.environ else (4,)
# All runs store the same artifacts; one of them is so large that it is sent to S3 in parts.
FLOW = """
import random
class AFlow(FlowSpec):
    @conda(libraries={"six": "1.16.0"})
    @step
    def start(self):
        self.items = [0, 1]
        self.data = random.Random(1).randbytes(17_000_000)
        self.next(self.body, foreach="items")
    @step
    def body(self):
        self.length = len(self.data) + self.input
        self.next(self.join)
    @step
    def join(self, inputs):
        self.lengths = [each.length for each in inputs]
        self.next(self.end)
    @step
    def end(self):
        assert self.lengths == [17_000_000, 17_000_001], self.lengths
"""


PLACES = [("directory", "conda"), ("moto_s3", "local"), ("rclone_s3", "conda")]
if "ROUNDS" in os.environ:
    PLACES += [("directory", "local"), ("moto_s3", "conda"), ("rclone_s3", "local")]


@pytest.fixture(params=PLACES, ids="-".join)
def place(request, tmp_path, monkeypatch, channel):
    """A machine with an empty cache, its empty datastore, where steps run, and the name of all that."""
    where, environment = request.param
    machine = Machine(tmp_path / "home", channel.url)
    if where == "directory":
        return machine, LocalStorage(machine.datastore), environment, f"{environment}, directory"
    server = request.getfixturevalue(where)
    server.use(monkeypatch)
    root = server.make_root()
    machine.environ.update(server.environment, CONDA_FLOW_DATASTORE="s3", CONDA_FLOW_DATASTORE_ROOT=root)
    return machine, S3Storage(root), environment, f"{environment}, S3 ({server.name})"


@pytest.mark.parametrize("seed", range(SEED, SEED + ROUNDS))
def test_first_starts_at_once(place, tmp_path, seed, tally):
    """All runs end, with the same artifacts, and each has an id of its own."""
    machine, storage, environment, name = place
    drawn = random.Random(f"{seed} {name}")
    flow, number = machine.flow(FLOW), STARTS[seed % len(STARTS)]
    kind = f"first starts at once: {number}, {name}"
    started = []
    for i in range(number):
        with (tmp_path / f"output{i}").open("w") as output:
            process = subprocess.Popen(
                machine.command(
                    flow, "--environment", environment, "run", "--run-id-file", tmp_path / f"id{i}"
                ),
                stdout=output,
                stderr=subprocess.STDOUT,
                env=machine.environ,
                cwd=machine.home,
            )
        started.append(process)
        time.sleep(drawn.choice([0, 0, 0.01, 0.1]))  # as people and schedulers start them
    try:
        codes = [process.wait(500) for process in started]
    finally:
        for process in started:
            process.kill()
    texts = [(tmp_path / f"output{i}").read_text() for i in range(number)]
    wrong = [text for code, text in zip(codes, texts, strict=True) if code != 0 or "Traceback" in text]
    tally(kind, number=number - len(wrong), happened=number)
    tally(kind, OTHERWISE, max(len(wrong) - 1, 0))  # a test that fails counts as one
    assert not wrong, f"seed {seed}, {len(wrong)} of {number}:\n" + "\n".join(wrong)
    ids = {(tmp_path / f"id{i}").read_text() for i in range(number)}
    assert len(ids) == number
    hashes = [hashes_of_run(storage, "AFlow", run_id) for run_id in ids]
    assert all(each == hashes[0] for each in hashes)
