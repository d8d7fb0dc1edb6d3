"""One flow with every decorator whose meaning depends on where a step runs, and what it must print."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from ..airflow.conftest import AIRFLOW, AirflowMachine

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_conda_flow.datastore.storage import Storage

WAYS = ("command", "dag")
SECRET = "hunter-2-in-containers"
FLOW = """
import os, time
from airflow_conda_flow import card, catch, environment, resources, retry, secrets, timeout
from airflow_conda_flow import batch, kubernetes
from airflow_conda_flow.cards import Markdown

class {name}(FlowSpec):
    @card
    @environment(vars={{"MODE": "it's \\"$HOME\\""}})
    @secrets(sources=["{name}/db"])
    @retry(times=1, minutes_between_retries=0)
    @step
    def start(self):
        print("TRY", current.retry_count, os.environ["MODE"], os.environ["db_password"])
        self.length = len(os.environ["db_password"])
        current.card.append(Markdown("<" + os.environ["db_password"] + ">"))
        if current.retry_count == 0:
            raise ValueError("bad " + os.environ["db_password"])
        self.next(self.raises)

    @catch(var="problem")
    @timeout(minutes=5)
    @step
    def raises(self):
        self.kept = "kept"
        raise KeyError("on purpose")
        self.next(self.slow)

    @catch(var="late", print_exception=False)
    @timeout(seconds=1)
    @step
    def slow(self):
        time.sleep(100)
        self.next(self.hungry)

    @catch(var="ate")
    @resources(memory=120)
    {limited}
    @step
    def hungry(self):
        {eat}
        self.next(self.killed)

    @catch(var="gone")
    @step
    def killed(self):
        self.lost = 1
        time.sleep(100)
        self.next(self.end)

    @step
    def end(self):
        print("SEEN", self.length, self.kept, hasattr(self, "lost"), os.environ.get("MODE"))
        print("PROBLEM", self.problem.type, self.problem.exception)
        print("LATE", self.late.type, self.late.exception)
        print("ATE", self.ate and self.ate.exception)
        print("GONE", self.gone.exception)

dag = {name}.dag(schedule=None, environment="local", decorators=[{compute!r}])

if __name__ == "__main__":
    {name}()
"""


def flow_name(way: str) -> str:
    """The class of the flow that runs in this of the ``WAYS``."""
    return f"Decorated{way.title()}"


def run_decorated(
    machine: AirflowMachine,
    way: str,
    compute: str,
    kill: Callable[[], object],
    *,
    limited: str,
    eat: str,
) -> str:
    """Run the flow to its end, which must be a good one; what it printed.

    Args:
        machine: where it is started.
        way: ``command``, or ``dag`` for ``airflow dags test``.
        compute: ``kubernetes`` or ``batch``.
        kill: waits for the container of the step ``killed`` and ends it.
        limited: a decorator of the step ``hungry``, which asks for 120 MB.
        eat: what that step does.
    """
    name = flow_name(way)
    flow = machine.dags / "decorated.py"
    flow.write_text(
        "from airflow_conda_flow import FlowSpec, current, step\n"
        + FLOW.format(name=name, compute=compute, limited=limited, eat=eat)
    )
    commands = {
        "command": [sys.executable, str(flow), "run", "--with", compute],
        "dag": [str(AIRFLOW), "dags", "test", f"decorated_{way}"],
    }
    with subprocess.Popen(
        commands[way],
        env=machine.environ,
        cwd=machine.home,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            kill()
            printed = process.communicate(timeout=120)[0]
        except BaseException:
            process.kill()
            print(process.stdout.read() if process.stdout else "")  # what pytest shows of a failure
            raise
    assert process.returncode == 0, printed
    return printed


def keep_secret(client: Any, way: str) -> None:
    """Put the flow's secret into AWS Secrets Manager.

    Args:
        client: boto3's ``secretsmanager``.
        way: of ``WAYS``.
    """
    client.create_secret(Name=f"{flow_name(way)}/db", SecretString=json.dumps({"db-password": SECRET}))


def check_stored(storage: Storage) -> None:
    """Whether the secret is nowhere among what is kept of the run, and masked on the card."""
    stored = {key: storage.read_bytes(key) for key in storage.list_keys("flows/")}
    assert not [key for key, data in stored.items() if SECRET.encode() in data]
    pages = {key: data for key, data in stored.items() if key.endswith(".html")}
    assert pages
    assert all(b"&lt;***&gt;" in data for data in pages.values())


def check_printed(printed: str) -> None:
    """Whether all decorators did what they are for, as far as it is the same everywhere."""
    assert 'TRY 0 it\'s "$HOME" ***' in printed, printed
    assert 'TRY 1 it\'s "$HOME" ***' in printed, printed
    assert "ValueError: bad ***" in printed, printed
    assert f"SEEN {len(SECRET)} kept False None" in printed, printed
    assert "PROBLEM builtins.KeyError 'on purpose'" in printed, printed
    late = "Step slow timed out after 0 hours, 0 minutes, 1 seconds"
    assert f"LATE airflow_conda_flow.errors.TimeoutException {late}" in printed, printed
    assert "@catch caught an exception from step raises" in printed, printed
    assert "@catch caught an exception from step killed" in printed, printed
    assert SECRET not in printed
