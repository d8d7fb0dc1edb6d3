"""``@card``: makes an HTML page about each task of a step."""

import re

from airflow_conda_flow.flow.decorators.base import StepDecorator, decorator_function

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from airflow_conda_flow.flow.decorators.attribute_values import Fields, Number, Text, Whole
    from airflow_conda_flow.flow.decorators.base import Method
    from airflow_conda_flow.flow.parameters.delayed_value import DelayedValue

_ID = re.compile(r"^[A-Za-z][A-Za-z0-9_]*\Z")
_LONGEST_ID = 100  # of the 255 characters of the names of its files


class CardDecorator(StepDecorator):
    """Page about each task of the step. A step may have several cards, usually each with its own ``id``.

    Args:
        type: ``default`` shows the task, its parameters and artifacts, and the components that the step
            appended; ``blank`` shows only the appended components; ``html`` shows the artifact ``html``
            unchanged; ``taskspec_card`` is the task's pathspec; or the ``type`` of a subclass of
            ``airflow_conda_flow.cards.Card``. A type that does not exist costs the card and not the task.
        id: name of the card for ``current.card["name"]``. Of several cards with the same id, this means the
            first one that takes components.
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
        if name is not None and len(name) > _LONGEST_ID:
            self.fail("@card: id has %d characters; it may have %d." % (len(name), _LONGEST_ID))
        options = self.attributes["options"]
        if options is not None and not isinstance(options, dict):
            self.fail('@card: options is %r; write a dict, such as {"attribute": "html"}.' % (options,))
        timeout = self.attributes["timeout"]
        if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or timeout <= 0:
            self.fail("@card: timeout is %r; write a number of seconds." % (timeout,))
        for key in ("save_errors", "customize"):
            if not isinstance(self.attributes[key], bool):
                self.fail("@card: %s is %r; write True or False." % (key, self.attributes[key]))


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
