"""A machine with Airflow on it, for each test."""

from __future__ import annotations

import pytest

from ...parts.airflow_machine import AirflowMachine


@pytest.fixture
def machine(tmp_path, channel, database) -> AirflowMachine:
    """A machine with Airflow, an empty DAG folder and a conda channel."""
    return AirflowMachine(tmp_path / "home", channel.url, database)
