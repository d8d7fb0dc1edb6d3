"""Assignments in a flow class become artifacts."""

from __future__ import annotations

import threading

from airflow_conda_flow import FlowSpec, Parameter
from airflow_conda_flow.flow.constants import flow_constants


class Base(FlowSpec):
    number = 1
    nested = {"a": [(1, 2), None, b"x"]}  # noqa: RUF012 - a constant
    changed = "base"
    _private = 3


class AFlow(Base):
    word = Parameter("word", default="w")
    changed = "own"
    mutex = threading.Lock()
    itself: list = []  # noqa: RUF012 - a constant
    itself.append(itself)

    @property
    def computed(self):
        return 1

    def method(self):
        pass


def test_plain_values_are_constants():
    """Numbers, texts and collections of them, also of a base; no parameter, method, property or object."""
    assert flow_constants(AFlow) == {"number": 1, "nested": {"a": [(1, 2), None, b"x"]}, "changed": "own"}
