"""Properties of index paths and task ids."""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from airflow_conda_flow.records.names import TaskName, indices, task_id

PATHS = st.lists(st.integers(0, 10**6), max_size=5).map(tuple)


STEPS = st.from_regex(r"[A-Za-zé_][A-Za-z0-9é_]{0,5}", fullmatch=True)


@given(STEPS, PATHS)
def test_a_task_id_gives_its_index_path_back(step, path):
    """``indices`` is the inverse of ``task_id``, also of the last part of an id."""
    name = TaskName.at("F", "1", step, path)
    assert indices(step, name.task_id, len(path)) == path
    assert indices(step, name.path, len(path)) == path


@given(STEPS, PATHS.filter(bool), STEPS, PATHS.filter(bool))
def test_different_tasks_have_different_ids(step, path, other, other_path):
    """No two tasks of a run share an id; the tasks of one step are at one depth."""
    assume((step, path) != (other, other_path))
    assert task_id(step, path) != task_id(other, other_path)


@given(PATHS, st.integers(0, 6))
def test_an_id_of_another_depth_is_refused(path, depth):
    """A task id with too many or too few indices names no task of the step."""
    assume(depth != len(path))
    assume(task_id("a", path) != "a-0")  # the task outside any foreach, and that of the first split
    with pytest.raises(ValueError, match=r"^Task id "):
        indices("a", task_id("a", path), depth)


@example("7", 0)
@example("03", 1)
@example("b-3", 1)
@given(st.text(alphabet="0123456789-_+ .٣a\n", max_size=8), st.integers(0, 3))
def test_only_what_task_id_gives_is_a_task_id(text, depth):
    """Other spellings of a number, such as ``03``, are refused: they would name a task that is stored elsewhere."""
    try:
        path = indices("a", text, depth)
    except ValueError:
        return
    assert len(path) == depth
    assert task_id("a", path) in {text, f"a-{text}"}


@given(STEPS, PATHS)
def test_both_forms_of_a_name_are_one_task(step, path):
    """Pathspecs of before ids named their step, such as ``fit/3-1``, name the same task."""
    name = TaskName.at("F", "1", step, path)
    assert TaskName("F", "1", step, name.path) == name
