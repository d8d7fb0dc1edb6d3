"""A new kind of place is one folder and one row: its steps run from the command line and in a DAG."""

from __future__ import annotations

import shutil

import pytest

from airflow_conda_flow.datastore.s3_storage import S3Storage

from ...parts.toys import toy_flow, what_is_left


@pytest.mark.timeout(400)
def test_a_flow_on_toys(machine, moto_s3, monkeypatch):
    """Splits, ways, retries, lost and caught attempts, a gang: the same from the command line and in a DAG."""
    moto_s3.use(monkeypatch)
    root = moto_s3.make_root()
    flow = toy_flow(machine, machine.dags, root, moto_s3.environment)
    done = machine.run(flow, "run")
    assert done.returncode == 0, done.stderr
    assert "(toy 0)] start prints" in done.stdout
    assert "['aL3', 'aR4', 'bL3', 'bR4', 'cL3', 'cR4'] [0, 1] Toy 2 was taken away." in done.stdout
    shutil.rmtree(machine.home / "toys")
    # Four tasks for six inner splits: two run alone, and may be deferred, and the others in blocks of two.
    tested = machine.airflow("dags", "test", "toy_flow", CONDA_FLOW_FOREACH_TASKS="4")
    assert tested.returncode == 0, tested.stdout
    assert "items 0-1 to 1-0 of step choose: 2 splits, 10 at a time" in tested.stdout
    left = what_is_left(S3Storage(root, moto_s3.make_client()))
    failures = {name for name, each in left["local"].items() if "failed" in each}
    assert failures == {"choose/1-0/0.json", "broken/0/0.json", "broken/0/1.json"}
    # The message of a caught failure names the toy, and the flow's dates differ: compare all other artifacts.
    assert left["airflow"].keys() == left["local"].keys()
    for name, artifacts in left["local"].items():
        assert artifacts == left["airflow"][name], name


def test_commands_and_settings_of_a_new_place(machine, moto_s3, monkeypatch):
    """They follow from the row."""
    moto_s3.use(monkeypatch)
    flow = toy_flow(machine, machine.home, moto_s3.make_root(), moto_s3.environment)
    told = machine.run(flow, "toy", "list", "--help")
    assert "List the toys of the latest run that have not ended." in told.stdout
    refused = machine.run(flow, "run", "--with", "toy:color=green")
    assert refused.returncode == 1
    assert "@toy has no attribute 'color'. Did you mean 'colour'?" in refused.stderr
    local = machine.run(flow, "run", "--datastore", "local", "--datastore-root", str(machine.home / "store"))
    assert "@toy runs steps on other machines, which cannot reach the local datastore" in local.stderr
