"""``Parameter``: a value that is given when a run starts and does not change during the run."""

import copy

from airflow_conda_flow.errors import FlowDefinitionError, ParameterError
from airflow_conda_flow.flow.decorators.base import calling_frame, nearest
from airflow_conda_flow.flow.generic import Generic
from airflow_conda_flow.flow.parameters.bounded import shown
from airflow_conda_flow.flow.parameters.delayed_value import NoValue, is_delayed, is_unpacked, resolve
from airflow_conda_flow.flow.parameters.types import EXPECTED, NAMES, JSONType, convert, known_type, limits_of
from airflow_conda_flow.flow.plain_errors import show_plainly

__all__ = ["JSONType", "Parameter"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, Literal, NoReturn, Protocol, TypedDict, overload

    from typing_extensions import Self, TypeVar, Unpack

    from airflow_conda_flow.flow.parameters.default_context import DefaultContext
    from airflow_conda_flow.flow.parameters.delayed_value import DelayedValue
    from airflow_conda_flow.flow.parameters.types import _JSONType as JSON

    Value = TypeVar("Value", default=Any)
    Single = TypeVar("Single", str, int, float, bool)
    Collection = TypeVar("Collection", dict[str, Any], list[Any])

    class ClickType(Protocol):
        """Parameter type of click, such as ``click.Choice``."""

        @property
        def name(self) -> str:
            """Name that click gives the type."""

    class Options(TypedDict, total=False):
        """Options that do not affect the type of the value."""

        help: str | None
        show_default: bool | None
        choices: Iterable[Any] | None
        minimum: float | None
        maximum: float | None
else:
    Value = None


class Parameter(Generic[Value]):
    """Parameter of the flow: an option on the command line, a field in Airflow's trigger form.

    Args:
        name: the name for users; in steps, the attribute of the class is its name.
        default: the value if none is given, or a function of one argument that returns it.
        type: ``str``, ``int``, ``float``, ``bool`` or ``JSONType``, or a type of click; derived from the
            default if not given.
        help: one sentence.
        required: True if a value must be given; no effect if there is a default.
        show_default: True if ``--help`` shows the default.
        multiple: True if it may be given more than once; the value is a tuple.
        separator: separator at which a text is split; the value is a list of texts.
        choices: the only valid values.
        is_flag: True if the option without a value means True; the type is then ``bool``.
        minimum: the smallest valid value.
        maximum: the largest valid value.

    Any of these may come from a config: ``Parameter("alpha", default=config.alpha)``. A type checker derives
    the type of ``self.alpha`` from ``type`` and ``default``; the value may be None if there is no default
    and ``required`` is not set.

    Raises:
        FlowDefinitionError: an argument is wrong; the error names the line.
    """

    options: "dict[str, Any]" = {
        "default": None,
        "type": None,
        "help": None,
        "required": None,
        "show_default": None,
        "multiple": None,
        "separator": None,
        "choices": None,
        "is_flag": None,
        "minimum": None,
        "maximum": None,
    }

    if TYPE_CHECKING:
        # One signature for each kind of value. If a value is optional, it may be None. The first two
        # signatures also match Parameter("x", **config.x), for which a type checker takes the first match.

        @overload
        def __init__(
            self: "Parameter[Any]",
            name: str,
            default: "DelayedValue",
            *,
            required: bool = ...,
            **options: "Unpack[Options]",
        ) -> None: ...

        @overload
        def __init__(
            self: "Parameter[Single]",
            name: str,
            default: "Single | DelayedValue | Callable[[DefaultContext], Single]",
            type: "type[Single]",
            *,
            required: bool = ...,
            **options: "Unpack[Options]",
        ) -> None: ...

        @overload
        def __init__(
            self: "Parameter[bool]",
            name: str,
            default: "bool | None" = ...,
            *,
            is_flag: "Literal[True]",
            type: "type[bool]" = ...,
            required: bool = ...,
            **options: "Unpack[Options]",
        ) -> None: ...

        @overload
        def __init__(
            self: "Parameter[list[str]]",
            name: str,
            default: "str | Iterable[str] | Callable[[DefaultContext], str | Iterable[str]]",
            *,
            separator: str,
            type: "type[str]" = ...,
            required: bool = ...,
            **options: "Unpack[Options]",
        ) -> None: ...

        @overload
        def __init__(
            self: "Parameter[list[str]]",
            name: str,
            *,
            separator: str,
            required: "Literal[True]",
            type: "type[str]" = ...,
            **options: "Unpack[Options]",
        ) -> None: ...

        @overload
        def __init__(
            self: "Parameter[list[str] | None]",
            name: str,
            *,
            separator: str,
            type: "type[str]" = ...,
            **options: "Unpack[Options]",
        ) -> None: ...

        @overload
        def __init__(
            self: "Parameter[tuple[Any, ...]]",
            name: str,
            default: "DelayedValue",
            *,
            multiple: "Literal[True]",
            required: bool = ...,
            **options: "Unpack[Options]",
        ) -> None: ...

        @overload
        def __init__(
            self: "Parameter[tuple[Single, ...]]",
            name: str,
            default: "Single | Iterable[Single] | Callable[[DefaultContext], Iterable[Single]]",
            *,
            multiple: "Literal[True]",
            type: "type[Single]" = ...,
            required: bool = ...,
            **options: "Unpack[Options]",
        ) -> None: ...

        @overload
        def __init__(
            self: "Parameter[tuple[Single, ...]]",
            name: str,
            *,
            multiple: "Literal[True]",
            type: "type[Single]",
            required: "Literal[True]",
            **options: "Unpack[Options]",
        ) -> None: ...

        @overload
        def __init__(
            self: "Parameter[tuple[Single, ...] | None]",
            name: str,
            *,
            multiple: "Literal[True]",
            type: "type[Single]",
            **options: "Unpack[Options]",
        ) -> None: ...

        @overload
        def __init__(
            self: "Parameter[tuple[str, ...]]",
            name: str,
            *,
            multiple: "Literal[True]",
            required: "Literal[True]",
            **options: "Unpack[Options]",
        ) -> None: ...

        @overload
        def __init__(
            self: "Parameter[tuple[str, ...] | None]",
            name: str,
            *,
            multiple: "Literal[True]",
            **options: "Unpack[Options]",
        ) -> None: ...

        @overload
        def __init__(
            self: "Parameter[Single]",
            name: str,
            *,
            type: "type[Single]",
            required: "Literal[True]",
            **options: "Unpack[Options]",
        ) -> None: ...

        @overload
        def __init__(
            self: "Parameter[Single | None]",
            name: str,
            default: None = ...,
            *,
            type: "type[Single]",
            **options: "Unpack[Options]",
        ) -> None: ...

        @overload
        def __init__(
            self: "Parameter[Single]",
            name: str,
            default: "Single",
            *,
            required: bool = ...,
            **options: "Unpack[Options]",
        ) -> None: ...

        @overload
        def __init__(
            self: "Parameter[str]",
            name: str,
            default: "Callable[[DefaultContext], str]",
            *,
            required: bool = ...,
            **options: "Unpack[Options]",
        ) -> None: ...

        @overload
        def __init__(
            self: "Parameter[Collection]",
            name: str,
            default: "Collection",
            *,
            required: bool = ...,
            **options: "Unpack[Options]",
        ) -> None: ...

        @overload
        def __init__(
            self: "Parameter[str]",
            name: str,
            *,
            required: "Literal[True]",
            **options: "Unpack[Options]",
        ) -> None: ...

        @overload
        def __init__(
            self: "Parameter[str | None]",
            name: str,
            default: None = ...,
            **options: "Unpack[Options]",
        ) -> None: ...

        @overload
        def __init__(
            self: "Parameter[Any]",
            name: str,
            default: "Any" = ...,
            *,
            type: "type[dict[str, Any] | list[Any]] | JSON | ClickType",
            multiple: bool = ...,
            required: bool = ...,
            **options: "Unpack[Options]",
        ) -> None: ...

    def __init__(
        self,
        name: str,
        default: "Any" = None,
        type: "Any" = None,  # noqa: A002 - Metaflow's name
        help: "str | None" = None,  # noqa: A002 - Metaflow's name
        required: "bool | None" = None,
        show_default: "bool | None" = None,
        **further: "Any",
    ) -> None:
        self._begin(name)
        stated = {
            "default": default,
            "type": type,
            "help": help,
            "required": required,
            "show_default": show_default,
        }
        self._take(dict(further, **{key: value for key, value in stated.items() if value is not None}))

    @property
    def type_name(self) -> str:
        """Name of the type in messages and ``--help``, such as ``int``."""
        return NAMES[self.type]

    def resolved(self, configs: "Mapping[str, Any]") -> "Parameter":
        """Copy of this parameter with the values of configs filled in; itself if it uses no config.

        Args:
            configs: the values of the flow's configs, by name.

        Raises:
            FlowDefinitionError: a value cannot be looked up, or is wrong.
        """
        if not self.is_delayed:
            return self
        other = copy.copy(self)
        try:
            other._take(resolve(self.given, configs))  # noqa: SLF001 - a copy of this one
        except NoValue as error:
            self.fail("waits for a config: %s" % error)
        return other

    def convert(self, given: "Any") -> "Any":
        """Value of this parameter for a text; a value that has the type already is returned unchanged.

        Raises:
            ParameterError: the value has another type, or is outside the limits.
        """
        try:
            return self._convert(given)
        except ParameterError:
            raise
        except (TypeError, ValueError):
            raise ParameterError(
                "Parameter %r takes %s; got %s." % (self.name, self.expected, shown(given))
            ) from None

    @property
    def expected(self) -> str:
        """Description of valid values, such as ``a whole number from 1 to 9``."""
        words = EXPECTED[self.type_name]
        if self.choices is not None:
            words = "one of %s" % ", ".join(repr(choice) for choice in self.choices)
        if self.minimum is not None:
            words += " from %r" % self.minimum + ("" if self.maximum is not None else " up")
        if self.maximum is not None:
            words += " %s %r" % ("up to" if self.minimum is None else "to", self.maximum)
        return words

    def value(self, context: "Any" = None) -> "Any":
        """Default value; if the default is a function, its result for ``context``.

        Raises:
            ParameterError: the function fails, or returns a value that is not valid.
        """
        if not callable(self.default):
            return self.default
        try:
            computed = self.default(context)
        except Exception as error:
            raise ParameterError(
                "The default of parameter %r cannot be computed: %s: %s"
                % (self.name, type(error).__name__, error),
                self.file,
                self.line,
            ) from error
        return None if computed is None else self.convert(computed)

    def load(self, value: "Any") -> "Any":
        """Value of ``self.x`` in a step, made from the stored value."""
        return value

    def __set_name__(self, owner: "type", attribute: str) -> None:
        self.attribute = attribute

    if TYPE_CHECKING:

        @overload
        def __get__(self, flow: None, owner: "type | None" = None) -> "Self": ...

        @overload
        def __get__(self, flow: object, owner: "type | None" = None) -> "Value": ...

    def __get__(self, flow: "Any", owner: "type | None" = None) -> "Any":
        if flow is None or flow._task is None:  # noqa: SLF001 - the flow is ours
            return self
        return flow.load_parameter(self.attribute, self.load)

    def __set__(self, flow: "Any", value: "NoReturn") -> None:
        raise AttributeError(
            "%r is a parameter, and parameters do not change during a run. "
            "Assign to another attribute of self." % self.attribute
        )

    def __repr__(self) -> str:
        return "<%s %s>" % (type(self).__name__, self.name)

    def fail(self, message: str) -> "NoReturn":
        """Raise a ``FlowDefinitionError`` at the line of the parameter."""
        show_plainly()
        raise FlowDefinitionError("Parameter %r %s" % (self.name, message), self.file, self.line)

    # Construction.

    def _begin(self, name: str) -> None:
        frame = calling_frame()
        self.file = frame.f_code.co_filename
        self.line = frame.f_lineno
        self.name = name
        self.attribute = name
        # Letters of any alphabet, as in Python's identifiers, but no "_" at the start.
        plain = name.replace("-", "_") if isinstance(name, str) else ""
        if not plain.isidentifier() or plain.startswith("_"):
            self.fail('is not a name. Write letters, digits and "_", such as "alpha".')

    def _take(self, given: "dict[str, Any]") -> None:
        """Set the options and the defaults of missing ones; delayed options are checked in ``resolved``."""
        for key in given:
            if key not in self.options and not is_unpacked(key):
                self.fail(
                    "has no option %r.%s It takes: %s."
                    % (key, nearest(key, self.options), ", ".join(self.options))
                )
        self.given = given
        self.is_delayed = is_delayed(given)
        everything = dict(self.options, **given)
        self.default = everything["default"]
        self.help = everything["help"]
        self.show_default = everything["show_default"] is not False
        self.required = bool(not self.is_delayed and everything["required"] and self.default is None)
        self.type: "Any" = str
        self.is_flag = False
        self.multiple = False
        self.separator: "str | None" = None
        self.choices: "Any" = None
        self.minimum: "Any" = None
        self.maximum: "Any" = None
        if not self.is_delayed:
            self._settle(everything)

    def _settle(self, options: "dict[str, Any]") -> None:
        """Set the type and the attributes that depend on it, and check the default."""
        self.multiple = bool(options["multiple"])
        self.is_flag = bool(options["is_flag"])
        self.type = self._type(options["type"])
        if self.is_flag and (self.type is not bool or self.multiple):
            self.fail("is a flag, which goes with one bool; its type is %s." % self.type_name)
        if self.is_flag and self.default is None:
            self.default = False
        limits = dict(limits_of(options["type"]), **{k: v for k, v in options.items() if v is not None})
        self.separator = options["separator"]
        if self.separator is not None and (not isinstance(self.separator, str) or not self.separator):
            self.fail("has the separator %r; write a text such as ','." % (self.separator,))
        if self.separator is not None and (self.type is not str or self.multiple):
            self.fail("has a separator, which goes with a single text; its type is %s." % self.type_name)
        self._take_limits(limits)
        if self.default is not None and not callable(self.default):
            self.default = self._checked_default(self.default)

    def _take_limits(self, limits: "dict[str, Any]") -> None:
        choices = limits.get("choices")
        if choices is not None:
            if isinstance(choices, str) or not hasattr(choices, "__iter__") or not list(choices):
                self.fail("has the choices %r; write a list of values." % (choices,))
            self.choices = [self._checked("choice", choice) for choice in choices]
        for name in ("minimum", "maximum"):
            if limits.get(name) is not None:
                if self.type not in (int, float):
                    self.fail("has a %s, which goes with a number; its type is %s." % (name, self.type_name))
                setattr(self, name, self._checked(name, limits[name]))

    def _checked(self, what: str, value: "Any") -> "Any":
        try:
            return convert(self.type, value)
        except (TypeError, ValueError):
            return self.fail("has the %s %r, but its type is %s." % (what, value, self.type_name))

    def _checked_default(self, default: "Any") -> "Any":
        if self.type is str and isinstance(default, (bool, int, float)):
            default = str(default)
        try:
            return self._convert(default)
        except (TypeError, ValueError):
            if self.expected != EXPECTED[self.type_name]:
                self.fail("has the default %r; it takes %s." % (default, self.expected))
            return self.fail("has the default %r, but its type is %s." % (default, self.type_name))

    def _type(self, stated: "Any") -> "Any":
        if stated is None and self.is_flag:
            return bool
        if stated is None:
            default = self.default
            if self.multiple and isinstance(default, (list, tuple)):
                default = default[0] if default else None
            if default is None or callable(default) or (self.given.get("separator") is not None):
                return str
            stated = type(default)
        known = known_type(stated)
        if known is None:
            self.fail(
                "has the type %r; write str, int, float, bool or JSONType."
                % getattr(stated, "__name__", stated)
            )
        return known

    def _convert(self, given: "Any") -> "Any":
        if self.multiple:
            if isinstance(given, (str, dict)) or not hasattr(given, "__iter__"):
                given = [given]
            return tuple(self._convert_one(each) for each in given)
        if self.separator is not None:
            parts = given.split(self.separator) if isinstance(given, str) and given else list(given)
            return [self._convert_one(part) for part in parts]
        return self._convert_one(given)

    def _convert_one(self, given: "Any") -> "Any":
        value = convert(self.type, given)
        if self.choices is not None and value not in self.choices:
            raise ValueError
        if self.minimum is not None and value < self.minimum:
            raise ValueError
        if self.maximum is not None and value > self.maximum:
            raise ValueError
        return value
