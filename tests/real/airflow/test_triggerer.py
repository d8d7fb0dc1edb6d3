"""Remote steps that end in Airflow's triggerer, on toys: nothing goes back to a worker that need not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_conda_flow.datastore.s3_storage import S3Storage

from ...parts.airflow_machine import AirflowMachine
from ...parts.toys import toy_flow, what_is_left
from .standalone import Standalone, standalone


@pytest.fixture(scope="module")
def root(moto_s3) -> str:
    """The datastore."""
    return moto_s3.make_root()


@pytest.fixture(scope="module")
def airflow(channel, database, moto_s3, root, tmp_path_factory) -> Iterator[Standalone]:
    """Airflow with all its processes, whose workers hand every remote step over at once."""
    machine = AirflowMachine(
        tmp_path_factory.mktemp("triggerer") / "home",
        channel.url,
        database,
        CONDA_FLOW_DEFERRABLE="true",
        CONDA_FLOW_DEFER_AFTER="0",
    )
    toy_flow(machine, machine.dags, root, moto_s3.environment)
    machine.environ["PYTHONPATH"] = str(machine.dags)  # the triggerer does not look into the DAG folder
    with standalone(machine) as running:
        yield running


@pytest.mark.timeout(600)
def test_tasks_end_in_the_triggerer(airflow, moto_s3, root, monkeypatch):
    """Splits, ways, a retry, lost and caught attempts: as on the command line, and mostly without a second worker."""
    moto_s3.use(monkeypatch)
    machine = airflow.machine
    done = machine.run(
        machine.dags / "toy_flow.py", "run", CONDA_FLOW_TOY_BOX=str(machine.home / "local-toys")
    )
    assert done.returncode == 0, done.stderr
    airflow.trigger("toy_flow")
    airflow.wait_for_run("toy_flow", seconds=500)
    left = what_is_left(S3Storage(root, moto_s3.make_client()))
    assert left["airflow"] == left["local"]
    log = airflow.task_log("toy_flow")
    tries = airflow.query(
        "select task_id, map_index, try_number, rendered_map_index, state from task_instance "
        "where dag_id = 'toy_flow' order by task_id, map_index"
    )
    by_task = {(task, index): (number, name) for task, index, number, name, _ in tries}
    # The start opens a foreach, which a mapped task follows; choose is a switch; broken is caught from outside.
    assert by_task["start", -1][0] == 1
    assert [by_task["inner", index] for index in range(3)] == [(1, "a"), (1, "b"), (1, "c")]
    assert [by_task["choose", index][0] for index in range(6)] == [1, 1, 2, 1, 1, 1]
    assert by_task["choose", 0][1] == "a / 3"
    assert by_task["broken", -1][0] == 3
    skipped = [(task, index) for task, index, _, _, state in tries if state == "skipped"]
    assert skipped == [*(("left", n) for n in (1, 3, 5)), *(("right", n) for n in (0, 2, 4))]
    # An arm that was not taken starts no worker, so it has no log.
    for task, index in skipped:
        assert not list(
            (machine.home / "airflow" / "logs").glob(f"dag_id=toy_flow/**/task_id={task}/map_index={index}/*")
        )
    # 1 start, 3 inner, 6 choose, 3 left, broken; one failure of choose, two lost attempts of broken.
    assert log.count("TriggerEvent<'success'>") == 1 + 3 + 6 + 3 + 1
    assert log.count("TriggerEvent<'failed'>") == 1 + 2
    assert log.count("TriggerEvent<{") == 1  # the end has an outlet, of which workers alone tell Airflow
    assert "state attribute is" not in log
    for line in ("start prints", "ValueError: only the first time", "Toy 0 was taken away."):
        assert line in log
    assert airflow.query("select count(*) from asset_event") == [(1,)]
