"""The time that a card of a user's own type may take, and the step's own time limit around it."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from airflow_conda_flow.runtime import own_cards


class StepTimeout(Exception):
    """The step's own limit has passed."""


@pytest.fixture
def limit():
    """Sets a limit as ``@timeout`` does."""

    def end(_number, _frame):
        raise StepTimeout

    before = signal.signal(signal.SIGALRM, end)
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_the_limit_of_the_step_goes_on_after_a_card(limit):
    """Less the time that the card took."""
    limit(30)
    assert own_cards._within(60, lambda: "page") == "page"
    assert own_cards._within(5, lambda: "page") == "page"
    assert 20 < signal.getitimer(signal.ITIMER_REAL)[0] <= 30
    limit(0.05)
    with pytest.raises(StepTimeout):
        time.sleep(5)


def test_the_limit_of_the_step_counts_while_a_card_is_made(limit):
    """A card that takes longer than the step may is ended with the step."""
    limit(0.05)
    with pytest.raises(StepTimeout):
        own_cards._within(60, lambda: time.sleep(5))


def test_a_card_that_takes_too_long_is_given_up(limit):
    """The step goes on within its own limit."""
    limit(30)
    with pytest.raises(own_cards._TooLong):
        own_cards._within(0.05, lambda: time.sleep(5))
    assert 20 < signal.getitimer(signal.ITIMER_REAL)[0] <= 30


def test_a_card_that_a_thread_refreshes():
    """Signals reach the main thread alone, so there is no limit of its own."""
    found = []
    thread = threading.Thread(target=lambda: found.append(own_cards._within(5, lambda: "page")))
    thread.start()
    thread.join()
    assert found == ["page"]
