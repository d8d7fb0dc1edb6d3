"""How the splits of a foreach are shared out among mapped tasks."""

from __future__ import annotations

import random

import pytest

from airflow_conda_flow.airflow.block_settings import splits_at_once
from airflow_conda_flow.airflow.splits import (
    Sharing,
    as_block,
    block_title,
    is_block,
    mapped_over,
    paths_of,
    ranges_of,
)
from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.settings.loading import load_settings


@pytest.mark.parametrize("blocks", [1, 32, 256])
@pytest.mark.parametrize("width", [1, 255, 256, 257, 300, 1024, 10_000])
def test_a_wide_foreach_is_shared_out_evenly(width, blocks):
    """Every split is in one element, in order; elements differ by one split at most."""
    elements = mapped_over([[0, width]], Sharing(256, blocks))
    assert len(elements) == (width if width <= 256 else blocks)
    assert [path for each in elements for path in paths_of(each)] == [(n,) for n in range(width)]
    lengths = {len(paths_of(each)) for each in elements}
    assert max(lengths) - min(lengths) <= 1
    assert all(is_block(each) == (len(paths_of(each)) > 1) for each in elements)


@pytest.mark.parametrize("seed", range(20))
def test_splits_of_nested_foreaches(seed):
    """Whatever the widths of the inner ones, also of none."""
    rng = random.Random(seed)
    widths = [rng.randrange(5) for _ in range(rng.randrange(1, 30))]
    ranges = [[outer, 0, width] for outer, width in enumerate(widths)]
    most = rng.randrange(1, 20)
    paths = [(outer, inner) for outer, width in enumerate(widths) for inner in range(width)]
    elements = mapped_over(ranges, Sharing(most, blocks := rng.randint(1, most)))
    assert len(elements) == (len(paths) if len(paths) <= most else blocks)
    assert [path for each in elements for path in paths_of(each)] == paths
    assert paths_of(as_block(ranges_of(as_block(ranges)))) == paths
    assert paths_of(as_block(ranges_of([list(path) for path in paths]))) == paths


def test_a_block_says_which_splits_it_has():
    """By the first and the last, whatever is between them."""
    assert block_title(as_block([[1, 2, 7, 9], [1, 3, 0, 1], [2, 0, 0, 4]])) == "items 1-2-7 to 2-0-3"


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5", "²"])
def test_a_number_of_splits_that_is_none(text):
    """One line says where it is from."""
    settings = load_settings(environ={"CONDA_FLOW_SPLITS_AT_ONCE": text})
    with pytest.raises(
        SettingError, match=r"CONDA_FLOW_SPLITS_AT_ONCE is .*; write a whole number from 1 on"
    ):
        splits_at_once(settings, remote=False)


def test_how_many_splits_run_at_once():
    """As many as the setting says; else processes by the cores, and pods a few more."""
    assert splits_at_once(load_settings(environ={"CONDA_FLOW_SPLITS_AT_ONCE": "3"}), remote=True) == 3
    settings = load_settings(environ={})
    assert splits_at_once(settings, remote=True) == 10
    assert splits_at_once(settings, remote=False) >= 1
