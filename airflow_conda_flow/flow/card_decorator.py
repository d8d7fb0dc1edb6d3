"""``@card``: an HTML page about each task of a step."""

import re

from airflow_conda_flow.flow.decorators import StepDecorator, decorator_function, nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from airflow_conda_flow.flow.flow_draft import FlowDraft
    from airflow_conda_flow.flow.graph import FlowGraph

TYPES = ("default", "blank", "html")
_ID = re.compile(r"^[A-Za-z][A-Za-z0-9_]*$")


class CardDecorator(StepDecorator):
    """A page about each task of the step; a step may have several, each with an ``id`` of its own.

    Args:
        type: ``default`` shows the task, its parameters and artifacts, and what the step appended;
            ``blank`` shows what the step appended alone; ``html`` shows the artifact ``html`` as it is.
        id: the name of the card for ``current.card["name"]``.
        options: of the type: ``{"attribute": "report"}`` names another artifact for ``html``.
        timeout: seconds; taken for the sake of flows that set it, since a card is made after its step.
        save_errors: whether a task that fails leaves a card that says why.
        customize: whether ``current.card.append`` means this one where there are several.
    """

    name = "card"
    allow_many = True
    defaults = {
        "type": "default",
        "id": None,
        "options": None,
        "timeout": 45,
        "save_errors": True,
        "customize": False,
    }  # type: dict[str, Any]

    def check(self):
        # type: () -> None
        """Raise if the type is unknown, or an attribute is of another type."""
        kind = self.attributes["type"]
        if kind not in TYPES:
            self.fail(
                "@card: there is no type %r.%s It takes: %s."
                % (kind, nearest(str(kind), TYPES), ", ".join(TYPES))
            )
        name = self.attributes["id"]
        if name is not None and not (isinstance(name, str) and _ID.match(name)):
            self.fail('@card: id is %r; write letters, digits and "_", such as "report".' % (name,))
        options = self.attributes["options"]
        if options is not None and not isinstance(options, dict):
            self.fail('@card: options is %r; write a dict, such as {"attribute": "html"}.' % (options,))
        timeout = self.attributes["timeout"]
        if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or timeout <= 0:
            self.fail("@card: timeout is %r; write a number of seconds." % (timeout,))
        for key in ("save_errors", "customize"):
            if not isinstance(self.attributes[key], bool):
                self.fail("@card: %s is %r; write True or False." % (key, self.attributes[key]))

    def check_in_flow(self, step, graph, draft):
        # type: (str | None, FlowGraph, FlowDraft) -> None
        """Raise if another card of the step has the same id."""
        del graph
        name = self.attributes["id"]
        for other in draft.step_decorators[step or ""]:
            if other.name == "card" and other is not self and other.attributes["id"] == name is not None:
                self.fail("@card(id=%r) stands twice on %r; give each its own id." % (name, step))


card = decorator_function(CardDecorator)
