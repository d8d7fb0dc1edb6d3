"""Storage in S3, or on any server that implements its protocol (``AWS_ENDPOINT_URL``).

The first request imports botocore.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_conda_flow.errors import NotInDatastore, SettingError

from .atomic_file import new_file_beside, replace
from .digest import corrupt, remember, too_large
from .keeping import REMOVE_WITHIN
from .s3_client import ClientOfProcess
from .s3_errors import MISSING_KEY, answer_code, reporting
from .s3_listing import PAGE, listed_pages
from .s3_removal import remove_objects
from .s3_transfer import (
    RangedDownload,
    copy_onto_itself,
    ranged_chunks,
    read_object,
    send_file,
    upload_surely,
)
from .storage import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .storage import Progress

_ObjectState = tuple[str, str]
"""ETag of an object, and the time at which it was written."""
# Tries of a conditional write: S3 answers ConditionalRequestConflict while another write of the key is under
# way, and asks to repeat the request. With fewer tries a handful of writers at once could make one fail.
_CONFLICTS = 5
# Answers to a conditional put. An answer that breaks off has a status instead of a code.
_CONFLICT = {"ConditionalRequestConflict", "409"}
_NOT_KNOWN = {"NotImplemented", "501"}
# Readings of an object that another process replaces meanwhile, as when it mends a damaged one.
_READINGS = 3
_REPLACED = {"PreconditionFailed", "412"}  # S3's answers to a range of an object that has another ETag now


class S3Storage:
    """Storage whose keys are object keys below the prefix of ``s3://bucket/prefix``."""

    kind = "s3"
    page_size = PAGE
    # S3 deletes whatever is there, also what was written a moment ago.
    spares_refreshed = False

    def __init__(self, url: str, client: Any = None) -> None:
        self.bucket, self._prefix = _parts(url)
        self._given_client = client
        self._client = ClientOfProcess()
        self._first_write_wins: bool | None = None
        # By key: state and digest of the objects that this process has read and hashed.
        self._hashed: dict[str, tuple[_ObjectState, str]] = {}

    def __repr__(self) -> str:
        return f"S3Storage({self.url!r})"

    @property
    def url(self) -> str:
        """URL ``s3://bucket/prefix``, without a slash at its end."""
        return f"s3://{self.bucket}/{self._prefix}".rstrip("/")

    @property
    def client(self) -> Any:
        """S3 client of this process."""
        if self._given_client is not None:
            return self._given_client
        with reporting(self.url, ""):
            return self._client.get()

    def _name(self, key: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self._prefix + key}

    def local_path(self, key: str) -> None:  # noqa: ARG002
        """None: the bytes are not on this machine."""
        return

    def read_bytes(self, key: str, most: float = math.inf) -> bytes:
        """Bytes under ``key``; ``NotInDatastore`` if there is no such key."""
        return self.read_with_age(key, most)[0]

    def read_with_age(self, key: str, most: float = math.inf) -> tuple[bytes, float]:
        """Bytes under ``key``, and the seconds since they were written, by the server's clock."""

        def check(answer: dict[str, Any]) -> None:
            if (size := int(answer.get("ContentLength", 0))) > most:
                raise too_large(self.url, key, size, most)

        with reporting(self.url, key):
            data, answer = read_object(self.client, self._name(key), check)
        return data, _age(answer)

    def write_bytes(self, key: str, data: bytes) -> None:
        """Store ``data`` under ``key``; earlier bytes are replaced."""
        with reporting(self.url, key):
            self.client.put_object(**self._name(key), Body=data)

    def write_if_absent(self, key: str, data: bytes) -> bool:
        """Store ``data`` under ``key`` unless the key exists; True if it was stored."""
        # A server that ignores the condition would overwrite, so look first. Then only writers who look at
        # the same time can overwrite each other, and ``publish.py`` settles that.
        if not self.keeps_first_write and self.exists(key):
            return False
        return self._put_conditionally(key, data)

    def _put_conditionally(self, key: str, data: bytes) -> bool:
        with reporting(self.url, key):
            for attempt in range(_CONFLICTS):
                try:
                    self.client.put_object(**self._name(key), Body=data, IfNoneMatch="*")
                except self.client.exceptions.ClientError as error:
                    code = answer_code(error)
                    if code in _REPLACED:
                        self._first_write_wins = True
                        # A try that was applied and not answered makes the next one fail.
                        was_tried_again = error.response["ResponseMetadata"].get("RetryAttempts", 0) > 0
                        return was_tried_again and read_object(self.client, self._name(key))[0] == data
                    if code in _NOT_KNOWN:
                        return self._put_after_look(key, data)
                    if code not in _CONFLICT or attempt == _CONFLICTS - 1:
                        raise
                else:
                    break
        return True

    def _put_after_look(self, key: str, data: bytes) -> bool:
        """Write for servers that refuse the condition instead of ignoring it; True if it was stored."""
        self._first_write_wins = False
        if self.exists(key):
            return False
        self.write_bytes(key, data)
        return True

    def first_write_wins(self, key: str, data: bytes) -> bool:
        """True if the server honours ``If-None-Match``; tested by repeating the put, which must then fail."""
        if self._first_write_wins is None and not self.keeps_first_write:
            self._first_write_wins = not self._put_conditionally(key, data)
        return self._first_write_wins is True

    @property
    def keeps_first_write(self) -> bool:
        """True for AWS itself, and once ``first_write_wins`` has been true."""
        if self._first_write_wins is None and _is_aws(self.client):
            self._first_write_wins = True
        return self._first_write_wins is True

    def upload(self, path: Path, key: str, progress: Progress | None = None) -> None:
        """Store the file's bytes under ``key``, in parallel parts if it is large."""
        name = self._name(key)

        def send() -> None:
            send_file(self.client, name, path, progress=progress)

        with reporting(self.url, key):
            upload_surely(send, self.client, name, path)

    def holds(self, key: str, sha256: str) -> bool:
        """True if the object has that SHA-256: it is downloaded, without a file, and hashed.

        An object that this process has hashed before costs one request if its ETag and time are the same.
        """
        with reporting(self.url, key):
            for _ in range(_READINGS):
                try:
                    head = self.client.head_object(**self._name(key))
                    state = _state(head)
                    if state is None or self._hashed.get(key) != (state, sha256):
                        got = self._read_sha256(key, head.get("ETag"))
                        if got != sha256:
                            return False
                        self._note(key, state, got)
                except self.client.exceptions.ClientError as error:
                    if answer_code(error) in MISSING_KEY:
                        return False
                    if answer_code(error) not in _REPLACED:
                        raise
                else:
                    return True
        return False

    def _read_sha256(self, key: str, etag: str | None) -> str:
        digest = hashlib.sha256()
        for chunk in ranged_chunks(self.client, self._name(key), etag):
            digest.update(chunk)
        return digest.hexdigest()

    def _note(self, key: str, state: _ObjectState | None, sha256: str) -> None:
        if state is not None:
            self._hashed[key] = state, sha256

    def move_in(self, path: Path, key: str, sha256: str) -> None:
        """Store the file's bytes under ``key`` and remove the file.

        An object that has that SHA-256 is not written again.
        """
        if not self.holds(key, sha256):
            self.upload(path, key)
        path.unlink(missing_ok=True)

    def download(
        self, key: str, path: Path, sha256: str | None = None, progress: Progress | None = None
    ) -> None:
        """Write the bytes under ``key`` to the file ``path``, in parallel ranges if there are many."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with reporting(self.url, key):
            for left in reversed(range(_READINGS)):
                if self._downloaded(key, path, sha256, progress, is_last=not left):
                    return

    def _downloaded(
        self, key: str, path: Path, sha256: str | None, progress: Progress | None, *, is_last: bool
    ) -> bool:
        """Download the object once; False if it was replaced meanwhile, unless this is the last try."""
        digest = None if sha256 is None else hashlib.sha256()
        came: list[int] = []

        def advance(size: int) -> None:
            came.append(size)
            if progress is not None:
                progress(size)

        with new_file_beside(path) as (temporary, fd):
            download = RangedDownload(self.client, self._name(key), fd, advance)
            got = None
            try:
                download.run(digest)
                got = None if digest is None else digest.hexdigest()
                was_replaced = got != sha256
                if was_replaced and (is_last or self._is_still(key, download.answer)):
                    raise corrupt(self.url, key, expected=str(sha256), got=str(got))
            except self.client.exceptions.ClientError as error:
                if is_last or answer_code(error) not in _REPLACED:
                    raise
                was_replaced = True
            if was_replaced:
                advance(-sum(came))
                return False
            replace(temporary, path)
            if got is not None:
                os.fchmod(fd, 0o444)  # as ``LocalStorage`` does it
                remember(fd, got)
                self._note(key, _state(download.answer or {}), got)
        return True

    def _is_still(self, key: str, answer: dict[str, Any] | None) -> bool:
        """True unless the object was replaced since that answer: then its ranges may have been a mixture."""
        return answer is None or _state(self.client.head_object(**self._name(key))) == _state(answer)

    def exists(self, key: str) -> bool:
        """True if there are bytes under ``key``."""
        return self.size(key) is not None

    def size(self, key: str) -> int | None:
        """Number of bytes under ``key``, None if there is no such key."""
        try:
            with reporting(self.url, key):
                return int(self.client.head_object(**self._name(key))["ContentLength"])
        except NotInDatastore:
            return None

    def list_keys(self, prefix: str) -> Iterator[str]:
        """All keys that start with ``prefix``, once each, in S3's order."""
        last = None
        for page in self._pages(prefix):
            for entry in page.get("Contents", ()):
                # Right after several clients have put one key at once, rclone's server lists it twice.
                if entry["Key"] != last:
                    last = entry["Key"]
                    yield last.removeprefix(self._prefix)

    def entries(self, prefix: str) -> Iterator[Entry]:
        """Keys that start with ``prefix``, with sizes and ages, in S3's order."""
        for page in self._pages(prefix):
            yield from self._entries(page)

    def _entries(self, page: dict[str, Any]) -> list[Entry]:
        found = {
            each["Key"]: Entry(each["Key"].removeprefix(self._prefix), each["Size"], _age(page, each))
            for each in page.get("Contents", ())
        }
        return list(found.values())

    def refresh(self, key: str, older_than: float) -> bool | None:
        """Make an object new if it is older; its bytes stay. None if there is no such key."""
        name = self._name(key)
        with reporting(self.url, key):
            try:
                head = self.client.head_object(**name)
                if _age(head) <= older_than:
                    return False
            except self.client.exceptions.ClientError as error:
                if answer_code(error) in MISSING_KEY:
                    return None
                raise
            # A refusal, as by a policy that allows no copy of tags, is no failure yet: the bytes can be sent
            # again.
            with contextlib.suppress(self.client.exceptions.ClientError):
                copy_onto_itself(self.client, name)
        # Some servers leave the time of an object that is copied onto itself. A prune sees the listing.
        if any(each.key == key and each.age > older_than for each in self.entries(key)):
            self._send_again(key)
        return True

    def _send_again(self, key: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "object"
            self.download(key, copy)
            self.upload(copy, key)

    def remove_old(self, prefix: str, older_than: float, wanted: Callable[[Entry], bool]) -> Iterator[Entry]:
        """Remove objects that are older, a page of the listing at a time.

        What a page says is acted on within ``REMOVE_WITHIN`` seconds; after that it may be wrong, and its
        objects are left to the next prune.
        """
        pages = iter(self._pages(prefix))
        while True:
            began = time.monotonic()
            if (page := next(pages, None)) is None:
                return
            old = [each for each in self._entries(page) if each.age > older_than and wanted(each)]
            if old and time.monotonic() - began < REMOVE_WITHIN:
                with reporting(self.url, prefix):
                    gone = remove_objects(
                        self.client, self.bucket, [self._prefix + each.key for each in old], began
                    )
                yield from (each for each in old if self._prefix + each.key in gone)

    def list_names(self, folder: str) -> list[str]:
        """Names directly in ``folder``, sorted; empty if it is missing."""
        start = self._prefix + folder
        names: set[str] = set()
        for page in self._pages(folder, Delimiter="/"):
            names.update(entry["Key"].removeprefix(start) for entry in page.get("Contents", ()))
            names.update(
                entry["Prefix"].removeprefix(start).rstrip("/") for entry in page.get("CommonPrefixes", ())
            )
        return sorted(name for name in names if name and not name.startswith("."))

    def _pages(self, prefix: str, **options: str) -> Iterator[dict[str, Any]]:
        with reporting(self.url, prefix):
            start = self._prefix + prefix
            yield from listed_pages(self.client, self.bucket, start, options, self.page_size)


def _parts(url: str) -> tuple[str, str]:
    """(bucket, prefix with a slash at its end unless empty) of ``s3://bucket/prefix``."""
    split = urlsplit(url)
    if split.scheme != "s3" or not split.netloc or split.query or split.fragment:
        raise SettingError(
            f"datastore_root is {url!r}: expected s3://bucket/prefix for the datastore 's3'. "
            "For a directory set datastore to 'local'."
        )
    prefix = split.path.strip("/")
    return split.netloc, f"{prefix}/" if prefix else ""


def _state(answer: dict[str, Any]) -> _ObjectState | None:
    """State of the object that an answer is about; None if the server does not state it."""
    etag, modified = answer.get("ETag"), answer.get("LastModified")
    return None if etag is None or modified is None else (str(etag), str(modified))


def _is_aws(client: Any) -> bool:
    # AWS honours If-None-Match, so no test is needed. Another name that leads to AWS only costs that test.
    host = urlsplit(client.meta.endpoint_url).hostname or ""
    return host.endswith((".amazonaws.com", ".amazonaws.com.cn"))


def _age(answer: dict[str, Any], entry: dict[str, Any] | None = None) -> float:
    """Age of the object that an answer is about, or of an entry of a listing."""
    # Both dates are the server's, so this machine's clock does not matter. 0 where the server states none:
    # ``publish.py`` then treats the key as just written.
    from email.utils import parsedate_to_datetime  # noqa: PLC0415  only this needs it

    try:
        now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
        return float((now - (entry or answer)["LastModified"]).total_seconds())
    except (KeyError, TypeError, ValueError):
        return 0.0
