"""The end of a step that Airflow asks for, which waits only some seconds for it."""

from __future__ import annotations

import threading

import pytest

from airflow_conda_flow.airflow.operators import ending
from airflow_conda_flow.airflow.operators.ending import Ending


@pytest.fixture
def told(monkeypatch):
    """The lines told; the wait for the end is over at once."""
    monkeypatch.setattr(ending, "_TOLD_AFTER", 0.01)
    return []


def test_a_slow_end_says_where_the_last_lines_are(told):
    """The process is about to be killed, so nobody else can say it."""
    slow = Ending(told.append, "run-1/train")
    slow.ask()
    assert slow.cancel.is_set()
    assert len(told) == 1
    assert told[0].endswith(" logs run-1/train")


def test_an_end_in_time_says_nothing(told, monkeypatch):
    """Also one that comes while the other thread waits."""
    monkeypatch.setattr(ending, "_TOLD_AFTER", 60.0)
    quick = Ending(told.append, "run-1/train")
    asking = threading.Thread(target=quick.ask)
    asking.start()
    assert quick.cancel.wait(30)
    quick.close()
    asking.join(30)
    assert not asking.is_alive()
    assert told == []


def test_a_step_on_the_worker_is_never_waited_for():
    """It ends with the worker's process, and no later line is stored."""
    here = Ending(None, "run-1/train")
    here.ask()
    assert here.cancel.is_set()
