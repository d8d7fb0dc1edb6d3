"""``DelayedValue``: what a flow file says of a config before the config is read.

``config.a.b`` in a class body, and ``config_expr("config.a.b")`` anywhere, stand for a value that
is looked up once the configs of a run are known.
"""

import sys

from airflow_conda_flow.errors import FlowDefinitionError
from airflow_conda_flow.flow.parameters.config_value import plain
from airflow_conda_flow.flow.plain_errors import show_plainly

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, NoReturn

_UNPACKED = "airflow_conda_flow.unpacked."


class DelayedValue:
    """An expression over configs, and what is taken from its result.

    Args:
        expression: Python; the names in it are configs, and what ``names`` holds.
        names: the globals of the place where it is written.
        path: attributes and keys, one inside the other.
    """

    def __init__(
        self, expression: str, names: "dict[str, Any]", path: "tuple[tuple[str, Any], ...]" = ()
    ) -> None:
        self.__dict__.update(_expression=expression, _names=names, _path=path)

    def __getattr__(self, name: str) -> "ConfigItem":
        if name.startswith("__"):
            raise AttributeError(name)
        path = self._path + (("attribute", name),)
        return DelayedValue(self._expression, self._names, path)  # type: ignore[return-value]

    def __getitem__(self, key: "Any") -> "Any":
        if isinstance(key, str) and key.startswith(_UNPACKED):
            return self
        return DelayedValue(self._expression, self._names, self._path + (("key", key),))

    def keys(self) -> "list[str]":
        """One key that stands for all, so that ``**config.a`` can be written."""
        return ["%s%d" % (_UNPACKED, id(self))]

    def __iter__(self) -> "Any":
        _refuse("%r has no value yet while the flow file is read; it cannot be iterated." % self)

    def __bool__(self) -> bool:
        return _refuse(
            "%r has no value yet while the flow file is read. Put the whole expression into "
            "config_expr(...)." % self
        )

    def __repr__(self) -> str:
        steps = "".join(".%s" % step if kind == "attribute" else "[%r]" % step for kind, step in self._path)
        return self._expression + steps  # type: ignore[no-any-return]

    def __copy__(self) -> "DelayedValue":
        return self

    def __deepcopy__(self, memo: "Any") -> "DelayedValue":
        return self


if TYPE_CHECKING:

    class ConfigItem(DelayedValue, Any):  # type: ignore[misc]
        """The value of a key of a config. Its type is not known, so that type checkers take it for any type.

        ``Any`` itself would also hide the types beside it: ``Parameter("n", type=int, default=config.n)``.
        """


def _refuse(message: str) -> "NoReturn":
    show_plainly()
    frame = sys._getframe(2)  # noqa: SLF001 - the user's line, without importing inspect
    raise FlowDefinitionError(message, frame.f_code.co_filename, frame.f_lineno)


class NoValue(Exception):
    """A delayed value cannot be had; the message says why."""


def config_expr(expression: str) -> "ConfigItem":
    """The value of a Python expression over the flow's configs, once they are read.

    For decorators and parameters: ``@project(name=config_expr("cfg.name.lower()"))``.

    Args:
        expression: may use configs by name, and whatever the flow file's module knows.
    """
    names = sys._getframe(1).f_globals  # noqa: SLF001 - without importing inspect
    return DelayedValue(expression, names)  # type: ignore[return-value]


def is_delayed(value: "Any") -> bool:
    """Whether a delayed value is in a value: in it, or in the dicts, lists, tuples and sets of it."""
    if isinstance(value, DelayedValue):
        return True
    if isinstance(value, dict):
        return any(is_delayed(key) or is_delayed(each) for key, each in value.items())
    if isinstance(value, (list, tuple, set, frozenset)):
        return any(is_delayed(each) for each in value)
    return False


def is_unpacked(name: str) -> bool:
    """Whether a keyword's name stands for a dict that is delayed as a whole."""
    return name.startswith(_UNPACKED)


def resolve(value: "Any", configs: "Mapping[str, Any]") -> "Any":
    """The value with everything delayed in it looked up; configs come as plain dicts.

    Args:
        value: of any type.
        configs: the values of the flow's configs, by name.

    Raises:
        NoValue: an expression cannot be evaluated.
    """
    if isinstance(value, DelayedValue):
        return plain(_evaluate(value, configs))
    if not is_delayed(value):
        return value
    if isinstance(value, dict):
        found: "dict[Any, Any]" = {}
        for key, each in value.items():
            if isinstance(key, str) and is_unpacked(key):
                found.update(_mapping(each, configs))
            else:
                found[resolve(key, configs)] = resolve(each, configs)
        return found
    return type(value)([resolve(each, configs) for each in value])


def _mapping(value: "DelayedValue", configs: "Mapping[str, Any]") -> "dict[str, Any]":
    found = resolve(value, configs)
    if not isinstance(found, dict):
        raise NoValue("**%r is a %s, not a dict." % (value, type(found).__name__))
    return found


def _evaluate(value: "DelayedValue", configs: "Mapping[str, Any]") -> "Any":
    inner = value.__dict__
    try:
        # The expression stands in the flow file, which is code as well.
        found = eval(inner["_expression"], dict(inner["_names"], **configs))  # noqa: S307
        for kind, step in inner["_path"]:
            found = getattr(found, step) if kind == "attribute" else found[resolve(step, configs)]
    except NoValue:
        raise
    except Exception as error:
        raise NoValue(
            "%r cannot be looked up in the config: %s: %s" % (value, type(error).__name__, error)
        ) from error
    return found
