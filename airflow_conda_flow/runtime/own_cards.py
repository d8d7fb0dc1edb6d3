"""Renderer of users' own card types. It runs in the step process, which has the libraries they need."""

import json
import signal
import threading
import time

from airflow_conda_flow.flow.cards.components import warn
from airflow_conda_flow.flow.cards.own_card import OWN_TYPES
from airflow_conda_flow.flow.cards.parts_page import PartsPage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from airflow_conda_flow.records.shapes import CardContent
    from airflow_conda_flow.runtime.step_cards import StepCard


class _TooLong(BaseException):
    """A card's time is up. Derived from ``BaseException``, so that no ``except Exception`` catches it."""


def content(
    attributes: "dict[str, Any]", card: "StepCard", flow: "Any", task: "Any"
) -> "tuple[CardContent, str | None]":
    """Pair (content, problem) of a card.

    Args:
        attributes: attributes of the card's decorator.
        card: the step's card, with its components.
        flow: the flow object.
        task: the client's ``Task`` object for the task.
    """
    from airflow_conda_flow.flow.current_run import current  # noqa: PLC0415 - few steps have such cards

    card_type = OWN_TYPES[attributes["type"]]
    is_done = task.finished
    said: "CardContent" = {"id": attributes["id"], "parts": [], "html": None, "is_none": True}
    if not is_done and not card_type.RUNTIME_UPDATABLE:
        return said, None

    def call() -> "Any":
        options = {"options": attributes["options"]} if attributes["options"] else {}
        made = card_type(components=card.components.rendered(), graph=current.graph, flow=flow, **options)
        data = card.live_data("render" if is_done else "render_runtime", is_done)
        made.runtime_data = data
        page = made.render(task) if is_done else made.render_runtime(task, data)
        if not isinstance(page, str):
            return page
        said["html"] = page.replace(card_type.RELOAD_POLICY_TOKEN, _token(made, task, data))
        if isinstance(page, PartsPage):
            said["html"], said["parts"], said["kind"] = None, page.parts, page.kind
        if card_type.RUNTIME_UPDATABLE:
            _add_update(said, made, task, card.live_data("refresh", is_done))
        return page

    try:
        page = _within(attributes["timeout"], call)
    except _TooLong:
        return said, "%s.render() took longer than the card's timeout, %g seconds." % (
            card_type.__name__,
            attributes["timeout"],
        )
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a card must never fail its step
        from airflow_conda_flow.runtime import failure  # noqa: PLC0415 - needed after a failure only

        return said, str(failure.describe(error)["traceback"])
    if page is not None and not isinstance(page, str):
        return said, "%s.render() gave a %s; it gives HTML as a text, or None for no page." % (
            card_type.__name__,
            type(page).__name__,
        )
    said["is_none"] = page is None
    return said, None


def data_update(token: str, data: "Any") -> str:
    """Data update of a live card: JSON for pages that read it while the step runs.

    Args:
        token: changes when a page should be loaded again.
        data: the data, of which JSON shows every value.
    """
    return json.dumps({"reload_token": token, "data": data, "created_on": time.time()})


def _add_update(said: "CardContent", card: "Any", task: "Any", data: "dict[str, Any]") -> None:
    """Add the data update, if the card's class makes one; its failure costs only the update."""
    try:
        found = card.refresh(task, data)
        if found is not None:
            said["data"] = data_update(_token(card, task, data), found)
    except NotImplementedError:
        pass
    except Exception as error:  # noqa: BLE001 - a card must never fail its step
        warn("%s.refresh() gave no data: %s: %s" % (type(card).__name__, type(error).__name__, error))


def _token(card: "Any", task: "Any", data: "dict[str, Any]") -> str:
    """Text that changes when a page should be loaded again, by the policy of the card's class."""
    if data["render_seq"] == "final":
        return "final"
    if card.RELOAD_POLICY == card.RELOAD_POLICY_ALWAYS:
        return "render-seq-%s" % data["render_seq"]
    if card.RELOAD_POLICY == card.RELOAD_POLICY_ONCHANGE:
        return str(card.reload_content_token(task, data))
    return "never"


def _within(seconds: float, call: "Callable[[], Any]") -> "Any":
    """Result of the call; ``_TooLong`` is raised in it after so many seconds.

    The step's own time limit uses the same timer, so what is left of it is set again afterwards.
    """
    left = signal.getitimer(signal.ITIMER_REAL)[0]
    in_main_thread = threading.current_thread() is threading.main_thread()  # the only one that gets signals
    if not in_main_thread or 0 < left <= seconds:
        return call()

    def end(_number: int, _frame: "Any") -> "NoReturn":
        raise _TooLong

    started = time.monotonic()
    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return call()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before or signal.SIG_DFL)
        if left:
            signal.setitimer(signal.ITIMER_REAL, max(left - (time.monotonic() - started), 0.001))
