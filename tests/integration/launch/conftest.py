"""A home directory of its own for what a test's own process starts."""

from __future__ import annotations

import pytest

from airflow_conda_flow.client import scope

from ...parts.flow_machine import Machine


@pytest.fixture
def machine(tmp_path, monkeypatch) -> Machine:
    """A machine with an empty home, which this process has too, and stands in."""
    machine = Machine(tmp_path / "home")
    monkeypatch.setenv("HOME", str(machine.home))
    monkeypatch.setenv("USER", "tester")
    monkeypatch.chdir(machine.home)
    monkeypatch.setattr(scope, "_open", {})
    return machine
