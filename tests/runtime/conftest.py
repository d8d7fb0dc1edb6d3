"""Fixtures of the runtime's tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from airflow_conda_flow.datastore.datastore import Datastore, open_datastore

from ..attempt_machine import AttemptMachine


@pytest.fixture
def datastore(tmp_path) -> Datastore:
    """An empty local datastore."""
    return open_datastore("local", tmp_path / "root", tmp_path / "cache")


@pytest.fixture
def make_run(tmp_path, datastore) -> Callable[..., AttemptMachine]:
    """Prepares a run of a flow of that text."""

    def make(text: str, **options) -> AttemptMachine:
        return AttemptMachine(tmp_path / "code", text, options.pop("datastore", datastore), **options)

    return make
