"""Counts of how rounds with faults ended, over all tests and workers: ``make faults`` prints them as a table.

A test calls the fixture ``tally`` for what it has seen. What a failed test was about counts as "otherwise".
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import pytest

RIGHT, CLEAR_ERROR, OTHERWISE, HAPPENED = "right", "clear error", "otherwise", "faults"
_KEY = "tally"
Tally = Callable[..., None]


@pytest.fixture
def tally(record_property: Callable[[str, object], None]) -> Tally:
    """A function: count that something of a kind ended so; ``happened`` are the faults that it met."""

    def count(kind: str, outcome: str = RIGHT, number: int = 1, *, happened: int = 0) -> None:
        record_property(_KEY, [kind, outcome, number])
        record_property(_KEY, [kind, HAPPENED, happened])

    return count


def print_tally(reporter: Any) -> None:
    """Print the table, if somebody asked for many rounds."""
    if "ROUNDS" not in os.environ:
        return
    counts: dict[str, Counter[str]] = {}
    for report in _reports(reporter, "passed", "failed"):
        properties = [value for key, value in report.user_properties if key == _KEY]
        for kind, outcome, number in properties:
            counts.setdefault(kind, Counter())[outcome] += number
        if report.failed:
            kind = properties[-1][0] if properties else report.nodeid.partition("[")[0]
            counts.setdefault(kind, Counter())[OTHERWISE] += 1
    if counts:
        columns = (HAPPENED, RIGHT, CLEAR_ERROR, OTHERWISE)
        reporter.write_sep("=", "how the rounds ended")
        reporter.write_line(f"| kind | {' | '.join(columns)} |")
        reporter.write_line(f"| --- |{' ---: |' * len(columns)}")
        for kind, found in sorted(counts.items()):
            reporter.write_line(f"| {kind} | {' | '.join(f'{found[each]:,}' for each in columns)} |")


def _reports(reporter: Any, *outcomes: str) -> Iterable[Any]:
    for outcome in outcomes:
        for report in reporter.stats.get(outcome, []):
            if report.when == "call" or report.failed:
                yield report
