"""Machines for flows with decorators: one that runs flow files, one with Airflow on it."""

from __future__ import annotations

import pytest

from ...parts.airflow_machine import AirflowMachine
from ...parts.flow_machine import Machine


@pytest.fixture
def machine(tmp_path) -> Machine:
    """A machine with an empty home."""
    return Machine(tmp_path / "home")


@pytest.fixture
def airflow_machine(tmp_path, database) -> AirflowMachine:
    """A machine with Airflow; flows say ``environment="local"``, so that no channel is asked."""
    return AirflowMachine(tmp_path / "airflow-home", "", database)
