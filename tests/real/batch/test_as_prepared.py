"""A job of AWS Batch runs what was prepared: the digest of the run's record is in its overrides."""

from __future__ import annotations

from ..poisoned import MANIFEST_POISONER, POISONER, TOLD, check_refused


def test_a_job_refuses_another_record(machine):
    """With one line; the run fails, and no second job is submitted."""
    flow = machine.flow(POISONER.replace("@@PLACE@@", "@batch"))
    check_refused(machine.run(flow, "run"))


def test_the_manifest_of_a_job_is_the_one_that_it_told(machine):
    """Another one, written while the job ends, fails the run with one line; nothing is computed from it."""
    flow = machine.flow(MANIFEST_POISONER.replace("@@PLACE@@", "@batch"))
    check_refused(machine.run(flow, "run"), TOLD)
    resumed = machine.run(flow, "resume")
    assert "END RAN good" in resumed.stdout, resumed.stdout + resumed.stderr
