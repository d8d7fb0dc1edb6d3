"""A job of AWS Batch runs what was prepared: the digest of the run's record is in its overrides."""

from __future__ import annotations

from ..poisoned import POISONER, check_refused


def test_a_job_refuses_another_record(machine):
    """With one line; the run fails, and no second job is submitted."""
    flow = machine.flow(POISONER.replace("@@PLACE@@", "@batch"))
    check_refused(machine.run(flow, "run"))
