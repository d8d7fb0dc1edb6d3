"""Renderer of users' own card types. It runs in the step process, which has the libraries they need."""

import signal
import threading
import time

from airflow_conda_flow.flow.cards.own_card import OWN_TYPES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn


class _TooLong(BaseException):
    """A card's time is up. Derived from ``BaseException``, so that no ``except Exception`` catches it."""


def rendered(
    attributes: "dict[str, Any]", parts: "list[Any]", flow: "Any", task: "Any", data: "Any" = None
) -> "tuple[str | None, str | None]":
    """Pair (page, problem) of a card; both are None if the card makes no page.

    Args:
        attributes: attributes of the card's decorator.
        parts: components that the step appended.
        flow: the flow object.
        task: the client's ``Task`` object for the task.
        data: data passed to ``refresh``.
    """
    from airflow_conda_flow.flow.current_run import current  # noqa: PLC0415 - few steps have such cards

    card_type = OWN_TYPES[attributes["type"]]
    is_done = task.finished
    if not is_done and not card_type.RUNTIME_UPDATABLE:
        return None, None

    def call() -> "str | None":
        components = [_component(each) for each in parts] if card_type.ALLOW_USER_COMPONENTS else []
        card = card_type(
            options=attributes["options"] or {}, components=components, graph=current.graph, flow=flow
        )
        card.runtime_data = data
        return card.render(task) if is_done else card.render_runtime(task, data)

    try:
        page = _within(attributes["timeout"], call)
    except _TooLong:
        return None, "%s.render() took longer than the card's timeout, %g seconds." % (
            card_type.__name__,
            attributes["timeout"],
        )
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a card must never fail its step
        from airflow_conda_flow.runtime import failure  # noqa: PLC0415 - needed after a failure only

        return None, str(failure.describe(error)["traceback"])
    if page is not None and not isinstance(page, str):
        return None, "%s.render() gave a %s; it gives HTML as a text, or None for no page." % (
            card_type.__name__,
            type(page).__name__,
        )
    return page, None


def _component(part: "Any") -> "Any":
    render = getattr(part, "render", None)
    return part if render is None else render()


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
