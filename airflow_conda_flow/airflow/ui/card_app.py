"""Web pages with the cards of tasks, for everybody who may see the task in Airflow; part of its API server.

A card contains arbitrary HTML and scripts of a flow's author, so browsers are told to isolate it from
Airflow's own pages.
"""

from __future__ import annotations

from html import escape
from urllib.parse import quote

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import HTMLResponse

from airflow_conda_flow.airflow.configuration import airflow_settings, open_stores
from airflow_conda_flow.airflow.identity import flow_run_id
from airflow_conda_flow.datastore import layout
from airflow_conda_flow.datastore.catalogue import RunCatalogue
from airflow_conda_flow.datastore.datastore import Datastore
from airflow_conda_flow.environments.progress import Silence
from airflow_conda_flow.errors import CondaFlowError
from airflow_conda_flow.records.task_record import TaskRecord

# "sandbox" without allow-same-origin: a card's scripts run, but see neither Airflow's cookies nor its API.
_APART = {
    "Content-Security-Policy": "sandbox allow-scripts allow-popups",
    "X-Content-Type-Options": "nosniff",
}
_MAY_SEE = Depends(requires_access_dag("GET", DagAccessEntity.TASK_INSTANCE))

app = FastAPI(title="Cards", docs_url=None, redoc_url=None, openapi_url=None)


@app.get("/{dag_id}/{run_id}/{step}/{task_id}", dependencies=[_MAY_SEE])
def show_cards(dag_id: str, run_id: str, step: str, task_id: str) -> HTMLResponse:
    """Page with the task's card, or with a list of links if it has several or none.

    Raises:
        HTTPException: 404, the datastore contains no such task.
    """
    _, record = _task(dag_id, run_id, step, task_id)
    cards = record.cards
    if len(cards) == 1:
        return show_card(dag_id, run_id, step, task_id, cards[0]["name"])
    links = "".join(
        f'<li><a href="{quote(task_id, safe="")}/{quote(name, safe="")}">{escape(name)}</a></li>'
        for name in (each["name"] for each in cards)
    )
    title = escape(f"{step}/{task_id}")
    body = f"<ul>{links}</ul>" if cards else "<p>This task has left no card.</p>"
    return HTMLResponse(f"<!doctype html><title>{title}</title><h1>Cards of {title}</h1>{body}")


@app.get("/{dag_id}/{run_id}/{step}/{task_id}/{card_id}", dependencies=[_MAY_SEE])
def show_card(dag_id: str, run_id: str, step: str, task_id: str, card_id: str) -> HTMLResponse:
    """Page with one card, as its task stored it.

    Raises:
        HTTPException: 404, the datastore contains no such card or task.
    """
    datastore, record = _task(dag_id, run_id, step, task_id)
    try:
        page = datastore.storage.read_bytes(layout.card(record.ran_as, card_id))
    except CondaFlowError as error:
        raise HTTPException(404, f"There is no card {card_id!r} of this task.") from error
    return HTMLResponse(page.decode("utf-8"), headers=_APART)


def _task(dag_id: str, run_id: str, step: str, task_id: str) -> tuple[Datastore, TaskRecord]:
    datastore, _ = open_stores(airflow_settings(), Silence())
    catalogue = RunCatalogue(datastore)
    ours = flow_run_id(dag_id, run_id)
    # The URL does not name the flow. Our run id contains a digest of the DAG's id, so only one flow has it.
    for flow in catalogue.flows():
        run = catalogue.run(flow, ours)
        if run is not None:
            (found,) = catalogue.tasks(flow, ours, step, [task_id], run.first_attempt)
            if found is not None:
                return datastore, found
    raise HTTPException(404, "The datastore holds nothing of this task. It may not have ended yet.")
