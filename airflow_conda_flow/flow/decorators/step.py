"""The ``@step`` decorator, and what a decorated method carries."""

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
        method: the method; ``@step(start=True)`` gives the decorator that takes it.
        start: the flow begins here, whatever the step is called.
        end: the flow ends here, whatever the step is called.
        node_info: what a tool of the author's wants to know of the step; kept, and not read.
    """

    def mark(method: "Any") -> "Method":
        method.is_step = True
        method.is_start_step = start
        method.is_end_step = end
        method.node_info = node_info or {}
        return method  # type: ignore[no-any-return]

    return mark if method is None else mark(method)  # type: ignore[return-value]


def is_step(member: object) -> bool:
    """Whether a member of a flow class is a step."""
    return callable(member) and bool(getattr(member, "is_step", False))


def step_decorators(method: object) -> "list[StepDecorator]":
    """The decorators beside ``@step``, the innermost first."""
    return list(getattr(method, "decorators", ()))
