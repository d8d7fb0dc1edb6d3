"""The examples in docstrings give what they say; those of airflow/ are in tests/integration."""

from __future__ import annotations

from ...parts.examples import PACKAGE, failed_examples


def test_every_example():
    """In each module that needs no Airflow."""
    paths = set(PACKAGE.rglob("*.py")) - set((PACKAGE / "airflow").rglob("*.py"))
    found = failed_examples(paths)
    assert len(found) > 50
    assert not [name for name, failures in found.items() if failures]
