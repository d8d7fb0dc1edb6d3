"""Transfer of large objects between S3 and files: in parallel parts, hashed while they arrive."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from .digest import file_sha256
from .s3_errors import is_broken_connection, may_have_arrived
from .s3_patience import DEADLINE, blocks, tries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from .storage import Progress

_T = TypeVar("_T")

# Smaller parts cost more requests for each object; larger ones keep medium-sized objects from being
# transferred in parallel. S3 accepts parts from 5 MiB on.
PART = 16 * 1024 * 1024
_WORKERS = 8  # parts of one object at a time
_BLOCK = 1024 * 1024  # bytes that are hashed at a time
_TRIES = 3
_PAUSES = (0.5, 2.0)  # seconds before an upload that may have arrived, and has not, is sent again
# ``ranged_chunks`` holds so many chunks in memory, and one more. It also runs in containers, where memory is
# limited.
_CHUNK = 8 * 1024 * 1024
_CHUNKS_AT_ONCE = 4
_RANGE_NOT_SATISFIABLE = 416


def send_file(
    client: Any,
    name: dict[str, str],
    path: Path,
    *,
    options: Mapping[str, Any] | None = None,
    workers: int = _WORKERS,
    progress: Progress | None = None,
) -> None:
    """Store a file as an object: in one request if it is smaller than 16 MiB, else in parallel parts.

    Args:
        client: the S3 client.
        name: bucket and key, as the client's arguments.
        path: the file.
        options: further arguments of the requests, such as ``ContentType``.
        workers: how many parts are sent at a time.
        progress: is called with the number of bytes that were sent since its last call.
    """
    size = path.stat().st_size
    if size < PART:
        # Not with boto3's manager: it starts threads for every file, and its import takes 0.05 s.
        with path.open("rb") as body:
            client.put_object(**name, Body=body, **(options or {}))
        if progress is not None:
            progress(size)
        return
    from boto3.s3 import transfer  # type: ignore[import-untyped]  # noqa: PLC0415  see above

    config = transfer.TransferConfig(
        multipart_threshold=PART, multipart_chunksize=PART, max_concurrency=workers
    )
    told = None if progress is None else [transfer.ProgressCallbackInvoker(progress)]
    # Not with boto3's S3Transfer: it raises an error of its own in place of S3's answer, and sometimes loses
    # the answer, as the manager raises it once more when it is closed.
    with transfer.create_transfer_manager(client, config) as manager:
        manager.upload(str(path), *name.values(), dict(options or {}), told).result()


def copy_onto_itself(client: Any, name: dict[str, str]) -> None:
    """Make an object new with the bytes that it has, however large it is."""
    from boto3.s3 import transfer  # noqa: PLC0415  see ``send_file``

    with transfer.create_transfer_manager(client, transfer.TransferConfig()) as manager:
        # S3 copies an object onto itself only if something is replaced.
        manager.copy(name, *name.values(), extra_args={"MetadataDirective": "REPLACE"}).result()


def upload_surely(send: Callable[[], object], client: Any, name: dict[str, str], path: Path) -> None:
    """Call ``send``, which stores the file as an object, until it succeeds or the object has its bytes.

    An upload may be applied and not answered, and a completion that is sent again is then an error. Several
    writers of one key disturb each other on some servers.
    """
    pauses = (*_PAUSES, None)
    with tries(len(pauses) * DEADLINE) as deadline:
        for pause in pauses:
            try:
                send()
            except Exception as error:
                if not may_have_arrived(error):
                    raise
                # Also after the deadline: a slow upload that has arrived is no failure.
                if _has_bytes_of(client, name, path):
                    return
                if pause is None or deadline.is_over():
                    raise
            else:
                return
            time.sleep(pause)


def _has_bytes_of(client: Any, name: dict[str, str], path: Path) -> bool:
    digest = hashlib.sha256()
    try:
        if client.head_object(**name)["ContentLength"] != path.stat().st_size:
            return False
        for chunk in ranged_chunks(client, name):
            digest.update(chunk)
    except Exception:  # noqa: BLE001  whatever it is, the upload's own failure says more
        return False
    return digest.hexdigest() == file_sha256(path)


def read_object(
    client: Any, name: dict[str, str], check: Callable[[dict[str, Any]], object] = lambda _answer: None
) -> tuple[bytes, dict[str, Any]]:
    """Bytes of an object, and the answer that they came with; ``check`` may raise before they are read."""

    def read() -> tuple[bytes, dict[str, Any]]:
        answer: dict[str, Any] = client.get_object(**name)
        with contextlib.closing(answer["Body"]) as body:
            check(answer)
            return b"".join(blocks(body)), answer

    return _retrying(read)


def ranged_chunks(client: Any, name: dict[str, str], etag: str | None = None) -> Iterator[bytes]:
    """Bytes of an object in order, in ranges of 8 MiB, four of which are downloaded at a time.

    If the object is replaced meanwhile that is an error, never a mixture, as with ``RangedDownload``. With
    ``etag`` an object that has another one is an error too.
    """

    def read(start: int, **conditions: str) -> tuple[bytes, dict[str, Any]]:
        return read_object(client, {**name, "Range": f"bytes={start}-{start + _CHUNK - 1}", **conditions})

    try:
        first, answer = read(0, **({"IfMatch": etag} if etag else {}))
    except client.exceptions.ClientError as error:
        if _is_empty(error):
            return
        raise
    yield first
    total = int(answer.get("ContentRange", "").rpartition("/")[2] or len(first))
    starts = iter(range(len(first), total, _CHUNK))
    with ThreadPoolExecutor(_CHUNKS_AT_ONCE) as pool:
        waiting: deque[Future[tuple[bytes, dict[str, Any]]]] = deque()
        try:
            while True:
                for start in islice(starts, _CHUNKS_AT_ONCE - len(waiting)):
                    waiting.append(pool.submit(read, start, IfMatch=answer["ETag"]))
                if not waiting:
                    return
                yield waiting.popleft().result()[0]
        finally:
            pool.shutdown(cancel_futures=True)


def save_range(
    client: Any, name: dict[str, str], span: str, fd: int, progress: Progress | None
) -> dict[str, Any]:
    """Write one range, such as ``bytes=0-99``, to the open file ``fd``; returns the answer to the request."""

    def read() -> dict[str, Any]:
        answer: dict[str, Any] = client.get_object(**name, Range=span)
        _save(answer, fd, 0, progress)
        return answer

    return _retrying(read)


def _save(answer: dict[str, Any], fd: int, position: int, progress: Progress | None) -> int:
    """Write the answer's bytes to the file at ``position``; returns the position after them."""
    with contextlib.closing(answer["Body"]) as body:
        for block in blocks(body):
            position += os.pwrite(fd, block, position)
            if progress is not None:
                progress(len(block))
    return position


class RangedDownload:
    """Download of one object into the open file ``fd``, in parallel ranges.

    The first request asks for the first range, and its answer states size and ETag, so a small object costs
    one request. Later ranges are requested under that ETag: if the object is replaced meanwhile that is an
    error, never a mixture.

    Attributes:
        answer: the first answer, without its bytes; None for an empty object.
    """

    def __init__(
        self,
        client: Any,
        name: dict[str, str],
        fd: int,
        progress: Progress | None,
        workers: int = _WORKERS,
    ) -> None:
        self._client = client
        self._name = name
        self._fd = fd
        self._progress = progress
        self._workers = workers
        self._size = 0
        self.answer: dict[str, Any] | None = None

    def run(self, digest: hashlib._Hash | None) -> None:
        """Fill the file, and feed its bytes to ``digest`` in order while later ranges arrive."""
        end = _retrying(self._first)
        with ThreadPoolExecutor(self._workers) as pool:
            # A server that ignores the Range header has sent everything already: then this range is empty.
            ranges = range(end, self._size, PART)
            arrivals = [pool.submit(_retrying, lambda s=start: self._range(s)) for start in ranges]
            try:
                self._hash(0, end, digest)
                for start, arrival in zip(ranges, arrivals, strict=True):
                    self._hash(start, arrival.result(), digest)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _first(self) -> int:
        try:
            answer = self._client.get_object(**self._name, Range=f"bytes=0-{PART - 1}")
        except self._client.exceptions.ClientError as error:
            if _is_empty(error):
                return 0
            raise
        self.answer = answer
        total = answer.get("ContentRange", "").rpartition("/")[2]
        self._size = int(total or answer["ContentLength"])
        return _save(answer, self._fd, 0, self._progress)

    def _range(self, start: int) -> int:
        last = min(start + PART, self._size) - 1
        condition = {"Range": f"bytes={start}-{last}", "IfMatch": (self.answer or {})["ETag"]}
        answer = self._client.get_object(**self._name, **condition)
        return _save(answer, self._fd, start, self._progress)

    def _hash(self, start: int, end: int, digest: hashlib._Hash | None) -> None:
        if digest is None:
            return
        buffer = memoryview(bytearray(min(_BLOCK, end - start)))
        while start < end:
            count = os.preadv(self._fd, [buffer[: end - start]], start)
            digest.update(buffer[:count])
            start += count


def _is_empty(error: Any) -> bool:
    """True if the server refused a range from byte 0 on, which only an empty object lacks."""
    return bool(error.response["ResponseMetadata"]["HTTPStatusCode"] == _RANGE_NOT_SATISFIABLE)


def _retrying(read: Callable[[], _T]) -> _T:
    """Call ``read`` and return its result; retry if the answer breaks off.

    botocore retries failed requests, but not answers that break off while their bytes are read.
    """
    with tries() as deadline:
        for left in reversed(range(_TRIES)):
            try:
                return read()
            except Exception as error:
                if not left or deadline.is_over() or not is_broken_connection(error):
                    raise
    raise AssertionError  # the last try returned or raised
