"""Lines about environments and their packages."""

from __future__ import annotations

import doctest

from airflow_conda_flow.cli import package_table


def test_the_examples_of_the_docstrings():
    """They hold: sizes in MB, and the singular of one."""
    results = doctest.testmod(package_table)
    assert results.failed == 0
    assert results.attempted > 0
