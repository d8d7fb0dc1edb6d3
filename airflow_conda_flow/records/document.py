"""Bytes of stored JSON documents: one function writes them, one reads them.

A document ends with a checksum over the rest of its bytes:

    {"add":["new"],"remove":[],"version":1,"checksum":"<sha256 of all bytes before the comma>"}

Readers give documents without the key ``checksum``. Versions before it wrote none; such documents are read
too. The caller's ``wrong`` looks at the values of both.
"""

import hashlib
import json

from airflow_conda_flow.errors import DamagedDocument, DatastoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

VERSION = 1
"""Version of manifests and of changes of tags. Increase it when an older reader would misread a document."""

MOST_BYTES = 256 * 1024 * 1024
"""Size above which an object is no document. A foreach of a million named splits makes one of 50 MB."""

_CHECKSUM = "checksum"
_DIGITS = 64  # of a SHA-256 in hex
# End of a document, by how its JSON ends without a checksum.
_ENDS = ((b"\n}", b',\n "checksum": "%s"\n}'), (b"}", b',"checksum":"%s"}'))


def canonical_json(value: "Any", indent: "int | None" = None) -> bytes:
    """JSON in UTF-8 with sorted keys and no needless spaces: equal values give equal bytes.

    Args:
        value: the value.
        indent: spaces for each level, for documents that people read; None for one line.

    >>> canonical_json({"b": 1, "a": "é"}).decode()
    '{"a":"é","b":1}'
    """
    separators = (",", ":") if indent is None else (",", ": ")
    text = json.dumps(value, sort_keys=True, indent=indent, separators=separators, ensure_ascii=False)
    # "surrogatepass" keeps lone surrogates, which texts of a step may contain: Python decodes bytes that are
    # not UTF-8, such as a file name's, to them.
    return text.encode("utf-8", "surrogatepass")


def stored_bytes(document: "Mapping[str, Any]", indent: "int | None" = None) -> bytes:
    """Bytes of a document as it is stored: canonical JSON that ends with a checksum.

    Args:
        document: the document, with at least one key.
        indent: as for ``canonical_json``.

    >>> stored_bytes({"version": 1})[:24].decode()
    '{"version":1,"checksum":'
    """
    data = canonical_json(document, indent)
    for end, _ in _ENDS:
        if data.endswith(end):
            return _sealed(data[: -len(end)], end)
    raise ValueError("A document is a JSON object.")


def _sealed(rest: bytes, end: bytes) -> bytes:
    return rest + dict(_ENDS)[end] % hashlib.sha256(rest).hexdigest().encode("ascii")


def read_document(
    data: bytes,
    name: str,
    advice: str,
    version: int = VERSION,
    wrong: "Callable[[dict[str, Any]], str | None]" = lambda _document: None,
) -> "dict[str, Any]":
    """The document that ``stored_bytes`` wrote, without its checksum.

    Args:
        data: the stored bytes.
        name: the document for messages: its key and the place where it is stored.
        advice: a sentence that says what to do if it is damaged.
        version: the newest version that the caller understands.
        wrong: says in a few words what is wrong with a document of a version that the caller understands, or
            None. A right checksum does not say who wrote a document.

    Raises:
        DamagedDocument: the bytes are not those that were written.
        DatastoreError: the document has a newer version.
    """
    fault = "its checksum is wrong"
    try:
        document = json.loads(data.decode("utf-8", "surrogatepass"))
        if not isinstance(document, dict):
            fault = "it is not a JSON object"
        elif not _has_checksum(document) or _is_intact(data):
            document.pop(_CHECKSUM, None)
            fault = _version_fault(document) or ""
            if not fault and document["version"] <= version:
                fault = wrong(document) or ""
    except (ValueError, RecursionError) as error:
        fault = "it is not valid JSON: %s" % error
    if fault:
        raise damaged(name, fault, advice)
    if document["version"] > version:
        raise DatastoreError(
            "%s has version %d; this installation reads up to version %d. Upgrade airflow-conda-flow here."
            % (name, document["version"], version)
        )
    return document  # type: ignore[no-any-return]


def damaged(name: str, fault: str, advice: str) -> DamagedDocument:
    """Error for a document; ``fault`` says in a few words what is wrong, the other arguments as above."""
    return DamagedDocument("%s is damaged: %s." % (name, fault), advice)


def other_than(document: "Mapping[str, Any]", expected: "Mapping[str, Any]") -> "str | None":
    """A few words about a document that belongs to something else; None if it has all expected values.

    >>> other_than({"flow": "A", "run_id": "1"}, {"flow": "A", "run_id": "2"})
    "its run_id is '1', expected '2'"
    """
    for key, value in expected.items():
        if document.get(key) != value:
            return "its %s is %r, expected %r" % (key, document.get(key), value)
    return None


def _has_checksum(document: "dict[str, Any]") -> bool:
    # Seen by its form too, because its name may be damaged. It is the last key: an older version that wrote
    # the document again has sorted it among the others, where it means nothing.
    last = list(document)[-1:]
    return bool(last) and (
        last[0] == _CHECKSUM
        or (
            len(last[0]) == len(_CHECKSUM)
            and isinstance(document[last[0]], str)
            and len(document[last[0]]) == _DIGITS
        )
    )


def _is_intact(data: bytes) -> bool:
    for end, form in _ENDS:
        rest = data[: -len(form % (b"0" * _DIGITS))]
        if data == _sealed(rest, end):
            return True
    return False


def _version_fault(document: "dict[str, Any]") -> "str | None":
    version = document.get("version")
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        return "it states no version"
    return None
