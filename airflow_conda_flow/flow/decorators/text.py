"""Decorators written as text, such as ``retry:times=3``, on the command line, in configs and in mutators."""

import json

from airflow_conda_flow.errors import SettingError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def parse_decorator(text: str, what: str = "") -> "tuple[str, dict[str, Any]]":
    r"""Name and attributes of a decorator written as ``name:a=1,b=x``.

    A value that is valid JSON is parsed; any other value is a text.

    Args:
        text: the decorator.
        what: beginning of error messages; the text itself if empty.

    Raises:
        SettingError: the text does not have that form.

    >>> parse_decorator("batch:cpu=2,image=base:1,labels={\"a\": 1, \"b\": 2}")[1]["labels"]
    {'a': 1, 'b': 2}
    """
    name, _, rest = text.partition(":")
    found: "dict[str, Any]" = {}
    for piece in _pieces(rest):
        key, equals, value = piece.partition("=")
        if not equals or not key.strip():
            raise SettingError("%s: %r is not of the form name=value." % (what or text, piece))
        try:
            found[key.strip()] = json.loads(value)
        except RecursionError:
            raise SettingError("%s: the value of %s is nested too deeply." % (what or name, key)) from None
        except ValueError:
            found[key.strip()] = value
    return name.strip(), found


def _pieces(text: str) -> "list[str]":
    """Pieces of the text between commas that are outside brackets and quotes."""
    pieces, depth, quoted, start = [], 0, False, 0
    for position, character in enumerate(text):
        if character == '"':
            quoted = not quoted
        elif quoted:
            continue
        elif character in "[{":
            depth += 1
        elif character in "]}":
            depth -= 1
        elif character == "," and depth == 0:
            pieces.append(text[start:position])
            start = position + 1
    pieces.append(text[start:])
    return [piece for piece in pieces if piece.strip()]
