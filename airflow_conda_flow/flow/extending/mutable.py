"""Base class of ``MutableStep`` and ``MutableFlow``: lists, adds and removes decorators."""

from airflow_conda_flow.errors import CondaFlowError, FlowDefinitionError
from airflow_conda_flow.flow.decorators.base import calling_frame
from airflow_conda_flow.flow.decorators.text import parse_decorator
from airflow_conda_flow.flow.extending.user_decorators import UserDecorator, registered
from airflow_conda_flow.flow.plain_errors import show_plainly

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, NoReturn

    from airflow_conda_flow.flow.decorators.base import Decorator
    from airflow_conda_flow.flow.flow_draft import FlowDraft

    Spec = tuple[str, str, list[Any], dict[str, Any]]


class Mutable:
    """Decorators of a step or of a flow, which a mutator can change.

    Args:
        draft: the flow.
        mutator: name of the mutator that changes it, for messages.
        may_add: True if mutators, parameters and flow decorators may still be added and removed.
    """

    IGNORE = 1
    """Keep the existing decorator if it has the same name."""
    ERROR = 2
    """Raise an error if a decorator of the same name exists."""
    OVERRIDE = 3
    """Replace an existing decorator of the same name."""

    kinds: "tuple[type, ...]" = ()
    what = ""

    def __init__(self, draft: "FlowDraft", mutator: str, may_add: bool) -> None:
        self._draft = draft
        self._mutator = mutator
        self._may_add = may_add
        self._place = ""
        self._decorators: "list[Any]" = []
        self._user_decorators: "list[Any]" = []

    @property
    def decorator_specs(self) -> "Iterator[Spec]":
        """(name, dotted name, positional arguments, attributes) of every decorator."""
        return iter([_spec(each) for each in self._decorators + self._user_decorators])

    def has_decorator(self, name: str) -> bool:
        """True if there is a decorator of that name, short or dotted."""
        return bool(self.get_decorator_specs(name))

    def get_decorator_specs(self, name: str) -> "list[Spec]":
        """Specs of the decorators of that name, short or dotted."""
        return [spec for spec in self.decorator_specs if name in spec[:2]]

    def add_decorator(
        self,
        deco_type: "Any",
        deco_args: "list[Any] | None" = None,
        deco_kwargs: "dict[str, Any] | None" = None,
        duplicates: int = IGNORE,
    ) -> "Decorator | UserDecorator | None":
        """Add a decorator.

        Args:
            deco_type: the decorator as it is imported, its name, or a text such as ``retry:times=3``.
            deco_args: positional arguments; only for user decorators.
            deco_kwargs: attributes; not allowed if the text already has some.
            duplicates: ``IGNORE``, ``ERROR`` or ``OVERRIDE``, if there is a decorator of the same name.

        Returns:
            the new decorator; None if the existing one is kept.

        Raises:
            FlowDefinitionError: there is no such decorator, or an attribute is wrong; names the line in the
                mutator.
        """
        made = self._made(deco_type, list(deco_args or ()), dict(deco_kwargs or {}))
        is_users = isinstance(made, UserDecorator)
        if self._late(made) and not self._may_add:
            self._fail("adds @%s in mutate(); add it in pre_mutate()." % made.name)
        into = self._user_decorators if is_users else self._decorators
        same = [each for each in into if _same_name(each, made)]
        if same and not getattr(made, "allow_many", False):
            if duplicates == self.ERROR:
                self._fail("adds @%s to %s, which has one." % (made.name, self._place))
            if duplicates != self.OVERRIDE:
                return None
            into[:] = [each for each in into if each not in same]
        into.append(made)
        return made  # type: ignore[no-any-return]

    def remove_decorator(
        self,
        deco_name: str,
        deco_args: "list[Any] | None" = None,
        deco_kwargs: "dict[str, Any] | None" = None,
    ) -> bool:
        """Remove the decorators of that name; if arguments are given, only those with the same arguments.

        Returns:
            True if a decorator was removed.
        """
        every = deco_args is None and deco_kwargs is None
        removed = []
        for decorators in (self._decorators, self._user_decorators):
            for each in list(decorators):
                name, dotted, positional, attributes = _spec(each)
                wanted = every or (positional == (deco_args or []) and attributes == (deco_kwargs or {}))
                if deco_name in (name, dotted) and wanted:
                    if self._late(each) and not self._may_add:
                        self._fail("removes @%s in mutate(); remove it in pre_mutate()." % name)
                    decorators.remove(each)
                    removed.append(each)
        return bool(removed)

    # Differences between steps and flows.

    def _class_of(self, name: str) -> "Any":
        """Decorator class of this package of that name; None if there is none."""
        raise NotImplementedError

    def _late(self, made: "Any") -> bool:
        """True if such a decorator cannot be added or removed in ``mutate``."""
        raise NotImplementedError

    # Creation of decorators.

    def _made(self, deco_type: "Any", positional: "list[Any]", attributes: "dict[str, Any]") -> "Any":
        if isinstance(deco_type, str):
            try:
                name, in_text = parse_decorator(deco_type)
            except CondaFlowError as error:
                self._fail("adds %s" % error)
            if in_text and (positional or attributes):
                self._fail("adds %r with further arguments; give all of them in one way." % deco_type)
            attributes = in_text or attributes
            kind = self._class_of(name) or registered(name, self.kinds)
            if kind is None:
                self._fail("adds @%s, and there is no such decorator for a %s." % (name, self.what))
        else:
            kind = getattr(deco_type, "decorator_class", deco_type)
        is_users = isinstance(kind, type) and issubclass(kind, self.kinds)
        if not is_users and (not hasattr(kind, "name") or self._class_of(str(kind.name)) is not kind):
            self._fail("adds %r, which is not a decorator for a %s." % (deco_type, self.what))
        if positional and not is_users:
            self._fail("adds @%s with positional arguments; it takes its attributes by name." % kind.name)
        made = kind(*positional, **attributes)
        if is_users:
            made.ready(self._draft.names)
            return made
        return made.resolved(self._draft.names)

    def _fail(self, message: str) -> "NoReturn":
        show_plainly()
        frame = calling_frame()
        raise FlowDefinitionError(
            "%s %s" % (self._mutator, message), frame.f_code.co_filename, frame.f_lineno
        )


def _spec(decorator: "Any") -> "Spec":
    if isinstance(decorator, UserDecorator):
        return (
            decorator.name,
            decorator.decorator_name,
            list(decorator.positional),
            dict(decorator.attributes_given),
        )
    kind = type(decorator)
    dotted = "%s.%s" % (kind.__module__, kind.__name__)
    return (decorator.name, dotted, [], dict(decorator.attributes))


def _same_name(one: "Any", other: "Any") -> bool:
    if isinstance(one, UserDecorator):
        return one.decorator_name == other.decorator_name  # type: ignore[no-any-return]
    return one.name == other.name  # type: ignore[no-any-return]
