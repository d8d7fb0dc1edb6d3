"""Airflow's tries, a step's attempts, and what the infrastructure loses of them."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from packaging.version import Version

from airflow_conda_flow.airflow import versions
from airflow_conda_flow.airflow.configuration import airflow_settings
from airflow_conda_flow.airflow.identity import first_attempt_of
from airflow_conda_flow.airflow.operators import remote
from airflow_conda_flow.airflow.operators import step as step_module
from airflow_conda_flow.airflow.step_end import StepEnd
from airflow_conda_flow.airflow.triggers import step as step_trigger
from airflow_conda_flow.airflow.triggers.step import StepTrigger, TriggerTask
from airflow_conda_flow.compute.remote_attempt import End, conclude
from airflow_conda_flow.datastore.manifests import read_attempt
from airflow_conda_flow.errors import ComputeUnavailable
from airflow_conda_flow.runner.attempt_record import commit_failure
from airflow_conda_flow.runner.task_request import TaskRequest

from ...parts.attempt_machine import datastore, make_run, one_step

__all__ = ["datastore", "make_run"]


@pytest.fixture
def run(make_run, monkeypatch, tmp_path):
    """A prepared run, in the datastore that Airflow's settings name."""
    monkeypatch.setattr(step_module, "flow_run_id", lambda _dag_id, _run_id: "1")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CONDA_FLOW_DATASTORE_ROOT", str(tmp_path / "root"))
    return make_run(one_step("self.x = 1"))


def request_of(attempt: int) -> TaskRequest:
    """The request of an attempt of the first step."""
    return TaskRequest("AFlow", "1", "start", attempt=attempt)


def leave(run, statuses: str) -> None:
    """Leave attempts: d for done, f for one that failed, l for one that was lost, - for one without a trace."""
    storage = run.datastore.storage
    for attempt, status in enumerate(statuses):
        if status == "d":
            run.done("start", attempt=attempt)
        elif status == "f":
            commit_failure(storage, request_of(attempt), ValueError("no"))
        elif status == "l":
            conclude(storage, request_of(attempt), End("Pod p was evicted.", is_lost=True))


def make_operator(user_retries: int, spare: int = 2, kind: type = step_module.StepOperator):
    """The operator of the first step."""
    with DAG("a_flow", schedule=None):
        return kind(
            task_id="start",
            flow="AFlow",
            step="start",
            kind="linear",
            decorators={},
            user_retries=user_retries,
            retries=user_retries + spare,
        )


def context_of(try_number: int, max_tries: int) -> dict:
    """The part of Airflow's context that a step reads."""
    ti = SimpleNamespace(try_number=try_number, max_tries=max_tries, start_date=None)
    return {"run_id": "manual__1", "ti": ti}


@pytest.mark.parametrize(
    ("left", "user_retries", "is_last", "newest"),
    [
        ("", 0, True, None),
        ("", 1, False, None),
        ("-", 0, True, None),  # a worker was lost: the step has not failed
        ("l", 0, True, "failed"),
        ("l", 1, False, "failed"),
        ("f", 1, True, "failed"),
        ("lf", 1, True, "failed"),
        ("ll", 1, False, "failed"),
        ("fl", 2, False, "failed"),
        ("d", 0, True, "done"),
        ("ld", 0, True, "done"),
    ],
)
def test_only_failures_of_the_step_count(run, left, user_retries, is_last, newest):
    """Losses of the infrastructure take nothing from @retry, and @catch waits for the step's last failure."""
    leave(run, left)
    operator = make_operator(user_retries)
    tried = operator.open(context_of(len(left) + 1, operator.retries))
    assert tried.request.attempt == len(left)
    assert tried.request.is_last is is_last
    assert (None if tried.newest is None else tried.newest.status) == newest


def test_a_try_of_a_task_that_is_done_runs_nothing(run):
    """Airflow missed the end: a worker was lost after the commit, or the scheduler took one end for another."""
    leave(run, "d")
    before = read_attempt(run.datastore.storage, request_of(0).name)
    make_operator(0).execute(context_of(2, 2))
    assert read_attempt(run.datastore.storage, request_of(0).name) == before
    assert read_attempt(run.datastore.storage, request_of(1).name) is None


@pytest.mark.parametrize("earlier", ["", "f"])
def test_a_manifest_that_is_there_before_its_attempt_counts_for_nothing(run, earlier):
    """No try has written it: whoever may write the datastore has. The step runs, and leaves its own."""
    leave(run, earlier + "d")
    attempt = len(earlier)
    forged = read_attempt(run.datastore.storage, request_of(attempt).name)
    operator = make_operator(1)
    context = context_of(attempt + 1, operator.retries)
    assert operator.open(context).done is None
    operator.execute(context)
    own = read_attempt(run.datastore.storage, request_of(attempt).name)
    assert own.is_done
    assert own.sha256 != forged.sha256


def test_a_cleared_task_runs_again(run):
    """Airflow has raised max_tries; earlier attempts do not count any more, done or failed."""
    leave(run, "fd")
    operator = make_operator(1)
    tried = operator.open(context_of(3, 2 + operator.retries))
    assert (tried.first, tried.request.attempt, tried.done, tried.request.is_last) == (2, 2, None, False)
    operator.execute(context_of(3, 2 + operator.retries))
    assert read_attempt(run.datastore.storage, request_of(2).name).is_done


@pytest.mark.parametrize(("max_tries", "retries", "first"), [(0, 0, 0), (3, 3, 0), (4, 3, 1), (2, 3, 0)])
def test_the_first_attempt_since_a_task_was_cleared(max_tries, retries, first):
    """Also where the DAG's retries have changed since."""
    assert first_attempt_of(max_tries, retries) == first


@pytest.mark.parametrize(
    ("left", "user_retries", "kind"),
    [("", 0, AirflowFailException), ("", 1, AirflowException), ("f", 1, AirflowFailException)],
)
def test_the_last_failure_of_a_step_is_not_tried_again(run, left, user_retries, kind):
    """Although Airflow has tries left, which are for the infrastructure."""
    leave(run, left)
    operator = make_operator(user_retries)
    tried = operator.open(context_of(len(left) + 1, operator.retries))
    result = conclude(run.datastore.storage, tried.request, End("It broke."))
    with pytest.raises(AirflowException, match="Step start failed: It broke") as caught:
        operator.conclude(context_of(len(left) + 1, operator.retries), tried, result)
    assert type(caught.value) is kind


def test_a_failure_that_airflow_has_missed_is_not_forgotten(run):
    """The last failure was reported too early for the scheduler, which started another try: it runs nothing."""
    leave(run, "f")
    operator = make_operator(0)
    with pytest.raises(AirflowFailException, match="Step start failed: ValueError: no"):
        operator.execute(context_of(2, operator.retries))
    assert read_attempt(run.datastore.storage, request_of(1).name) is None


@pytest.mark.parametrize(
    ("left", "user_retries", "kind"),
    [
        ("f", 0, AirflowFailException),
        ("f", 1, AirflowException),
        ("lf", 1, AirflowException),
        ("ff", 1, AirflowFailException),
        ("fl", 0, AirflowException),
    ],
)
def test_a_failure_that_comes_back_from_the_triggerer(run, left, user_retries, kind):
    """It is judged as one that the worker has seen itself; also under ``airflow dags test``."""
    leave(run, left)
    operator = make_operator(user_retries, kind=Unreachable)
    for event in ({"problem": None}, "failed"):
        with pytest.raises(AirflowException) as caught:
            operator.conclude_deferred(context_of(len(left), operator.retries), event)
        assert type(caught.value) is kind


def test_a_lost_attempt_is_tried_again(run):
    """Without any @retry, as long as Airflow has tries left."""
    operator = make_operator(0)
    tried = operator.open(context_of(1, operator.retries))
    result = conclude(run.datastore.storage, tried.request, End("Pod p was evicted.", is_lost=True))
    with pytest.raises(AirflowException) as caught:
        operator.conclude(context_of(1, operator.retries), tried, result)
    assert type(caught.value) is AirflowException
    assert result.record.is_lost


class Unreachable(remote.RemoteStepTask):
    """A step whose cluster cannot be reached."""

    watch = "unreachable_place:unreachable"

    def connect(self, tried):
        del tried
        raise ComputeUnavailable("The cluster cannot be reached.")


def test_the_manifest_is_asked_before_the_cluster(run):
    """A step that is done succeeds; another may be tried again."""
    operator = make_operator(0, kind=Unreachable)
    with pytest.raises(AirflowException, match="cannot be reached"):
        operator.execute(context_of(1, 2))
    leave(run, "d")
    assert operator.execute(context_of(2, 2)) is None
    assert operator.conclude_deferred(context_of(1, 2), {"problem": "The cluster cannot be reached."}) is None


def event_of(operator, request: TaskRequest):
    """The events of a task's trigger under ``airflow dags test``, made of its serialized form."""
    trigger = StepTrigger(
        request=dict(request.to_dict()),
        settings={},
        watch="unreachable_place:unreachable",
        state={},
        end_at=None,
        facts=TriggerTask.of(operator, airflow_settings(), ends_here=False).to_dict(),
    )
    path, arguments = trigger.serialize()
    assert path == "airflow_conda_flow.airflow.triggers.step.StepTrigger"

    async def first():
        return await anext(StepTrigger(**arguments).run())

    return asyncio.run(first()).payload


def test_a_triggerer_that_cannot_reach_the_cluster(run, monkeypatch, tmp_path):
    """A task that is done ends well; else a worker is told why, and the next try finds the pod or job."""
    (tmp_path / "unreachable_place.py").write_text(
        "from airflow_conda_flow.errors import ComputeUnavailable\n"
        "def unreachable(state, datastore, request):\n    raise ComputeUnavailable('The cluster is away.')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    operator = make_operator(0, kind=Unreachable)
    assert event_of(operator, request_of(0))["problem"] == "The cluster is away."
    with pytest.raises(AirflowException, match="The cluster is away"):
        operator.conclude_deferred(context_of(1, 2), {"problem": "The cluster is away."})
    leave(run, "d")
    assert event_of(operator, request_of(0))["problem"] is None


def test_an_event_of_an_earlier_try_begins_the_try_anew(run):
    """Airflow 3.0 hands the event of a failed try to the next one, and does not call ``execute``."""
    leave(run, "f")
    operator = make_operator(1, kind=Unreachable)
    with pytest.raises(AirflowException, match="cannot be reached"):  # execute asks the cluster
        operator.conclude_deferred(context_of(2, 3), {"problem": None, "try_number": 1})
    with pytest.raises(AirflowException, match="Step start failed"):
        operator.conclude_deferred(context_of(1, 3), {"problem": None, "try_number": 1})


@pytest.mark.parametrize(
    ("airflow", "may_retry", "ends_here", "here"),
    [
        # 3.3 tries again while there are tries left; before, the event is the end.
        ("3.3.2", True, False, True),
        ("3.3.2", False, False, False),
        ("3.3.2", False, True, True),
        ("3.3.2", True, True, True),
        ("3.2.2", True, False, False),
        ("3.2.2", False, False, True),
        ("3.0.6", False, True, True),
        ("3.0.6", True, True, True),
    ],
)
def test_where_a_failure_ends(monkeypatch, airflow, may_retry, ends_here, here):
    """In the triggerer only if Airflow then does what it should: try again, or not."""
    monkeypatch.setattr(versions, "airflow_version", lambda: Version(airflow))
    task = TriggerTask.of(make_operator(0), airflow_settings(), ends_here=ends_here)
    assert step_trigger._fails_rightly(StepEnd(None, may_retry), task) is here


class Away:
    """A pod whose cluster goes away while it runs."""

    title, is_over = "pod p", False

    def __init__(self):
        self.removed = False

    def start(self):
        """Nothing is to be started."""

    def follow(self, _cancel, _is_done, _seconds=0.0):
        raise ComputeUnavailable("The cluster is away.")

    def remove(self, *, wait):
        assert not wait
        self.removed = True


class Followed(remote.RemoteStepTask):
    """A step in such a pod."""

    def connect(self, tried):
        del tried

    def task_left(self, _context, _tried):
        return None

    def new_task(self, _context, _tried):
        self.pod = Away()
        return self.pod


@pytest.mark.parametrize(("try_number", "removed"), [(1, False), (3, True)])
def test_a_pod_whose_cluster_goes_away_is_left_to_the_next_try(run, try_number, removed):
    """The last try removes what it can."""
    operator = make_operator(0, kind=Followed)
    with pytest.raises(AirflowException, match=r"The cluster is away\."):
        operator.execute(context_of(try_number, 2))
    assert operator.pod.removed is removed
    assert read_attempt(run.datastore.storage, request_of(try_number - 1).name) is None


def test_a_step_that_ends_while_its_cluster_is_away(run, monkeypatch):
    """Its manifest says that it is done."""

    def follow(self, *_positional):
        run.done("start")
        raise ComputeUnavailable("The cluster is away.")

    monkeypatch.setattr(Away, "follow", follow)
    assert make_operator(0, kind=Followed).execute(context_of(1, 2)) is None
