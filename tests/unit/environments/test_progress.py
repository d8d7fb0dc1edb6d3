"""Progress on a terminal is a bar with bytes; anywhere else it is plain lines."""

from __future__ import annotations

import io
import os
import pty
import re

from airflow_conda_flow.environments.progress import Bar, Lines, open_progress


def download(progress) -> None:
    """Report a download of two megabytes in pieces, with words before and after."""
    progress.say("Resolving the environment of step start: Python 3.11.7")
    progress.expect(2_000_000)
    for _ in range(4):
        progress.advance(500_000)
    progress.finish()
    progress.say("done")


def test_lines_are_plain():
    """A file gets whole lines, without control characters, with the bytes in the end."""
    stream = io.StringIO()
    progress = open_progress(stream)
    assert type(progress) is Lines
    download(progress)
    first, second, third = stream.getvalue().splitlines()
    assert first == "Resolving the environment of step start: Python 3.11.7"
    assert re.fullmatch(r"    2\.0 MB in \d+\.\d s", second)
    assert third == "done"


def test_nothing_fetched_is_not_reported():
    """Where all is cached there is no line about bytes."""
    stream = io.StringIO()
    progress = open_progress(stream)
    progress.expect(0)
    progress.finish()
    assert not stream.getvalue()


def test_a_terminal_gets_a_bar():
    """A terminal sees a bar with the bytes so far and in all, and nothing of it once it is done."""
    leader, follower = pty.openpty()
    with os.fdopen(follower, "w") as terminal:
        progress = open_progress(terminal)
        assert type(progress) is Bar
        download(progress)
        text = b""
        while b"done" not in text:  # a terminal hands on what was written piece by piece
            text += os.read(leader, 65536)
    os.close(leader)
    assert re.search(r"█+░+ 0\.5 MB of 2\.0 MB", text.decode())
    last = text.decode().rstrip().rpartition("\n")[2]
    assert last == "\r\x1b[Kdone"
