"""``Parameter``: a value that is given when a run starts, and stays the same through the run."""

import json
import re

from airflow_conda_flow.errors import FlowDefinitionError, ParameterError
from airflow_conda_flow.flow.decorators import calling_frame
from airflow_conda_flow.flow.plain_errors import show_plainly

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_NAME = re.compile(r"^[A-Za-z][A-Za-z0-9_-]*$")
_TRUE = frozenset(["1", "true", "t", "yes", "y", "on"])
_FALSE = frozenset(["0", "false", "f", "no", "n", "off"])


class _JSONType(object):
    """The type of a parameter whose text is JSON and whose value is what the JSON says."""

    def __repr__(self):
        # type: () -> str
        return "JSONType"


JSONType = _JSONType()
_TYPE_NAMES = {str: "str", int: "int", float: "float", bool: "bool", JSONType: "JSON"}


class Parameter(object):
    """A parameter of the flow: an option on the command line, a field in Airflow's trigger form.

    Args:
        name: its name for users; the attribute of the class is its name in steps.
        default: the value where none is given, or a function of one argument that gives it.
        type: ``str``, ``int``, ``float``, ``bool`` or ``JSONType``; from the default if not given.
        help: one sentence.
        required: whether a value must be given.
        show_default: whether the default shows in ``--help``.

    Raises:
        FlowDefinitionError: the name, the type or the default is wrong; names the line.
    """

    def __init__(
        self,
        name,
        default=None,
        type=None,  # noqa: A002 - the field's own name for it
        help=None,  # noqa: A002 - the field's own name for it
        required=False,
        show_default=True,
    ):
        # type: (str, Any, Any, str | None, bool, bool) -> None
        frame = calling_frame()
        self.file = frame.f_code.co_filename
        self.line = frame.f_lineno
        self.name = name
        self.attribute = name
        self.default = default
        self.help = help
        self.required = required
        self.show_default = show_default
        self._check_name()
        self.type = self._type(type)
        if required and default is not None:
            self._fail("is required and has a default; keep one of the two.")
        if default is not None and not callable(default):
            self.default = self._checked_default(default)

    @property
    def type_name(self):
        # type: () -> str
        """The type as users read it, such as ``int``."""
        return _TYPE_NAMES[self.type]

    def convert(self, text):
        # type: (Any) -> Any
        """The value that a text stands for; a value of the right type stays.

        Raises:
            ParameterError: the text is not one of the parameter's type.
        """
        try:
            return self._convert(text)
        except (TypeError, ValueError):
            raise ParameterError(
                "Parameter %r takes %s; got %r." % (self.name, _EXPECTED[self.type_name], text)
            ) from None

    def value(self, context=None):
        # type: (Any) -> Any
        """The default; where it is a function, what the function gives for ``context``."""
        return self.convert_default(self.default(context)) if callable(self.default) else self.default

    def convert_default(self, value):
        # type: (Any) -> Any
        """What a computed default stands for; None stays None."""
        return None if value is None else self.convert(value)

    def __set_name__(self, owner, attribute):
        # type: (type, str) -> None
        self.attribute = attribute

    def __get__(self, flow, owner=None):
        # type: (Any, type | None) -> Any
        if flow is None or flow._task is None:  # noqa: SLF001 - the flow is ours
            return self
        return flow.load_artifact(self.attribute)

    def __set__(self, flow, value):
        # type: (Any, Any) -> None
        raise AttributeError(
            "%r is a parameter, and parameters do not change during a run. "
            "Assign to another attribute of self." % self.attribute
        )

    def _convert(self, given):
        # type: (Any) -> Any
        if self.type is JSONType:
            return json.loads(given) if isinstance(given, str) else given
        if self.type is bool:
            return _boolean(given)
        if self.type is str:
            if not isinstance(given, str):
                raise TypeError
            return given
        if isinstance(given, bool) or (self.type is int and isinstance(given, float)):
            raise TypeError
        return self.type(given)

    def _checked_default(self, default):
        # type: (Any) -> Any
        try:
            return self._convert(default)
        except (TypeError, ValueError):
            return self._fail("has the default %r, but its type is %s." % (default, self.type_name))

    def _check_name(self):
        # type: () -> None
        if not isinstance(self.name, str) or not _NAME.match(self.name):
            self._fail('is not a name. Write letters, digits and "_", such as "alpha".')

    def _type(self, stated):
        # type: (Any) -> Any
        if stated is None:
            default = self.default
            if default is None or callable(default):
                return str
            stated = JSONType if isinstance(default, (dict, list)) else type(default)
        if stated is dict or stated is list:
            return JSONType
        if stated not in _TYPE_NAMES:
            self._fail(
                "has the type %r; write str, int, float, bool or JSONType."
                % getattr(stated, "__name__", stated)
            )
        return stated

    def _fail(self, message):
        # type: (str) -> Any
        show_plainly()
        raise FlowDefinitionError("Parameter %r %s" % (self.name, message), self.file, self.line)


_EXPECTED = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "JSON": "JSON",
}


def _boolean(given):
    # type: (Any) -> bool
    if isinstance(given, bool):
        return given
    word = given.strip().lower() if isinstance(given, str) else None
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError
