"""Properties of amounts as AWS Batch takes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_conda_flow.compute.batch.amounts import _FARGATE, fargate_size, mebibytes
from airflow_conda_flow.errors import SettingError

TABLE = {
    (size, memory)
    for size, (least, most, step) in _FARGATE.items()
    for memory in ([512, 1024, 2048] if size == 0.25 else range(least, most + 1, step))
}
"""Every pair that AWS has."""


@given(st.floats(0, 16), st.integers(0, 122880))
def test_fargate_gives_the_smallest_pair_that_holds_both(processors, memory):
    """The pair is one of AWS's, holds what was asked for, and no pair with fewer processors or less memory does."""
    size, given_memory = fargate_size("train", processors, memory)
    assert (size, given_memory) in TABLE
    assert size >= processors
    assert given_memory >= memory
    assert (size, given_memory) == min(pair for pair in TABLE if pair[0] >= processors and pair[1] >= memory)


@given(st.floats(0, 1000), st.integers(0, 10**6))
def test_more_than_fargate_has_is_refused(processors, memory):
    """Beyond the largest pair, and only there."""
    if processors > 16 or memory > 122880:
        with pytest.raises(SettingError, match="Fargate gives up to 16 and 122880"):
            fargate_size("train", processors, memory)
    else:
        fargate_size("train", processors, memory)


@given(st.integers(1, 10**6))
def test_memory_is_never_rounded_down(number):
    """The least whole number of MiB that holds the amount; binary quantities come out exact."""
    assert mebibytes(number) == mebibytes(str(number)) == mebibytes(f"{number}Mi") == number
    assert mebibytes(f"{number}Gi") == number * 1024
    whole, rest = divmod(number * 10**6, 2**20)
    assert mebibytes(f"{number}M") == whole + bool(rest)
