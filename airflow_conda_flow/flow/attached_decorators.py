"""The decorators of every step as plain data, those of ``--with`` among them.

What a decorator means is decided by whoever reads the data: ``compute/`` for pods and jobs, ``runner/``
for attempts, ``local/`` and ``airflow/`` for retries.
"""

from airflow_conda_flow.flow.step_decorators import ENVIRONMENT_DECORATORS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from airflow_conda_flow.flow.flow_draft import FlowDraft

    Attached = dict[str, dict[str, dict[str, Any]]]
    """Attributes by decorator name by step."""


def attached_decorators(draft):
    # type: (FlowDraft) -> Attached
    """Attributes by decorator name by step, as JSON; those of environments are left out."""
    return {
        step: {
            each.name: dict(each.attributes) for each in decorators if each.name not in ENVIRONMENT_DECORATORS
        }
        for step, decorators in draft.step_decorators.items()
    }
