"""The manifest of a pod or job is the one that its attempt told, or the attempt has failed."""

from __future__ import annotations

import hashlib

import pytest

from airflow_conda_flow.compute.batch.board import JobBoard
from airflow_conda_flow.compute.batch.follow import JobNews
from airflow_conda_flow.compute.remote_attempt import End, conclude
from airflow_conda_flow.datastore import layout
from airflow_conda_flow.datastore.manifests import read_attempt, read_task_manifest
from airflow_conda_flow.records.document import read_document, stored_bytes
from airflow_conda_flow.records.run_record import RunRecord
from airflow_conda_flow.records.task_record import TASK_VERSION
from airflow_conda_flow.runner.attempt import caught_outside
from airflow_conda_flow.runner.manifest_line import NOTHING, ToldManifest, manifest_line
from airflow_conda_flow.runner.task_request import TaskRequest

from ...parts.attempt_machine import datastore, make_run, one_step

__all__ = ["datastore", "make_run"]
FLOW = one_step("self.x = 1")


@pytest.fixture
def run(make_run):
    """A run whose step ``start`` is done."""
    run = make_run(FLOW)
    run.request = TaskRequest("AFlow", "1", "start", run_sha256=RunRecord(run.manifest).sha256)
    run.told = run.done("start").record.sha256
    return run


def change(run, **facts):
    """Write another valid manifest, as somebody can who knows the format."""
    storage, key = run.datastore.storage, layout.task_manifest(run.request.name)
    data = stored_bytes({**read_document(storage.read_bytes(key), "", "", TASK_VERSION), **facts})
    storage.write_bytes(key, data)
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    "facts",
    [
        {"artifacts": {}},
        {"python": "3.7"},
        {"superseded_by": 1, "artifacts": {}},
        {"started": "2020-01-01T00:00:00+00:00"},
    ],
)
def test_another_manifest_is_refused(run, facts):
    """With one line, without a retry and without @catch; the attempt counts as failed from then on."""
    changed = change(run, **facts)
    result = conclude(run.datastore.storage, run.request, End(None, manifest=run.told))
    assert (result.ok, result.exception["type"]) == (False, "NotAsPrepared")
    message = result.exception["message"]
    assert f"its attempt wrote: its sha256 is {changed}, and the attempt told {run.told}" in message
    assert "\n" not in message
    record = RunRecord(run.manifest)
    said = []
    assert not caught_outside(run.request, record, run.datastore, result, said.append).ok
    if "superseded_by" not in facts:  # of which nothing counts: there is no attempt 1
        assert not read_attempt(run.datastore.storage, run.request.name).is_done
        assert read_task_manifest(run.datastore.storage, run.request.task) is None


def test_a_failure_that_somebody_calls_done(make_run):
    """The attempt told the digest of a failure."""
    run = make_run(one_step("raise ValueError('on purpose')"))
    run.request = TaskRequest("AFlow", "1", "start", run_sha256=RunRecord(run.manifest).sha256)
    told = run.attempt("start").record.sha256
    empty = dict.fromkeys(("foreach", "num_splits", "split_names", "condition", "chosen"))
    change(run, status="done", exception=None, transition={"next": ["end"], **empty})
    assert read_attempt(run.datastore.storage, run.request.name).is_done
    assert not conclude(run.datastore.storage, run.request, End(None, manifest=told)).ok


@pytest.mark.parametrize(
    "end",
    [
        End(None, manifest=NOTHING, exit_code=3),
        End("It ran out of memory.", manifest=NOTHING, exit_code=137),
        End("The image cannot be pulled.", has_run=False),
    ],
)
def test_a_manifest_of_an_attempt_that_has_committed_nothing(run, end):
    """Somebody has written it before the pod or job refused to run, was killed, or could not start."""
    change(run, python="3.7")
    result = conclude(run.datastore.storage, run.request, end)
    assert (result.ok, result.exception["type"]) == (False, "NotAsPrepared")
    assert "and the attempt has committed nothing. Nothing after it was run." in result.exception["message"]


@pytest.mark.parametrize(
    "end",
    [
        End(None, manifest=NOTHING, exit_code=0),  # the line is shown late
        End("The pod was deleted.", manifest=NOTHING, is_lost=True),  # and its log with it
    ],
)
def test_a_log_without_its_last_line_says_nothing(run, end):
    """The manifest that the datastore has is taken."""
    assert conclude(run.datastore.storage, run.request, end).ok


@pytest.mark.parametrize("told", [True, False])
def test_the_right_manifest_is_taken(run, told):
    """Also one that a later attempt has marked since, and one of which nothing was told."""
    end = End(None, manifest=run.told if told else None)
    assert conclude(run.datastore.storage, run.request, end).ok
    run.done("start", attempt=1)
    marked = read_attempt(run.datastore.storage, run.request.name)
    assert (marked.superseded_by, marked.sha256 == run.told) == (1, False)
    assert conclude(run.datastore.storage, run.request, end).ok


class Log:
    """A log in CloudWatch, whose last line comes late; a stand-in because the real one's delay cannot be chosen."""

    token = None

    def __init__(self, *readings):
        self.readings = list(readings)

    def read(self, _stream, **_options):
        return self.readings.pop(0) if self.readings else []


class Service:
    """A service whose only job has ended."""

    def __init__(self, status="SUCCEEDED"):
        self.status = status

    def describe(self, job_ids):
        container = {"logStreamName": "s"}
        return {each: {"jobId": each, "status": self.status, "container": container} for each in job_ids}


def test_a_line_that_comes_after_the_end_of_its_job(monkeypatch):
    """The log is read again until the last line is there, which is not passed on."""
    monkeypatch.setattr("airflow_conda_flow.compute.batch.follow._LATE_LINES_SECONDS", 0.0)
    log = Log([manifest_line(NOTHING), "one"], [], ["two", manifest_line("5f" * 32)])
    board = JobBoard(Service())
    news = JobNews("j", board, log, 0.1)
    with board.watched("j"):
        assert news.lines() == ["one", "two"]
    assert news.end().manifest == "5f" * 32
    assert JobNews("j", board, Log(), 0.1, manifest="ab" * 32).end().manifest == "ab" * 32


@pytest.mark.parametrize("first", [[], [manifest_line(NOTHING), "one"]])
def test_the_traceback_of_a_failed_job_that_comes_late(monkeypatch, first):
    """The log is read once more unless its last line is there, whether or not the step has printed something."""
    monkeypatch.setattr("airflow_conda_flow.compute.batch.follow._LATE_LINES_SECONDS", 0.0)
    board = JobBoard(Service("FAILED"))
    news = JobNews("j", board, Log(first, ["ValueError: no", manifest_line("5f" * 32)], ["too late"]), 0.1)
    with board.watched("j"):
        assert news.lines() == [*first[1:], "ValueError: no"]
    assert news.end().told == "5f" * 32


@pytest.mark.parametrize(
    "line", ["airflow-conda-flow: manifest sha256 ", manifest_line("5f" * 31), " " + manifest_line("5f" * 32)]
)
def test_other_lines_are_the_steps_own(line):
    """They are passed on."""
    told = ToldManifest()
    assert told.rest([line]) == [line]
    assert told.sha256 is None
