"""Fetching several packages at a time."""

from __future__ import annotations

import threading

import pytest

from airflow_conda_flow.datastore.local_storage import LocalStorage
from airflow_conda_flow.environments import packages


def test_an_interrupt_while_the_fetches_begin_ends_those_that_have(tmp_path):
    """Ctrl-C may come before the last of them has begun; nothing of the first ones stays."""
    storage, begun, told = LocalStorage(tmp_path), threading.Event(), []

    def fetch(name: str, given_up: threading.Event) -> None:
        with storage.scratch_file(name) as partial:
            partial.write_bytes(b"half")
            begun.set()
            told.append(given_up.wait(60))

    def wanted():
        yield "numpy"
        assert begun.wait(60)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        packages._side_by_side(fetch, wanted())
    assert told == [True]
    assert not list((tmp_path / ".scratch").iterdir())
