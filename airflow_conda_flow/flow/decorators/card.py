"""``@card``: makes an HTML page about each task of a step."""

import re

from airflow_conda_flow.flow.cards.own_card import OWN_TYPES
from airflow_conda_flow.flow.decorators.base import StepDecorator, decorator_function, nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from airflow_conda_flow.flow.decorators.attribute_values import Fields, Number, Text, Whole
    from airflow_conda_flow.flow.decorators.base import Method
    from airflow_conda_flow.flow.flow_draft import FlowDraft
    from airflow_conda_flow.flow.parameters.delayed_value import DelayedValue
    from airflow_conda_flow.records.graph import FlowGraph

TYPES = ("default", "blank", "html")
_ID = re.compile(r"^[A-Za-z][A-Za-z0-9_]*$")


class CardDecorator(StepDecorator):
    """Page about each task of the step. A step may have several cards, each with a different ``id``.

    Args:
        type: ``default`` shows the task, its parameters and artifacts, and the components that the step
            appended; ``blank`` shows only the appended components; ``html`` shows the artifact ``html``
            unchanged; or the ``type`` of a subclass of ``airflow_conda_flow.cards.Card``.
        id: name of the card for ``current.card["name"]``.
        options: options of the type; for ``html``, ``{"attribute": "report"}`` names another artifact.
        timeout: seconds that a custom type may take to render.
        save_errors: True if a failing task, or a custom type that fails, leaves a card with the error.
        customize: True if ``current.card.append`` adds to this card when the step has several.
        refresh_interval: accepted for compatibility and ignored: every refresh is shown.
        scope: accepted for compatibility and ignored: a card always belongs to a task.
        rank: accepted for compatibility and ignored: cards have the order of their decorators.
    """

    name = "card"
    allow_many = True
    defaults: "dict[str, Any]" = {
        "type": "default",
        "id": None,
        "options": None,
        "timeout": 45,
        "save_errors": True,
        "customize": False,
        "refresh_interval": None,
        "scope": None,
        "rank": None,
    }

    def check(self) -> None:
        """Raise if an attribute has the wrong type."""
        kind = self.attributes["type"]
        if not isinstance(kind, str):
            self.fail("@card: type is %r; write a text, such as 'default'." % (kind,))
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

    def check_in_flow(self, step: "str | None", graph: "FlowGraph", draft: "FlowDraft") -> None:
        """Raise if the type is unknown or another card of the step has the same id."""
        del graph
        kind = self.attributes["type"]
        known = sorted(set(TYPES) | set(OWN_TYPES))
        if kind not in known:
            self.fail(
                "@card: there is no type %r.%s There is: %s. A type of your own is a subclass of "
                "airflow_conda_flow.cards.Card, in this file or in one that it imports."
                % (kind, nearest(kind, known), ", ".join(known))
            )
        name = self.attributes["id"]
        for other in draft.step_decorators[step or ""]:
            if other.name == "card" and other is not self and other.attributes["id"] == name is not None:
                self.fail("@card(id=%r) is applied twice to %r; give each its own id." % (name, step))


if TYPE_CHECKING:

    def card(
        __method: "Method | None" = None,
        *,
        type: "str | DelayedValue" = "default",  # noqa: A002 - Metaflow's name
        id: "Text" = None,  # noqa: A002 - Metaflow's name
        options: "Fields" = None,
        timeout: "float | DelayedValue" = 45,
        save_errors: "bool | DelayedValue" = True,
        customize: "bool | DelayedValue" = False,
        refresh_interval: "Number" = None,
        scope: "Text" = None,
        rank: "Whole" = None,
    ) -> "Method":
        """Make an HTML page about each task of a step; see ``CardDecorator``."""

else:
    card = decorator_function(CardDecorator)
