"""``@step``: marks a method as a step, and readers of the marks."""

from types import FunctionType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from airflow_conda_flow.flow.decorators.base import Method, StepDecorator


def step(
    method: "Method | None" = None,
    start: bool = False,
    end: bool = False,
    node_info: "Mapping[str, Any] | None" = None,
) -> "Method":
    """Mark a method of a ``FlowSpec`` as a step.

    Args:
        method: the method; without it, as in ``@step(start=True)``, the result is a decorator.
        start: True if the flow begins here, whatever the step's name.
        end: True if the flow ends here, whatever the step's name.
        node_info: data about the step for the author's own tools; stored but never read here.
    """

    def mark(method: "Any") -> "Method":
        method.is_step = True
        if isinstance(method, FunctionType):  # a decorator below @step is an object with a name of its own
            method.name = method.__name__  # type: ignore[attr-defined]
        method.is_start_step = start
        method.is_end_step = end
        method.node_info = node_info or {}
        return method  # type: ignore[no-any-return]

    return mark if method is None else mark(method)  # type: ignore[return-value]


def is_step(member: object) -> bool:
    """True if this member of a flow class is a step."""
    return callable(member) and bool(getattr(member, "is_step", False))


def step_decorators(method: object) -> "list[StepDecorator]":
    """Decorators of a step other than ``@step``, innermost first."""
    return list(getattr(method, "decorators", ()))
