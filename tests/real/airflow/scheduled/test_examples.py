"""Examples under Airflow's scheduler, with every step as a pod and as a job."""

from __future__ import annotations

import pytest

from ...batch.flows import artifact_hashes, flow_name, flow_text, task_manifests, write_flow
from ..standalone import Standalone

EXAMPLES = ("linear_flow", "nested_flow")
PLACES = ("kubernetes", "batch")


def dag_of(name: str, place: str) -> str:
    """The id of the DAG of an example in a place."""
    return f"{name}_on_{place}"


@pytest.fixture(scope="module")
def airflow(running) -> Standalone:
    """The running Airflow, with each example in each place; all of them run at once."""
    for place in PLACES:
        for name in EXAMPLES:
            keywords = f'dag_id="{dag_of(name, place)}", decorators=["{place}"], '
            text = flow_text(name).replace(".dag(", f".dag({keywords}")
            write_flow(running.machine, dag_of(name, place), text, running.machine.dags)
    running.trigger_ahead(*(dag_of(name, place) for place in PLACES for name in EXAMPLES))
    return running


@pytest.fixture(scope="module")
def local(airflow) -> dict[str, dict[str, dict[str, str]]]:
    """The artifacts of each example whose steps are processes of this machine, by hash."""
    machine = airflow.machine
    found = {}
    for name in EXAMPLES:
        path = write_flow(machine, name, flow_text(name))
        done = machine.run(path, "--environment=conda", "run", "--run-id-file", "run-id")
        assert done.returncode == 0, done.stdout + done.stderr
        found[name] = artifact_hashes(machine, (machine.home / "run-id").read_text())
    return found


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("place", PLACES)
def test_the_examples_give_the_same_artifacts(airflow, local, kubernetes, batch, place, name):
    """Every step a pod or a job: as from local processes. From the command line, all examples do."""
    dag_id = dag_of(name, place)
    airflow.trigger(dag_id)
    airflow.wait_for_run(dag_id, seconds=400)
    run_id = airflow.flow_run_id(dag_id)
    assert artifact_hashes(airflow.machine, run_id) == local[name]
    assert {each["status"] for each in task_manifests(airflow.machine, run_id).values()} == {"done"}
    log = airflow.task_log(dag_id)
    jobs = batch.jobs(f"{flow_name(name)}-")
    assert (log.count("Making pod ") if place == "kubernetes" else len(jobs)) >= len(local[name])
    assert "testsecret" not in log
    if name == "linear_flow":
        assert "Hello, world!" in airflow.task_log(dag_id, "hello")
    kubernetes.wait_until_empty(flow_name(name))
