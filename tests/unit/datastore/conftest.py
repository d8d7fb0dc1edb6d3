"""A fixture of the datastore's tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def make_file(tmp_path) -> Callable[[bytes], Path]:
    """Makes a new file with these bytes."""
    count = iter(range(1000))

    def make(data: bytes) -> Path:
        path = tmp_path / f"file-{next(count)}"
        path.write_bytes(data)
        return path

    return make
