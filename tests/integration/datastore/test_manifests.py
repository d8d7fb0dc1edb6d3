"""The tests of ``tests/unit/datastore/test_manifests.py`` on S3."""

from ...unit.datastore.test_manifests import *  # noqa: F403 - all of its tests and fixtures
