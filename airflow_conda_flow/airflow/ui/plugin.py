"""Plugin for Airflow's API server."""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from airflow_conda_flow.airflow.versions import OLDEST, airflow_version


class CondaFlowPlugin(AirflowPlugin):
    """Plugin that serves the cards of tasks, and links to them; empty if Airflow is too old."""

    name = "conda_flow"
    fastapi_apps: list[Any] = []  # noqa: RUF012 - as Airflow declares it
    operator_extra_links: list[Any] = []  # noqa: RUF012 - as Airflow declares it


# An older Airflow loads the plugin too, and lacks what the pages import.
if airflow_version() >= OLDEST:
    from airflow_conda_flow.airflow.ui.card_app import app
    from airflow_conda_flow.airflow.ui.card_link import URL_PREFIX, CardLink

    CondaFlowPlugin.fastapi_apps = [{"app": app, "url_prefix": URL_PREFIX, "name": "Cards"}]
    CondaFlowPlugin.operator_extra_links = [CardLink()]
