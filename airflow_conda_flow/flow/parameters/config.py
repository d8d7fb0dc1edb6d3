"""``Config``: a value that is known before a flow is checked, so that decorators can use it."""

from airflow_conda_flow.errors import FlowDefinitionError
from airflow_conda_flow.flow.decorators.base import calling_frame, nearest
from airflow_conda_flow.flow.generic import Generic
from airflow_conda_flow.flow.parameters.config_value import wrapped
from airflow_conda_flow.flow.parameters.delayed_value import DelayedValue, is_delayed
from airflow_conda_flow.flow.plain_errors import show_plainly

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable
    from typing import Any, Literal, NoReturn, TypedDict, overload

    from typing_extensions import Self, TypeVar, Unpack

    from airflow_conda_flow.flow.parameters.config_value import ConfigValue
    from airflow_conda_flow.flow.parameters.default_context import DefaultContext

    Value = TypeVar("Value", default=Any)

    class Options(TypedDict, total=False):
        """Options that do not affect the type of the value."""

        default: str | os.PathLike[str] | Callable[[DefaultContext], str] | None
        default_value: str | dict[str, Any] | Callable[[DefaultContext], str | dict[str, Any]] | None
        help: str | None
        required: bool
        show_default: bool
else:
    Value = None


_OPTIONS = ("default", "default_value", "help", "required", "parser", "plain", "show_default")


class ConfigOptions:
    """Arguments of a ``Config``.

    They are kept in a separate object because ``config.name`` in a class body is the key ``name`` of the
    config's value.
    """

    def __init__(
        self,
        name: str,
        default: "Any",
        default_value: "Any",
        help_text: "str | None",
        required: bool,
        parser: "Any",
        plain: bool,
        show_default: bool,
    ) -> None:
        frame = calling_frame()
        self.file = frame.f_code.co_filename
        self.line = frame.f_lineno
        self.name = name
        self.attribute = name
        self.default = default
        self.default_value = default_value
        self.help = help_text
        self.required = required and default is None and default_value is None
        self.parser = parser
        self.plain = plain
        self.show_default = show_default
        self._check()

    def load(self, value: "Any") -> "Any":
        """Value of ``self.config`` in a step, made from the stored value."""
        return value if self.plain else wrapped(value)

    def fail(self, message: str) -> "NoReturn":
        """Raise a ``FlowDefinitionError`` at the line of the config."""
        show_plainly()
        raise FlowDefinitionError("Config %r %s" % (self.name, message), self.file, self.line)

    def refuse(self, unknown: "Iterable[str]") -> None:
        """Raise if there are options that a config does not have."""
        for key in unknown:
            near = nearest(key, _OPTIONS)
            self.fail("has no option %r.%s It takes: %s." % (key, near, ", ".join(_OPTIONS)))

    def _check(self) -> None:
        if not isinstance(self.name, str) or not self.name.replace("-", "_").isidentifier():
            self.fail('is not a name. Write letters, digits and "_", such as "settings".')
        if self.default is not None and self.default_value is not None:
            self.fail("has both a default, which is a file, and a default_value; keep one.")
        if is_delayed(self.default) or is_delayed(self.default_value):
            self.fail("has a default that comes from another config; write it out, or as a function.")
        if self.parser is not None and not isinstance(self.parser, str) and not callable(self.parser):
            self.fail("has the parser %r; write a function of one text, or its dotted name." % (self.parser,))


class Config(DelayedValue, Generic[Value]):
    """Configuration of the flow, read before the rest of the flow is evaluated.

    In a class body, decorators and parameters use ``config.a.b`` as a placeholder for the value; in steps
    ``self.config.a.b`` is the value. ``--config NAME FILE`` or ``--config-value NAME JSON`` gives a run
    another value.

    Args:
        name: the name for users; in steps, the attribute of the class is its name.
        default: path of a file, or a function of one argument that returns the path.
        default_value: a dict or a text, or a function of one argument that returns one.
        help: one sentence.
        required: True if a value must be given; no effect if there is a default.
        parser: a function of the text, or its dotted name; the text is JSON if there is no parser.
        plain: True if ``self.config`` is the parsed value itself, which may have any type.
        show_default: True if ``--help`` shows the default.

    Raises:
        FlowDefinitionError: an argument is wrong; the error names the line.
    """

    if TYPE_CHECKING:

        @overload
        def __init__(
            self: "Config[Value]",
            name: str,
            *,
            parser: "Callable[[str], Value]",
            plain: "Literal[True]",
            **options: "Unpack[Options]",
        ) -> None: ...

        @overload
        def __init__(
            self: "Config[Any]",
            name: str,
            *,
            parser: str,
            plain: "Literal[True]",
            **options: "Unpack[Options]",
        ) -> None: ...

        @overload
        def __init__(
            self: "Config[str]",
            name: str,
            *,
            plain: "Literal[True]",
            **options: "Unpack[Options]",
        ) -> None: ...

        @overload
        def __init__(
            self: "Config[ConfigValue]",
            name: str,
            *,
            parser: "str | Callable[[str], Any] | None" = ...,
            plain: "Literal[False]" = ...,
            **options: "Unpack[Options]",
        ) -> None: ...

    def __init__(
        self,
        name: str,
        default: "Any" = None,
        default_value: "Any" = None,
        help: "str | None" = None,  # noqa: A002 - Metaflow's name
        required: bool = False,
        parser: "str | Callable[[str], Any] | None" = None,
        plain: bool = False,
        show_default: bool = True,
        **unknown: "Any",
    ) -> None:
        options = ConfigOptions(
            name, default, default_value, help, bool(required), parser, bool(plain), bool(show_default)
        )
        options.refuse(unknown)
        super().__init__(variable_of(options), {})
        # Kept in __dict__ and read from there: config.x itself is a placeholder for a key of the value.
        self.__dict__["_options"] = options

    def __set_name__(self, owner: "type", attribute: str) -> None:
        config_options(self).attribute = attribute

    if TYPE_CHECKING:

        @overload
        def __get__(self, flow: None, owner: "type | None" = None) -> "Self": ...

        @overload
        def __get__(self, flow: object, owner: "type | None" = None) -> "Value": ...

    def __get__(self, flow: "Any", owner: "type | None" = None) -> "Any":
        if flow is None or flow._task is None:  # noqa: SLF001 - the flow is ours
            return self
        options = config_options(self)
        return flow.load_parameter(options.attribute, options.load)

    def __set__(self, flow: "Any", value: "NoReturn") -> None:
        name = config_options(self).attribute
        raise AttributeError(
            "%r is a config, and configs do not change during a run. Assign to another attribute of self."
            % name
        )

    def __repr__(self) -> str:
        return "<Config %s>" % config_options(self).name


def config_options(config: "Config") -> "ConfigOptions":
    """Arguments of a config."""
    return config.__dict__["_options"]  # type: ignore[no-any-return]


def variable_of(options: "ConfigOptions") -> str:
    """Name of the config in expressions, where ``-`` is written as ``_``."""
    return options.name.replace("-", "_")
