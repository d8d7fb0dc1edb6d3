"""The kinds of values that attributes of decorators take, and settings in their place.

Each function gives the value in its one canonical form, or raises ``ValueError``; the caller knows
where the value stands and says so. Whatever comes from a setting or from ``--with`` may be a text.
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
        """A list or a tuple, but not a text, although a text is a sequence of texts too."""

        def __contains__(self, __item: object) -> bool:
            """Whether it holds an item. A text takes texts only, which tells it from a list of texts."""

        def __iter__(self) -> "Iterator[_Item_co]":
            """Each item."""

        def __getitem__(self, __number: int) -> "_Item_co":
            """The item of that number."""

    # The types of attributes in flow files. Any of them may come from a config; None means not given.
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
_OBJECT_NAME = re.compile(r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")
# https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/
_LABEL_KEY = re.compile(r"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$")
_LABEL_VALUE = re.compile(r"^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$")
_LAST_PORT = 65535
_VARIABLE = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")


def normalise_attributes(decorator: "Decorator", kinds: "Mapping[str, tuple[Normalise, str]]") -> None:
    """Bring the attributes that were given into their form, or raise at the decorator's line.

    Args:
        decorator: whose.
        kinds: for each attribute what normalises it, and what it takes, in words.
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
    """A text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(value)
    return value.strip()


def object_name(value: "Any") -> str:
    """The name of an object in Kubernetes."""
    if not isinstance(value, str) or not _OBJECT_NAME.match(value):
        raise ValueError(value)
    return value


def object_names(value: "Any") -> "list[str]":
    """Names of objects in Kubernetes, from a list or from a text with commas.

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
    """One of some texts; their case does not matter."""

    def normalise(value: "Any") -> str:
        for choice in choices:
            if isinstance(value, str) and value.lower() == choice.lower():
                return choice
        raise ValueError(value)

    return normalise


def amount(measure: "Callable[[Any], float | None]") -> "Normalise":
    """An amount above 0 as ``amounts`` measures it; it stays as it was written."""

    def normalise(value: "Any") -> "Any":
        if not measure(value):
            raise ValueError(value)
        return value

    return normalise


def port(value: "Any") -> int:
    """The number of a port."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= _LAST_PORT:
        raise ValueError(value)
    return value


def texts_by_name(value: "Any") -> "dict[str, str]":
    """A dict of texts, or ``a=b,c=d``; whole numbers become texts.

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
    """Labels of Kubernetes."""
    found = texts_by_name(value)
    for name, each in found.items():
        if not _LABEL_KEY.match(name) or not _LABEL_VALUE.match(each):
            raise ValueError(value)
    return found


def device_counts(value: "Any") -> "dict[str, str]":
    """Numbers of devices by the name that nodes have for them, ``<domain>/<name>``.

    >>> device_counts("nvidia.com/mig-1g.5gb=2")
    {'nvidia.com/mig-1g.5gb': '2'}
    """
    found = texts_by_name(value)
    # https://kubernetes.io/docs/tasks/configure-pod-container/extended-resource/
    if not all(_LABEL_KEY.match(name) and "/" in name and each.isdigit() for name, each in found.items()):
        raise ValueError(value)
    return found


def annotations(value: "Any") -> "dict[str, str]":
    """Annotations of Kubernetes: keys as labels have them, and any texts."""
    found = texts_by_name(value)
    if not all(_LABEL_KEY.match(name) for name in found):
        raise ValueError(value)
    return found


def environment_variables(value: "Any") -> "dict[str, str]":
    """Environment variables."""
    found = texts_by_name(value)
    if not all(_VARIABLE.match(name) for name in found):
        raise ValueError(value)
    return found


def absolute_path(value: "Any") -> str:
    """An absolute path of a Linux machine."""
    if not isinstance(value, str) or not value.startswith("/"):
        raise ValueError(value)
    return value


def path_or_name(value: "Any") -> str:
    """An absolute path, or the name of an object in Kubernetes."""
    return absolute_path(value) if str(value).startswith("/") else object_name(value)


def mounts(value: "Any") -> "dict[str, str]":
    """Names of volume claims and the absolute paths where they are mounted."""
    found = texts_by_name(value)
    return {object_name(name): absolute_path(path) for name, path in found.items()}


def fields(*known: str) -> "Normalise":
    """A dict with some of these keys, in Kubernetes' spelling or in Python's."""
    by_spelling = {}
    for name in known:
        by_spelling[name] = name
        by_spelling[re.sub("[A-Z]", lambda found: "_" + found.group(0).lower(), name)] = name

    def normalise(value: "Any") -> "dict[str, Any]":
        if not isinstance(value, dict) or not value or not all(name in by_spelling for name in value):
            raise ValueError(value)
        return {by_spelling[name]: each for name, each in value.items()}

    return normalise


def list_of(normalise_one: "Normalise") -> "Normalise":
    """A list; one thing alone is a list of one."""

    def normalise(value: "Any") -> "list[Any]":
        return [normalise_one(each) for each in (value if isinstance(value, (list, tuple)) else [value])]

    return normalise
