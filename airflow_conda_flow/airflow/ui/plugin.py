"""Plugin for Airflow's processes."""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from airflow_conda_flow.airflow.versions import OLDEST, airflow_version


class CardPages:
    """ASGI application that imports the cards' pages when the first of them is asked for.

    Every process of Airflow loads every plugin, that of each task too, and the pages import Airflow's API
    server: a second and a half of processor time, which only the API server has spent anyway.
    """

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request: https://asgi.readthedocs.io/en/latest/specs/main.html."""
        from airflow_conda_flow.airflow.ui.card_app import app  # noqa: PLC0415 - see above

        await app(scope, receive, send)


class CondaFlowPlugin(AirflowPlugin):
    """Plugin that serves the cards of tasks and imports ahead; empty if Airflow is too old."""

    name = "conda_flow"
    fastapi_apps: list[Any] = []  # noqa: RUF012 - as Airflow declares it
    operator_extra_links: list[Any] = []  # noqa: RUF012 - as Airflow declares it
    listeners: list[Any] = []  # noqa: RUF012 - as Airflow declares it


# An older Airflow loads the plugin too, and lacks what links import.
if airflow_version() >= OLDEST:
    from airflow_conda_flow.airflow import imported_ahead
    from airflow_conda_flow.airflow.ui.card_link import URL_PREFIX, CardLink

    CondaFlowPlugin.fastapi_apps = [{"app": CardPages(), "url_prefix": URL_PREFIX, "name": "Cards"}]
    CondaFlowPlugin.operator_extra_links = [CardLink()]
    CondaFlowPlugin.listeners = [imported_ahead]
