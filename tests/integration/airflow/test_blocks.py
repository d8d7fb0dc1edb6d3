"""One task of Airflow that runs a block of splits: tries, attempts, failures and what is cleared."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from airflow_conda_flow.airflow.block_settings import sharing
from airflow_conda_flow.airflow.manifest_digests import KEY
from airflow_conda_flow.airflow.operators import block as block_module
from airflow_conda_flow.airflow.operators import step as step_module
from airflow_conda_flow.airflow.operators.remote import RemoteStepTask
from airflow_conda_flow.airflow.step_end import SKIP_KEY
from airflow_conda_flow.compute.remote_attempt import End, conclude
from airflow_conda_flow.datastore.manifests import read_attempt
from airflow_conda_flow.errors import ComputeUnavailable, SettingError
from airflow_conda_flow.records.run_record import RunRecord
from airflow_conda_flow.runner.attempt_record import commit_failure
from airflow_conda_flow.runner.task_request import TaskRequest
from airflow_conda_flow.settings.loading import load_settings

from ...parts.attempt_machine import datastore, make_run

__all__ = ["datastore", "make_run"]

FLOW = """
import os, pathlib, time
from airflow_conda_flow import catch
class AFlow(FlowSpec):
    @step
    def start(self):
        self.items = list("abcd")
        self.next(self.body, foreach="items")
    {catch}
    @step
    def body(self):
        {body}
        self.value = self.input * 2
        {then}
    @step
    def join(self, inputs):
        self.next(self.end)
    @step
    def end(self):
        pass
"""
FAILS = "if self.input in open(os.environ['FAILING']).read(): raise ValueError('no ' + self.input)"
INNER = """self.next(self.inner, foreach="inner_items")
    @step
    def inner(self):
        self.next(self.inner_join)
    @step
    def inner_join(self, inputs):
        self.next(self.join)"""
SWITCH = """self.next({"l": self.left, "r": self.right}, condition="way")
    @step
    def left(self):
        self.next(self.meet)
    @step
    def right(self):
        self.next(self.meet)
    @step
    def meet(self):
        self.next(self.join)"""


@pytest.fixture
def failing(monkeypatch, tmp_path):
    """The file that names the splits which fail."""
    path = tmp_path / "failing"
    path.write_text("")
    monkeypatch.setenv("FAILING", str(path))
    return path


@pytest.fixture
def prepared(make_run, monkeypatch, tmp_path, failing):
    """Prepares a run whose first step is done, in the datastore that Airflow's settings name."""
    monkeypatch.setattr(step_module, "flow_run_id", lambda _dag_id, _run_id: "1")
    monkeypatch.setattr(block_module, "set_rendered_name", lambda _name: None)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CONDA_FLOW_DATASTORE_ROOT", str(tmp_path / "root"))

    def prepare(body=FAILS, then="self.next(self.join)", catch=""):
        run = make_run(FLOW.format(body=body, then=then, catch=catch))
        run.done("start")
        return run

    return prepare


def make_operator(step="body", user_retries=0, ranges=((0, 4),), kind=step_module.StepOperator, **more):
    """The operator of a block."""
    with DAG("a_flow", schedule=None):
        return kind(
            task_id=step,
            flow="AFlow",
            step=step,
            kind="linear",
            **{"decorators": {}, **more},
            indices={"ranges": [list(each) for each in ranges]},
            user_retries=user_retries,
            retries=user_retries + 2,
        )


def context_of(try_number=1, max_tries=2, state="failed"):
    """The part of Airflow's context that a block reads; ``pushed`` is what it has pushed."""
    pushed = {}
    ti = SimpleNamespace(
        try_number=try_number,
        max_tries=max_tries,
        map_index=0,
        xcom_push=pushed.__setitem__,
        get_task_states=lambda **_keywords: {"manual__1": {"body_0": state}},
    )
    return {"run_id": "manual__1", "ti": ti, "pushed": pushed}


def left(run, step="body", width=4):
    """The attempts of each split, as one letter each: done, failed, lost; - for one without a manifest."""
    found = []
    for index in range(width):
        records = [
            read_attempt(run.datastore.storage, TaskRequest("AFlow", "1", step, (index,), number).name)
            for number in range(6)
        ]
        letters = ["-" if each is None else "l" if each.is_lost else each.status[0] for each in records]
        found.append("".join(letters).rstrip("-"))
    return found


def test_a_retry_runs_the_splits_that_are_not_done(prepared, failing):
    """Each counts its own failures, whatever the others did; the task fails as long as one has failed."""
    run = prepared()
    operator = make_operator(user_retries=1)
    failing.write_text("ac")
    with pytest.raises(
        AirflowException, match=r"2 of 4 splits of step body failed: body-0 \(a\), body-2 \(c\)"
    ) as error:
        operator.execute(context_of(1, 3))
    assert type(error.value) is AirflowException
    assert left(run) == ["f", "d", "f", "d"]
    failing.write_text("c")
    with pytest.raises(AirflowFailException, match=r"1 of 4 splits of step body failed: body-2 \(c\)\."):
        operator.execute(context_of(2, 3))
    assert left(run) == ["fd", "d", "ff", "d"]


def test_a_split_that_may_be_tried_again_is_not_given_up_for_another(prepared, failing):
    """One has failed as often as it may and is left alone; one was lost, and is run until it is done."""
    run = prepared()
    storage = run.datastore.storage
    commit_failure(storage, TaskRequest("AFlow", "1", "body", (0,)), ValueError("no"))
    conclude(storage, TaskRequest("AFlow", "1", "body", (1,)), End("Pod p was evicted.", is_lost=True))
    with pytest.raises(AirflowFailException, match="1 of 4 splits of step body failed: body-0"):
        make_operator().execute(context_of(2, 2))
    assert left(run) == ["f", "ld", "-d", "-d"]


def test_a_failure_is_caught_for_each_split(prepared, failing, capsys):
    """With its last attempt, so that the block succeeds."""
    run = prepared(catch="@catch(var='problem', print_exception=False)")
    failing.write_text("b")
    context = context_of()
    operator = make_operator(decorators={"catch": {"var": "problem"}})
    assert operator.execute(context) is None
    assert left(run) == ["d", "d", "d", "d"]
    assert context["split_name"] == "items 0 to 3"
    told = capsys.readouterr().out
    assert "[1] Attempt 0 begins." in told
    assert "[1] Attempt 0 is done, its failure caught, after" in told
    assert "4 splits: 4 done." in told
    record = read_attempt(run.datastore.storage, TaskRequest("AFlow", "1", "body", (1,)).name)
    assert record.exception["message"] == "no b"


def test_what_is_cleared(prepared, failing):
    """The splits that were not done; all of them if all were done, or if what they read is newer."""
    run = prepared()
    operator = make_operator()
    failing.write_text("b")
    with pytest.raises(AirflowFailException):
        operator.execute(context_of(1, 2))
    assert left(run) == ["d", "f", "d", "d"]
    failing.write_text("")
    operator.execute(context_of(2, 3))
    assert left(run) == ["d", "fd", "d", "d"]
    operator.execute(context_of(3, 4))
    assert left(run) == ["d-d", "fdd", "d-d", "d-d"]
    failing.write_text("b")
    with pytest.raises(AirflowFailException):
        operator.execute(context_of(4, 5))
    assert left(run)[1] == "fddf"
    failing.write_text("")
    run.done("start", attempt=1)
    operator.execute(context_of(5, 6))
    assert left(run) == ["d-ddd", "fddfd", "d-ddd", "d-ddd"]


def test_airflow_is_asked_once_for_all_splits(prepared, monkeypatch):
    """For the digests of what the splits read; a cleared block also makes one revision of the run's record."""
    run = prepared()
    asked, revised = [], []
    monkeypatch.setattr(
        step_module.StepOperator, "revision", lambda _self, _context, record: revised.append(record) or record
    )

    def xcom_pull(task_ids, key="return_value", map_indexes=None):
        del map_indexes
        asked.append((task_ids, key))
        return {"sha256": RunRecord(run.manifest).sha256} if task_ids == "prepare" else None

    context = context_of(2, 3)
    context["ti"].xcom_pull = xcom_pull
    make_operator(prepare="prepare").execute(context)
    assert left(run) == ["-d"] * 4
    assert len(revised) == 1
    assert sorted(map(str, asked)) == sorted(map(str, [("prepare", "return_value"), (["start"], KEY)]))
    assert context["pushed"][KEY].keys() == {f"body-{index}" for index in range(4)}


def kill_when(path, operator):
    """Tell the operator to end, once there is such a file."""

    def kill():
        while not path.exists():
            time.sleep(0.01)
        operator.on_kill()

    thread = threading.Thread(target=kill)
    thread.start()
    return thread


@pytest.mark.parametrize(("state", "expected"), [("running", "l"), ("failed", "f")])
def test_a_block_that_is_ended(prepared, monkeypatch, tmp_path, state, expected):
    """A run that goes on is ended, and is lost if only its worker goes away; one that has not begun has no attempt."""
    monkeypatch.setenv("CONDA_FLOW_SPLITS_AT_ONCE", "1")
    monkeypatch.setenv("BEGUN", str(tmp_path / "begun"))
    run = prepared(
        "if self.input == 'b': pathlib.Path(os.environ['BEGUN']).touch(); time.sleep(300)  # is ended"
    )
    operator = make_operator(user_retries=1)
    thread = kill_when(tmp_path / "begun", operator)
    with pytest.raises(AirflowException, match="3 of 4 splits of step body failed"):
        operator.execute(context_of(state=state, max_tries=3))
    thread.join()
    assert left(run) == ["d", expected, "", ""]


def test_the_splits_of_splits_are_ranges(prepared):
    """One for each split of the block, which a task then joins with those of the other blocks."""
    prepared("self.inner_items = range(ord(self.input) - ord('a') + 1)", then=INNER)
    operator = make_operator(ranges=[[1, 4]])
    operator.kind = "foreach"
    returned = operator.execute(context_of())
    assert returned == {"ranges": [[1, 0, 2], [2, 0, 3], [3, 0, 4]]}


@pytest.mark.parametrize(
    ("ranges", "skipped", "ends"),
    [
        ([[0, 4]], None, (2, 2)),
        ([[0, 2]], {"skipped": ["right"]}, (2, None)),
        ([[2, 4]], {"skipped": ["left"]}, (None, 2)),
    ],
)
def test_a_block_skips_what_none_of_its_splits_chose(prepared, ranges, skipped, ends):
    """A task of an arm that only some splits take runs those; it is skipped if there are none."""
    run = prepared("self.way = 'l' if self.input in 'ab' else 'r'", then=SWITCH)
    context = context_of()
    operator = make_operator(ranges=ranges)
    operator.left_out = {"left": ["right"], "right": ["left"]}
    operator.execute(context)
    assert context["pushed"].get(SKIP_KEY) == skipped
    for step, count in zip(("left", "right"), ends, strict=True):
        arm = make_operator(step, ranges=ranges)
        if count is None:
            with pytest.raises(AirflowSkipException):
                arm.execute(context_of())
        else:
            arm.execute(context_of())
            assert left(run, step).count("d") == count


class FakePod:
    """A pod of such a cluster, which runs the step in a thread of the test."""

    def __init__(self, cluster, request):
        self.cluster, self.request, self.is_over = cluster, request, False

    @property
    def title(self):
        return f"pod {self.request.task.task_id}"

    def start(self):
        """Make the pod."""
        self.cluster.made.append(self.request.task.task_id)

    def follow(self, _cancel, _is_done, _seconds=0.0):
        cluster = self.cluster
        with cluster.mutex:
            cluster.running += 1
            cluster.most = max(cluster.most, cluster.running)
        try:
            if self.request.indices in cluster.away:
                raise ComputeUnavailable("The cluster is away.")
            cluster.run.attempt("body", *self.request.indices, attempt=self.request.attempt)
            self.is_over = True
        finally:
            with cluster.mutex:
                cluster.running -= 1

    def end(self):
        return End(None)

    def remove(self, *, wait):
        assert not wait
        self.cluster.removed.append(self.request.task.task_id)


class Podded(RemoteStepTask):
    """A step in such pods; copies of the operator share the cluster."""

    cluster = None
    shared = 0

    def connect(self, settings):
        del settings

    def share(self, opened):
        del opened
        self.shared += 1

    def task_left(self, context, tried):
        del context
        pod = self.cluster.alive.get(tried.request.indices)
        return None if pod is None else (pod, pod.request.attempt)

    def new_task(self, context, tried):
        del context
        return FakePod(self.cluster, tried.request)


def test_a_block_of_pods(prepared, monkeypatch, failing):
    """So many at a time; one whose cluster goes away is left alone, and the next try waits for it."""
    monkeypatch.setenv("CONDA_FLOW_SPLITS_AT_ONCE", "2")
    run = prepared()
    failing.write_text("d")
    cluster = SimpleNamespace(
        run=run, made=[], removed=[], away={(1,)}, alive={}, most=0, running=0, mutex=threading.Lock()
    )
    monkeypatch.setattr(Podded, "cluster", cluster)
    operator = make_operator(user_retries=1, kind=Podded)
    with pytest.raises(AirflowException, match=r"2 of 4 splits of step body failed: body-1, body-3 \(d\)"):
        operator.execute(context_of(1, 3))
    assert operator.shared == 1
    assert sorted(cluster.made) == ["body-0", "body-1", "body-2", "body-3"]
    assert sorted(cluster.removed) == ["body-0", "body-2", "body-3"]
    assert cluster.most <= 2
    assert left(run) == ["d", "", "d", "f"]
    cluster.away.clear()
    cluster.made.clear()
    failing.write_text("")
    cluster.alive[1,] = FakePod(cluster, TaskRequest("AFlow", "1", "body", (1,)))
    operator.execute(context_of(2, 3))
    assert cluster.made == ["body-3"]
    assert left(run) == ["d", "d", "d", "fd"]


@pytest.mark.parametrize(
    ("tasks", "blocks", "longest", "expected"),
    [
        (None, None, 1024, (256, 32)),
        ("8", None, 1024, (8, 8)),
        ("8", "64", 1024, (8, 8)),
        ("64", "1", 1024, (64, 1)),
        ("5000", "2000", 1000, (1000, 1000)),
        (None, None, 20, (20, 20)),
    ],
)
def test_how_splits_are_shared_out(monkeypatch, tasks, blocks, longest, expected):
    """Never more tasks than Airflow maps, and never more blocks than there may be tasks."""
    monkeypatch.setenv("AIRFLOW__CORE__MAX_MAP_LENGTH", str(longest))
    environ = {"CONDA_FLOW_FOREACH_TASKS": tasks, "CONDA_FLOW_FOREACH_BLOCKS": blocks}
    assert sharing(load_settings(environ={name: text for name, text in environ.items() if text})) == expected


@pytest.mark.parametrize("name", ["CONDA_FLOW_FOREACH_TASKS", "CONDA_FLOW_FOREACH_BLOCKS"])
@pytest.mark.parametrize("text", ["0", "-1", "many", "1e3", "9" * 5000])
def test_a_number_of_tasks_that_is_none(name, text):
    """One line says where it is from."""
    shown = text if len(text) <= 40 else text[:40] + r"\.\.\."
    with pytest.raises(SettingError, match=rf"{name} is '{shown}'; write a whole number from 1 on"):
        sharing(load_settings(environ={name: text}))


def test_the_time_limit_is_for_a_split(prepared):
    """A block has as many times that."""
    operator = make_operator(execution_timeout=timedelta(minutes=2))
    assert operator.execution_timeout == timedelta(minutes=8)
