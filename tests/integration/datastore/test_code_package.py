"""The tests of ``tests/unit/datastore/test_code_package.py`` on S3."""

from ...unit.datastore.test_code_package import *  # noqa: F403 - all of its tests and fixtures
