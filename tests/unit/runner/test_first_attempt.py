"""``first_attempt``: outputs of an earlier run of the same id never count for a new one."""

from __future__ import annotations

import pytest

from airflow_conda_flow.datastore import layout
from airflow_conda_flow.runner.run_preparation import first_attempt

from ...parts.attempt_machine import one_step
from ...parts.damage import FAULTS, damage


@pytest.mark.parametrize("fault", [None, *FAULTS])
@pytest.mark.parametrize("is_new", [True, False])
def test_first_attempt_of_a_run_that_is_prepared_again(make_run, datastore, fault, is_new):
    """A later try keeps the number, unless the manifest that states it is damaged: then no output counts."""
    run = make_run(one_step("self.x = 1"))
    run.done("start", attempt=2)
    if fault is not None:
        damage(datastore.storage.local_path(layout.run_manifest("AFlow", "1")), fault)
    found = first_attempt(datastore.storage, "AFlow", "1", is_new=is_new)
    assert found == (3 if is_new or fault else 0)
    assert first_attempt(datastore.storage, "AFlow", "none", is_new=is_new) == 0
