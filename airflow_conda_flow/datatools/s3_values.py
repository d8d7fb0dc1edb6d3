"""Values that the S3 client takes and returns."""

from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class S3GetObject(NamedTuple):
    """Range of an object: ``length`` bytes from ``offset``; None means from the start, or to the end.

    A negative length reads that many bytes from the end of the object.
    """

    key: str
    offset: "int | None" = None
    length: "int | None" = None


class S3PutObject(NamedTuple):
    """Object to store: its key, its content as ``value`` or as the file at ``path``, and its metadata."""

    key: str
    value: "Any" = None
    path: "str | None" = None
    content_type: "str | None" = None
    encryption: "str | None" = None
    metadata: "dict[str, Any] | None" = None


class RangeInfo(NamedTuple):
    """Range that was downloaded, and total size of the object, in bytes."""

    total_size: int
    request_offset: int = 0
    request_length: int = -1


class S3Object:
    """Object or folder in S3, with a local copy if it was downloaded.

    Args:
        prefix: URL that was asked for, or root of the client; None if there is neither.
        url: URL of the object.
        record: known facts about the object; None if it does not exist.
        has_info: True if the record contains more than the size.
    """

    def __init__(
        self,
        prefix: "str | None",
        url: str,
        record: "dict[str, Any] | None" = None,
        has_info: bool = False,
    ) -> None:
        record = record or {}
        self._url = url
        self._path = record.get("path")
        self._size = record.get("size")
        self._info = record if has_info else {}
        self._prefix = None if prefix == url else prefix
        self._key = url if self._prefix is None else _below(self._prefix, url)

    @property
    def exists(self) -> bool:
        """True if this is an existing object; False for folders and missing objects."""
        return self._size is not None

    @property
    def downloaded(self) -> bool:
        """True if there is a local copy."""
        return self._path is not None

    @property
    def url(self) -> str:
        """URL of the object, ``s3://bucket/...``."""
        return self._url

    @property
    def prefix(self) -> "str | None":
        """URL below which the object was found, or the client's root; None if it was requested by its URL."""
        return self._prefix

    @property
    def key(self) -> str:
        """Name below the prefix; the URL if there is no prefix."""
        return self._key

    @property
    def path(self) -> "str | None":
        """Path of the local copy, which exists until the client is closed; None if not downloaded."""
        return self._path

    @property
    def blob(self) -> "bytes | None":
        """Bytes of the object, read from the local copy on every access; None if not downloaded."""
        if self._path is None:
            return None
        try:
            with open(self._path, "rb") as file:
                return file.read()
        except FileNotFoundError:
            raise FileNotFoundError(
                "The temporary file of %s is gone: its S3 client is closed. Read it inside of the with block."
                % self._url
            ) from None

    @property
    def text(self) -> "str | None":
        """Bytes decoded as UTF-8, with invalid bytes replaced by U+FFFD; None if not downloaded."""
        blob = self.blob
        return None if blob is None else blob.decode("utf-8", "replace")

    @property
    def size(self) -> "int | None":
        """Size in bytes, of the downloaded range if only that was read; None if the object does not exist."""
        return self._size

    @property
    def has_info(self) -> bool:
        """True if content type, metadata, encryption, time and range are known."""
        return bool(self._info)

    @property
    def content_type(self) -> "str | None":
        """MIME type; None if unknown."""
        return self._info.get("content_type")

    @property
    def metadata(self) -> "dict[str, Any] | None":
        """Metadata that was stored with the object; None if there is none."""
        return self._info.get("metadata")

    @property
    def encryption(self) -> "str | None":
        """Server-side encryption; None if the server does not report any."""
        return self._info.get("encryption")

    @property
    def last_modified(self) -> "int | None":
        """Time when the object was stored, in seconds since 1970 (UTC)."""
        return self._info.get("last_modified")

    @property
    def range_info(self) -> "RangeInfo | None":
        """Range that was downloaded; None if nothing was."""
        found = self._info.get("range")
        return None if found is None else RangeInfo(*found)

    def __repr__(self) -> str:
        state = "object does not exist"
        if self._size is not None:
            state = "%d bytes, %s" % (self._size, "local" if self.downloaded else "in S3")
        return "<S3Object %s (%s)>" % (self._url, state)


def _below(prefix: str, url: str) -> str:
    """Name of a URL below a prefix, which may end in the middle of a name.

    >>> _below("s3://b/x/a", "s3://b/x/a/1"), _below("s3://b/x/a/", "s3://b/x/a/c/"), _below("s3://b/x/a", "s3://b/x/ab/1")
    ('1', 'c', 'ab/1')
    """
    folder = prefix.rstrip("/") + "/"
    if not url.startswith(folder):
        folder = prefix[: prefix.rindex("/") + 1]
    return url[len(folder) :].rstrip("/")
