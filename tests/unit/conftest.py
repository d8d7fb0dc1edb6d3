"""A guard around the unit tests: none of them starts a server, and Airflow is not there. Settings of Hypothesis."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Iterator

import hypothesis
import pytest

# The gate never fails by chance: it tries the same examples every time. HYPOTHESIS_PROFILE=search looks for others.
hypothesis.settings.register_profile("gate", derandomize=True, deadline=None, database=None, max_examples=60)
hypothesis.settings.register_profile("search", deadline=None, max_examples=3000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "gate"))


def _refuse_to_listen(self: socket.socket, *backlog: int) -> None:
    """Replaces ``socket.listen``. Sockets of the file system stay allowed: steps talk to their runner by them."""
    if self.family in {socket.AF_INET, socket.AF_INET6}:
        pytest.fail("a unit test starts a server: its place is tests/integration", pytrace=True)
    super(socket.socket, self).listen(*backlog)


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """Fails whatever listens on a TCP port in this process while the block runs; Airflow is as if not installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "listen", _refuse_to_listen)
        patch.setitem(sys.modules, "airflow", None)
        try:
            yield
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] == "airflow":
                pytest.fail(f"a unit test imports {error.name}: its place is tests/integration")
            raise


# pytest calls these hooks of a conftest file for the tests below its folder alone.


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    """Guards the import of test modules."""
    with guarded():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """Guards fixtures."""
    with guarded():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Guards the test itself."""
    with guarded():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """Guards what fixtures do at the end."""
    with guarded():
        return (yield)
