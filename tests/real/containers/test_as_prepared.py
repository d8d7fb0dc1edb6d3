"""A container runs what was prepared, whatever the datastore holds meanwhile."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from airflow_conda_flow.datastore import layout
from airflow_conda_flow.environments.packed import find_packed, packed_bytes
from airflow_conda_flow.records.document import read_document, stored_bytes

from ...parts.attempt_machine import one_step

FLOW = one_step("import six; print('six', six.__version__)").replace(
    "    @step\n    def start", '    @conda(libraries={"six": "1.17.0"})\n    @step\n    def start'
)


def reseal(data: bytes, **changes) -> bytes:
    """A document with other values, and the right checksum."""
    return stored_bytes({**read_document(data, "", ""), **changes})


@pytest.fixture
def poisoned_run(make_container_run, channel):
    """A function: a prepared run, and the function that changes what the datastore has under a key."""

    def make(*, packed: bool):
        run = make_container_run(FLOW, [channel.url], packed=packed)

        def poison(key: str, change) -> str:
            run.datastore.storage.write_bytes(key, change(run.datastore.storage.read_bytes(key)))
            return key

        return run, poison

    return make


def test_another_record_lock_or_code_package_is_refused(poisoned_run):
    """With one line that names it; the step never starts, and the attempt is recorded as failed."""
    run, poison = poisoned_run(packed=False)
    ref = run.run.environment_of("start")
    lock = layout.lock(ref["platform"], ref["id"])
    for attempt, (key, change) in enumerate(
        [
            (layout.run_manifest("AFlow", "1"), lambda data: reseal(data, environments={})),
            (lock, lambda data: data.replace(b"http", b"HTTP")),
            (layout.code_package(run.run.code["sha256"]), lambda data: data.replace(b"six", b"sys")),
        ]
    ):
        right = run.datastore.storage.read_bytes(key)
        poison(key, change)
        ended = run.attempt("start", attempt=attempt)
        assert ended.returncode == 3, ended.stdout + ended.stderr
        (line,) = [line for line in ended.stderr.splitlines() if "was prepared with" in line]
        assert key in line
        assert run.task("start", attempt=attempt).exception["type"] == "NotAsPrepared"
        run.datastore.storage.write_bytes(key, right)
    assert "six 1.17.0" in run.done("start", attempt=3).stdout


def test_another_packed_environment_is_not_even_read(poisoned_run):
    """The run's record names the archive: what `.packed` names later, or says of it, is nothing to the container."""
    run, poison = poisoned_run(packed=True)
    ref, storage = run.run.environment_of("start"), run.datastore.storage
    packed = find_packed(storage, ref["platform"], ref["id"])
    storage.write_bytes(layout.environment_archive(ref["platform"], "ab" * 32), b"with a sitecustomize")
    other = packed_bytes(ref["platform"], ref["id"], replace(packed, sha256="ab" * 32, size=20))
    poison(layout.packed_environment(ref["platform"], ref["id"]), lambda _data: other)
    ended = run.done("start")
    assert "six 1.17.0" in ended.stdout
    said = re.sub(r"^ *[\d.]+ MB in .*$", "", ended.stderr, flags=re.MULTILINE).split("\n")
    assert [line.partition(":")[0] for line in said if line] == [
        "Fetching the packed environment",
        "Unpacking the environment",
    ]
