"""What each step of a flow says about its environment: its own decorators over its class's."""

from airflow_conda_flow.flow.conda_decorators import merge
from airflow_conda_flow.flow.flowspec import FlowSpec
from airflow_conda_flow.flow.steps import is_step, step_decorators

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def step_environments(flow_class, default_python):
    # type: (Any, str) -> dict[str, Any]
    """The environment of every step: ``{"python": ..., "libraries": {...}}``, or None if disabled.

    Args:
        flow_class: the flow.
        default_python: the version of Python for steps that name none, such as ``3.11.7``.
    """
    base = _base_layers(flow_class)
    environments = {}
    for name in dir(flow_class):
        method = getattr(flow_class, name)
        if is_step(method):
            environments[name] = merge(base + _conda_layers(method), default_python)
    return environments


def declares_conda(flow_class):
    # type: (Any) -> bool
    """Whether any decorator of the flow is about conda."""
    members = [getattr(flow_class, name) for name in dir(flow_class)]
    return bool(_base_layers(flow_class)) or any(
        _conda_layers(member) for member in members if is_step(member)
    )


def _base_layers(flow_class):
    # type: (Any) -> list[Any]
    return [
        decorator
        for owner in reversed(flow_class.__mro__)
        if issubclass(owner, FlowSpec) or "flow_decorators" in vars(owner)
        for decorator in vars(owner).get("flow_decorators", [])
        if decorator.name == "conda_base"
    ]


def _conda_layers(method):
    # type: (Any) -> list[Any]
    return [decorator for decorator in step_decorators(method) if decorator.name == "conda"]
