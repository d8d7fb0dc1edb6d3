"""Base classes of all step and flow decorators.

A decorator is plain data: its name, its attributes, and its position in the flow file. The reader of that
data decides what the decorator means (``environments/`` for conda, ``compute/`` for pods).
To add a decorator, write one new file with a subclass.
"""

import copy
import sys

from airflow_conda_flow.errors import FlowDefinitionError
from airflow_conda_flow.flow.parameters.delayed_value import NoValue, is_delayed, is_unpacked, resolve
from airflow_conda_flow.flow.plain_errors import show_plainly

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType
    from typing import Any, NoReturn, Protocol

    from typing_extensions import TypeVar

    from airflow_conda_flow.flow.flow_draft import FlowDraft
    from airflow_conda_flow.records.graph import FlowGraph

    _Method = TypeVar("_Method", bound=Callable[..., Any])
    _Class = TypeVar("_Class", bound=type[Any])

    class StepMark(Protocol):
        """Step decorator with its attributes: takes a step and returns it with the same type."""

        def __call__(self, __method: "_Method") -> "_Method":
            """Attach the decorator."""

    class FlowMark(Protocol):
        """Flow decorator with its attributes: takes a flow class and returns it with the same type."""

        def __call__(self, __flow_class: "_Class") -> "_Class":
            """Attach the decorator."""

    # A decorator called without a target, as in @retry(times=2), returns a callable that takes the target.
    # The default of the type variable expresses this in one signature. With two overloads instead, mypy's
    # message about a wrong attribute would name neither the attribute nor its type.
    Method = TypeVar("Method", bound=Callable[..., Any], default=StepMark)
    FlowClass = TypeVar("FlowClass", bound=type[Any] | FlowMark, default=FlowMark)

OUR_PACKAGE = "airflow_conda_flow."


class Decorator:
    """Decorator with keyword attributes.

    Subclasses set ``name`` and ``defaults``, and check their attributes in ``check``.

    Attributes:
        elsewhere: attributes that only Metaflow's decorator has, with what to write instead.
        allow_many: True if one step or class may have several; the data of a step is then a list.

    Raises:
        FlowDefinitionError: an attribute is unknown or wrong; the error names the decorator's line.
    """

    name = ""
    defaults: "dict[str, Any]" = {}
    elsewhere: "dict[str, str]" = {}
    allow_many = False

    def __init__(self, **attributes: "Any") -> None:
        frame = calling_frame()
        self.file = frame.f_code.co_filename
        self.line = frame.f_lineno
        self.is_delayed = is_delayed(attributes)
        self._take(attributes)

    def resolved(self, configs: "Mapping[str, Any]") -> "Decorator":
        """Copy of this decorator with the values of configs filled in; itself if it uses no config.

        Args:
            configs: the values of the flow's configs, by name.

        Raises:
            FlowDefinitionError: a value cannot be looked up, or is wrong.
        """
        if not self.is_delayed:
            return self
        other = copy.copy(self)
        other.is_delayed = False
        try:
            other._take(resolve(self.given, configs))  # noqa: SLF001 - a copy of this one
        except NoValue as error:
            self.fail("@%s: %s" % (self.name, error))
        return other

    def _take(self, attributes: "dict[str, Any]") -> None:
        for key in attributes:
            if key in self.elsewhere:
                self.fail("@%s has no %s here: %s." % (self.name, key, self.elsewhere[key]))
            if key not in self.defaults and not is_unpacked(key):
                self.fail(
                    "@%s has no attribute %r.%s It takes: %s."
                    % (self.name, key, nearest(key, self.defaults), ", ".join(self.defaults) or "nothing")
                )
        self.given = dict(attributes)
        self.attributes = dict(self.defaults, **attributes)
        if not self.is_delayed:
            self.check()

    def check(self) -> None:
        """Raise if an attribute is wrong."""

    def check_in_flow(self, step: "str | None", graph: "FlowGraph", draft: "FlowDraft") -> None:
        """Raise if the decorator makes no sense on this step or flow.

        Args:
            step: the decorated step; None if the flow class is decorated.
            graph: the flow's graph.
            draft: the complete draft of the flow, with all its decorators and parameters.
        """

    def fail(self, message: str) -> "NoReturn":
        """Raise a ``FlowDefinitionError`` at the decorator's line."""
        show_plainly()
        raise FlowDefinitionError(message, self.file, self.line)


class StepDecorator(Decorator):
    """Decorator of a step, written above or below ``@step``."""

    def __call__(self, method: "Any") -> "Any":
        """Attach the decorator to a step and return the same method."""
        if isinstance(method, type) or not callable(method):
            self.fail(
                "@%s decorates a step (a method of the flow), but was applied to %s."
                % (self.name, getattr(method, "__name__", repr(method)))
            )
        attached = getattr(method, "decorators", [])
        if not self.allow_many and any(other.name == self.name for other in attached):
            self.fail("@%s is applied twice to %r; keep one." % (self.name, method.__name__))
        method.decorators = attached + [self]
        return method


class FlowDecorator(Decorator):
    """Decorator of the flow class."""

    def __call__(self, flow_class: "Any") -> "Any":
        """Attach the decorator to a flow class and return the same class."""
        if not isinstance(flow_class, type):
            self.fail(
                "@%s decorates the flow class, but was applied to %s."
                % (self.name, getattr(flow_class, "__name__", repr(flow_class)))
            )
        # Not getattr: a subclass must not add to the list of its base class.
        own = flow_class.__dict__.get("flow_decorators", [])
        if not self.allow_many and any(other.name == self.name for other in own):
            self.fail("@%s is applied twice to %s; keep one." % (self.name, flow_class.__name__))
        flow_class.flow_decorators = own + [self]  # type: ignore[attr-defined]
        return flow_class


def decorator_function(decorator_class: "Any") -> "Any":
    """Function that users write as ``@name`` or ``@name(...)``.

    Next to each call of this function is a definition for type checkers with the decorator's attributes.
    """

    def decorate(*positional: "Any", **attributes: "Any") -> "Any":
        if len(positional) == 1 and not attributes and callable(positional[0]):
            return decorator_class()(positional[0])
        if positional:
            # Not decorator_class().fail: without its attributes the decorator may complain about those.
            frame = calling_frame()
            show_plainly()
            raise FlowDefinitionError(
                "@%s takes its attributes by name, such as @%s(%s=...)."
                % (decorator_class.name, decorator_class.name, next(iter(decorator_class.defaults))),
                frame.f_code.co_filename,
                frame.f_lineno,
            )
        return decorator_class(**attributes)

    decorate.__name__ = decorate.__qualname__ = decorator_class.name
    decorate.__doc__ = decorator_class.__doc__
    decorate.decorator_class = decorator_class  # type: ignore[attr-defined]
    return decorate


def calling_frame() -> "FrameType":
    """Innermost frame outside this package: the line that the user wrote."""
    # Importing inspect would make the start of every step process slower.
    frame = sys._getframe(1)  # noqa: SLF001 - documented in sys
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(OUR_PACKAGE):
        frame = frame.f_back
    return frame


def nearest(word: str, known: "Any") -> str:
    """Text ``" Did you mean 'x'?"`` with the most similar known name; empty if no name is similar.

    >>> nearest("librarys", ["libraries", "python"])
    " Did you mean 'libraries'?"
    """
    import difflib  # noqa: PLC0415 - needed only for error messages

    matches = difflib.get_close_matches(word, list(known), n=1)
    return " Did you mean %r?" % matches[0] if matches else ""
