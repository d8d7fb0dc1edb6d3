"""docs/metaflow.md: each row names tests that are there, and nothing of this package is without a row."""

from __future__ import annotations

import ast
import functools
import re
from collections import Counter
from pathlib import Path

import pytest

import airflow_conda_flow
from airflow_conda_flow.cli.commands import COMMANDS

TESTS = Path(__file__).parents[2]
PAGE = TESTS.parent / "docs" / "metaflow.md"


def rows() -> list[list[str]]:
    """The cells of every row of every table: feature, what is here, tests."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [each for each in cells if each[0] != "feature" and set(each[0]) != {"-"}]


def exists(file: str, function: str) -> bool:
    """Whether a file below ``tests/`` defines a test function of that name, so that pytest collects it."""
    return function in functions(TESTS / file)


@functools.cache
def functions(path: Path) -> frozenset[str]:
    """The names of the functions at the top level of a file; none where there is no file."""
    if not path.is_file():
        return frozenset()
    statements = ast.parse(path.read_text(encoding="utf-8")).body
    return frozenset(each.name for each in statements if isinstance(each, ast.FunctionDef))


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_a_row_names_its_tests(row):
    """It says same, better or not here; what is same or better has tests, each a function that exists."""
    feature, here, tests = row
    verdict = re.match(r"(same|better|not here)\b", here)
    assert verdict, here
    named = re.findall(r"`([^`]+)`", tests)
    assert tests == ", ".join(f"`{name}`" for name in named)
    assert named or verdict[1] == "not here", f"{feature} has no test"
    assert [name for name in named if not re.fullmatch(r"[\w/]+/test_\w+\.py::test_\w+", name)] == []
    assert [name for name in named if not exists(*name.split("::"))] == []
    assert len(set(named)) == len(named)


def test_no_feature_has_two_rows():
    """Two could say two things."""
    count = Counter(row[0] for row in rows())
    assert [feature for feature, times in count.items() if times > 1] == []


def test_every_name_and_command_has_a_row():
    """Whatever this package gives to a flow."""
    features = " ".join(row[0] for row in rows())
    words = set(re.findall(r"[\w-]+", features))
    names = set(airflow_conda_flow.__all__) - {"metaflow_version"}
    assert names - words == set()
    assert {command.name for command in COMMANDS} - {"completion"} - words == set()


def test_a_test_that_is_gone_is_seen():
    """Of a file that exists another name does not count, nor any name of a file that does not."""
    here = "unit/docs/test_metaflow_table.py"
    assert exists(here, "test_no_feature_has_two_rows")
    assert not exists(here, "test_of_yesterday")
    assert not exists("unit/docs/test_of_yesterday.py", "test_no_feature_has_two_rows")
