"""Kinds of values that decorator attributes accept, as do the settings that replace them.

Each function returns the value in its canonical form or raises ``ValueError``. The caller knows where the
value was written and names the place in its message. Values from settings or ``--with`` may be texts.
"""

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any, Protocol, TypeVar

    from airflow_conda_flow.flow.decorators.base import Decorator
    from airflow_conda_flow.flow.parameters.delayed_value import DelayedValue

    Normalise = Callable[[Any], Any]

    _Item_co = TypeVar("_Item_co", covariant=True)

    class Several(Protocol[_Item_co]):
        """List or tuple, but not a text, although a text is also a sequence of texts."""

        def __contains__(self, __item: object) -> bool:
            """True if the item is in it.

            ``str.__contains__`` accepts only texts, which lets type checkers tell a text from a list of
            texts.
            """

        def __iter__(self) -> "Iterator[_Item_co]":
            """Iterate over the items."""

        def __getitem__(self, __number: int) -> "_Item_co":
            """Item at this position."""

    # Types of attributes in flow files. Any of them may come from a config; None means not given.
    Flag = bool | DelayedValue | None
    Whole = int | DelayedValue | None
    Number = float | DelayedValue | None
    Text = str | DelayedValue | None
    Amount = float | str | DelayedValue | None
    Count = int | str | DelayedValue | None
    Texts = Sequence[str] | DelayedValue | None
    TextsByName = Mapping[str, str | int] | DelayedValue | None
    Fields = Mapping[str, Any] | DelayedValue | None

# https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
_OBJECT_NAME = re.compile(r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?\Z")
# https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/
_LABEL_KEY = re.compile(r"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?\Z")
_LABEL_VALUE = re.compile(r"^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?\Z")
_LAST_PORT = 65535
_VARIABLE = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*\Z")


def normalise_attributes(decorator: "Decorator", kinds: "Mapping[str, tuple[Normalise, str]]") -> None:
    """Convert the given attributes to their canonical form, or raise at the decorator's line.

    Attributes that are None were not given and are left alone.

    Args:
        decorator: the decorator whose attributes are converted in place.
        kinds: for each attribute, the function that normalises it and a description of valid values.
    """
    for name, (normalise, expected) in kinds.items():
        value = decorator.attributes[name]
        if value is None:
            continue
        try:
            decorator.attributes[name] = normalise(value)
        except ValueError:
            decorator.fail("@%s: %s is %r; write %s." % (decorator.name, name, value, expected))


def text(value: "Any") -> str:
    """Text that is not empty, without surrounding white space."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(value)
    return value.strip()


def object_name(value: "Any") -> str:
    """Name of a Kubernetes object."""
    if not isinstance(value, str) or not _OBJECT_NAME.match(value):
        raise ValueError(value)
    return value


def object_names(value: "Any") -> "list[str]":
    """Names of Kubernetes objects, from a list or a comma-separated text.

    >>> object_names("a, b")
    ['a', 'b']
    """
    if isinstance(value, str):
        value = [each.strip() for each in value.split(",")]
    if not isinstance(value, (list, tuple)):
        raise ValueError(value)
    return [object_name(each) for each in value]


def flag(value: "Any") -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise ValueError(value)
    return value


def one_of(*choices: str) -> "Normalise":
    """Normaliser for one of these texts; case is ignored, and the spelling given here is returned."""

    def normalise(value: "Any") -> str:
        for choice in choices:
            if isinstance(value, str) and value.lower() == choice.lower():
                return choice
        raise ValueError(value)

    return normalise


def amount(measure: "Callable[[Any], float | None]") -> "Normalise":
    """Normaliser for an amount above 0, measured by a function of ``amounts``; keeps the written form."""

    def normalise(value: "Any") -> "Any":
        if not measure(value):
            raise ValueError(value)
        return value

    return normalise


def port(value: "Any") -> int:
    """Port number."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= _LAST_PORT:
        raise ValueError(value)
    return value


def texts_by_name(value: "Any") -> "dict[str, str]":
    """Dict of texts, from a dict or from ``a=b,c=d``; whole numbers become texts.

    >>> texts_by_name("a=b,c=d") == texts_by_name({"a": "b", "c": "d"})
    True
    """
    if isinstance(value, str):
        pairs = [each.partition("=") for each in value.split(",")]
        if not all(equals for _, equals, _ in pairs):
            raise ValueError(value)
        return {name.strip(): each.strip() for name, _, each in pairs}
    if not isinstance(value, dict):
        raise ValueError(value)
    found = {}
    for name, each in value.items():
        if isinstance(each, bool) or not isinstance(name, str) or not isinstance(each, (str, int)):
            raise ValueError(value)
        found[name] = str(each)
    return found


def labels(value: "Any") -> "dict[str, str]":
    """Kubernetes labels."""
    found = texts_by_name(value)
    for name, each in found.items():
        if not _LABEL_KEY.match(name) or not _LABEL_VALUE.match(each):
            raise ValueError(value)
    return found


def device_counts(value: "Any") -> "dict[str, str]":
    """Device counts by the resource name that nodes advertise, ``<domain>/<name>``.

    >>> device_counts("nvidia.com/mig-1g.5gb=2")
    {'nvidia.com/mig-1g.5gb': '2'}
    """
    found = texts_by_name(value)
    # https://kubernetes.io/docs/tasks/configure-pod-container/extended-resource/
    if not all(_LABEL_KEY.match(name) and "/" in name and each.isdigit() for name, each in found.items()):
        raise ValueError(value)
    return found


def annotations(value: "Any") -> "dict[str, str]":
    """Kubernetes annotations: keys follow the rules for labels, values are any texts."""
    found = texts_by_name(value)
    if not all(_LABEL_KEY.match(name) for name in found):
        raise ValueError(value)
    return found


def environment_variables(value: "Any") -> "dict[str, str]":
    """Environment variables by name."""
    found = texts_by_name(value)
    if not all(_VARIABLE.match(name) for name in found):
        raise ValueError(value)
    return found


def absolute_path(value: "Any") -> str:
    """Absolute path on a Linux machine."""
    if not isinstance(value, str) or not value.startswith("/"):
        raise ValueError(value)
    return value


def path_or_name(value: "Any") -> str:
    """Absolute path, or the name of a Kubernetes object."""
    return absolute_path(value) if str(value).startswith("/") else object_name(value)


def mounts(value: "Any") -> "dict[str, str]":
    """Absolute mount paths by the name of the volume claim."""
    found = texts_by_name(value)
    return {object_name(name): absolute_path(path) for name, path in found.items()}


def fields(*known: str) -> "Normalise":
    """Normaliser for a dict with some of these keys, spelled as in Kubernetes or as in Python.

    The normalised dict has Kubernetes' spelling, on every level: ``run_as_user`` becomes ``runAsUser``. What
    is below ``matchLabels`` stays as it is: labels.
    """
    by_spelling = {}
    for name in known:
        by_spelling[name] = name
        by_spelling[re.sub("[A-Z]", lambda found: "_" + found.group(0).lower(), name)] = name

    def normalise(value: "Any") -> "dict[str, Any]":
        if not isinstance(value, dict) or not value or not all(name in by_spelling for name in value):
            raise ValueError(value)
        return {by_spelling[name]: _spelled(each) for name, each in value.items()}

    return normalise


def _spelled(value: "Any") -> "Any":
    """The value with the keys of its dicts, on every level, in Kubernetes' spelling."""
    if isinstance(value, (list, tuple)):
        return [_spelled(each) for each in value]
    if not isinstance(value, dict):
        return value
    named = {
        re.sub("_([a-z])", lambda found: found.group(1).upper(), str(key)): each
        for key, each in value.items()
    }
    return {name: each if name == "matchLabels" else _spelled(each) for name, each in named.items()}


def list_of(normalise_one: "Normalise") -> "Normalise":
    """Normaliser for a list of values; a single value becomes a list with one item."""

    def normalise(value: "Any") -> "list[Any]":
        return [normalise_one(each) for each in (value if isinstance(value, (list, tuple)) else [value])]

    return normalise
