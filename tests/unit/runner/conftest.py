"""Fixtures of the runner's tests: an empty local datastore, and runs of a flow in it."""

from __future__ import annotations

from ...parts.attempt_machine import datastore, make_run, make_run_either_way

__all__ = ["datastore", "make_run", "make_run_either_way"]
