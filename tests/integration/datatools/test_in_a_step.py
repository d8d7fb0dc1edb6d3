"""The S3 client in the process of a step, which has the standard library alone, on an old Python too."""

from __future__ import annotations

import os
import threading
import time

import pytest

from airflow_conda_flow.datastore.artifacts import ArtifactStore
from airflow_conda_flow.datastore.datastore import Datastore, open_datastore
from airflow_conda_flow.datastore.s3_storage import S3Storage
from airflow_conda_flow.runner.s3_service import S3Service

from ...parts.attempt_machine import AttemptMachine, old_python, one_step

ALL_WAYS = """
    import multiprocessing, os, sys, threading
    from airflow_conda_flow import S3, parallel_map
    from airflow_conda_flow.exception import MetaflowS3NotFound
    from airflow_conda_flow.plugins.datatools.s3 import S3GetObject

    assert not [name for name in os.environ if name.startswith("AWS_")]
    with S3(run=self) as s3:
        s3.put_many([("n/%d" % number, str(number)) for number in range(20)])
        same = []
        def read(number):
            for _ in range(5):
                same.append(s3.get("n/%d" % number).text == str(number))
        threads = [threading.Thread(target=read, args=[number]) for number in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print("threads", len(same), all(same))
        print("forks", parallel_map(lambda number: s3.get("n/%d" % number).text, range(6), max_parallel=3))
        print("range", s3.get(S3GetObject("n/19", 1, 1)).text)
        try:
            s3.get("nothing")
        except MetaflowS3NotFound as error:
            print("missing", error)
    with S3(tmproot="here") as s3:
        print("relative", s3.get(ROOT + "/AFlow/1/n/3").text, len(os.listdir("here")))
    child = multiprocessing.get_context("spawn").Process(target=spawned, args=(ROOT + "/AFlow/1/n/3",))
    child.start()
    child.join()
    print("left", os.listdir("here"), sys.version_info[:2], sorted(set(sys.modules) & {"boto3", "botocore"}))
"""
SPAWNED = """
def spawned(url):
    from airflow_conda_flow import S3
    from airflow_conda_flow.exception import MetaflowS3Exception
    try:
        with S3() as s3:
            s3.get(url)
    except MetaflowS3Exception as error:
        print("spawned", error)
"""
NOT_HERE = (
    "The S3 client works in the process of a step, in its threads and in processes that it forks "
    "(parallel_map); not in a process that was spawned from it, such as this one."
)


@pytest.fixture
def machine(moto_s3, tmp_path, monkeypatch):
    """Prepares a flow in S3, reached with credentials that no variable holds, as those of a connection."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()

    def make(text: str) -> AttemptMachine:
        root = moto_s3.make_root()
        storage = S3Storage(root, moto_s3.make_client())
        datastore = Datastore(storage, ArtifactStore(storage, tmp_path / "cache"), tmp_path / "cache")
        run = AttemptMachine(tmp_path / "code", text.replace("ROOT", repr(f"{root}/data")), datastore)
        run.manifest["datatools_root"] = f"{root}/data"
        return run

    return make


@pytest.mark.parametrize("version", ["3.6", "3.13"])
def test_threads_and_forked_processes_of_a_step(machine, version):
    """Each gets its own answers, without boto3, and without a credential in the step."""
    python = old_python(version)
    if python is None:
        pytest.skip("no such interpreter here")
    run = machine(one_step(ALL_WAYS, SPAWNED))
    run.done("start", python=python)
    root = run.manifest["datatools_root"]
    assert run.printed() == [
        "threads 50 True",
        "forks ['0', '1', '2', '3', '4', '5']",
        "range 9",
        f"missing There is no object {root}/AFlow/1/nothing.",
        "relative 3 1",
        f"spawned {NOT_HERE}",
        f"left [] {tuple(map(int, version.split('.')))} []",
    ]


def test_a_failure_shows_the_users_frames(machine):
    """And no line of ours; no attempt leaves a file behind."""
    run = machine(
        one_step("""
            from airflow_conda_flow import S3
            def load(s3):
                return s3.get("nothing")
            load(S3(run=self))
        """)
    )
    exception = run.failure("start")
    root = run.manifest["datatools_root"]
    assert exception["message"] == f"There is no object {root}/AFlow/1/nothing."
    assert exception["type"] == "S3NotFound"
    assert 'return s3.get("nothing")' in exception["traceback"]
    assert "load(S3(run=self))" in exception["traceback"]
    assert "/datatools/" not in exception["traceback"]
    assert list((run.datastore.cache_dir / ".scratch").iterdir()) == []


def test_a_local_datastore(moto_s3, monkeypatch, tmp_path):
    """S3 itself is asked all the same; a run has no place there until a setting says where."""
    moto_s3.use(monkeypatch)
    root = moto_s3.make_root()
    run = AttemptMachine(
        tmp_path / "code",
        one_step(f"""
            from airflow_conda_flow import S3
            with S3(s3root={root!r}) as s3:
                s3.put("x", "y")
                print(s3.get("x").text)
            S3(run=self)
        """),
        open_datastore("local", tmp_path / "root", tmp_path / "cache"),
    )
    assert "Set CONDA_FLOW_DATATOOLS_S3ROOT" in run.failure("start")["message"]
    run.manifest["datatools_root"] = root
    run.done("start", attempt=1)
    assert run.printed() == ["y", "y"]


def test_a_step_that_is_ended_ends_its_transfers(rclone_s3, monkeypatch, tmp_path):
    """Its runner does not wait for what nobody wants any more."""
    rclone_s3.use(monkeypatch)
    root = rclone_s3.make_root()
    storage = S3Storage(root)
    started = threading.Event()

    def slow(**_name):
        started.set()
        time.sleep(0.1)
        return {"ETag": "x", "ContentRange": "bytes 0-0/1600000000000", "Body": Endless()}

    class Endless:
        def read(self, _size):
            time.sleep(0.01)
            return b"x"

        def close(self):
            pass

    monkeypatch.setattr(storage.client, "get_object", slow)
    service = S3Service(storage, tmp_path)
    failures = []

    def get():
        try:
            service._objects.get([{"url": f"{root}/endless"}], str(tmp_path), False)
        except OSError as error:
            failures.append(str(error))

    thread = threading.Thread(target=get)
    thread.start()
    assert started.wait(10)
    service.close()
    thread.join(10)
    assert failures == ["The transfer was ended: the step that asked for it is over."]
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith("endless")] == []
