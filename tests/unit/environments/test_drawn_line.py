"""A line that is drawn over itself never takes more than one row of the terminal."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import signal
import struct
import termios
import threading
from contextlib import contextmanager

import pytest

from airflow_conda_flow.cli.prune_report import PruneReport
from airflow_conda_flow.datastore.notice import warn
from airflow_conda_flow.datastore.terminal_row import is_drawn, room_for_lines
from airflow_conda_flow.environments.drawn_line import DrawnLine
from airflow_conda_flow.environments.progress import Bar, Lines, open_progress
from airflow_conda_flow.local.console import Console


class Terminal(io.StringIO):
    """A stream that is on a terminal of so many columns, and remembers what was written."""

    def __init__(self, columns: int) -> None:
        super().__init__()
        self._leader, self._follower = pty.openpty()
        self.resize(columns)

    def resize(self, columns: int) -> None:
        """Have so many columns from now on."""
        fcntl.ioctl(self._follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def fileno(self) -> int:
        return self._follower

    def isatty(self) -> bool:
        return True

    def close(self) -> None:
        os.close(self._leader)
        os.close(self._follower)
        super().close()

    def last(self) -> str:
        """Text of the row."""
        return self.getvalue().rpartition("\r\x1b[K")[2]


@contextmanager
def terminal(columns: int):
    """A terminal of so many columns."""
    with Terminal(columns) as made:
        yield made


@pytest.mark.parametrize("columns", [1, 12, 20, 40, 49, 80, 200])
def test_no_row_is_filled(columns):
    """Bars of downloads and of prunes fit into the terminal, whatever its width, and end before its last column."""
    with terminal(columns) as stream:
        with Bar(stream).phase("Fetching", 2_000_000_000, "bytes") as advance:
            advance(1_000_000_000)
            assert len(stream.last()) < columns
            assert stream.last() or columns == 1
        report = PruneReport(stream)
        for total in (1_234_567, None):
            report.phase("Reading the runs of a flow", total)
            assert len(stream.last()) < columns
        report.close()


def test_the_bar_gives_way_before_the_counts():
    """It becomes shorter, then it goes; the counts are cut last."""
    with terminal(200) as stream:
        line, text = DrawnLine(stream), "1.0 MB of 2.0 MB"
        drawn = {}
        for columns in (200, 40, 24, 20, 10):
            stream.resize(columns)
            line.draw(text, 0.5)
            drawn[columns] = stream.last()
    assert drawn == {
        200: f"{'█' * 14}{'░' * 14} {text}",
        40: f"{'█' * 11}{'░' * 11} {text}",
        24: f"{'█' * 3}{'░' * 3} {text}",
        20: text,
        10: text[:9],
    }


@pytest.mark.parametrize("columns", [0, None])
def test_an_unknown_width_is_eighty_columns(columns):
    """A terminal may not tell its width, and a stream may be none."""
    with terminal(0) if columns == 0 else io.StringIO() as stream:
        DrawnLine(stream).draw("x" * 100)
        assert stream.getvalue() == "\r\x1b[K" + "x" * 79


def test_a_whole_line_may_be_long():
    """A line that stays is not cut: the terminal wraps it, and the bar is drawn below."""
    with terminal(20) as stream:
        Bar(stream).say("x" * 100)
        assert stream.getvalue() == "\r\x1b[K" + "x" * 100 + "\n"


@pytest.mark.parametrize("say", ["task", "note", "warning"])
def test_no_line_begins_behind_a_bar(say, caplog, monkeypatch):
    """Lines of a run and warnings are printed in place of the bar, which is drawn again below them."""
    with terminal(80) as stream:
        console = Console(stream, stream)
        monkeypatch.setattr(caplog.handler, "emit", lambda record: stream.write(f"{record.getMessage()}\n"))
        with Bar(stream).phase("Making", 7, "packages") as advance:
            advance(3)
            bar = stream.last()
            assert "3 of 7 packages" in bar
            before = len(stream.getvalue())
            if say == "task":
                console.task_line("1/a/a-0", "pid 7", "text")
            elif say == "note":
                console.note("text")
            else:
                warn("text")
            erased, line, below = stream.getvalue()[before:].split("\r\x1b[K")
            assert not erased
            assert line.endswith("text\n")
            assert below == bar
        assert not is_drawn()
        console.note("text")
        assert stream.getvalue().endswith("    3 packages in 0.0 s\ntext\n")


def test_a_terminal_that_erases_nothing_gets_lines(monkeypatch):
    """A shell in an editor would show what erases a row."""
    with terminal(80) as stream:
        monkeypatch.setenv("TERM", "dumb")
        assert type(open_progress(stream)) is Lines
        PruneReport(stream).phase("looking at the cache")
        assert stream.getvalue() == "looking at the cache\n"
        monkeypatch.setenv("TERM", "xterm")
        assert isinstance(open_progress(stream), Bar)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # from Python 3.12 on: this test is about it
def test_a_fork_may_print_lines():
    """Whoever draws in the parent does not hold it."""
    with terminal(80) as stream:
        line, may_end, drawing = DrawnLine(stream), threading.Event(), threading.Event()

        def draw() -> None:
            with room_for_lines():
                drawing.set()
                may_end.wait(60)

        thread = threading.Thread(target=draw)
        line.draw("text")
        thread.start()
        assert drawing.wait(60)
        child = os.fork()
        if child == 0:
            signal.alarm(60)
            with room_for_lines():
                os._exit(0 if not is_drawn() else 3)
        assert os.waitpid(child, 0)[1] == 0
        may_end.set()
        thread.join()
        line.erase()
