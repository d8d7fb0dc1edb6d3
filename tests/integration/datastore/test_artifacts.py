"""The tests of ``tests/unit/datastore/test_artifacts.py`` on S3."""

from ...unit.datastore.test_artifacts import *  # noqa: F403 - all of its tests and fixtures
