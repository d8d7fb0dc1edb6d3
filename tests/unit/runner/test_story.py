"""An attempt's lines about itself, and the times that it keeps."""

from __future__ import annotations

import doctest

import pytest

from airflow_conda_flow.runner import story as story_module
from airflow_conda_flow.runner.story import Story

from ...parts.attempt_machine import one_step

PHASES = ["inputs", "code", "environment", "step", "artifacts"]


@pytest.fixture
def run(make_run):
    """A run whose first step prints a word."""
    return make_run(one_step('self.x = [1] * 1000; self.name = "ada"; print("hello")'))


def test_lines_around_those_of_the_step(run):
    """Code, inputs, artifacts, what comes next, times; none of them in the stored log."""
    record = run.done("start", tells=True).record
    lines = [line for _, line in run.lines]
    assert lines.count("hello") == 1
    before, after = lines[: lines.index("hello")], lines[lines.index("hello") + 1 :]
    assert before[0] == f"::group::Attempt 0 of {record.name.task.pathspec}"
    assert before[1].startswith("Code: package ")
    assert before[-1] == "::endgroup::"
    assert after[0] == f"::group::{record.name.task.pathspec} is done"
    assert after[1].startswith("Artifacts written: ")
    assert "x (list, 2.0 kB)" in after[1]
    assert "name (str, 18 B)" in after[1]
    assert "Next: end" in after
    assert after[-2].startswith("Seconds: inputs 0.")
    assert after[-1] == "::endgroup::"
    stored = [path for path in run.datastore.storage.root.rglob("*") if "stdout" in path.name]
    assert stored
    assert not [path for path in stored if b"::group::" in path.read_bytes()]


def test_a_failure_has_its_times_too(run):
    """And says that it failed."""
    run.failure("end", tells=True)
    assert any(line.startswith("::group::AFlow/1/end/end-0 is failed") for _, line in run.lines)


def test_the_times_are_in_the_manifest_whether_told_or_not(run):
    """Each phase, in seconds."""
    record = run.done("start").record
    assert run.lines == [("stdout", "hello")]
    assert list(record.seconds) == PHASES
    assert 0 < record.seconds["step"] < 60


def test_a_phase_that_comes_again_adds_up(monkeypatch):
    """Also one that fails."""
    clock = iter([0.0, 1.0, 5.0, 7.5])
    monkeypatch.setattr(story_module.time, "perf_counter", lambda: next(clock))
    story = Story(None)
    for _ in range(2):
        with pytest.raises(ValueError, match="no"), story.phase("step"):
            raise ValueError("no")
    assert story.seconds == {"step": 3.5}


def test_rounds_have_their_times():
    """Each of the first hundred has its own, and the later ones have one together; each is told."""
    lines = []
    story = Story(lines.append)
    for number in range(1, 104):
        with story.round(number):
            pass
    assert list(story.seconds) == [*(f"round {number}" for number in range(1, 101)), "rounds 101 to 103"]
    assert lines[:2] == ["Round 1 begins", "Round 2 begins"]
    assert lines[-1] == "Round 103 begins"


def test_examples():
    """The examples in docstrings give what they say."""
    assert doctest.testmod(story_module).failed == 0
