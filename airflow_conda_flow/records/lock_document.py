"""Reads the lock of an environment as plain data; ``environments/lock.py`` makes and uses it."""

from airflow_conda_flow.records.document import damaged, other_than, read_document
from airflow_conda_flow.records.kinds import OrNull, Shape, is_count

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from airflow_conda_flow.errors import DamagedDocument

VERSION = 1
"""Version of a lock's JSON. A reader refuses a newer one."""
_ADVICE = "Delete it: the environment is then resolved again, maybe to newer packages."
_PACKAGE = {
    "name": str,
    "version": str,
    "build": str,
    "build_number": is_count,
    "subdir": str,
    "url": str,
    "sha256": str,
    "size": is_count,
    "channel": str,
    "depends": [str],
    "noarch": OrNull(str),
    "python_site_packages_path": OrNull(str),
    "stated": bool,
    "kind?": str,
}
_SHAPE = Shape({"spec_id": str, "platform": str, "packages": [_PACKAGE]})


def read_lock_document(data: bytes, name: str, spec_id: str, platform: str) -> "dict[str, Any]":
    """The lock that is stored.

    Args:
        data: the stored bytes.
        name: the lock for messages: its path, or its key and the place where it is stored.
        spec_id: id of the spec that it must be of.
        platform: conda platform that it must be for.

    Raises:
        DamagedDocument: the bytes are not a lock's, or those of another spec's or platform's.
        DatastoreError: the lock has a newer version.
    """
    name = "The lock %s" % name
    document = read_document(data, name, _ADVICE, VERSION, _SHAPE.fault)
    fault = other_than(document, {"spec_id": spec_id, "platform": platform})
    if fault:
        raise damaged(name, fault, _ADVICE)
    return document


def damaged_lock(name: str, fault: str) -> "DamagedDocument":
    """Error for a lock; ``fault`` says in a few words what is wrong with it."""
    return damaged("The lock %s" % name, fault, _ADVICE)
