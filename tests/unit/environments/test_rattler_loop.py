"""Loops to which threads of py-rattler may report later than anybody listens."""

from __future__ import annotations

import asyncio

import pytest

from airflow_conda_flow.environments.rattler_loop import run


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_threads_may_report_after_a_failure(error):
    """They would print a traceback; what was begun beside the failure is cancelled."""
    tasks = []

    async def fails() -> None:
        tasks.append(asyncio.ensure_future(asyncio.sleep(600)))
        await asyncio.sleep(0)
        raise error

    with pytest.raises(error):
        run(fails())
    assert tasks[0].cancelled()
    tasks[0].get_loop().call_soon_threadsafe(print)  # RuntimeError if the loop is closed


def test_a_loop_ends_with_its_work():
    """Nothing stays open then."""

    async def works() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    assert run(works()).is_closed()
