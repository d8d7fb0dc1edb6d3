"""The directory in memory that a step may ask for, in a pod and in a job alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_conda_flow.settings.variables import TEMPDIR

_PATH = "/metaflow_temp"  # Metaflow's default, so that flows that name the path still find it


def tmpfs_path(attributes: Mapping[str, Any]) -> str | None:
    """Where the directory is mounted; None without one.

    A size alone is enough to get it, as in Metaflow; ``use_tmpfs=False`` leaves it out all the same.
    """
    wanted = attributes["use_tmpfs"]
    if wanted is False or not (wanted or attributes["tmpfs_size"]):
        return None
    return attributes["tmpfs_path"] or _PATH


def tempdir_variables(attributes: Mapping[str, Any]) -> dict[str, str]:
    """Environment variables of the runner that send the step's temporary files to the directory."""
    path = tmpfs_path(attributes)
    return {} if path is None or attributes["tmpfs_tempdir"] is False else {TEMPDIR: path}
