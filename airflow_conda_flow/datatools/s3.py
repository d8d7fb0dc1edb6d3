"""``S3``: client that reads and writes objects in S3 as files, many at once.

with S3(run=self) as s3:
    s3.put("model", blob)
"""

import os
import shutil
import tempfile

from airflow_conda_flow.datatools import s3_access, s3_put
from airflow_conda_flow.datatools.s3_root import SCHEME, full_url, root_of
from airflow_conda_flow.datatools.s3_values import RangeInfo, S3GetObject, S3Object, S3PutObject
from airflow_conda_flow.errors import (
    S3AccessDenied,
    S3Error,
    S3Failed,
    S3InvalidObject,
    S3InvalidRange,
    S3InvalidURL,
    S3NoSpace,
    S3NotFound,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any, BinaryIO

    from typing_extensions import Self

    from airflow_conda_flow.client.past_run import Run
    from airflow_conda_flow.flow.flowspec import FlowSpec

__all__ = [
    "S3",
    "MetaflowS3AccessDenied",
    "MetaflowS3Exception",
    "MetaflowS3InsufficientDiskSpace",
    "MetaflowS3InvalidObject",
    "MetaflowS3InvalidRange",
    "MetaflowS3NotFound",
    "MetaflowS3URLException",
    "RangeInfo",
    "S3GetObject",
    "S3Object",
    "S3PutObject",
]

# Aliases: our errors under the names that they have in Metaflow's module ``s3``.
MetaflowS3AccessDenied = S3AccessDenied
MetaflowS3Exception = S3Failed
MetaflowS3InsufficientDiskSpace = S3NoSpace
MetaflowS3InvalidObject = S3InvalidObject
MetaflowS3InvalidRange = S3InvalidRange
MetaflowS3NotFound = S3NotFound
MetaflowS3URLException = S3InvalidURL


class S3:
    """Client for objects in S3, inside and outside of steps.

    Keys are names below the client's root, which is the root of a run or one that is passed in. A client
    without a root takes full URLs. Downloads are temporary files; they are removed at the end of the
    ``with`` block, or by ``close()``.

    Args:
        tmproot: directory for temporary files; by default the task's own in a step, else the system's.
        bucket: bucket to use instead of the one in the setting ``datatools_s3root``.
        prefix: prefix of all keys in the bucket, instead of the one in the setting.
        run: flow object of a running step (``self``), or a ``Run``. The root is then
            ``<flow>/<run id>`` below the root of the setting.
        s3root: the root itself, as ``s3://bucket/prefix``.
        encryption: server-side encryption of stored objects, such as ``AES256``.

    Raises:
        S3InvalidURL: the arguments do not give a valid root.
    """

    def __init__(
        self,
        tmproot: "str | None" = None,
        bucket: "str | None" = None,
        prefix: "str | None" = None,
        run: "FlowSpec | Run | None" = None,
        s3root: "str | None" = None,
        encryption: "str | None" = None,
    ) -> None:
        self._root = root_of(bucket, prefix, run, s3root)
        self._encryption = encryption
        self._tmpdir: "str | None" = tempfile.mkdtemp(
            prefix="s3-", dir=s3_access.scratch() if tmproot is None else os.path.abspath(tmproot)
        )

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return "S3(%s)" % ("" if self._root is None else "s3root=%r" % self._root)

    def close(self) -> None:
        """Remove all temporary files. The client cannot be used afterwards."""
        folder, self._tmpdir = self._tmpdir, None
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    # Listing.

    def list_paths(self, keys: "Iterable[str] | None" = None) -> "list[S3Object]":
        """Entries directly in each folder: objects, and folders, for which ``exists`` is False.

        Args:
            keys: folders; None means the root.
        """
        return self._listed([url.rstrip("/") + "/" for url in self._urls(keys)], False)

    def list_recursive(self, keys: "Iterable[str] | None" = None) -> "list[S3Object]":
        """All objects whose URLs start with the given prefixes, at any depth.

        Args:
            keys: prefixes; None means everything in the root.
        """
        return self._listed(self._prefixes(keys), True)

    def _listed(self, urls: "list[str]", is_recursive: bool) -> "list[S3Object]":
        found = self._call("listing", [urls, is_recursive])
        prefixes = [self._root if is_recursive and self._is_root(url) else url for url in urls]
        return [
            S3Object(prefix, url, None if size is None else {"size": size})
            for prefix, entries in zip(prefixes, found)
            for url, size in entries
        ]

    def info(self, key: "str | None" = None, return_missing: bool = False) -> "S3Object":
        """Description of an object, without its bytes.

        Args:
            key: name of the object; None means the root itself.
            return_missing: return a missing object as one for which ``exists`` is False, instead of raising.

        Raises:
            S3NotFound: there is no such object, and ``return_missing`` is False.
        """
        return self._information([self._url(key)], return_missing)[0]

    def info_many(self, keys: "Iterable[str]", return_missing: bool = False) -> "list[S3Object]":
        """Descriptions of many objects at once, in the order of the keys; see ``info``."""
        return self._information(self._urls(keys), return_missing)

    def _information(self, urls: "list[str]", return_missing: bool) -> "list[S3Object]":
        found = self._call("info", [urls, bool(return_missing)])
        return [S3Object(self._root, url, record, record is not None) for url, record in zip(urls, found)]

    # Downloads.

    def get(
        self,
        key: "str | S3GetObject | None" = None,
        return_missing: bool = False,
        return_info: bool = True,
    ) -> "S3Object":
        """Download an object or a range of it.

        Args:
            key: name of the object, or an ``S3GetObject`` for a range; None means the root itself.
            return_missing: return a missing object as one for which ``exists`` is False, instead of raising.
            return_info: include content type, metadata and so on.

        Raises:
            S3NotFound: there is no such object, and ``return_missing`` is False.
        """
        return self._downloads([self._wanted(key)], return_missing, return_info)[0]

    def get_many(
        self, keys: "Iterable[str | S3GetObject]", return_missing: bool = False, return_info: bool = True
    ) -> "list[S3Object]":
        """Download many objects at once, in the order of the keys; see ``get``."""
        wanted = [self._wanted(key) for key in _several(keys)]
        return self._downloads(wanted, return_missing, return_info)

    def get_recursive(self, keys: "Iterable[str]", return_info: bool = False) -> "list[S3Object]":
        """Download all objects whose URLs start with the given prefixes; by prefix, then by name.

        Args:
            keys: prefixes.
            return_info: include content types, metadata and so on.
        """
        return self._all_below(self._prefixes(keys), return_info)

    def get_all(self, return_info: bool = False) -> "list[S3Object]":
        """Download all objects in the root.

        Raises:
            S3InvalidURL: the client has no root.
        """
        if self._root is None:
            raise S3InvalidURL(
                "get_all() needs a root: write S3(run=self) or S3(s3root='s3://bucket/prefix')."
            )
        return self._all_below(self._prefixes(None), return_info)

    def _all_below(self, prefixes: "list[str]", return_info: bool) -> "list[S3Object]":
        listed = self._listed(prefixes, True)
        found = self._fetched([{"url": each.url} for each in listed], False)
        return [
            S3Object(place.prefix or place.url, place.url, record, return_info)
            for place, record in zip(listed, found)
        ]

    def _downloads(
        self, wanted: "list[dict[str, Any]]", return_missing: bool, return_info: bool
    ) -> "list[S3Object]":
        found = self._fetched(wanted, return_missing)
        return [
            S3Object(self._root, each["url"], record, bool(return_info and record))
            for each, record in zip(wanted, found)
        ]

    def _fetched(self, wanted: "list[dict[str, Any]]", may_miss: bool) -> "list[dict[str, Any] | None]":
        return self._call("get", [wanted, self._folder(), bool(may_miss)])  # type: ignore[no-any-return]

    # Uploads.

    def put(
        self,
        key: "str | S3PutObject",
        obj: "str | bytes | BinaryIO",
        overwrite: bool = True,
        content_type: "str | None" = None,
        metadata: "dict[str, Any] | None" = None,
    ) -> str:
        """Store an object and return its URL.

        Args:
            key: name of the object.
            obj: text, bytes, or a file opened for reading bytes, which is read from its start.
            overwrite: replace an existing object; if False, an existing object stays unchanged.
            content_type: MIME type.
            metadata: metadata to store with the object; must be serialisable as JSON.

        Raises:
            S3InvalidObject: ``obj`` is of another kind, or the metadata cannot be written as JSON.
        """
        whole = S3PutObject(_key(key), obj, None, content_type, None, metadata)
        self._stored([whole], overwrite)
        return self._url(key)

    def put_many(
        self, key_objs: "Iterable[tuple[str, str | bytes | BinaryIO] | S3PutObject]", overwrite: bool = True
    ) -> "list[tuple[str, str]]":
        """Store many objects at once; return pairs (key, URL) of those that were stored.

        Args:
            key_objs: ``S3PutObject``s, or pairs (key, object).
            overwrite: replace existing objects; if False, they stay unchanged and are not returned.
        """
        return self._stored([s3_put.object_to_put(each) for each in _several(key_objs)], overwrite)

    def _stored(self, objects: "list[S3PutObject]", overwrite: bool) -> "list[tuple[str, str]]":
        for each in objects:
            s3_put.check(each)
        files: "list[S3PutObject]" = []
        try:
            for each in objects:
                path = s3_put.write(each.value, self._folder())
                files.append(each._replace(path=path))
            return self._put_paths(files, overwrite)
        finally:
            for each in files:
                os.unlink(str(each.path))

    def put_files(
        self, key_paths: "Iterable[tuple[str, str] | S3PutObject]", overwrite: bool = True
    ) -> "list[tuple[str, str]]":
        """Store many files at once; return pairs (key, URL) of those that were stored.

        Args:
            key_paths: ``S3PutObject``s, or pairs (key, path).
            overwrite: replace existing objects; if False, they stay unchanged and are not returned.

        Raises:
            S3NotFound: there is no such file.
        """
        files = [s3_put.file_to_put(each) for each in _several(key_paths)]
        for each in files:
            if not os.path.isfile(str(each.path)):
                raise S3NotFound("There is no file %s to be stored as %r." % (each.path, each.key))
        return self._put_paths(
            [each._replace(path=os.path.abspath(str(each.path))) for each in files], overwrite
        )

    def _put_paths(self, files: "list[S3PutObject]", overwrite: bool) -> "list[tuple[str, str]]":
        urls = [self._url(each.key) for each in files]
        records = [
            {
                "url": url,
                "path": each.path,
                "content_type": each.content_type,
                "encryption": each.encryption or self._encryption,
                "metadata": s3_put.metadata_text(each),
            }
            for url, each in zip(urls, files)
        ]
        stored = self._call("put", [records, bool(overwrite)])
        return [(each.key, url) for each, url, is_new in zip(files, urls, stored) if is_new]

    # Addresses.

    def _wanted(self, key: "Any") -> "dict[str, Any]":
        wanted: "dict[str, Any]" = {"url": self._url(key)}
        for name in ("offset", "length"):
            value = getattr(key, name, None)
            if value is not None:
                wanted[name] = int(value)
        return wanted

    def _urls(self, keys: "Iterable[str | None] | None") -> "list[str]":
        return [self._url(key) for key in ([None] if keys is None else _several(keys))]

    def _prefixes(self, keys: "Iterable[str | None] | None") -> "list[str]":
        """URLs of the keys. The root gets a final slash, because ``run/1`` would also match ``run/10``."""
        return [url.rstrip("/") + "/" if self._is_root(url) else url for url in self._urls(keys)]

    def _is_root(self, url: str) -> bool:
        return self._root is not None and url.rstrip("/") == self._root

    def _url(self, given: "Any") -> str:
        key = _key(given)
        if isinstance(key, bytes):
            key = key.decode("utf-8")
        if key is not None and not isinstance(key, str):
            raise S3InvalidURL("%r is not a key; write a text, such as 'folder/name'." % (key,))
        if self._root is None:
            return full_url(key)
        if not key:
            return self._root
        if key.startswith(SCHEME):
            raise S3InvalidURL(
                "%r is a whole URL, but this client has the root %s. Write the name below it, or use S3() "
                "without a root." % (key, self._root)
            )
        if ".." in key.split("/"):
            raise S3InvalidURL("%r leads out of the root %s of this client." % (key, self._root))
        return "%s/%s" % (self._root, key.lstrip("/"))

    def _folder(self) -> str:
        if self._tmpdir is None:
            raise S3Error("This S3 client is closed. Do the work inside of its with block.")
        return self._tmpdir

    def _call(self, name: str, arguments: "Sequence[Any]") -> "Any":
        self._folder()
        return s3_access.call(name, list(arguments)) if arguments[0] else []


def _key(given: "Any") -> "Any":
    """Key of an ``S3GetObject`` or ``S3PutObject``; any other value unchanged."""
    return getattr(given, "key", given)


def _several(keys: "Any") -> "list[Any]":
    if isinstance(keys, (str, bytes)) or hasattr(keys, "key"):
        raise S3InvalidURL("%r is one; write a list: [%r]." % (keys, keys))
    return list(keys)
