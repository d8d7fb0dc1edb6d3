"""Removal of objects in S3, soon after the listing that said that they may go."""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from .s3_errors import answer_code
from .s3_patience import QUIET, tries

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

REMOVE_WITHIN = 10.0
"""Seconds after the request for a listing within which a removal that relies on it may be sent."""
LAST_REMOVAL = 2 * REMOVE_WITHIN + QUIET
"""Seconds after the request for a listing after which no removal that relies on it takes effect any more.

The first try is sent within ``REMOVE_WITHIN``, the last one as long after that, and its connection is closed
after ``QUIET`` seconds.
"""
_SIDE_BY_SIDE = 16
# Answers of servers that have no request for many objects at once (Google's), or want another checksum.
_ONE_BY_ONE = {"NotImplemented", "MethodNotAllowed", "InvalidArgument", "InvalidRequest", "MissingContentMD5"}


def remove_objects(client: Any, bucket: str, names: Sequence[str], listed: float) -> set[str]:
    """Remove at most 1000 objects; returns the names of those that are gone.

    Args:
        client: boto3's client.
        bucket: the bucket.
        names: whole keys of the objects.
        listed: time, by ``time.monotonic``, of the request that listed them.

    Raises:
        ClientError: S3 refuses one of them.
    """
    wanted = {"Objects": [{"Key": name} for name in names], "Quiet": True}
    try:
        with tries(REMOVE_WITHIN):
            answer = client.delete_objects(Bucket=bucket, Delete=wanted)
    except client.exceptions.ClientError as error:
        if answer_code(error) not in _ONE_BY_ONE:
            raise
        return _one_by_one(client, bucket, names, listed)
    failed = {each["Key"]: each for each in answer.get("Errors", ())}
    for each in failed.values():
        if each.get("Code") in {"AccessDenied", "AllAccessDisabled"}:
            raise client.exceptions.ClientError({"Error": each}, "DeleteObjects")
    return set(names) - failed.keys()


def _one_by_one(client: Any, bucket: str, names: Sequence[str], listed: float) -> set[str]:
    def remove(name: str) -> Iterator[str]:
        if time.monotonic() - listed < REMOVE_WITHIN:
            with tries(REMOVE_WITHIN), contextlib.suppress(*_missing(client)):
                client.delete_object(Bucket=bucket, Key=name)
                yield name

    with ThreadPoolExecutor(_SIDE_BY_SIDE, thread_name_prefix="remove") as pool:
        return {name for found in pool.map(lambda each: list(remove(each)), names) for name in found}


def _missing(client: Any) -> tuple[type[Exception], ...]:
    return (client.exceptions.NoSuchKey,)
