"""Classes of the built-in card types, such as ``DefaultCard``, for types of users that derive from them."""

from airflow_conda_flow.flow.cards.components import CardComponent, Error, Markdown, Table, parts_to_dicts
from airflow_conda_flow.flow.cards.own_card import Card
from airflow_conda_flow.flow.cards.parts_page import PartsPage
from airflow_conda_flow.flow.late_bindings import bound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from airflow_conda_flow.client.past_task import Task


class _BuiltInCard(Card):
    ALLOW_USER_COMPONENTS = True
    RUNTIME_UPDATABLE = True
    RELOAD_POLICY = Card.RELOAD_POLICY_ONCHANGE

    def refresh(self, task: "Task", data: "Any") -> "Any":
        """Data update: the components that change, by id."""
        del task
        return data["components"]

    def reload_content_token(self, task: "Task", data: "Any") -> str:
        """Token that changes when a component was added or removed."""
        return "final" if task.finished else "runtime-%s" % data["component_update_ts"]

    def _page(self, task: "Task", kind: str, components: "list[Any]") -> str:
        parts = _as_dicts(components)
        try:
            card_page = bound("card_page")
        except ImportError:  # in a step's own environment: its runner makes the HTML
            return PartsPage.of(kind, parts)
        record, run = task._record(), task._run_record()  # noqa: SLF001 - the client's, for this package
        page: str = card_page(kind, parts, record, run.parameters)
        return page


class DefaultCard(_BuiltInCard):
    """Type ``default``: the task, its parameters, its artifacts, and the components of the step.

    A class that derives from it, with its own ``type``, may add components around ``super().render(task)``.
    """

    type = "default"

    def render(self, task: "Task") -> str:
        """HTML page of a task."""
        return self._page(task, "default", self.components)


class BlankCard(_BuiltInCard):
    """Type ``blank``: the components alone. ``options={"title": ...}`` is the line above them."""

    type = "blank"

    def render(self, task: "Task", components: "list[Any] | None" = None) -> str:
        """HTML page of a task.

        Args:
            task: the task as a client's ``Task``.
            components: components that come before those of the step.
        """
        title = self.options.get("title")
        above = [Markdown("# %s" % title)] if title else []
        return self._page(task, "blank", above + list(components or []) + list(self.components))


class ErrorCard(_BuiltInCard):
    """Type ``error``: why a card could not be made."""

    type = "error"

    def render(self, task: "Task", stack_trace: "str | None" = None) -> str:
        """HTML page with a traceback."""
        return self._page(task, "blank", [Error(stack_trace or "None", "The card was not made")])


class Section(CardComponent):
    """Components below a title: Metaflow's ``SectionComponent`` and ``PageComponent``.

    Args:
        title: line above the components.
        subtitle: smaller line below the title.
        columns: accepted for compatibility and ignored.
        contents: the components.
    """

    def __init__(
        self,
        title: "str | None" = None,
        subtitle: "str | None" = None,
        columns: "int | None" = None,
        contents: "Any" = (),
    ) -> None:
        del columns
        self.title = title
        self.subtitle = subtitle
        self.contents = contents if isinstance(contents, (list, tuple)) else [contents]

    def to_dict(self) -> "dict[str, Any]":
        """JSON data of the component."""
        parts = _as_dicts(self.contents)
        return {"kind": "section", "title": self.title, "subtitle": self.subtitle, "parts": parts}


class DagComponent(CardComponent):
    """Table of the flow's steps and what comes after each.

    Args:
        title: line above the table.
        subtitle: smaller line below the title.
        data: the steps, in the form of ``current.graph``.
    """

    def __init__(self, title: "str | None" = None, subtitle: "str | None" = None, data: "Any" = None) -> None:
        self.title = title
        self.subtitle = subtitle
        self.data = data or {}

    def to_dict(self) -> "dict[str, Any]":
        """JSON data of the component."""
        steps = _steps(self.data)
        rows = [[name, str(each.get("type", "")), ", ".join(each.get("next", []))] for name, each in steps]
        return Section(self.title, self.subtitle, contents=[Table(rows, ["step", "kind", "next"])]).to_dict()


class _Rendered(CardComponent):
    """Component of a card's ``components``, which are rendered already."""

    def __init__(self, rendered: "str | dict[str, Any]") -> None:
        self._rendered = rendered

    def render(self) -> "Any":
        """Text in Markdown, or plain data of a component."""
        return self._rendered


def _steps(graph: "Any") -> "list[tuple[str, Any]]":
    steps = graph.get("steps", graph)
    return [(name, each) for name, each in steps.items() if isinstance(each, dict)]


def _as_dicts(components: "Any") -> "list[dict[str, Any]]":
    """Plain data of components, some of which are rendered already."""
    return parts_to_dicts([_Rendered(each) if isinstance(each, (str, dict)) else each for each in components])
