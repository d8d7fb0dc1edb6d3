"""Ctrl-C, SIGTERM and a closed terminal: the first asks a command to end, a second one ends it at once."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from airflow_conda_flow.datastore.s3_patience import hurry
from airflow_conda_flow.datastore.terminal_row import is_drawn

# One Ctrl-C may come twice: from the terminal, and passed on by a parent such as `make` or `uv run`. When a
# terminal closes, SIGTERM may follow SIGHUP.
_SAME_KEY_SECONDS = 0.5
_WAKING_PAUSES = (0.02, 0.1, 0.5)  # seconds: the first may end before the wait begins
_ENDED_BY_SIGNAL = 128  # added to the signal's number, as shells do
# Time and number of the first signal that came while a block of ``ended_by`` ran.
_heard: list[tuple[float, int]] = []
_blocks: list[None] = []  # one for each such block; they are nested


@contextmanager
def ended_by(
    handler: Callable[[int, FrameType | None], object] = signal.default_int_handler, left: str = ""
) -> Iterator[None]:
    """Handle Ctrl-C, SIGTERM and a closed terminal with the given handler while the block runs.

    A second Ctrl-C or SIGTERM ends the process at once; the processes of its steps end with it. After the
    first one no request to S3 waits for long. Signals that are ignored stay ignored, as under ``nohup`` and
    in a shell's background jobs. Does nothing in a thread, where Python allows no handlers.

    Args:
        handler: by default it raises ``KeyboardInterrupt``, whichever signal came.
        left: sentence about the things that a process leaves that is ended at once, if there may be any.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        # A terminal sends the signal to the whole group, and a program that started this one may pass it on:
        # what comes within a moment is the same key.
        now = time.monotonic()
        if not _heard:
            _heard.append((now, number))
            hurry()
            handler(number, frame)
        elif number != signal.SIGHUP and now - _heard[0][0] > _SAME_KEY_SECONDS:
            line = f"Interrupted again: ended at once. {left}".rstrip()
            behind_a_bar = "\n" if is_drawn() else ""
            os.write(2, f"{behind_a_bar}{line}\n".encode())
            os._exit(_ENDED_BY_SIGNAL + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    heard = [number for number, handled_by in before.items() if handled_by is not signal.SIG_IGN]
    if not _blocks:
        _heard.clear()
    _blocks.append(None)
    for number in heard:
        signal.signal(number, handle)
    try:
        if len(_blocks) == 1:
            with _woken():
                yield
        else:
            yield
    finally:
        for number in heard:
            signal.signal(number, before[number])
        _blocks.pop()


def exit_code(code: int) -> int:
    """Exit code of a command that ended with the given one: if it failed after a signal, that says which.

    To be called while the block of ``ended_by`` runs, or after it.
    """
    return _ENDED_BY_SIGNAL + _heard[0][1] if code and _heard else code


@contextmanager
def _woken() -> Iterator[None]:
    """Wake the main thread after each signal until the block ends, so that Python calls the handlers.

    Python notes a signal, and the main thread calls its handler when it runs Python again. If the signal came
    between its last look and a wait for a lock or a queue, nothing would end that wait: a run would hear the
    signal when its task has ended. A further signal does end it; SIGURG is one that nobody else minds.
    """
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    main, over = threading.get_ident(), threading.Event()

    def wake() -> None:
        while numbers := os.read(read_end, 1):  # Python writes the number of each signal
            for pause in _WAKING_PAUSES if numbers[0] != signal.SIGURG else ():
                if not over.wait(pause):
                    signal.pthread_kill(main, signal.SIGURG)

    before = signal.signal(signal.SIGURG, lambda _number, _frame: None)
    fd_before = signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    thread = threading.Thread(target=wake, name="signals", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        signal.set_wakeup_fd(fd_before)
        os.close(write_end)
        thread.join()  # no signal may come once its handler is gone
        os.close(read_end)
        signal.signal(signal.SIGURG, before)
