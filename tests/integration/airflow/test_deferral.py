"""When a step that runs elsewhere is handed to the triggerer."""

from __future__ import annotations

import pytest

from airflow_conda_flow.airflow.operators.deferral import worker_seconds
from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.settings.loading import load_settings


def test_a_worker_waits_as_long_as_the_setting_says(tmp_path):
    """Ten seconds, any other number, or a message that says what to write."""
    home = {"HOME": str(tmp_path)}
    assert worker_seconds(load_settings(environ=home)) == 10
    assert worker_seconds(load_settings(environ={**home, "CONDA_FLOW_DEFER_AFTER": "0"})) == 0
    for text in ("soon", "-1", "nan"):
        with pytest.raises(SettingError, match=f"DEFER_AFTER is '{text}'; write seconds, such as 10"):
            worker_seconds(load_settings(environ={**home, "CONDA_FLOW_DEFER_AFTER": text}))
