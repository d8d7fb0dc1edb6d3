"""Decorators of every step as plain data, including those added with ``--with``.

The reader of the data decides what a decorator means: ``compute/`` for pods and jobs, ``runner/`` for
attempts, ``local/`` and ``airflow/`` for retries.
"""

from airflow_conda_flow.flow.decorators.all_of_steps import ENVIRONMENT_DECORATORS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from airflow_conda_flow.flow.decorators.base import Decorator
    from airflow_conda_flow.flow.flow_draft import FlowDraft
    from airflow_conda_flow.records.graph import FlowGraph

    Attached = dict[str, dict[str, dict[str, Any]]]
    """Attributes by decorator name by step."""


def attached_decorators(draft: "FlowDraft") -> "Attached":
    """JSON data of the decorators: attributes by decorator name by step.

    Environment decorators are left out, because they are merged into the environments. A decorator with
    ``allow_many`` has a list of attributes, in the order of the source, topmost first.
    """
    return {step: _as_data(decorators) for step, decorators in draft.step_decorators.items()}


def check_attached(draft: "FlowDraft", graph: "FlowGraph") -> None:
    """Raise ``FlowDefinitionError`` if a decorator makes no sense on its step or flow."""
    for decorator in draft.flow_decorators:
        decorator.check_in_flow(None, graph, draft)
    for step, decorators in draft.step_decorators.items():
        for each in decorators:
            each.check_in_flow(step, graph, draft)


def _as_data(decorators: "Sequence[Decorator]") -> "dict[str, Any]":
    data: "dict[str, Any]" = {}
    for each in decorators:
        if each.allow_many:
            # Python applies decorators from the bottom up: insert at the front to get the topmost first.
            data.setdefault(each.name, []).insert(0, dict(each.attributes))
        elif each.name not in ENVIRONMENT_DECORATORS:
            data[each.name] = dict(each.attributes)
    return data
