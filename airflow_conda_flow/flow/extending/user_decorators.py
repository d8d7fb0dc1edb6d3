"""Decorators that users write: code around a step, and mutators that change other decorators.

A ``UserStepDecorator``, or a generator function with ``@user_step_decorator``, runs around the step in its
step process. A ``StepMutator`` or a ``FlowMutator`` runs when the flow is read.
"""

import sys

from airflow_conda_flow.errors import FlowDefinitionError
from airflow_conda_flow.flow.decorators.base import calling_frame
from airflow_conda_flow.flow.decorators.step import is_step
from airflow_conda_flow.flow.parameters.delayed_value import NoValue, resolve
from airflow_conda_flow.flow.plain_errors import show_plainly

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any, NoReturn, Protocol, TypeVar, overload

    from typing_extensions import Self

    from airflow_conda_flow.flow.decorators.base import Method
    from airflow_conda_flow.flow.extending.mutable_flow import MutableFlow
    from airflow_conda_flow.flow.extending.mutable_step import MutableStep

    _Target = TypeVar("_Target", bound=Callable[..., Any])
    _Generator = Callable[..., Iterator[Any]]

    class GeneratorDecorator(Protocol):
        """Step decorator made by ``user_step_decorator``; its attributes are passed to the function."""

        def __call__(self, __method: "Method | None" = None, **attributes: "Any") -> "Method":
            """Attach the decorator."""


USER_SKIP_STEP: "dict[str, Any]" = {}
"""Value that a user step decorator yields to skip the step; the flow continues with the next one."""

REGISTERED: "dict[str, type[UserDecorator]]" = {}
"""All user decorators that have been defined, by the dotted name of the class or function."""

_OURS = "airflow_conda_flow."
_GENERATOR = 0x20  # inspect.CO_GENERATOR; importing inspect would slow down every step process


class _Attaching(type):
    """Metaclass of user decorators: ``@Name`` without parentheses creates a decorator and attaches it."""

    def __init__(cls, name: str, bases: "tuple[type, ...]", namespace: "dict[str, Any]") -> None:
        super().__init__(name, bases, namespace)
        if not namespace["__module__"].startswith(_OURS):
            cls.register(namespace["__module__"], cls.__qualname__)

    def register(cls, module: str, qualname: str) -> None:
        """Register the class under this name."""
        cls.origin = (module, qualname)
        cls.decorator_name = "%s.%s" % (module, qualname)
        REGISTERED[cls.decorator_name] = cls  # type: ignore[assignment]

    def _made(cls, *positional: "Any", **attributes: "Any") -> "Any":
        if len(positional) == 1 and not attributes and cls.is_target(positional[0]):  # type: ignore[attr-defined]
            return super().__call__()(positional[0])
        return super().__call__(*positional, **attributes)

    if not TYPE_CHECKING:  # type checkers use the __new__ of the classes, which states the result
        __call__ = _made


class UserDecorator(metaclass=_Attaching):
    """Base class of user decorators. Subclasses implement ``init`` to take arguments.

    Attributes:
        decorator_name: dotted name of its class or generator function.
        origin: module, and name in the module.
        file: file in which the decorator is applied.
        line: line at which the decorator is applied.
        stands_on_step: True if the flow file applies it; False if a mutator or ``--with`` added it.
    """

    decorator_name = ""
    origin = ("", "")
    takes_positional = True
    stands_on_step = False

    def __init__(self, *positional: "Any", **attributes: "Any") -> None:
        frame = calling_frame()
        self.file = frame.f_code.co_filename
        self.line = frame.f_lineno
        self.positional = list(positional)
        self.attributes_given = dict(attributes)
        self._is_ready = False
        if positional and not self.takes_positional:
            what = (
                "decorates a step: write it above @step"
                if callable(positional[0])
                else "takes its attributes by name"
            )
            self.fail("%s." % what)

    def init(self, *positional: "Any", **attributes: "Any") -> None:
        """Take the arguments; called once, after configs have been read."""
        del positional, attributes

    def ready(self, configs: "Mapping[str, Any]") -> None:
        """Replace delayed config values in the arguments, and call ``init``; later calls do nothing.

        Args:
            configs: values of the flow's configs, by name.

        Raises:
            FlowDefinitionError: a config value cannot be looked up, or there are arguments but no ``init``.
        """
        if self._is_ready:
            return
        try:
            self.positional = resolve(self.positional, configs)
            self.attributes_given = resolve(self.attributes_given, configs)
        except NoValue as error:
            self.fail(str(error))
        has_init = type(self).init is not UserDecorator.init
        if (self.positional or self.attributes_given) and not has_init:
            self.fail("is given arguments, but has no init(self, ...) to take them.")
        self._is_ready = True
        if has_init:
            self.init(*self.positional, **self.attributes_given)

    @property
    def name(self) -> str:
        """Last part of ``decorator_name``."""
        return self.decorator_name.rpartition(".")[2]

    @classmethod
    def is_target(cls, value: "Any") -> bool:
        """True if the decorator can be attached to the value."""
        return is_step(value)

    def fail(self, message: str) -> "NoReturn":
        """Raise a ``FlowDefinitionError`` at the decorator's line."""
        show_plainly()
        raise FlowDefinitionError("@%s %s" % (self.name, message), self.file, self.line)


class _OnStep(UserDecorator):
    """User decorator of a step; written above ``@step``."""

    if TYPE_CHECKING:
        # With _Attaching, @Name without parentheses returns its target.
        @overload
        def __new__(cls, __target: "_Target") -> "_Target": ...  # type: ignore[misc]
        @overload
        def __new__(cls, *positional: "Any", **attributes: "Any") -> "Self": ...
        def __new__(cls, *positional: "Any", **attributes: "Any") -> "Any":
            """Create a decorator, or attach one without attributes."""

    def __call__(self, method: "_Target") -> "_Target":
        """Attach the decorator to a step, and return the same method."""
        if not is_step(method):
            self.fail(
                "decorates a step: write it above @step. It was applied to %s, which has no @step."
                % getattr(method, "__name__", repr(method))
            )
        attached = user_decorators(method)
        if any(other.decorator_name == self.decorator_name for other in attached):
            self.fail("is applied twice to %r; keep one." % method.__name__)
        method.user_decorators = attached + [self]  # type: ignore[attr-defined]
        return method


class UserStepDecorator(_OnStep):
    """Base class of decorators that run code around a step, in ``pre_step``, ``post_step`` or both.

    Attributes:
        skip_step: set by ``pre_step`` to skip the step. True continues as the step would; a dict continues
            with other arguments for ``self.next``.
    """

    takes_positional = False
    skip_step: "bool | dict[str, Any]" = False

    def pre_step(self, step_name: str, flow: "Any", inputs: "Any" = None) -> "Any":
        """Called before the step.

        Returns:
            None, or a function that is called instead of the step, with the same arguments. The function
            returns None, or True to continue as the step would, or a dict with other arguments for
            ``self.next``.
        """
        del step_name, flow, inputs

    def post_step(self, step_name: str, flow: "Any", exception: "BaseException | None" = None) -> "Any":
        """Called after the step, before its artifacts are stored.

        Returns:
            an exception, which makes the step fail; None, which makes it succeed; or a tuple of one of these
            and a dict with arguments for ``self.next``.
        """
        del step_name, flow
        return exception


class StepMutator(_OnStep):
    """Base class of decorators that change the other decorators of their step when the flow is read."""

    def pre_mutate(self, mutable_step: "MutableStep") -> None:
        """Called after configs have been read."""
        del mutable_step

    def mutate(self, mutable_step: "MutableStep") -> None:
        """Called after the command line has been read and ``--with`` applied."""
        del mutable_step


class FlowMutator(UserDecorator):
    """Base class of decorators that change the parameters and decorators of a flow when it is read."""

    if TYPE_CHECKING:
        # With _Attaching, @Name without parentheses returns its target.
        @overload
        def __new__(cls, __target: "_Target") -> "_Target": ...  # type: ignore[misc]
        @overload
        def __new__(cls, *positional: "Any", **attributes: "Any") -> "Self": ...
        def __new__(cls, *positional: "Any", **attributes: "Any") -> "Any":
            """Create a decorator, or attach one without attributes."""

    @classmethod
    def is_target(cls, value: "Any") -> bool:
        """True if the value is a class."""
        return isinstance(value, type)

    def __call__(self, flow_class: "_Target") -> "_Target":
        """Attach the mutator to a flow class, and return the same class."""
        if not isinstance(flow_class, type):
            self.fail(
                "decorates the flow class, but was applied to %s."
                % getattr(flow_class, "__name__", repr(flow_class))
            )
        flow_class.flow_mutators = flow_class.__dict__.get("flow_mutators", []) + [self]  # type: ignore[attr-defined]
        return flow_class

    def pre_mutate(self, mutable_flow: "MutableFlow") -> None:
        """Called after configs have been read, before parameters and steps are."""
        del mutable_flow

    def mutate(self, mutable_flow: "MutableFlow") -> None:
        """Called after the command line has been read and ``--with`` applied."""
        del mutable_flow


def registered(name: str, kinds: "tuple[type, ...]") -> "Any":
    """User decorator of that name; leading parts of the dotted name may be omitted. None if there is none."""
    for dotted, kind in REGISTERED.items():
        if (dotted == name or dotted.endswith("." + name)) and issubclass(kind, kinds):
            return kind
    return None


def imported(name: str, kinds: "tuple[type, ...]") -> "Any":
    """User decorator of that name, as ``registered`` finds it; if needed, its module is imported.

    The module is the part of the name before the last dot.

    Raises:
        ImportError: the module cannot be imported.
    """
    import importlib  # noqa: PLC0415 - only for names in --with

    module = name.rpartition(".")[0]
    if registered(name, kinds) is None and module:
        importlib.import_module(module)
    return registered(name, kinds)


def user_decorators(method: "Any") -> "list[Any]":
    """User decorators of a step, the innermost first."""
    return list(getattr(method, "user_decorators", ()))


if TYPE_CHECKING:

    @overload
    def user_step_decorator(function: "_Generator") -> "GeneratorDecorator": ...

    @overload
    def user_step_decorator(**attributes: "Any") -> "Callable[[_Generator], GeneratorDecorator]": ...


def user_step_decorator(*positional: "Any", **attributes: "Any") -> "Any":
    """Make a step decorator from a generator function.

    The function takes ``(step_name, flow, inputs)``, and also ``attributes`` if the decorator is given any.
    It runs up to its ``yield`` before the step, and from there to its end after the step. If the step raises
    an exception, the ``yield`` raises it. The function yields nothing, a function that is called instead of
    the step, or ``USER_SKIP_STEP``. A dict with arguments for ``self.next`` skips the step too.

    Raises:
        FlowDefinitionError: the argument is not such a function.
    """
    if not positional:
        return lambda function: user_step_decorator(function, **attributes)
    function = positional[0]
    code = getattr(function, "__code__", None)
    if code is None or not code.co_flags & _GENERATOR:
        _refuse(function, "is not a generator function; a user step decorator has a yield.")
    count = code.co_argcount
    if count not in (3, 4):
        _refuse(function, "takes %d arguments; write (step_name, flow, inputs, attributes)." % count)
    members = {"__module__": __name__, "__doc__": function.__doc__}
    made: "Any" = _Attaching(function.__name__, (_GeneratorDecorator,), members)
    made.function = staticmethod(function)
    made.takes_attributes = count > len(("step_name", "flow", "inputs"))
    made.register(function.__module__, function.__qualname__)
    return made


class _GeneratorDecorator(UserStepDecorator):
    """Step decorator made from a generator function."""

    function: "Any" = None
    takes_attributes = False
    _running: "Any" = None

    @classmethod
    def is_target(cls, value: "Any") -> bool:
        """True if the value is callable: attributes are only given by name, so it must be the target."""
        return callable(value)

    def init(self, **attributes: "Any") -> None:
        if attributes and not self.takes_attributes:
            self.fail(
                "takes no attributes: its function has only (step_name, flow, inputs). Add attributes there."
            )

    def pre_step(self, step_name: str, flow: "Any", inputs: "Any" = None) -> "Any":
        """Run the function up to its ``yield``."""
        arguments = [step_name, flow, inputs]
        if self.takes_attributes:
            arguments.append(dict(self.attributes_given))
        self._running = self.function(*arguments)
        try:
            given = next(self._running)
        except StopIteration:
            given = USER_SKIP_STEP
        if isinstance(given, dict):
            self.skip_step = given or True
            return None
        return given

    def post_step(self, step_name: str, flow: "Any", exception: "BaseException | None" = None) -> "Any":
        """Run the function to its end."""
        del step_name, flow
        try:
            if exception is None:
                next(self._running)
            else:
                self._running.throw(exception)
        except StopIteration as end:
            return end.value
        return self.fail("yields twice; a user step decorator yields once.")


def _refuse(function: "Any", message: str) -> "NoReturn":
    show_plainly()
    code = getattr(function, "__code__", None) or sys._getframe(2).f_code  # noqa: SLF001
    name = getattr(function, "__name__", repr(function))
    raise FlowDefinitionError(
        "@user_step_decorator: %s %s" % (name, message), code.co_filename, code.co_firstlineno
    )
