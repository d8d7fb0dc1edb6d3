"""Objects to store in S3: checked, and written to files."""

import io
import json
import os
import shutil
import tempfile

from airflow_conda_flow.datatools.s3_values import S3PutObject
from airflow_conda_flow.errors import S3InvalidObject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def object_to_put(given: "tuple[str, Any] | S3PutObject") -> "S3PutObject":
    """Element of ``put_many``'s list as an ``S3PutObject``."""
    return given if isinstance(given, S3PutObject) else S3PutObject(given[0], given[1])


def file_to_put(given: "tuple[str, Any] | S3PutObject") -> "S3PutObject":
    """Element of ``put_files``' list as an ``S3PutObject``; older flows pass the path as its ``value``."""
    if not isinstance(given, S3PutObject):
        return S3PutObject(given[0], path=given[1])
    return given if given.path is not None else given._replace(path=given.value)


def check(given: "S3PutObject") -> None:
    """Check that a value can be stored.

    Raises:
        S3InvalidObject: the value is neither text, bytes nor a binary file.
    """
    value = given.value
    if isinstance(value, (str, bytes, bytearray, memoryview)):
        return
    if not isinstance(value, (io.RawIOBase, io.BufferedIOBase)):
        raise S3InvalidObject(
            "The object for %r is of type %s; it takes a text, bytes, or a file opened for reading bytes."
            % (given.key, type(value).__name__)
        )
    if not value.readable() or not value.seekable():
        raise S3InvalidObject("The file for %r cannot be read from its start." % (given.key,))


def write(value: "Any", folder: str) -> str:
    """Path of a new file that contains the value."""
    fd, path = tempfile.mkstemp(prefix="put-", dir=folder)
    with os.fdopen(fd, "wb") as file:
        if isinstance(value, str):
            file.write(value.encode("utf-8"))
        elif isinstance(value, (bytes, bytearray, memoryview)):
            file.write(value)
        else:
            value.seek(0)
            shutil.copyfileobj(value, file, 1024 * 1024)
    return path


def metadata_text(given: "S3PutObject") -> "str | None":
    """Metadata of an object as JSON; None if it has none.

    Raises:
        S3InvalidObject: the metadata cannot be written as JSON.
    """
    if not given.metadata:
        return None
    try:
        return json.dumps(given.metadata)
    except (TypeError, ValueError) as error:
        raise S3InvalidObject(
            "The metadata for %r cannot be written as JSON: %s." % (given.key, error)
        ) from None
