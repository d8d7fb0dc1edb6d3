"""Progress on a terminal is a bar with bytes; anywhere else it is plain lines."""

from __future__ import annotations

import io
import logging
import os
import pty
import re
import time

import pytest

from airflow_conda_flow.airflow.operators.log_progress import LogProgress
from airflow_conda_flow.environments.progress import Bar, Lines, open_progress


def download(progress) -> None:
    """Report a download of two megabytes in pieces, with words before and after."""
    progress.say("Resolving the environment of step start: Python 3.11.7")
    with progress.phase("Fetching 3 packages: 2.0 MB", 2_000_000, "bytes") as advance:
        for _ in range(4):
            advance(500_000)
    progress.say("done")


def test_lines_are_plain():
    """A file gets whole lines, without control characters, with the bytes at the start and at the end."""
    stream = io.StringIO()
    progress = open_progress(stream)
    assert type(progress) is Lines
    download(progress)
    first, second, third, fourth = stream.getvalue().splitlines()
    assert first == "Resolving the environment of step start: Python 3.11.7"
    assert second == "Fetching 3 packages: 2.0 MB"
    assert re.fullmatch(r"    2\.0 MB in \d+\.\d s", third)
    assert fourth == "done"


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


def test_a_phase_has_two_lines():
    """One at its start and one at its end, which counts what was done; details are indented."""
    stream = io.StringIO()
    progress = open_progress(stream)
    with progress.phase("Making the environment", 3, "packages") as advance:
        assert stream.getvalue() == "Making the environment\n"
        advance(1)
        advance(2)
    last = stream.getvalue().splitlines()[1:]
    assert len(last) == 1
    assert re.fullmatch(r"    3 packages in \d+\.\d s", last[0])


@pytest.mark.parametrize("make", [open_progress, Bar])
def test_a_phase_that_fails_has_no_end(make):
    """It is the failure that is reported, and what a bar has drawn is removed."""
    stream = io.StringIO()
    progress = make(stream)

    def fail() -> None:
        with progress.phase("Packing", 2, "files") as advance:
            advance(1)
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert " in " not in stream.getvalue()
    assert stream.getvalue().endswith(("Packing\n", "\r\x1b[K"))


@pytest.mark.parametrize(("unit", "drawn"), [("packages", "2 of 4 packages"), ("bytes", "0.0 MB of 0.0 MB")])
def test_a_phase_is_a_bar_on_a_terminal(unit, drawn):
    """It has the unit's own counts, and what follows is written over it."""
    stream = io.StringIO()
    with Bar(stream).phase("Working", 4, unit) as advance:
        advance(2)
    text = stream.getvalue()
    assert re.search(rf"█+░+ {re.escape(drawn)}", text)
    assert text.startswith("\r\x1b[KWorking\n")
    assert text.rpartition("\r\x1b[K")[2].startswith("    ")


def test_of_two_phases_the_newest_is_drawn():
    """A terminal's line has room for one bar; a phase that was left draws nothing any more."""
    stream = io.StringIO()
    progress = Bar(stream)
    with progress.phase("Working", 4, "packages"):
        with progress.phase("Fetching", 2_000_000, "bytes") as advance:
            advance(1_000_000)
        assert "1.0 MB of 2.0 MB" in stream.getvalue()
        drawn = stream.getvalue()
        time.sleep(0.11)  # a bar is drawn ten times a second at most
    advance(1)
    assert stream.getvalue().startswith(drawn)
    assert "█" not in stream.getvalue()[len(drawn) :]


def test_airflows_log_has_a_line_at_the_start_and_the_end(caplog):
    """Without a bar, which would be thousands of lines there."""
    progress = LogProgress(logging.getLogger("a.task"))
    with caplog.at_level("INFO"), progress.phase("    Compiling", 3, "files") as advance:
        advance(3)
    first, last = (record.message for record in caplog.records)
    assert first == "Compiling"
    assert re.fullmatch(r"Compiling: 3 files in \d+\.\d s", last)


def test_several_things_have_one_end(caplog):
    """Things that are done together are a line each, and end with one; in Airflow's log it names the first."""
    stream = io.StringIO()
    text = "Resolving the environment of step a: Python 3.11\nResolving the environment of step b: six"
    with open_progress(stream).phase(text, 0, "packages") as advance:
        advance(21)
    first, second, end = stream.getvalue().splitlines()
    assert [first, second] == text.splitlines()
    assert re.fullmatch(r"    21 packages in \d+\.\d s", end)
    with (
        caplog.at_level("INFO"),
        LogProgress(logging.getLogger("a.task")).phase(text, 0, "packages") as advance,
    ):
        advance(21)
    *begun, end = (record.message for record in caplog.records)
    assert begun == text.splitlines()
    assert re.fullmatch(rf"{re.escape(first)} \(and 1 more\): 21 packages in \d+\.\d s", end)


def test_quiet_progress_shows_warnings_alone():
    """Neither a bar nor a line of a phase; a damaged package is said."""
    stream = io.StringIO()
    progress = open_progress(stream, quiet=True)
    download(progress)
    progress.warn("    six is damaged")
    assert stream.getvalue() == "    six is damaged\n"


@pytest.mark.parametrize("make", [open_progress, Bar])
def test_warnings_are_among_the_progress(make):
    """Each in a line of its own."""
    stream = io.StringIO()
    make(stream).warn("    six is damaged")
    assert stream.getvalue().endswith("    six is damaged\n")
