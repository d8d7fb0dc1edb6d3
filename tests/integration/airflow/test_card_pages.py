"""Cards in Airflow: the API server's page, the button on a task, and who may see them."""

from __future__ import annotations

FLOW = """
from airflow_conda_flow import card
from airflow_conda_flow.cards import Markdown

class AFlow(FlowSpec):
    @card
    @step
    def start(self):
        self.items = [1, 2]
        current.card.append(Markdown("# from start"))
        self.next(self.body, foreach="items")

    @card
    @step
    def body(self):
        current.card.append(Markdown("# body %d" % self.input))
        self.next(self.join)

    @step
    def join(self, inputs):
        self.next(self.end)

    @step
    def end(self):
        pass

dag = AFlow.dag(schedule=None, environment="local")
"""
LOOK = """
import json, sys
from unittest.mock import patch
from airflow.models.dagbag import DagBag
from airflow_conda_flow.airflow.ui.card_link import CardLink
from airflow.sdk.types import TaskInstanceKey
from airflow.serialization.serialized_objects import DagSerialization
from fastapi.testclient import TestClient
from airflow.api_fastapi.core_api.security import get_user
from airflow_conda_flow.airflow.ui.card_app import app

client = TestClient(app, raise_server_exceptions=False)
denied = client.get("/a_flow/RUN/start/0").status_code
with patch("airflow.api_fastapi.core_api.security.get_auth_manager") as manager:
    app.dependency_overrides[get_user] = lambda: object()
    manager.return_value.is_authorized_dag.return_value = False
    forbidden = client.get("/a_flow/RUN/start/0").status_code
    manager.return_value.is_authorized_dag.return_value = True
    start = client.get("/a_flow/RUN/start/0")
    body = client.get("/a_flow/RUN/body/1")
    missing = client.get("/a_flow/RUN/join/0").text
print(json.dumps({"denied": denied, "forbidden": forbidden, "start": start.text, "body": body.text,
    "policy": start.headers["content-security-policy"], "missing": missing}))
"""


def test_the_pages_of_a_run(machine):
    """Who may see the DAG sees each task's card, kept apart from Airflow's pages; nobody else does."""
    import json

    machine.flow(FLOW, folder=machine.dags)
    done = machine.airflow("dags", "test", "a_flow", "--conf", "{}")
    assert done.returncode == 0, done.stdout
    (run,) = (machine.datastore / "flows" / "AFlow").iterdir()
    told = json.loads((run / "run.json").read_text())
    dag_run = machine.python(
        "from airflow.utils.session import create_session\n"
        "from airflow.models.dagrun import DagRun\n"
        "with create_session() as session: print(session.query(DagRun).one().run_id)"
    ).split()[-1]
    seen = json.loads(machine.python(LOOK.replace("RUN", dag_run)).splitlines()[-1])
    assert told["run_id"] == run.name
    assert seen["denied"] >= 400
    assert seen["forbidden"] == 403
    assert "<h1>from start</h1>" in seen["start"]
    assert "<h1>body 2</h1>" in seen["body"]
    assert "has left no card" in seen["missing"]
    assert seen["policy"].startswith("sandbox")


def test_only_steps_with_a_card_have_the_button(machine):
    """Also a mapped step, in the DAG as Airflow stores it."""
    machine.flow(FLOW, folder=machine.dags)
    printed = machine.python(
        "import json, runpy, sys\n"
        f"sys.path.insert(0, {str(machine.dags)!r})\n"
        "import a_flow\n"
        "from airflow.serialization.serialized_objects import DagSerialization\n"
        "tasks = DagSerialization.to_dict(a_flow.dag)['dag']['tasks']\n"
        "tasks = [each['__var'] for each in tasks]\n"
        "print(json.dumps({t['task_id']: list(t.get('_operator_extra_links', {})) for t in tasks}))"
    )
    import json

    links = json.loads(printed.splitlines()[-1])
    assert links == {"prepare": [], "start": ["Card"], "body": ["Card"], "join": [], "end": []}


def test_a_task_of_any_dag_does_not_pay_for_the_pages(machine):
    """Airflow loads plugins in each task's process: that of the cards imports no web framework there."""
    printed = machine.python(
        "import sys\n"
        "import airflow.sdk.execution_time.task_runner\n"
        "before = set(sys.modules)\n"
        "from airflow.sdk.listener import get_listener_manager\n"
        "get_listener_manager()\n"
        "print(sorted({name.partition('.')[0] for name in set(sys.modules) - before}))\n"
        "print('airflow_conda_flow.airflow.ui.plugin' in sys.modules)\n",
        warm=False,
    )
    assert printed.splitlines()[-2:] == ["['airflow', 'airflow_conda_flow']", "True"]
