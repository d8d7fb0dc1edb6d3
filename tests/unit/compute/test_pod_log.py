"""The log of a pod, read over connections that break."""

from __future__ import annotations

import doctest

import pytest

from airflow_conda_flow.compute.kubernetes import log as pod_log
from airflow_conda_flow.compute.kubernetes.log import LogPosition


def test_examples():
    """The examples in docstrings give what they say."""
    results = doctest.testmod(pod_log)
    assert results.attempted
    assert not results.failed


LINES = [
    b"2026-11-24T02:00:00.1Z one",
    b"2026-11-24T02:00:00.12Z two",
    b"2026-11-24T02:00:00.12Z two",
    b"2026-11-24T02:00:01Z ",
    b"2026-11-24T02:00:01.000000001Z with spaces  in it",
]


@pytest.mark.parametrize("cut", range(len(LINES) + 1))
@pytest.mark.parametrize("again", [0, 1])
def test_every_line_comes_once_wherever_the_connection_breaks(cut, again):
    """Lines of one and the same time and of equal text are told apart by their number."""
    position = LogPosition()
    position.begin()
    got = [position.new_text(line) for line in LINES[:cut]]
    if again:  # by another process, which knows the position's text
        position = LogPosition(str(position))
    position.begin()
    got += [text for line in LINES if (text := position.new_text(line)) is not None]
    assert got == [b"one", b"two", b"two", b"", b"with spaces  in it"]


def test_what_the_cluster_says_of_the_log_is_no_line_of_it():
    """Such as that the container is gone."""
    position = LogPosition()
    assert position.new_text(b"rpc error: code = Unknown desc = Error: No such container: f166") is None
    assert position.new_text(b"unable to retrieve container logs for docker://f166") is None
    assert str(position) == ""
