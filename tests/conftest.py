"""Fixtures that every folder of tests may use: a conda channel, and two kinds of S3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from .datastore.s3_servers import moto_s3, rclone_s3
from .graphs.shape_runs import local_shapes
from .real_parts import _docker, base_image, kubeconfig, runner_image
from .served_channel import ServedChannel, cached_channel, find_pythons

if TYPE_CHECKING:
    from collections.abc import Iterator

TOGETHER = (
    "tests/airflow/test_scheduler.py",
    "tests/batch/",
    "tests/graphs/test_shapes.py",
    "tests/kubernetes/test_scheduler.py",
    "tests/kubernetes/test_shapes.py",
)
"""Files and folders whose tests share what takes minutes to make, and so one worker of pytest-xdist."""

__all__ = ["_docker", "base_image", "kubeconfig", "local_shapes", "moto_s3", "rclone_s3", "runner_image"]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep what is in ``TOGETHER`` together; every other test goes to the next worker that is free.

    pytest-xdist 3.8 does not see its own mark ``xdist_group`` under pytest 9.2.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByPlace(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return next((place for place in TOGETHER if nodeid.startswith(place)), nodeid)

    return ByPlace(config, log)


@pytest.fixture(scope="session")
def channel() -> Iterator[ServedChannel]:
    """A conda channel over HTTP, with several Pythons and two versions of scikit-learn and six."""
    pythons = find_pythons()
    served = ServedChannel(cached_channel(pythons), pythons)
    yield served
    served.stop()


@pytest.fixture(autouse=True)
def _channel_runs_again(request) -> Iterator[None]:
    """A test that stopped the channel leaves it running for the next one."""
    yield
    if "channel" in request.fixturenames:
        request.getfixturevalue("channel").start()
