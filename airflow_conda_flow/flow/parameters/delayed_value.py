"""``DelayedValue``: placeholder in a flow file for a value from a config that has not been read yet.

``config.a.b`` in a class body, and ``config_expr("config.a.b")`` anywhere, are placeholders. Their values
are looked up once the configs of a run are known.
"""

import sys

from airflow_conda_flow.errors import FlowDefinitionError
from airflow_conda_flow.flow.parameters.config_value import plain
from airflow_conda_flow.flow.plain_errors import show_plainly

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, NoReturn

# Prefix of a keyword that no user would write. It marks a whole delayed dict in a call, as in f(**config.a).
_UNPACKED = "airflow_conda_flow.unpacked."
# How each kind of step of a path is written.
_SHOWN = {"attribute": ".%s", "key": "[%r]", "get": ".get%r"}
# Special methods of operations that need the value. Not __eq__, which containers call, and not __call__,
# which callable() looks for.
_OPERATIONS = (
    "add radd sub rsub mul rmul truediv rtruediv floordiv rfloordiv mod rmod pow rpow neg lt le gt ge "
    "len int float index format"
)


_NO_VALUE = "%r has no value yet while the flow file is read. Put the whole expression into config_expr(...)."


class DelayedValue:
    """Expression over configs, and a path of attributes and keys into its result.

    Args:
        expression: a Python expression; its names are those of configs and of ``names``.
        names: globals of the module in which the expression is written.
        path: attributes and keys to look up in the result, outermost first.
    """

    def __init__(
        self, expression: str, names: "dict[str, Any]", path: "tuple[tuple[str, Any], ...]" = ()
    ) -> None:
        self.__dict__.update(_expression=expression, _names=names, _path=path)

    def __getattr__(self, name: str) -> "ConfigItem":
        if name.startswith("__"):  # Python and libraries probe for these, and must not find any
            raise AttributeError(name)
        path = self._path + (("attribute", name),)
        return DelayedValue(self._expression, self._names, path)  # type: ignore[return-value]

    def __getitem__(self, key: "Any") -> "Any":
        if isinstance(key, str) and key.startswith(_UNPACKED):
            return self
        return DelayedValue(self._expression, self._names, self._path + (("key", key),))

    def get(self, key: "Any", default: "Any" = None) -> "ConfigItem":
        """Placeholder for the value of a key, or the default if the config does not have the key.

        >>> config = config_expr("config")
        >>> resolve([config.get("a"), config["b"].get("x", 3)], {"config": {"a": 1, "b": {}}})
        [1, 3]
        """
        path = self._path + (("get", (key, default)),)
        return DelayedValue(self._expression, self._names, path)  # type: ignore[return-value]

    def keys(self) -> "list[str]":
        """List with one key that represents all keys, so that ``**config.a`` works."""
        return ["%s%d" % (_UNPACKED, id(self))]

    def __iter__(self) -> "Any":
        _refuse("%r has no value yet while the flow file is read; it cannot be iterated." % self)

    def __bool__(self) -> bool:
        return _refuse(_NO_VALUE % self)

    def __repr__(self) -> str:
        steps = "".join(_SHOWN[kind] % (step,) for kind, step in self._path)
        return self._expression + steps  # type: ignore[no-any-return]

    def __copy__(self) -> "DelayedValue":
        return self

    def __deepcopy__(self, memo: "Any") -> "DelayedValue":
        return self


def _refused(value: "DelayedValue", *_operands: "Any") -> "NoReturn":
    """Implementation of every operation that needs the value."""
    _refuse(_NO_VALUE % value)


for _each in _OPERATIONS.split():
    setattr(DelayedValue, "__%s__" % _each, _refused)


if TYPE_CHECKING:

    class ConfigItem(DelayedValue, Any):  # type: ignore[misc]
        """Value of a key of a config; type checkers accept it as any type, because its type is unknown.

        ``Any`` itself would also hide the types of the other arguments in
        ``Parameter("n", type=int, default=config.n)``.
        """


def _refuse(message: str) -> "NoReturn":
    show_plainly()
    # Frame 0 is this function, 1 the method that refuses, 2 the user's line.
    frame = sys._getframe(2)  # noqa: SLF001 - without importing inspect
    raise FlowDefinitionError(message, frame.f_code.co_filename, frame.f_lineno)


class NoValue(Exception):
    """Lookup of a delayed value has failed; the message says why."""


def config_expr(expression: str) -> "ConfigItem":
    """Placeholder for the value of a Python expression over the flow's configs.

    Decorators and parameters accept it: ``@project(name=config_expr("cfg.name.lower()"))``. The expression
    is evaluated once the configs have been read.

    Args:
        expression: a Python expression that may use configs by name, and all globals of the flow file.
    """
    names = sys._getframe(1).f_globals  # noqa: SLF001 - without importing inspect
    return DelayedValue(expression, names)  # type: ignore[return-value]


def is_delayed(value: "Any") -> bool:
    """True if the value is delayed, or has a delayed value in its dicts, lists, tuples and sets."""
    if isinstance(value, DelayedValue):
        return True
    if isinstance(value, dict):
        return any(is_delayed(key) or is_delayed(each) for key, each in value.items())
    if isinstance(value, (list, tuple, set, frozenset)):
        return any(is_delayed(each) for each in value)
    return False


def is_unpacked(name: str) -> bool:
    """True if this keyword represents a whole delayed dict, as in ``f(**config.a)``."""
    return name.startswith(_UNPACKED)


def resolve(value: "Any", configs: "Mapping[str, Any]") -> "Any":
    """Value with every delayed value in it looked up; config values become plain dicts.

    Args:
        value: a value of any type.
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
        # eval is no added risk: the expression is written in the flow file, which is code that runs anyway.
        found = eval(inner["_expression"], dict(inner["_names"], **configs))  # noqa: S307
        for kind, step in inner["_path"]:
            if kind == "get":
                found = found.get(*resolve(step, configs))
            else:
                found = getattr(found, step) if kind == "attribute" else found[resolve(step, configs)]
    except NoValue:
        raise
    except Exception as error:
        raise NoValue(
            "%r cannot be looked up in the config: %s: %s" % (value, type(error).__name__, error)
        ) from error
    return found
