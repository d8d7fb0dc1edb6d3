"""What goes into the S3 client, and what comes out of it."""

from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class S3GetObject(NamedTuple):
    """A range of an object: ``length`` bytes from ``offset`` on; None reads from the start, or to the end.

    A negative length reads as many bytes at the object's end.
    """

    key: str
    offset: "int | None" = None
    length: "int | None" = None


class S3PutObject(NamedTuple):
    """What is stored, a ``value`` or the file at ``path``, under which key, and what is said of it."""

    key: str
    value: "Any" = None
    path: "str | None" = None
    content_type: "str | None" = None
    encryption: "str | None" = None
    metadata: "dict[str, Any] | None" = None


class RangeInfo(NamedTuple):
    """Which bytes were downloaded, and how many the object has."""

    total_size: int
    request_offset: int = 0
    request_length: int = -1


class S3Object:
    """An object in S3, or a folder of objects; with a local copy if it was downloaded.

    Args:
        prefix: the URL that was asked for, or the root of the client; None if there is none.
        url: its URL.
        record: what is known of it; None if there is no such object.
        has_info: whether more is known than its size.
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
        """Whether it is an object; a folder is none."""
        return self._size is not None

    @property
    def downloaded(self) -> bool:
        """Whether there is a local copy."""
        return self._path is not None

    @property
    def url(self) -> str:
        """Its URL, ``s3://bucket/...``."""
        return self._url

    @property
    def prefix(self) -> "str | None":
        """The URL below which it was found, or the client's root; None where it was asked for by its URL."""
        return self._prefix

    @property
    def key(self) -> str:
        """Its name below the prefix; its URL where there is none."""
        return self._key

    @property
    def path(self) -> "str | None":
        """The file with its bytes, until the client is closed; None if it was not downloaded."""
        return self._path

    @property
    def blob(self) -> "bytes | None":
        """Its bytes, read from the file each time; None if it was not downloaded."""
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
        """Its bytes as a text in UTF-8; None if it was not downloaded."""
        blob = self.blob
        return None if blob is None else blob.decode("utf-8", "replace")

    @property
    def size(self) -> "int | None":
        """The number of its bytes, or of those that were downloaded; None if there is no such object."""
        return self._size

    @property
    def has_info(self) -> bool:
        """Whether what follows is known."""
        return bool(self._info)

    @property
    def content_type(self) -> "str | None":
        """Its MIME type."""
        return self._info.get("content_type")

    @property
    def metadata(self) -> "dict[str, Any] | None":
        """What a user said of it; None if nothing."""
        return self._info.get("metadata")

    @property
    def encryption(self) -> "str | None":
        """How the server encrypts it; None if it does not say."""
        return self._info.get("encryption")

    @property
    def last_modified(self) -> "int | None":
        """When it was stored, in seconds since 1970 (UTC)."""
        return self._info.get("last_modified")

    @property
    def range_info(self) -> "RangeInfo | None":
        """Which of its bytes were downloaded; None if none were."""
        found = self._info.get("range")
        return None if found is None else RangeInfo(*found)

    def __repr__(self) -> str:
        state = "object does not exist"
        if self._size is not None:
            state = "%d bytes, %s" % (self._size, "local" if self.downloaded else "in S3")
        return "<S3Object %s (%s)>" % (self._url, state)


def _below(prefix: str, url: str) -> str:
    """What a URL is called below a prefix, which need not end where a name does.

    >>> _below("s3://b/x/a", "s3://b/x/a/1"), _below("s3://b/x/a/", "s3://b/x/a/c/"), _below("s3://b/x/a", "s3://b/x/ab/1")
    ('1', 'c', 'ab/1')
    """
    folder = prefix.rstrip("/") + "/"
    if not url.startswith(folder):
        folder = prefix[: prefix.rindex("/") + 1]
    return url[len(folder) :].rstrip("/")
