"""A failure that no retry can mend fails without retries, whichever operator meets it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from airflow_conda_flow import FlowSpec, errors, step
from airflow_conda_flow.airflow.failures import as_airflow_error
from airflow_conda_flow.airflow.operators.exit_hook import ExitHookOperator
from airflow_conda_flow.airflow.operators.prepare import PrepareOperator
from airflow_conda_flow.flow.places import place_named

PLACES = ("local", "kubernetes", "batch")
OF_A_STEP = {"flow": "AFlow", "step": "start", "kind": "linear", "decorators": {}}


class AFlow(FlowSpec):
    """One step."""

    @step
    def start(self):
        """Do nothing."""


def make_operator(kind: str, place: str):
    """An operator of ours in a DAG."""
    with DAG("a_flow", schedule=None):
        if kind == "prepare":
            return PrepareOperator(task_id="prepare", flow_class=AFlow, environment="local")
        if kind == "exit hook":
            return ExitHookOperator(task_id="hook", flow="AFlow", last_step="start", hooks={})
        operator = place_named(place).load("operator" if kind == "step" else "gang_operator")
        return operator(task_id="start", **OF_A_STEP)


@pytest.mark.parametrize(
    ("kind", "place"),
    [("prepare", ""), ("exit hook", ""), *((kind, place) for kind in ("step", "nodes") for place in PLACES)],
)
@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("CONDA_FLOW_DATASTORE", "ftp", "CONDA_FLOW_DATASTORE is 'ftp'"),
        ("CONDA_FLOW_DATASTORE_ROOT", "nowhere://x", "nowhere://x"),
    ],
)
def test_a_wrong_setting_fails_without_retries(monkeypatch, kind, place, variable, value, message):
    """A person has to change it first, and is told what."""
    monkeypatch.setenv("CONDA_FLOW_DATASTORE", "s3")
    monkeypatch.setenv(variable, value)
    operator = make_operator(kind, place)
    context = {"run_id": "manual__1", "ti": SimpleNamespace(try_number=1, max_tries=3), "params": {}}
    with pytest.raises(AirflowFailException, match=message):
        operator.execute(context)


@pytest.mark.parametrize("name", ["FOREACH_TASKS", "FOREACH_BLOCKS", "SPLITS_AT_ONCE"])
def test_a_wrong_setting_of_foreaches_fails_before_any_step(monkeypatch, tmp_path, name):
    """Where they are used, steps of hours may have run."""
    monkeypatch.setenv("CONDA_FLOW_DATASTORE_ROOT", str(tmp_path / "datastore"))
    monkeypatch.setenv(f"CONDA_FLOW_{name}", "many")
    context = {"run_id": "manual__1", "ti": SimpleNamespace(try_number=1, max_tries=3), "params": {}}
    with pytest.raises(AirflowFailException, match=f"CONDA_FLOW_{name} is 'many'"):
        make_operator("prepare", "").execute(context)
    assert not (tmp_path / "datastore").exists()


@pytest.mark.parametrize(
    "error", [errors.DatastoreUnavailable, errors.ComputeUnavailable, errors.CorruptData]
)
def test_a_failure_of_the_moment_may_be_tried_again(error):
    """Airflow's retries are for these."""
    made = as_airflow_error(error("S3 is away."))
    assert type(made) is AirflowException
    assert str(made) == "S3 is away."


def test_an_unknown_place_is_refused():
    """It does not run somewhere else."""
    with pytest.raises(LookupError, match="no place 'nomad' to run steps"):
        place_named("nomad")
