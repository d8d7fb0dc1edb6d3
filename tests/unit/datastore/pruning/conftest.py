"""Fixtures of a prune's tests."""

from __future__ import annotations

import pytest

from ....parts.old_datastore import OldDatastore


@pytest.fixture
def old(datastore) -> OldDatastore:
    """An empty datastore in a directory, in which things may be old."""
    return OldDatastore(datastore)
