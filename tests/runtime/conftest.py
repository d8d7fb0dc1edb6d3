"""Fixtures of the runtime's tests: those of the runner's."""

from ..runner.conftest import datastore, make_run

__all__ = ["datastore", "make_run"]
