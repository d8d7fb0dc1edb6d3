"""One flow with every decorator whose meaning depends on where a step runs, and what it must print."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from ..parts.airflow_machine import AirflowMachine

if TYPE_CHECKING:
    import subprocess
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
    machine: AirflowMachine, compute: str, kill: Callable[[str], object], *, limited: str, eat: str
) -> list[str]:
    """Run the flow in all ``WAYS`` at the same time, to an end that must be a good one; what they printed.

    Args:
        machine: where they are started.
        compute: ``kubernetes`` or ``batch``.
        kill: waits for the container of the step ``killed`` of the flow of that name, and ends it.
        limited: a decorator of the step ``hungry``, which asks for 120 MB.
        eat: what that step does.
    """
    starts = {
        "command": partial(machine.run, machine.dags / "command.py", "run", "--with", compute),
        "dag": partial(machine.airflow, "dags", "test", "decorated_dag"),
    }
    for way in WAYS:
        text = FLOW.format(name=flow_name(way), compute=compute, limited=limited, eat=eat)
        head = "from airflow_conda_flow import FlowSpec, current, step\n"
        (machine.dags / f"{way}.py").write_text(head + text)
    machine.environ["CONDA_FLOW_INFRASTRUCTURE_RETRIES"] = "0"  # the killed step is caught, not tried again
    with ThreadPoolExecutor(len(WAYS)) as pool:
        return list(pool.map(lambda way: _run(starts[way], lambda: kill(flow_name(way))), WAYS))


def _run(start: Callable[[], subprocess.CompletedProcess[str]], kill: Callable[[], object]) -> str:
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(start)
        try:
            kill()
        except BaseException:
            print(running.result())  # what pytest shows of a failure
            raise
        done = running.result()
    assert done.returncode == 0, done
    return done.stdout + (done.stderr or "")


def keep_secrets(client: Any) -> None:
    """Put what the flows ask for into AWS Secrets Manager; the client is boto3's ``secretsmanager``."""
    for way in WAYS:
        client.create_secret(Name=f"{flow_name(way)}/db", SecretString=json.dumps({"db-password": SECRET}))


def check_stored(storage: Storage) -> None:
    """Whether the secret is nowhere among what is kept of the run, and masked on the card."""
    stored = {key: storage.read_bytes(key) for key in storage.list_keys("flows/")}
    assert not [key for key, data in stored.items() if SECRET.encode() in data]
    pages = {key: data for key, data in stored.items() if key.endswith(".html")}
    assert {key.split("/")[1] for key in pages} == set(map(flow_name, WAYS))
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
