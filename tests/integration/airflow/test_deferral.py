"""When a step that runs elsewhere is handed to the triggerer, and given back."""

from __future__ import annotations

import asyncio
import time

import pytest

from airflow_conda_flow.airflow.operators.deferral import worker_seconds
from airflow_conda_flow.airflow.triggers.batch import BatchStepTrigger
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


def test_a_trigger_does_not_fire_before_its_time(monkeypatch):
    """A job that ended at once: the scheduler first hears of the end of the worker."""

    async def ended(_self):
        return {"job_id": "j", "job": None, "has_printed": False}

    monkeypatch.setattr(BatchStepTrigger, "_wait", ended)
    trigger = BatchStepTrigger(
        job_id="j",
        aws_conn_id=None,
        region=None,
        log_group=None,
        interval=1.0,
        end_at=None,
        log_token="token",
        has_printed=True,
        not_before=time.time() + 0.5,
    )
    _, arguments = trigger.serialize()
    again = BatchStepTrigger(**arguments)
    assert (again.log_token, again.has_printed) == ("token", True)

    async def first_event():
        return await anext(again.run())

    started = time.monotonic()
    assert asyncio.run(first_event()).payload["job_id"] == "j"
    assert time.monotonic() - started >= 0.4
