"""Work of signal handlers takes no lock in the handler."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from airflow_conda_flow.runner.signals import outside_handler


@pytest.fixture
def handle():
    """Sets the handler of a signal."""
    before = signal.getsignal(signal.SIGUSR1)
    yield lambda handler: signal.signal(signal.SIGUSR1, lambda *_: handler())
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.timeout(20)
def test_an_event_that_the_interrupted_code_holds(handle):
    """``Event.set`` in the handler itself would wait for ever: the lock belongs to what the signal interrupted."""
    event = threading.Event()
    handle(lambda: outside_handler(event.set))
    with event._cond:  # as inside of ``event.wait``
        os.kill(os.getpid(), signal.SIGUSR1)
        assert not event.is_set()
    assert event.wait(10)
