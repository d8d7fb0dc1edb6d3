"""Version and bytes of stored JSON documents."""

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VERSION = 1
"""Version of manifests and of changes of tags. Increase it when an older reader would misread a document."""


def canonical_json(value: "Any") -> bytes:
    """JSON in UTF-8 with sorted keys and no spaces: equal values give equal bytes.

    >>> canonical_json({"b": 1, "a": "é"}).decode()
    '{"a":"é","b":1}'
    """
    # "surrogatepass" keeps lone surrogates, which texts of a step may contain: Python decodes bytes that are
    # not UTF-8, such as a file name's, to them.
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")
