"""Reads S3 objects outside the datastore: files that are passed to a run by their URL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_conda_flow.errors import NotInDatastore, ParameterError

from .s3_storage import S3Storage

if TYPE_CHECKING:
    from .storage import Storage


def read_object_at(url: str, storage: Storage) -> bytes:
    """Bytes of the object at ``s3://bucket/key``.

    Args:
        url: the object's URL.
        storage: the datastore's; if it is in S3, its credentials are used, else boto3's default chain.

    Raises:
        ParameterError: the URL names no object, or there is no such object.
        DatastoreUnavailable: the object cannot be read.
    """
    bucket, _, key = url.removeprefix("s3://").partition("/")
    if not bucket or not key:
        raise ParameterError(f"{url!r} is not an object in S3; write s3://bucket/key.")
    client = storage.client if isinstance(storage, S3Storage) else None
    try:
        return S3Storage(f"s3://{bucket}", client).read_bytes(key)
    except NotInDatastore as error:
        raise ParameterError(f"There is no object {url}.") from error
