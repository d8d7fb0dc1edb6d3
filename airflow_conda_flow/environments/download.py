"""Downloads one archive from a channel or index and hashes it on the way.

Imported only when something is fetched.
"""

from __future__ import annotations

import hashlib
import http.client
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path
from types import MappingProxyType
from typing import Any

from airflow_conda_flow.datastore.notice import warn

_CHUNK = 128 * 1024  # small, so that on a slow line too the bar moves and a fetch can be given up
_TIMEOUT_SECONDS = 30  # without any byte; a slow download as a whole may take longer
_DEADLINE_SECONDS = 90  # for all tries: then none begins, and a try must have the rate below
_LOWEST_RATE = 2000  # bytes a second; a few downloads share a slow line
_SAY_AFTER_SECONDS = 10  # as for requests to S3 and channels: before that nobody wonders
_PAUSES_SECONDS = (0.5, 2.0)  # before the second and the third try
_PASSING_STATUS = {408, 429, 500, 502, 503, 504}  # timed out, throttled or overloaded: may succeed later


class DownloadFailed(OSError):
    """The archive could not be downloaded; the message states the reason in a few words."""


def download(
    url: str,
    path: Path,
    size: int,
    advance: Callable[[int], None],
    headers: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Download an archive to ``path``; returns its sha256 in hex.

    Failures that may be temporary (a broken connection, an overloaded server) are tried again, three tries in
    all.

    Args:
        url: http, https or file.
        path: the file, which every try writes from its beginning.
        size: expected number of bytes; 0 if it is not known.
        advance: called with the number of new bytes; with a negative one when a try has failed.
        headers: sent to the server that the URL names, but not to servers that it redirects to.

    Raises:
        DownloadFailed: no try gave the whole archive.
    """
    came = 0

    def count(more: int) -> None:
        nonlocal came
        came += more
        advance(more)

    end = time.monotonic() + _DEADLINE_SECONDS
    for pause in (*_PAUSES_SECONDS, None):
        came = 0
        waits = threading.Timer(_SAY_AFTER_SECONDS, warn, [f"Waiting for {url}, which does not come."])
        waits.daemon = True
        waits.start()
        try:
            return _stream(url, path, size, count, headers, waits)
        except (OSError, ValueError, http.client.HTTPException) as error:
            advance(-came)
            if pause is None or time.monotonic() > end or not _may_pass(error):
                raise DownloadFailed(_reason(error)) from error
        finally:
            waits.cancel()
        time.sleep(pause)
    raise AssertionError("the last try returns or raises")


def _stream(
    url: str,
    path: Path,
    size: int,
    advance: Callable[[int], None],
    headers: Mapping[str, str],
    waits: threading.Timer,
) -> str:
    request = urllib.request.Request(url)  # noqa: S310 - channels may be files
    for name, value in headers.items():
        # Channels often redirect to a store elsewhere, which must not receive the credentials.
        request.add_unredirected_header(name, value)
    digest = hashlib.sha256()
    came, start = 0, time.monotonic()
    with _opened(request) as source, path.open("wb") as target:
        while chunk := source.read1(_CHUNK):
            waits.cancel()
            digest.update(chunk)
            target.write(chunk)
            came += len(chunk)
            advance(len(chunk))
            took = time.monotonic() - start
            if 0 < size < came:
                raise ValueError(f"more than its {size} bytes came")
            if took > _DEADLINE_SECONDS and came < took * _LOWEST_RATE:
                raise TimeoutError(f"only {came} bytes came in {took:.0f} s")
    if came < size:
        raise ConnectionAbortedError(f"it ended after {came} of {size} bytes")
    return digest.hexdigest()


def _opened(request: urllib.request.Request) -> Any:
    """Response to a request, once its headers have come.

    The timeout of a socket starts anew with each byte: a server that sends its headers slowly could hold us
    for hours. The thread ends with the process, or when that server does.
    """
    opened: Future[Any] = Future()
    threading.Thread(target=_open, args=(request, opened), name="download", daemon=True).start()
    try:
        return opened.result(_DEADLINE_SECONDS)
    except FutureTimeout:
        if opened.cancel():
            raise TimeoutError(f"its headers did not come in {_DEADLINE_SECONDS:.0f} s") from None
        return opened.result()
    finally:
        # The error has our frame in its traceback. With the future in it, they would be a cycle, and the
        # connection of an answer such as 503 would stay open until the garbage collector comes.
        del opened


def _open(request: urllib.request.Request, opened: Future[Any]) -> None:
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS)  # noqa: S310 - may be a file
    except BaseException as error:  # noqa: BLE001 - raised again by the caller
        if opened.set_running_or_notify_cancel():
            opened.set_exception(error.with_traceback(None))
    else:
        if opened.set_running_or_notify_cancel():
            opened.set_result(response)
        else:
            response.close()
    finally:
        del opened  # as above


def _may_pass(error: Exception) -> bool:
    if isinstance(error, urllib.error.HTTPError):
        return error.code in _PASSING_STATUS
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    passing = (TimeoutError, ConnectionResetError, ConnectionAbortedError, http.client.HTTPException)
    return isinstance(cause, passing)


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code} {error.reason}"
    return str(getattr(error, "reason", None) or error)
