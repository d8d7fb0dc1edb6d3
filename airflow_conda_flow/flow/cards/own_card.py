"""``Card``: base class of the card types that users write, and the table of these types."""

from airflow_conda_flow.errors import FlowDefinitionError
from airflow_conda_flow.flow.decorators.base import calling_frame
from airflow_conda_flow.flow.plain_errors import show_plainly

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from airflow_conda_flow.client.past_task import Task

OWN_TYPES: "dict[str, type[Card]]" = {}
"""Card types written by users, by the name in ``@card(type=...)``; the latest class of a name wins."""


class Card:
    """Base class of custom card types. A subclass defines ``type`` and ``render``.

    Args:
        options: options from ``@card(options=...)``.
        components: components that the step appended, if ``ALLOW_USER_COMPONENTS`` is true.
        graph: the flow's steps, in the form of ``current.graph``.
        flow: the flow object.

    Attributes:
        type: the name for ``@card(type=...)``.
        ALLOW_USER_COMPONENTS: True if ``current.card.append`` may add to such a card.
        RUNTIME_UPDATABLE: True if ``current.card.refresh`` renders the page again, with ``render_runtime``.
    """

    type: "str | None" = None
    ALLOW_USER_COMPONENTS = False
    RUNTIME_UPDATABLE = False
    # Flows written for Metaflow set these. They have no effect: users reload a page themselves.
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
        """HTML page for a finished task; None for no page.

        Args:
            task: the task as a client's ``Task``.
        """
        raise NotImplementedError("%s has no render(self, task)." % type(self).__name__)

    def render_runtime(self, task: "Task", data: "Any") -> "str | None":
        """HTML page while the step is running; ``data`` is the argument of ``refresh``."""
        del data
        return self.render(task)
