"""The overlay of a task, where it cannot be made."""

from __future__ import annotations

import pytest

from airflow_conda_flow.errors import EnvironmentFailure
from airflow_conda_flow.runtime import overlay


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    """On a full disk, or where something is in the way, the error says where, and what to set."""
    (tmp_path / "scratch").write_bytes(b"a file")
    with pytest.raises(
        EnvironmentFailure, match=r"The folder .*/scratch/overlay, .* cannot be made: Not a dir"
    ):
        overlay.enter(str(tmp_path / "scratch" / "overlay"))
