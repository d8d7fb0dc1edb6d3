"""Past runs to read: of one flow, the first failed in a split, the second succeeded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_conda_flow.client import scope

from ...parts.flow_machine import Machine

FLOW = """
import os, sys
class AFlow(FlowSpec):
    alpha = Parameter("alpha", default=3)
    @step
    def start(self):
        self.items = ["x", "y", "z"]
        self._private = 1
        self.next(self.body, foreach="items")
    @step
    def body(self):
        print("out of", self.input)
        print("err of", self.input, file=sys.stderr)
        if self.input == os.environ.get("FAILING"):
            raise ValueError("boom")
        self.y = self.input * 2
        self.next(self.join)
    @step
    def join(self, inputs):
        self.z = [each.y for each in inputs]
        self.next(self.end)
    @step
    def end(self):
        self.kept = {"z": self.z}
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory) -> Machine:
    """A machine on which the flow ran twice."""
    machine = Machine(tmp_path_factory.mktemp("client") / "home")
    flow = machine.flow(FLOW)
    failed = machine.run(flow, "run", "--max-workers", "1", "--tag", "first", "--tag", "both", FAILING="y")
    assert failed.returncode == 1, failed.stdout
    assert machine.run(flow, "run", "--tag", "both", "--alpha", "4").returncode == 0
    return machine


@pytest.fixture
def _looking(machine, monkeypatch) -> Iterator[None]:
    """The client reads that machine's datastore, as its user."""
    monkeypatch.setenv("METAFLOW_USER", "tester")
    scope.default_namespace()
    scope.metadata(str(machine.datastore))
    yield
    scope.default_namespace()
    scope._selected["metadata"] = None
