"""Airflow versions that the package works with, and what differs between them.

Nothing here imports Airflow: the version is read from the installed distribution.
"""

from __future__ import annotations

import importlib.metadata
import logging
from functools import cache

from packaging.version import Version

from airflow_conda_flow.errors import MissingRequirement

OLDEST = Version("3.0")
NEWEST = Version("3.3")
"""Oldest and newest minor version with which the package is tested, those between them included."""
_log = logging.getLogger(__name__)


@cache
def airflow_version() -> Version:
    """Version of the installed Airflow, without its micro version's suffixes: ``3.3.2`` for ``3.3.2rc1``.

    Raises:
        MissingRequirement: Airflow is not installed.
    """
    for distribution in ("apache-airflow-core", "apache-airflow"):
        try:
            return Version(Version(importlib.metadata.version(distribution)).base_version)
        except importlib.metadata.PackageNotFoundError:
            continue
    raise MissingRequirement(
        "Airflow is not installed. Install it with: pip install 'airflow-conda-flow[airflow]'"
    )


@cache
def check_airflow_version() -> None:
    """Refuse an Airflow that is too old; warn once of one that is newer than the tests know.

    Raises:
        MissingRequirement: Airflow is older than ``OLDEST``, or not installed.
    """
    found = airflow_version()
    works = f"airflow-conda-flow works with Airflow {OLDEST} to {NEWEST}; this is Airflow {found}."
    if found < OLDEST:
        raise MissingRequirement(works)
    if found.release[:2] > NEWEST.release[:2]:
        _log.warning("%s It has not been tested with this version.", works)


def is_at_least(version: str) -> bool:
    """True if the installed Airflow has this version or a later one."""
    return airflow_version() >= Version(version)
