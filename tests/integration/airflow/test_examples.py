"""The examples in docstrings of airflow/ give what they say."""

from __future__ import annotations

from ...parts.examples import PACKAGE, failed_examples


def test_every_example():
    """In each module that has one."""
    found = failed_examples((PACKAGE / "airflow").rglob("*.py"))
    assert found
    assert not [name for name, failures in found.items() if failures]
