"""Removal of objects in S3, soon after the listing that said that they may go."""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from .keeping import REMOVE_WITHIN
from .s3_errors import answer_code
from .s3_patience import tries

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SIDE_BY_SIDE = 16  # requests, a quarter of botocore's pool: artifacts are removed from several threads
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
    failed = {each["Key"]: each.get("Code") for each in answer.get("Errors", ())}
    # Some servers ask for a right to the bucket where many names are sent, else for one to each object.
    denied = [name for name, code in failed.items() if code in {"AccessDenied", "AllAccessDisabled"}]
    return (set(names) - failed.keys()) | _one_by_one(client, bucket, denied, listed)


def _one_by_one(client: Any, bucket: str, names: Sequence[str], listed: float) -> set[str]:
    def remove(name: str) -> Iterator[str]:
        if time.monotonic() - listed < REMOVE_WITHIN:
            with tries(REMOVE_WITHIN), contextlib.suppress(*_missing(client)):
                client.delete_object(Bucket=bucket, Key=name)
                yield name

    if not names:
        return set()
    with ThreadPoolExecutor(_SIDE_BY_SIDE, thread_name_prefix="remove") as pool:
        return {name for found in pool.map(lambda each: list(remove(each)), names) for name in found}


def _missing(client: Any) -> tuple[type[Exception], ...]:
    return (client.exceptions.NoSuchKey,)
