"""Calls of triggers to Airflow are never given up, which would end the triggerer of Airflow before 3.2."""

from __future__ import annotations

import asyncio

import pytest
from asgiref.sync import async_to_sync, sync_to_async

from airflow_conda_flow.airflow.triggers import requests
from airflow_conda_flow.airflow.triggers.requests import answer, in_airflows_thread, in_thread, to_its_end


class Channel:
    """Airflow's channel of requests, which a cancelled request breaks.

    Attributes:
        begun: set when a request waits for its answer.
        answers: set when requests are to be answered.
        ended: how the requests ended.
    """

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.answers = asyncio.Event()
        self.ended: list[str] = []

    async def asend(self) -> str:
        """A request."""
        self.begun.set()
        try:
            await self.answers.wait()
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        self.ended.append("answered")
        return "deferred"

    def send(self) -> str:
        """The same from a thread, as Airflow does it."""
        return async_to_sync(self.asend)()

    async def all_ended(self) -> list[str]:
        """How the requests ended, once those that are under way have been answered."""
        self.answers.set()
        await asyncio.gather(*requests._open, return_exceptions=True)
        return self.ended


def test_an_answer_that_comes_too_late():
    """The trigger goes on at once, and the request to its end."""
    channel = Channel()

    async def ask() -> list[str]:
        with pytest.raises(TimeoutError, match="no answer after"):
            await answer(sync_to_async(channel.send)(), 0.05)
        await channel.begun.wait()
        assert channel.ended == []
        return await channel.all_ended()

    assert asyncio.run(ask()) == ["answered"]


@pytest.mark.parametrize("way", ["coroutine", "thread", "airflow's thread"])
def test_a_trigger_that_is_cancelled(way):
    """Its request is not."""
    channel = Channel()

    async def ask() -> None:
        if way == "coroutine":
            await to_its_end(channel.asend())
        elif way == "thread":
            await in_thread(channel.send)
        else:
            await in_airflows_thread(channel.send)

    async def cancel() -> list[str]:
        trigger = asyncio.ensure_future(ask())
        await channel.begun.wait()
        trigger.cancel()
        with pytest.raises(asyncio.CancelledError):
            await trigger
        return await channel.all_ended()

    assert asyncio.run(cancel()) == ["answered"]


def test_an_error_reaches_the_trigger():
    """As it is."""

    async def broken() -> None:
        raise ValueError("broken")

    async def ask() -> None:
        with pytest.raises(ValueError, match="broken"):
            await answer(broken(), 5)
        with pytest.raises(ValueError, match="broken"):
            await to_its_end(broken())

    asyncio.run(ask())
