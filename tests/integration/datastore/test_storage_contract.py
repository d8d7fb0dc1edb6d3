"""The tests of ``tests/unit/datastore/test_storage_contract.py`` on S3."""

from ...unit.datastore.test_storage_contract import *  # noqa: F403 - all of its tests and fixtures
