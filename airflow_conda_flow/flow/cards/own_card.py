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


_BUILT_IN = ("default", "blank", "error")
_OURS = ("airflow_conda_flow.flow.cards.built_in",)


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
        RELOAD_POLICY: when a page that reads data updates should be loaded again.
        RELOAD_POLICY_TOKEN: text in a page that is replaced by a token, which changes with that.
        runtime_data: in ``render``, the data of the last refresh.
    """

    type: "str | None" = None
    ALLOW_USER_COMPONENTS = False
    RUNTIME_UPDATABLE = False
    RELOAD_POLICY_NEVER = "never"
    RELOAD_POLICY_ALWAYS = "always"
    RELOAD_POLICY_ONCHANGE = "onchange"
    RELOAD_POLICY_TOKEN = "[METAFLOW_RELOAD_TOKEN]"  # noqa: S105 - Metaflow's text, in pages made for it
    RELOAD_POLICY = RELOAD_POLICY_NEVER
    scope = "task"
    runtime_data: "Any" = None

    def __init_subclass__(cls, **options: "Any") -> None:
        super().__init_subclass__(**options)
        name = cls.type
        # A class that inherits a built-in type makes no other of that name.
        if name is None or (name in _BUILT_IN and ("type" not in vars(cls) or cls.__module__ in _OURS)):
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
        """HTML page while the step is running; by default that of ``render``.

        Args:
            task: the task as a client's ``Task``; it has no artifacts yet.
            data: dict with ``user``, the argument of ``current.card.refresh``; ``components``, the rendered
                components that change, by id; ``render_seq``, ``component_update_ts`` and ``mode``.
        """
        self.runtime_data = data
        return self.render(task)

    def refresh(self, task: "Task", data: "Any") -> "Any":
        """Data update, which ``TaskCard.get_data`` returns; JSON must have it. By default there is none.

        Args:
            task: the task as a client's ``Task``.
            data: as for ``render_runtime``.
        """
        raise NotImplementedError("%s has no refresh(self, task, data)." % type(self).__name__)

    def reload_content_token(self, task: "Task", data: "Any") -> str:
        """Token of a page whose ``RELOAD_POLICY`` is ``RELOAD_POLICY_ONCHANGE``: changes with its content."""
        del task, data
        return "content-token"
