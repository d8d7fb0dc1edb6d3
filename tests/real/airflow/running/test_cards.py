"""The pages of cards, served by a running API server."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest

FLOW = """
from airflow_conda_flow import card
from airflow_conda_flow.cards import Markdown
class CardFlow(FlowSpec):
    @card
    @step(start=True, end=True)
    def only(self):
        current.card.append(Markdown("# from the step"))

dag = CardFlow.dag(schedule=None, environment="local")
"""


@pytest.mark.timeout(300)
def test_the_button_of_a_task_leads_to_its_card(running):
    """The link that Airflow gives for the button is a page with the card, apart from Airflow's own pages."""
    running.machine.flow(FLOW, "card_flow.py", running.machine.dags)
    running.trigger("card_flow")
    running.wait_for_run("card_flow")
    ((run_id,),) = running.query("select run_id from dag_run where dag_id = 'card_flow'")
    links = running.ask("GET", f"dags/card_flow/dagRuns/{run_id}/taskInstances/only/links")
    address = links["extra_links"]["Card"]
    with urllib.request.urlopen(address, timeout=60) as answer:  # everybody is an administrator here
        assert "<h1>from the step</h1>" in answer.read().decode()
        assert answer.headers["Content-Security-Policy"].startswith("sandbox")
    with pytest.raises(urllib.error.HTTPError, match="404") as refused:
        urllib.request.urlopen(address.replace("/only-0", "/other-0"), timeout=60)
    refused.value.close()
