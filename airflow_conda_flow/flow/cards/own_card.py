"""``Card``: the base of card types that users write, and which types there are."""

from airflow_conda_flow.errors import FlowDefinitionError
from airflow_conda_flow.flow.decorators.base import calling_frame
from airflow_conda_flow.flow.plain_errors import show_plainly

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from airflow_conda_flow.client.past_task import Task

OWN_TYPES: "dict[str, type[Card]]" = {}
"""The card types that users wrote, by the name in ``@card(type=...)``; a name stands for the latest of it."""


class Card:
    """A type of card, as a subclass with a ``type`` and a ``render`` makes it.

    Args:
        options: those of ``@card(options=...)``.
        components: what the step appended, where ``ALLOW_USER_COMPONENTS`` is true.
        graph: the flow's steps, as ``current.graph`` has them.
        flow: the flow object.

    Attributes:
        type: the name for ``@card(type=...)``.
        ALLOW_USER_COMPONENTS: whether ``current.card.append`` may mean such a card.
        RUNTIME_UPDATABLE: whether ``current.card.refresh`` makes the page anew, with ``render_runtime``.
    """

    type: "str | None" = None
    ALLOW_USER_COMPONENTS = False
    RUNTIME_UPDATABLE = False
    # Names that flows set; a page here is loaded again by who looks at it.
    RELOAD_POLICY_NEVER = "never"
    RELOAD_POLICY_ALWAYS = "always"
    RELOAD_POLICY_ONCHANGE = "onchange"
    RELOAD_POLICY = RELOAD_POLICY_NEVER
    runtime_data: "Any" = None

    def __init_subclass__(cls, **options: "Any") -> None:
        super().__init_subclass__(**options)
        name = cls.type
        if name is None:
            return
        if not isinstance(name, str) or not name:
            frame = calling_frame()
            show_plainly()
            raise FlowDefinitionError(
                "%s.type is %r; write a text, for @card(type=...)." % (cls.__name__, name),
                frame.f_code.co_filename,
                frame.f_lineno,
            )
        OWN_TYPES[name] = cls

    def __init__(
        self,
        options: "dict[str, Any] | None" = None,
        components: "list[Any] | None" = None,
        graph: "dict[str, Any] | None" = None,
        flow: "Any" = None,
    ) -> None:
        self.options = options or {}
        self.components = components or []
        self.graph = graph
        self.flow = flow

    def render(self, task: "Task") -> "str | None":
        """The page as HTML, for a task that is done: a client's ``Task``; None for no page."""
        raise NotImplementedError("%s has no render(self, task)." % type(self).__name__)

    def render_runtime(self, task: "Task", data: "Any") -> "str | None":
        """The page while the step runs; ``data`` is what ``refresh`` was given."""
        del data
        return self.render(task)
