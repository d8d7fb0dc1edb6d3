"""YAML of lock files, read and written by the rules of YAML 1.2, as pixi does.

PyYAML follows YAML 1.1, where ``1.0_1`` is a number and ``12e3`` is text; in YAML 1.2 it is the other way
round. Either would change a version or a digest between pixi and this package without an error.

https://yaml.org/spec/1.2.2/#103-core-schema
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

import yaml

_TAG = "tag:yaml.org,2002:"
_CORE = (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("merge", r"<<", "<"),
)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    yaml_implicit_resolvers: ClassVar[dict[Any, Any]] = {}


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    # A text that looks like a number in either version of YAML is written in quotes.
    yaml_implicit_resolvers: ClassVar[dict[Any, Any]] = {
        key: list(rules) for key, rules in yaml.SafeDumper.yaml_implicit_resolvers.items()
    }


for _name, _pattern, _first in _CORE:
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(_TAG + _name, re.compile(rf"(?:{_pattern})\Z"), list(_first))


def _integer(_loader: Any, node: yaml.ScalarNode) -> int:
    text = node.value
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


def _float(_loader: Any, node: yaml.ScalarNode) -> float:
    return float(re.sub(r"\.(inf|nan)\Z", r"\1", node.value.lower()))


_Loader.add_constructor(_TAG + "int", _integer)
_Loader.add_constructor(_TAG + "float", _float)


def load_yaml(text: str | bytes) -> Any:
    """The document as plain data.

    Raises:
        yaml.YAMLError: it is no YAML, or a value does not have the form of its tag.
    """
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - it is a safe loader
    except yaml.YAMLError:
        raise
    except (AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
        # PyYAML's own constructors fail so, at ``!!timestamp zz`` or at a number of 5,000 digits.
        raise yaml.YAMLError(f"a value that cannot be read: {error}") from error


def yaml_text(document: Mapping[str, Any]) -> str:
    """The document as YAML: keys in their order, no line folded."""
    text: str = yaml.dump(dict(document), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)
    return text
