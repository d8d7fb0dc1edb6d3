"""The tests of ``tests/unit/datastore/test_tags.py`` on S3."""

from ...unit.datastore.test_tags import *  # noqa: F403 - all of its tests
