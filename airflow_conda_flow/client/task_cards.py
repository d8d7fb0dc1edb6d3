"""``get_cards``: the cards of a past task, as HTML pages."""

import json
import tempfile
import webbrowser

from airflow_conda_flow.client.past_task import Task
from airflow_conda_flow.errors import ClientError
from airflow_conda_flow.flow.current_run import current
from airflow_conda_flow.records.card_names import card_hash, card_names
from airflow_conda_flow.records.names import TaskName

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from airflow_conda_flow.records.names import AttemptName
    from airflow_conda_flow.records.shapes import CardRecord


def get_cards(
    task: "Task | str",
    id: "str | None" = None,  # noqa: A002 - Metaflow's name
    type: "str | None" = None,  # noqa: A002 - Metaflow's name
    follow_resumed: bool = True,
) -> "TaskCards":
    """Cards of a task, optionally only those with a given id or type.

    Args:
        task: a ``Task``, or its pathspec.
        id: id given to ``@card``, or the name of a card without one, such as ``card``; None selects all.
        type: type given to ``@card``; None selects all types.
        follow_resumed: give the original task's cards for a task that ``resume`` cloned; if False, a clone
            has no cards.

    Raises:
        ObjectNotFound: there is no such task, or it has not ended; the task of the calling step is found.
        ClientError: ``task`` is neither a ``Task`` nor a pathspec.
    """
    if isinstance(task, str):
        task = Task(task, _namespace_check=False)
    if not isinstance(task, Task):
        raise ClientError("get_cards(%r): give a Task, or the pathspec of one." % (task,))
    if task._is_running():
        found, ran_as = _stored_cards(task)
    else:
        found, ran_as = task._record().cards, task._record().ran_as
        if task.origin_pathspec is not None and not follow_resumed:
            found = []
    return TaskCards(
        [
            TaskCard(task, each, ran_as)
            for each in found
            if id in (None, each["id"], each["name"]) and type in (None, each["type"])
        ],
        ran_as.task.pathspec if follow_resumed and ran_as.task.run_id != task.path_components[1] else None,
    )


def _stored_cards(task: "Task") -> "tuple[list[CardRecord], AttemptName]":
    """Cards that the running task has stored so far, and the name of its attempt."""
    run = task._run_record()
    ran_as = TaskName(*task._parts).attempt(run.first_attempt + current.retry_count)
    there = task._catalogue.call("card_names", list(ran_as.parts))
    cards = run.decorators_of(task.parent.id).get("card", [])
    found: "list[CardRecord]" = [
        {"name": name, "id": each["id"], "type": each["type"]}
        for name, each in zip(card_names(cards), cards)
        if name in there
    ]
    return found, ran_as


class TaskCards:
    """Sequence of ``TaskCard``s, in the order of the decorators. A notebook displays all of them.

    Attributes:
        from_resumed: True if ``resume`` cloned the task.
        origin_pathspec: pathspec of the task that made the cards if it was cloned; else None.
    """

    def __init__(self, cards: "list[TaskCard]", origin_pathspec: "str | None" = None) -> None:
        self._cards = cards
        self.from_resumed = origin_pathspec is not None
        self.origin_pathspec = origin_pathspec

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
        id: id given to ``@card``; None without one.
        name: the id, or ``card``, ``card1`` and so on without one: different for each card of a task.
        type: type given to ``@card``.
        hash: names the card among all cards; the same while its task runs and after it has ended.
        from_resumed: True if ``resume`` cloned the task.
        origin_pathspec: pathspec of the task that made the card if it was cloned; else None.
    """

    def __init__(self, task: "Task", record: "CardRecord", ran_as: "AttemptName") -> None:
        self._task = task
        self._arguments = list(ran_as.parts) + [record["name"]]
        self.id = record["id"]
        self.name = record["name"]
        self.type = record["type"]
        self.hash = card_hash(ran_as, record["name"])
        self.from_resumed = ran_as.task.run_id != task.path_components[1]
        self.origin_pathspec = ran_as.task.pathspec if self.from_resumed else None

    @property
    def path(self) -> str:
        """Path of the page's file, or its URL in S3."""
        return self._task._catalogue.call("card_path", self._arguments)  # type: ignore[no-any-return]

    def get(self) -> str:
        """HTML page of the card, as it is stored now."""
        return self._task._catalogue.call("card", self._arguments)  # type: ignore[no-any-return]

    def get_data(self) -> "dict[str, Any] | None":
        """Last data update: ``data``, ``reload_token`` and ``created_on``; None for a card without one."""
        text = self._task._catalogue.call("card_data", self._arguments)
        return None if text is None else json.loads(text)

    def view(self) -> None:
        """Open the page in a web browser."""
        with tempfile.NamedTemporaryFile(
            "w", prefix="card-", suffix=".html", delete=False, encoding="utf-8"
        ) as file:
            file.write(self.get())
        webbrowser.open("file://%s" % file.name)

    def __repr__(self) -> str:
        return "TaskCard(%r, %r, %r)" % (self._task.pathspec, self.name, self.type)

    def __str__(self) -> str:
        return self.get()

    def _repr_html_(self) -> str:
        """HTML that a notebook displays: the page in an iframe, so that its styles stay inside."""
        page = self.get().replace("&", "&amp;").replace('"', "&quot;")
        return '<iframe srcdoc="%s" style="width: 100%%; height: 640px; border: 0"></iframe>' % page
