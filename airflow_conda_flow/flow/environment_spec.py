"""What each step of a flow says about its environment: its own decorators over its class's."""

from airflow_conda_flow.flow.conda_decorators import merge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from airflow_conda_flow.flow.flow_draft import FlowDraft


def step_environments(draft, default_python):
    # type: (FlowDraft, str) -> dict[str, Any]
    """The environment of every step: ``{"python": ..., "libraries": {...}}``, or None if disabled.

    Args:
        draft: the flow.
        default_python: the version of Python for steps that name none, such as ``3.11.7``.
    """
    base = _base_layers(draft)
    return {
        step: merge(base + _conda_layers(decorators), default_python)
        for step, decorators in draft.step_decorators.items()
    }


def declares_conda(draft):
    # type: (FlowDraft) -> bool
    """Whether any decorator of the flow is about conda."""
    return bool(_base_layers(draft)) or any(map(_conda_layers, draft.step_decorators.values()))


def _base_layers(draft):
    # type: (FlowDraft) -> list[Any]
    return [each for each in draft.flow_decorators if each.name == "conda_base"]


def _conda_layers(decorators):
    # type: (list[Any]) -> list[Any]
    return [each for each in decorators if each.name == "conda"]
