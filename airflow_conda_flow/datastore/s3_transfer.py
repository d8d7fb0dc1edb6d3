"""Large objects between S3 and files: parallel parts, hashed while they arrive."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any

from .local_storage import corrupt, new_file_beside
from .s3_errors import is_broken_connection

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .s3_storage import S3Storage
    from .storage import Progress

PART = 16 * 1024 * 1024
_WORKERS = 8
_READS = 3
_RANGE_NOT_SATISFIABLE = 416
_AHEAD = 12  # parts in memory at once: what arrived early waits for its turn to be hashed


def transfer_config() -> Any:
    """How boto3 uploads: parts of 16 MB, eight at a time, streamed from the file."""
    from boto3.s3.transfer import (  # type: ignore[import-untyped]  # noqa: PLC0415
        TransferConfig,
    )

    return TransferConfig(
        multipart_threshold=PART, multipart_chunksize=PART, max_concurrency=_WORKERS
    )


def download_ranges(
    storage: S3Storage,
    name: dict[str, str],
    key: str,
    path: Path,
    sha256: str | None,
    progress: Progress | None,
) -> None:
    """Makes ``path`` the object's bytes, verified; it appears by rename.

    The first request asks for the first part and learns the size from its answer, so that a small
    object costs one request.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256() if sha256 is not None else None
    with new_file_beside(path) as (temporary, fd):
        for block in _blocks(storage.client, name):
            if digest is not None:
                digest.update(block)
            os.write(fd, block)
            if progress is not None:
                progress(len(block))
        if digest is not None and digest.hexdigest() != sha256:
            raise corrupt(storage.url, key, expected=str(sha256), got=digest.hexdigest())
        os.replace(temporary, path)  # noqa: PTH105


def read_object(client: Any, name: dict[str, str], **conditions: str) -> tuple[bytes, dict[str, Any]]:
    """The object's bytes, or those of a ``Range``, and the rest of the answer.

    botocore retries a request that fails, but not an answer that breaks off half-way.
    """
    for attempt in range(_READS):
        answer: dict[str, Any] = client.get_object(**name, **conditions)
        try:
            with contextlib.closing(answer["Body"]) as body:
                return body.read(), answer
        except Exception as error:
            if attempt == _READS - 1 or not is_broken_connection(error):
                raise
    raise AssertionError  # the last attempt returns or raises


def _blocks(client: Any, name: dict[str, str]) -> Iterator[bytes]:
    """The object's bytes in order, later parts being fetched while earlier ones are used."""
    try:
        first, answer = read_object(client, name, Range=f"bytes=0-{PART - 1}")
    except client.exceptions.ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != _RANGE_NOT_SATISFIABLE:
            raise
        return  # an empty object has no first byte
    yield first
    size = int(answer.get("ContentRange", "/0").rpartition("/")[2])
    if size <= len(first):
        return
    # If the object is replaced meanwhile the later ranges answer 412 instead of other bytes.
    etag = answer["ETag"]

    def fetch(start: int) -> bytes:
        span = f"bytes={start}-{start + PART - 1}"
        return read_object(client, name, Range=span, IfMatch=etag)[0]

    starts = iter(range(PART, size, PART))
    with ThreadPoolExecutor(_WORKERS) as pool:
        ahead = deque(pool.submit(fetch, start) for start in islice(starts, _AHEAD))
        while ahead:
            yield ahead.popleft().result()
            ahead.extend(pool.submit(fetch, start) for start in islice(starts, 1))
