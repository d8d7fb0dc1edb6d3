"""The scheduler of a run on the command line, with tasks that are functions."""

from __future__ import annotations

import io
from typing import Any

import pytest

from airflow_conda_flow import FlowSpec, step
from airflow_conda_flow.flow.definition import read_flow
from airflow_conda_flow.local.console import Console
from airflow_conda_flow.local.scheduler import Scheduler, TaskOutcome


class AFlow(FlowSpec):
    """Two steps."""

    @step
    def start(self):
        """Go on."""
        self.next(self.end)

    @step
    def end(self):
        """Do nothing."""


TO_END = dict.fromkeys(("foreach", "num_splits", "split_names", "condition", "chosen")) | {"next": ["end"]}


@pytest.fixture
def make_scheduler():
    """A function: a scheduler whose tasks call a function with their step, and are done."""

    def make(act) -> Scheduler:
        def run_task(key: Any, _lines: Any, _cancel: Any) -> TaskOutcome:
            act(key[0])
            return TaskOutcome(ok=True, transition=TO_END if key[0] == "start" else None)

        console = Console(io.StringIO(), io.StringIO())
        return Scheduler(read_flow(AFlow).graph, "1", run_task, console, 4)

    return make


@pytest.mark.parametrize(
    ("interrupted_in", "ran", "ok"), [("start", ["start"], False), ("end", ["start", "end"], True)]
)
def test_an_interrupt_during_the_last_task_comes_too_late(make_scheduler, interrupted_in, ran, ok):
    """A task that is done although the run was interrupted is followed by none; after the last the run is done."""
    steps = []

    def act(step: str) -> None:
        steps.append(step)
        if step == interrupted_in:
            scheduler.interrupt()

    scheduler = make_scheduler(act)
    outcome = scheduler.run()
    assert steps == ran
    assert outcome.ok is scheduler.has_succeeded is ok
    assert outcome.interrupted is not ok
