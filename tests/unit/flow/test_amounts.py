"""Properties of amounts: what is taken, and what it amounts to."""

from __future__ import annotations

import math
import re
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_conda_flow.flow.decorators.amounts import cores, count, duration, megabytes, whole

MEASURES = [cores, count, megabytes, duration, whole]
WRITTEN = st.text(alphabet=string.digits + ".kKMGTPimeE+-_ \n²٣naif", max_size=12)
NUMBERS = st.integers() | st.floats() | st.just(10**400)
UNITS = {
    "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15,
    "ki": 2**10, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50,
}  # fmt: skip


@pytest.mark.parametrize("measure", MEASURES)
@example(10**400)
@example("9" * 400)
@example("²")
@given(WRITTEN | NUMBERS | st.booleans() | st.none() | st.lists(st.integers(), max_size=1))
def test_any_value_is_an_amount_or_none(measure, value):
    """No value is an error, none is endless, and none is below 0."""
    amount = measure(value)
    assert amount is None or (math.isfinite(amount) and amount >= 0)


@pytest.mark.parametrize("measure", [cores, count, megabytes])
@example("٣")
@example("4\n")
@given(WRITTEN)
def test_a_text_that_is_an_amount_is_plain(measure, text):
    """Texts go into a pod or a job as they are written: ASCII digits, and nothing before or behind them."""
    if measure(text) is not None:
        assert re.fullmatch(r"[0-9]+(\.[0-9]+)?([kKMGTP]i?|m)?", text)


@pytest.mark.parametrize("measure", [cores, count, megabytes, duration, whole])
@given(st.integers(0, 10**9))
def test_a_number_and_its_text_are_the_same_amount(measure, number):
    """People write ``4096`` or ``"4096"``."""
    assert measure(number) == measure(str(number)) == number


@given(st.integers(0, 10**6), st.sampled_from(sorted(UNITS)))
def test_a_quantity_counts_bytes(number, unit):
    """Powers of 1000, or of 1024 with an ``i``; the amount is in units of a million bytes."""
    assert megabytes(f"{number}{unit}") == pytest.approx(number * UNITS[unit] / 10**6)


@given(st.integers(0, 10**6))
def test_a_thousand_millicores_are_a_core(number):
    """``1500m`` is one and a half."""
    assert cores(f"{number}m") == pytest.approx(number / 1000)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_the_larger_amount_is_larger_in_every_spelling(one, other):
    """``@resources`` and a compute's decorator are compared as amounts, not as texts."""
    assert (megabytes(f"{one}Mi") < megabytes(f"{other}Mi")) == (one < other)
    assert (cores(f"{one}m") < cores(f"{other}m")) == (one < other)
