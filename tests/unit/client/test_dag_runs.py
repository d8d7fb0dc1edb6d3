"""Runs by the ids of their DAG runs."""

from __future__ import annotations

import pytest

from airflow_conda_flow.client.dag_runs import run_id_of
from airflow_conda_flow.errors import ObjectNotFound
from airflow_conda_flow.flow.current_run import current
from airflow_conda_flow.records.dag_names import flow_run_id

IDS = [
    "manual__2026-11-24T02:00:00+00:00",
    "scheduled__2026-11-24T00:00:00+00:00",
    "backfill__2026-11-24T00:00:00.123456+00:00",
    "asset_triggered__2026-11-24T00:00:00+00:00_8Qw2",
    "my run of today",
    "x" * 250,
    "ünï/çode~1",
]


@pytest.mark.parametrize("dag_run_id", IDS)
def test_a_dag_run_has_one_run(dag_run_id):
    """Neither one whose id only begins so, nor one of the command line."""
    ours = flow_run_id("a_flow", dag_run_id)
    known = [flow_run_id("a_flow", f"_{dag_run_id}"), ours, f"{ours}0", "1795547131171801"]
    assert run_id_of("AFlow", dag_run_id, known) == ours
    assert run_id_of("AFlow", f"{dag_run_id[:100]}_", known) is None


def test_runs_of_several_dags():
    """The message names them."""
    known = [flow_run_id(dag, IDS[0]) for dag in ("a_flow", "p.prod.a_flow")]
    with pytest.raises(ObjectNotFound, match=f"matches several runs: {', '.join(known)}"):
        run_id_of("AFlow", IDS[0], known)


def test_the_dag_run_around(monkeypatch):
    """Its run is known, whatever other DAGs there are."""
    known = [flow_run_id(dag, IDS[0]) for dag in ("a_flow", "p.prod.a_flow")]
    monkeypatch.setattr(
        current, "_values", {"flow_name": "AFlow", "dag_run_id": IDS[0], "run_id": known[1]}, raising=True
    )
    assert run_id_of("AFlow", current.dag_run_id, known) == known[1]
    with pytest.raises(ObjectNotFound):
        run_id_of("BFlow", current.dag_run_id, known)
