"""A pod runs what was prepared: the digest of the run's record is among its arguments."""

from __future__ import annotations

from ..poisoned import MANIFEST_POISONER, POISONER, TOLD, check_refused


def test_a_pod_refuses_another_record(machine):
    """With one line; the run fails, and the pod is not tried again."""
    flow = machine.flow(POISONER.replace("@@PLACE@@", "@kubernetes"))
    check_refused(machine.run(flow, "run"))


def test_a_pod_in_a_dag_refuses_another_record(make_airflow):
    """`airflow dags test`: the digest comes from the XCom of prepare, and Airflow tries nothing again."""
    machine = make_airflow()
    text = POISONER.replace("@@PLACE@@", "@kubernetes")
    machine.flow(text + "\ndag = AFlow.dag(schedule=None, environment='local')\n", folder=machine.dags)
    done = machine.airflow("dags", "test", "a_flow")
    assert "END RAN" not in done.stdout
    assert "is not what this run was prepared with" in done.stdout, done.stdout
    assert "UP_FOR_RETRY" not in done.stdout


def test_the_manifest_of_a_pod_is_the_one_that_it_told(machine):
    """Another one, written while the pod ends, fails the run with one line; nothing is computed from it."""
    flow = machine.flow(MANIFEST_POISONER.replace("@@PLACE@@", "@kubernetes"))
    check_refused(machine.run(flow, "run"), TOLD)
    resumed = machine.run(flow, "resume")
    assert "END RAN good" in resumed.stdout, resumed.stdout + resumed.stderr
