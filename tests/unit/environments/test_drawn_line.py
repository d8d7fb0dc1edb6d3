"""A line that is drawn over itself never takes more than one row of the terminal."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import struct
import termios
from contextlib import contextmanager

import pytest

from airflow_conda_flow.cli.prune_report import PruneReport
from airflow_conda_flow.environments.drawn_line import DrawnLine
from airflow_conda_flow.environments.progress import Bar


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
