"""Attacks of somebody who may write the datastore: between two steps, and between a run and its resume.

Whoever it is knows the format: beside damage there are valid files of another run, and those of another run under the
names of this one. Nothing of theirs is ever run or taken for a value: the result is right, or one line says which file
is not what it should be. ``make faults ROUNDS=50`` tries many. A round that fails names its seed: ``make faults
ROUNDS=1 SEED=17`` runs it again.
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from dataclasses import dataclass
from typing import Any

import pytest

from airflow_conda_flow.records.document import read_document, stored_bytes
from airflow_conda_flow.records.task_record import TASK_VERSION

from ...parts.damage import FAULTS
from ...parts.flow_machine import Machine
from ...parts.tally import CLEAR_ERROR, RIGHT

ROUNDS = int(os.environ.get("ROUNDS", "1"))
SEED = int(os.environ.get("SEED", "1"))
FLOW = """
from airflow_conda_flow import S3
class AFlow(FlowSpec):
    word = Parameter("word", default="good")
    @step
    def start(self):
        self.items = [0, 1]
        self.data = [self.word] * 1000
        self.next(self.body, foreach="items")
    @step
    def body(self):
        self.made = self.word * 2
        self.next(self.join)
    @step
    def join(self, inputs):
        import os, time
        self.made = [each.made for each in inputs]
        self.merge_artifacts(inputs, include=["data"])
        with S3(s3root="@@SIGNS@@") as s3:
            s3.put(current.run_id + "-waits", b"")
            while os.environ.get("WAITS") and not s3.get(current.run_id, return_missing=True).exists:
                time.sleep(0.05)
        self.next(self.last)
    @step
    def last(self):
        import os
        if os.environ.get("FAILS"):
            raise ValueError("on purpose")
        self.next(self.end)
    @step
    def end(self):
        print("RESULT", self.word, self.made, set(self.data), len(self.data))
"""
RESULT = "RESULT good ['goodgood', 'goodgood'] {'good'} 1000"
KINDS = (
    "run record",
    "task manifest",
    "manifest of a task that has not ended",
    "artifact",
    "code package",
    "log",
)
# Once in the gate, of the files that decide most; all kinds with ``make faults``.
TRIED = KINDS if "ROUNDS" in os.environ else KINDS[1:3]
WAYS = (*FAULTS, "gone", "another run's", "another run's, by this one's name")


@dataclass(frozen=True)
class Bucket:
    """The objects below the root of a datastore, as whoever may write there sees them."""

    client: Any
    root: str

    def _name(self, key: str) -> dict[str, str]:
        bucket, _, prefix = self.root.removeprefix("s3://").partition("/")
        return {"Bucket": bucket, "Key": f"{prefix}/{key}"}

    def keys(self, folder: str) -> list[str]:
        """The keys of a folder, sorted."""
        name = self._name(folder)
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=name["Bucket"], Prefix=name["Key"]
        )
        found = [each["Key"] for page in pages for each in page.get("Contents", ())]
        return sorted(key.removeprefix(name["Key"].removesuffix(folder)) for key in found)

    def read(self, key: str) -> bytes:
        """Bytes under a key."""
        return self.client.get_object(**self._name(key))["Body"].read()

    def write(self, key: str, data: bytes | None) -> None:
        """Write bytes under a key; None deletes it."""
        if data is None:
            self.client.delete_object(**self._name(key))
        else:
            self.client.put_object(**self._name(key), Body=data)


@dataclass(frozen=True)
class Scene:
    """A machine, its datastore in S3, and a finished run of the flow with other values.

    Attributes:
        machine: runs the flow.
        bucket: the datastore.
        signs: a folder in S3 by which a step says that it waits, and is told to go on.
        other: id of the other run.
    """

    machine: Machine
    bucket: Bucket
    signs: Bucket
    other: str

    def attack(self, run_id: str, kind: str, way: str, drawn: random.Random) -> list[str]:
        """Change all files of the kind that the run has, of code packages and artifacts one; returns their keys."""
        folder = f"flows/AFlow/{run_id}/"
        later = [f"{folder}{step}/0/0.json" for step in ("last", "end")]
        own = [key for key in self.bucket.keys(folder) if key not in later]
        keys = {
            "run record": [f"{folder}run.json"],
            "task manifest": [key for key in own if key.endswith("/0.json")],
            "manifest of a task that has not ended": later,
            "log": [key for key in own if key.endswith(".stdout")],
            "artifact": [drawn.choice(self.bucket.keys("artifacts/"))],
            "code package": [drawn.choice(self.bucket.keys("code/"))],
        }[kind]
        for key in keys:
            self.bucket.write(key, self._changed(key, run_id, way))
        return keys

    def _changed(self, key: str, run_id: str, way: str) -> bytes | None:
        """Bytes to write under a key; None to delete it."""
        if way == "gone":
            return None
        twin = self._twin(key, run_id)
        if way in FAULTS:
            return FAULTS[way](self.bucket.read(key) if self.bucket.keys(key) else twin)
        if way == "another run's" or not key.endswith(".json"):
            return twin
        return stored_bytes({**read_document(twin, "", "", TASK_VERSION), "run_id": run_id})

    def _twin(self, key: str, run_id: str) -> bytes:
        """The same file of the other run; of an artifact or code package another one."""
        folder = key.partition("/")[0]
        if folder == "flows":
            return self.bucket.read(key.replace(run_id, self.other))
        return self.bucket.read(next(each for each in self.bucket.keys(f"{folder}/") if each != key))


@pytest.fixture
def scene(tmp_path, moto_s3) -> Scene:
    """A machine with a datastore of its own."""
    client, root, signs = moto_s3.make_client(), moto_s3.make_root(), moto_s3.make_root()
    environ = {**moto_s3.environment, "CONDA_FLOW_DATASTORE": "s3", "CONDA_FLOW_DATASTORE_ROOT": root}
    machine = Machine(tmp_path / "home", **environ)
    flow = machine.flow(FLOW.replace("@@SIGNS@@", signs).replace('default="good"', 'default="evil"'))
    done = machine.run(flow, "run", "--run-id-file", "other")
    assert done.returncode == 0, done.stdout + done.stderr
    machine.flow(FLOW.replace("@@SIGNS@@", signs))
    return Scene(machine, Bucket(client, root), Bucket(client, signs), (machine.home / "other").read_text())


def check(printed: str, code: int) -> str:
    """How an attacked run ended: right, or with an error; fails if something of the attacker's was taken."""
    assert "evil" not in printed
    assert "airflow_conda_flow/" not in printed
    if code == 0:
        assert RESULT in printed
        return RIGHT
    assert (code, "RESULT" in printed) == (1, False)
    return CLEAR_ERROR


@pytest.mark.parametrize("kind", TRIED)
@pytest.mark.parametrize("seed", range(SEED, SEED + ROUNDS))
def test_an_attack_between_two_steps(scene, kind, seed, tally):
    """The launching process holds what it has seen; the next step runs with it, or not at all."""
    drawn = random.Random(f"{seed} {kind}")
    flow, ids, way = scene.machine.home / "a_flow.py", scene.machine.home / "id", drawn.choice(WAYS)
    with (scene.machine.home / "printed").open("w+") as output:
        process = subprocess.Popen(
            scene.machine.command(flow, "run", "--run-id-file", str(ids)),
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**scene.machine.environ, "WAITS": "1"},
            cwd=scene.machine.home,
        )
        while not (ids.exists() and scene.signs.keys(f"{ids.read_text()}-waits")):
            assert process.poll() is None
            time.sleep(0.05)
        keys = scene.attack(ids.read_text(), kind, way, drawn)
        scene.signs.write(ids.read_text(), b"")
        code = process.wait(120)
        output.seek(0)
        printed = output.read()
    print(f"seed {seed}, {way}: {keys}\n{printed}")
    tally(f"attack between two steps, {kind}", check(printed, code), happened=1)


@pytest.mark.parametrize("kind", TRIED)
@pytest.mark.parametrize("seed", range(SEED, SEED + ROUNDS))
def test_an_attack_between_a_run_and_its_resume(scene, kind, seed, tally):
    """The machine remembers what it has scheduled."""
    drawn = random.Random(f"{seed} {kind} resume")
    flow, way = scene.machine.home / "a_flow.py", drawn.choice(WAYS)
    failed = scene.machine.run(flow, "run", "--run-id-file", "id", FAILS="1")
    assert "ValueError: on purpose" in failed.stdout, failed.stdout + failed.stderr
    run_id = (scene.machine.home / "id").read_text()
    keys = scene.attack(run_id, kind, way, drawn)
    done = scene.machine.run(flow, "resume", "--origin-run-id", run_id)
    printed = done.stdout + done.stderr
    print(f"seed {seed}, {way}: {keys}\n{printed}")
    tally(f"attack between run and resume, {kind}", check(printed, done.returncode), happened=1)
