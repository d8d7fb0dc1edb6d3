"""What this package adds to Airflow's API server."""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from airflow_conda_flow.airflow.card_app import app
from airflow_conda_flow.airflow.card_link import URL_PREFIX, CardLink


class CondaFlowPlugin(AirflowPlugin):
    """Serves the cards of tasks."""

    name = "conda_flow"
    fastapi_apps: list[Any] = [{"app": app, "url_prefix": URL_PREFIX, "name": "Cards"}]  # noqa: RUF012 - see below
    operator_extra_links: list[Any] = [CardLink()]  # noqa: RUF012 - as Airflow declares it
