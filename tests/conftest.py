"""How tests are spread over the workers of pytest-xdist.

There are three tiers of tests, each a folder that mirrors the source tree and has its own fixtures:

- ``unit``: no server and no Airflow (``make check``)
- ``integration``: S3 servers, a conda channel, Airflow's commands; PyPI gives all of it (``make test``)
- ``real``: Docker, Kubernetes, AWS Batch, running schedulers (``.ci/run``); what is missing is skipped

``parts`` has what several tiers use.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from .parts.fixture_folders import note_folders, removing_folders
from .parts.tally import print_tally, tally

__all__ = ["tally"]
note_folders()
TOGETHER = (
    "tests/integration/environments/test_packed.py",
    "tests/integration/graphs/test_shapes.py",
    "tests/real/airflow/running/",
    "tests/real/airflow/scheduled/",
    "tests/real/airflow/versions/",
    "tests/real/batch/",
    "tests/real/kubernetes/test_celery.py",
    "tests/real/kubernetes/test_shapes.py",
)
"""Files and folders whose tests share what takes long to make, and so one worker of pytest-xdist."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the cases that a storage cannot have, as their mark ``on`` says."""
    kept, left_out = [], []
    for item in items:
        marks = list(item.iter_markers("on"))
        (kept if all(_storage(item) in mark.args for mark in marks) else left_out).append(item)
    config.hook.pytest_deselected(items=left_out)
    items[:] = kept


def pytest_collection_finish() -> None:
    """From here on keep no compiled modules. Those of the tests themselves are kept: they halve the next collection.

    Tests import flow files that others have just rewritten, and a compiled module counts as that of a file with the same
    size and the same second. Programs that tests start compile as they always do.
    """
    sys.dont_write_bytecode = True


def _storage(item: Any) -> str:
    """The kind of storage that a test uses, of which ``on`` speaks."""
    params = item.callspec.params if hasattr(item, "callspec") else {}
    return params.get("datastore_root", params.get("server", "local")).removesuffix("_s3")


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: Any) -> Iterator[None]:
    """Remove the folders of each fixture when it ends."""
    with removing_folders(fixturedef):
        return (yield)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Print why a test is run again: the summary of pytest-rerunfailures gives its name alone."""
    if report.outcome == "rerun" and "PYTEST_XDIST_WORKER" not in os.environ:
        printed = "\n".join(f"--- {title}\n{text}" for title, text in report.sections)
        print(f"\nRERUN {report.nodeid}\n{report.longreprtext}\n{printed}", flush=True)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how the rounds of ``make faults`` ended."""
    print_tally(terminalreporter)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep what is in ``TOGETHER`` together; every other test goes to the next worker that is free.

    pytest-xdist 3.8 does not see its own mark ``xdist_group`` under pytest 9.2.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByPlace(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return next((place for place in TOGETHER if nodeid.startswith(place)), nodeid)

    return ByPlace(config, log)
