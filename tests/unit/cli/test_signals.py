"""A command hears signals while it runs, and only where Python lets it."""

from __future__ import annotations

import os
import queue
import signal
import threading

import pytest

from airflow_conda_flow.cli import signals
from airflow_conda_flow.cli.signals import ended_by
from airflow_conda_flow.datastore import s3_patience
from airflow_conda_flow.datastore.terminal_row import Drawn, drawing


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch):
    """A signal of these tests hurries no other test."""
    monkeypatch.setattr(s3_patience, "_hurried", [])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_interrupts(number):
    """As Ctrl-C does; afterwards the handlers are as before, and requests to S3 are in a hurry."""
    before = signal.getsignal(number)

    def run() -> None:
        with ended_by():
            os.kill(os.getpid(), number)
            threading.Event().wait(10)

    with pytest.raises(KeyboardInterrupt):
        run()
    assert signal.getsignal(number) is before
    assert s3_patience._hurried


def test_a_wait_is_ended_by_a_signal_that_another_thread_received():
    """Nothing else would wake the main thread, as if the signal had come just before the wait."""
    came: queue.SimpleQueue[str] = queue.SimpleQueue()
    before = signal.getsignal(signal.SIGURG)
    with ended_by(lambda _number, _frame: came.put("heard")):
        thread = threading.Thread(target=lambda: signal.pthread_kill(threading.get_ident(), signal.SIGTERM))
        thread.start()
        assert came.get(timeout=20) == "heard"
        thread.join()
    assert signal.getsignal(signal.SIGURG) is before
    assert signal.set_wakeup_fd(-1) == -1


def test_one_key_interrupts_once():
    """It may come twice, from the terminal and from a parent: what removes things is not interrupted again."""
    heard = []
    with ended_by(lambda number, _frame: heard.append(number)):
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGINT)
    assert heard == [signal.SIGINT]


def test_what_is_ignored_stays_ignored():
    """As under ``nohup``, and in the background of a shell."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ended_by():
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_command_in_a_thread():
    """It runs, and hears nothing."""
    seen = []

    def run() -> None:
        with ended_by():
            seen.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [before]


@pytest.mark.parametrize("drawn", [True, False])
def test_the_line_of_a_second_signal_is_its_own(monkeypatch, drawn):
    """It does not begin behind a bar, which nobody erases any more."""
    written, codes = [], []
    monkeypatch.setattr(signals, "_SAME_KEY_SECONDS", -1.0)
    monkeypatch.setattr(signals.os, "write", lambda _descriptor, text: written.append(text))
    monkeypatch.setattr(signals.os, "_exit", codes.append)
    with drawing(Drawn(lambda: None, lambda: None) if drawn else None):
        pass
    with ended_by(lambda _number, _frame: None):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
    with drawing(None):
        pass
    assert written == [b"\n" * drawn + b"Interrupted again: ended at once.\n"]
    assert codes == [128 + signal.SIGTERM]
