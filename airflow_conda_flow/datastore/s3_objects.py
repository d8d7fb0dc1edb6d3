"""``S3Objects``: carries out the requests of the flows' S3 client with boto3.

Arguments and results are JSON, so that a step process, which has neither boto3 nor credentials, can send
them to its runner. The bytes of objects are passed as files that the caller names.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from airflow_conda_flow.errors import S3Failed, S3InvalidRange, S3InvalidURL, S3NotFound

from . import layout
from .s3_errors import reporting_object
from .s3_listing import listed_pages
from .s3_transfer import RangedDownload, save_range, send_file, upload_surely

_AT_ONCE = 32
"""Objects that one call transfers at a time. Many, because a request for a small object mostly waits."""
_STREAMS = 32
"""Connections that the large objects of one call share. Each holds 1 MiB in memory."""
_ATTRIBUTES = "metaflow-user-attributes"
"""Name of the object metadata in which Metaflow's client keeps a user's metadata, as one JSON text.

With the same name each client reads what the other one wrote.
"""
_SPAN = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")

_Item = TypeVar("_Item")
_Found = TypeVar("_Found")
Record = dict[str, Any]


class S3Objects:
    """Client that gets, puts and lists objects at URLs, many at once. Thread-safe.

    Args:
        client: function that returns the boto3 client.
        datastore_root: URL of a datastore; nothing is put into its own folders.

    Attributes:
        CALLS: the methods that a step process may call.
    """

    CALLS = frozenset({"get", "info", "listing", "put"})

    def __init__(self, client: Callable[[], Any], datastore_root: str | None = None) -> None:
        self._client = client
        self._datastore_root = datastore_root
        self._stopped = threading.Event()

    def call(self, name: str, arguments: Sequence[Any]) -> Any:
        """Call the method of that name, one of ``CALLS``, and return its result."""
        if name not in self.CALLS:
            raise ValueError(f"S3Objects has no {name!r}.")
        return getattr(self, name)(*arguments)

    def stop(self) -> None:
        """Make running calls fail soon, and later ones too; may be called from any thread."""
        self._stopped.set()

    def get(
        self,
        wanted: Sequence[Mapping[str, Any]],
        folder: str,
        may_miss: bool,
    ) -> list[Record | None]:
        """Download each object, or a range of it, into a new file in ``folder``.

        Args:
            wanted: ``url``, ``offset`` and ``length`` of each. A negative length counts from the end.
            folder: a directory.
            may_miss: whether a missing object is no error; its result is None.

        Returns:
            for each object: ``path``, ``size`` of the file, ``range`` as ``[object's size, first byte,
            length]``, ``content_type``, ``metadata``, ``last_modified`` and ``encryption``.

        Raises:
            S3Error: an object cannot be downloaded; of several failures the first one in their order.
        """
        streams = _streams(len(wanted))
        return self._each(wanted, lambda each: self._get(each, folder, may_miss, streams))

    def _get(self, wanted: Mapping[str, Any], folder: str, may_miss: object, streams: int) -> Record | None:
        url = wanted["url"]
        name = _name(url)
        span = _span(url, wanted.get("offset"), wanted.get("length"))
        path = Path(folder, f"{secrets.token_hex(8)}-{_UNSAFE.sub('_', url.rpartition('/')[2])[-100:]}")
        try:
            with reporting_object(url), path.open("xb") as file:
                if span is None:
                    return {"path": str(path), **self._whole(name, file.fileno(), streams)}
                return {"path": str(path), **self._part(url, name, span, file.fileno())}
        except S3NotFound:
            path.unlink()
            if may_miss:
                return None
            raise
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def _whole(self, name: dict[str, str], fd: int, streams: int) -> Record:
        download = RangedDownload(self._client(), name, fd, self._go_on, streams)
        download.run(None)
        # An empty object has no first range, so its metadata takes a request of its own.
        answer = download.answer or self._client().head_object(**name)
        size = os.fstat(fd).st_size
        return {**_described(answer), "size": size, "range": [size, 0, size]}

    def _part(self, url: str, name: dict[str, str], span: str, fd: int) -> Record:
        answer = save_range(self._client(), name, span, fd, self._go_on)
        found = _SPAN.fullmatch(answer.get("ContentRange", ""))
        if found is None:
            raise S3Failed(f"{url} cannot be read in parts: the server knows no ranges.")
        first, last, total = (int(each) for each in found.groups())
        length = last - first + 1
        return {**_described(answer), "size": length, "range": [total, first, length]}

    def info(self, urls: Sequence[str], may_miss: bool) -> list[Record | None]:
        """Size and metadata of each object, without its bytes; None for a missing one with ``may_miss``.

        Raises:
            S3Error: an object cannot be looked up, or is missing without ``may_miss``.
        """

        def look(url: str) -> Record | None:
            try:
                with reporting_object(url):
                    answer = self._client().head_object(**_name(url))
            except S3NotFound:
                if may_miss:
                    return None
                raise
            return {**_described(answer), "size": answer["ContentLength"]}

        return self._each(urls, look)

    def listing(
        self,
        urls: Sequence[str],
        is_recursive: bool,
    ) -> list[list[tuple[str, int | None]]]:
        """(URL, size) of everything below each URL: first objects, then folders, whose size is None.

        Args:
            urls: prefixes.
            is_recursive: whether to list all objects, at any depth, and no folders.
        """
        return self._each(urls, lambda url: self._list(url, {} if is_recursive else {"Delimiter": "/"}))

    def _list(self, url: str, options: dict[str, str]) -> list[tuple[str, int | None]]:
        bucket, prefix = _parts(url)
        found: list[tuple[str, int | None]] = []
        with reporting_object(url):
            for page in listed_pages(self._client(), bucket, prefix, options):
                self._go_on(0)
                found += ((each["Key"], each["Size"]) for each in page.get("Contents", ()))
                found += ((each["Prefix"], None) for each in page.get("CommonPrefixes", ()))
        found.sort(key=lambda each: (each[1] is None, each[0]))
        return [(f"s3://{bucket}/{key}", size) for key, size in found]

    def put(self, files: Sequence[Mapping[str, Any]], overwrite: bool) -> list[bool]:
        """Upload files; returns for each whether it was stored.

        Args:
            files: ``path`` and ``url`` of each, and optionally ``content_type``, ``encryption`` and
                ``metadata`` (a JSON text).
            overwrite: whether existing objects are replaced; if not, their files are not stored.

        Raises:
            S3Error: a file cannot be stored; others may have been.
        """
        streams = _streams(len(files))
        return self._each(files, lambda each: self._put(each, overwrite, streams))

    def _check_place(self, name: Mapping[str, str], url: str) -> None:
        """Raise if an object belongs to the datastore, and not to a flow.

        The runner may write there. What lies there is what later runs execute, so the code of a step may not.

        Raises:
            S3InvalidURL: it does.
        """
        if self._datastore_root is None:
            return
        root = _name(f"{self._datastore_root}/{layout.DATA}")
        prefix = root["Key"][: -len(layout.DATA)]
        if name["Bucket"] != root["Bucket"] or not name["Key"].startswith(prefix):
            return
        folder, slash, _ = name["Key"][len(prefix) :].partition("/")
        if folder + slash in layout.OWN_FOLDERS:
            raise S3InvalidURL(
                f"{url} is not stored: {folder}/ in {self._datastore_root} belongs to the datastore. "
                "Write to another folder, or with S3(run=self), which has one of its own."
            )

    def _put(self, file: Mapping[str, Any], overwrite: object, streams: int) -> bool:
        url, path = file["url"], Path(file["path"])
        name = _name(url)
        self._check_place(name, url)
        if not overwrite and self.info([url], True) != [None]:
            return False
        extra = {
            "ContentType": file.get("content_type"),
            "ServerSideEncryption": file.get("encryption"),
            "Metadata": {_ATTRIBUTES: file["metadata"]} if file.get("metadata") else None,
        }
        extra = {key: value for key, value in extra.items() if value is not None}

        def send() -> None:
            send_file(self._client(), name, path, options=extra, workers=streams, progress=self._go_on)

        with reporting_object(url):
            upload_surely(send, self._client(), name, path)
        return True

    def _go_on(self, _count: int) -> None:
        if self._stopped.is_set():
            raise S3Failed("The transfer was ended: the step that asked for it is over.")

    def _each(self, items: Sequence[_Item], do: Callable[[_Item], _Found]) -> list[_Found]:
        """Results of ``do`` for all items, in order, many at once; after a failure no further item starts."""
        if len(items) < 2:  # noqa: PLR2004  nothing to overlap
            return [do(item) for item in items]

        def guarded(item: _Item) -> _Found:
            self._go_on(0)
            return do(item)

        with ThreadPoolExecutor(min(_AT_ONCE, len(items))) as pool:
            waiting = [pool.submit(guarded, item) for item in items]
            try:
                return [each.result() for each in waiting]
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise


def _streams(count: int) -> int:
    """Number of connections that each of ``count`` objects may use, if it is large.

    >>> [_streams(count) for count in (1, 4, 8, 200)]
    [8, 8, 4, 1]
    """
    return _STREAMS // min(max(count, 4), _AT_ONCE)


def _parts(url: str) -> tuple[str, str]:
    """(bucket, key) of ``s3://bucket/key``; not parsed as a URL, because a key may hold any character."""
    scheme, _, rest = url.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise S3InvalidURL(f"{url!r} is not an address in S3; write s3://bucket/key.")
    return bucket, key


def _name(url: str) -> dict[str, str]:
    bucket, key = _parts(url)
    if not key:
        raise S3InvalidURL(f"{url!r} names a bucket, not an object; write s3://bucket/key.")
    return {"Bucket": bucket, "Key": key}


def _span(url: str, offset: int | None, length: int | None) -> str | None:
    """Value of the Range header; None for the whole object.

    >>> _span("", None, None), _span("", 500, 100), _span("", 500, None), _span("", None, -9)
    (None, 'bytes=500-599', 'bytes=500-', 'bytes=-9')
    """
    if offset is None and length is None:
        return None
    start = offset or 0
    if start < 0 or length == 0:
        raise S3InvalidRange(
            f"{url}: {length} bytes from {start} is not a range. Write an offset from 0 on, and a length "
            "of at least 1 (a negative one counts from the end)."
        )
    if length is None:
        return f"bytes={start}-"
    return f"bytes={length}" if length < 0 else f"bytes={start}-{start + length - 1}"


def _described(answer: Mapping[str, Any]) -> Record:
    """Metadata of an object from an answer, as JSON; None for what the server does not state."""
    # Servers return the names of metadata in different cases.
    stated = {key.lower(): value for key, value in answer.get("Metadata", {}).items()}
    metadata = None
    if _ATTRIBUTES in stated:
        with contextlib.suppress(ValueError):
            metadata = json.loads(stated[_ATTRIBUTES])
    modified = answer.get("LastModified")
    return {
        "content_type": answer.get("ContentType"),
        "metadata": metadata,
        "last_modified": None if modified is None else int(modified.timestamp()),
        "encryption": answer.get("ServerSideEncryption"),
    }
