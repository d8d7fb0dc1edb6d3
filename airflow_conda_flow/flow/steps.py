"""The ``@step`` decorator, and what a decorated method carries."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from airflow_conda_flow.flow.decorators import Decorator

    Method = TypeVar("Method", bound=Callable[..., Any])


def step(method):
    # type: (Method) -> Method
    """Mark a method of a ``FlowSpec`` as a step."""
    method.is_step = True  # type: ignore[attr-defined]
    return method


def is_step(member):
    # type: (object) -> bool
    """Whether a member of a flow class is a step."""
    return bool(getattr(member, "is_step", False)) and callable(member)


def step_decorators(method):
    # type: (object) -> list[Decorator]
    """The decorators beside ``@step``, the innermost first."""
    return list(getattr(method, "decorators", ()))
