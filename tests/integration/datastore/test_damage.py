"""The tests of ``tests/unit/datastore/test_damage.py`` on S3."""

from ...unit.datastore.test_damage import *  # noqa: F403 - all of its tests and fixtures
