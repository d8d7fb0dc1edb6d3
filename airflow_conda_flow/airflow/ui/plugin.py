"""Plugin for Airflow's API server."""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from airflow_conda_flow.airflow.ui.card_app import app
from airflow_conda_flow.airflow.ui.card_link import URL_PREFIX, CardLink


class CondaFlowPlugin(AirflowPlugin):
    """Plugin that serves the cards of tasks, and links to them."""

    name = "conda_flow"
    fastapi_apps: list[Any] = [{"app": app, "url_prefix": URL_PREFIX, "name": "Cards"}]  # noqa: RUF012 - as below
    operator_extra_links: list[Any] = [CardLink()]  # noqa: RUF012 - as Airflow declares it
