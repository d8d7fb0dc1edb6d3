"""Button on a task in Airflow's UI that opens the task's cards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

from airflow_conda_flow.records.names import task_id

if TYPE_CHECKING:
    from airflow_conda_flow.airflow.sdk import TaskInstanceKey

URL_PREFIX = "/conda-flow/cards"
"""Path below Airflow's base URL where the plugin mounts ``card_app``."""


class CardLink(BaseOperatorLink):
    """Link to the page of ``airflow/ui/card_app.py`` for a task."""

    name = "Card"

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:
        """URL of the task's cards."""
        from airflow_conda_flow.airflow.sdk import conf  # noqa: PLC0415 - reads the configuration

        base = conf.get("api", "base_url", fallback="").rstrip("/")
        names = (ti_key.dag_id, ti_key.run_id, operator.step, task_id(operator.step, operator.index_path()))
        return f"{base}{URL_PREFIX}/" + "/".join(quote(name, safe="") for name in names)


def card_links(decorators: Any) -> tuple[BaseOperatorLink, ...]:
    """Links of a step with these decorators: one if it has ``@card``, else none."""
    return (CardLink(),) if "card" in decorators else ()
