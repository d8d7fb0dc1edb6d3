"""``get_cards``: the cards of a past task, as HTML pages."""

import tempfile
import webbrowser

from airflow_conda_flow.client.past_task import Task
from airflow_conda_flow.errors import ClientError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def get_cards(
    task: "Task | str",
    id: "str | None" = None,  # noqa: A002 - Metaflow's name
    type: "str | None" = None,  # noqa: A002 - Metaflow's name
    follow_resumed: bool = True,
) -> "TaskCards":
    """Cards of a task, optionally only those with a given id or type.

    Args:
        task: a ``Task``, or its pathspec.
        id: id given to ``@card``; None selects all ids.
        type: type given to ``@card``; None selects all types.
        follow_resumed: give the original task's cards for a task that ``resume`` cloned; if False, a clone
            has no cards.

    Raises:
        ObjectNotFound: there is no such task.
        ClientError: ``task`` is neither a ``Task`` nor a pathspec.
    """
    if isinstance(task, str):
        task = Task(task)
    if not isinstance(task, Task):
        raise ClientError("get_cards(%r): give a Task, or the pathspec of one." % (task,))
    found = task._record().cards if follow_resumed or task.origin_pathspec is None else []
    return TaskCards(
        [
            TaskCard(task, each["id"], each["type"])
            for each in found
            if id in (None, each["id"]) and type in (None, each["type"])
        ]
    )


class TaskCards:
    """Sequence of ``TaskCard``s, in the order of the decorators. A notebook displays all of them."""

    def __init__(self, cards: "list[TaskCard]") -> None:
        self._cards = cards

    def __len__(self) -> int:
        return len(self._cards)

    def __iter__(self) -> "Iterator[TaskCard]":
        return iter(self._cards)

    def __getitem__(self, number: int) -> "TaskCard":
        return self._cards[number]

    def __repr__(self) -> str:
        return "TaskCards(%r)" % self._cards

    def _repr_html_(self) -> str:
        """HTML that a notebook displays: the cards, one below the other."""
        return "\n".join(card._repr_html_() for card in self._cards)


class TaskCard:
    """One card. ``str(card)`` is its HTML page, and a notebook displays it.

    Attributes:
        id: id given to ``@card``, or ``card`` by default.
        type: type given to ``@card``.
    """

    def __init__(self, task: "Task", id: str, type: str) -> None:  # noqa: A002 - Metaflow's names
        self._task = task
        self.id = id
        self.type = type

    def get(self) -> str:
        """HTML page of the card."""
        arguments = [*self._task._record().ran_as.parts, self.id]
        return self._task._catalogue.call("card", arguments)  # type: ignore[no-any-return]

    def view(self) -> None:
        """Open the page in a web browser."""
        with tempfile.NamedTemporaryFile(
            "w", prefix="card-", suffix=".html", delete=False, encoding="utf-8"
        ) as file:
            file.write(self.get())
        webbrowser.open("file://%s" % file.name)

    def __repr__(self) -> str:
        return "TaskCard(%r, %r, %r)" % (self._task.pathspec, self.id, self.type)

    def __str__(self) -> str:
        return self.get()

    def _repr_html_(self) -> str:
        """HTML that a notebook displays: the page in an iframe, so that its styles stay inside."""
        page = self.get().replace("&", "&amp;").replace('"', "&quot;")
        return '<iframe srcdoc="%s" style="width: 100%%; height: 640px; border: 0"></iframe>' % page
