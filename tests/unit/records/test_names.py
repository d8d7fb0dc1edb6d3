"""Properties of index paths and task ids."""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from airflow_conda_flow.records.names import indices, task_id

PATHS = st.lists(st.integers(0, 10**6), max_size=5).map(tuple)


@given(PATHS)
def test_a_task_id_gives_its_index_path_back(path):
    """``indices`` is the inverse of ``task_id``."""
    assert indices(task_id(path), len(path)) == path


@given(PATHS.filter(bool), PATHS.filter(bool))
def test_different_paths_have_different_ids(one, other):
    """Tasks of one step never share an id; the tasks of a step are at one depth."""
    assume(one != other)
    assert task_id(one) != task_id(other)


@given(PATHS, st.integers(0, 6))
def test_an_id_of_another_depth_is_refused(path, depth):
    """A task id with too many or too few indices names no task of the step."""
    assume(depth != len(path))
    assume(task_id(path) != "0")  # the task outside any foreach, and that of the first split
    with pytest.raises(ValueError, match=r"^Task id "):
        indices(task_id(path), depth)


@example("7", 0)
@example("03", 1)
@given(st.text(alphabet="0123456789-_+ .٣a\n", max_size=8), st.integers(0, 3))
def test_only_what_task_id_gives_is_a_task_id(text, depth):
    """Other spellings of a number, such as ``03``, are refused: they would name a task that is stored elsewhere."""
    try:
        path = indices(text, depth)
    except ValueError:
        return
    assert len(path) == depth
    assert task_id(path) == text
