"""Nodes that run together: all at once, and all ended where one fails."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import pytest

from airflow_conda_flow.compute.gang import run_together


@dataclass
class Outcome:
    ok: bool
    node: int


def test_all_run_at_once_and_come_back_in_order():
    """Each waits until all are there."""
    barrier = threading.Barrier(5)

    def node(number):
        def run(stop):
            barrier.wait(10)
            return Outcome(not stop.is_set(), number)

        return run

    outcomes = run_together([node(number) for number in range(5)], threading.Event())
    assert outcomes == [Outcome(True, number) for number in range(5)]


@pytest.mark.parametrize("raises", [False, True])
def test_the_first_that_fails_ends_the_others(raises):
    """Whether it says so or raises; nobody is left behind."""
    ended = []

    def waits(stop):
        ended.append(stop.wait(10))
        return Outcome(False, 0)

    def fails(_stop):
        if raises:
            raise ValueError("on purpose")
        return Outcome(False, 1)

    if raises:
        with pytest.raises(ValueError, match="on purpose"):
            run_together([waits, fails], threading.Event())
    else:
        assert run_together([waits, fails], threading.Event())[1].node == 1
    assert ended == [True]


def test_all_end_where_they_are_told_to():
    """Soon after the event is set."""
    cancel = threading.Event()
    threading.Timer(0.2, cancel.set).start()
    outcomes = run_together([lambda stop: Outcome(stop.wait(10), 0)] * 3, cancel)
    assert [each.ok for each in outcomes] == [True] * 3
