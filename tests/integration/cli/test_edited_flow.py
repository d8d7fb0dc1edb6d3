"""A flow that is edited while it runs: the run goes on with what it began with."""

from __future__ import annotations

import re
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

from ...parts.flow_machine import Machine

FLOW = """
import helper
import os
import time
from airflow_conda_flow import Config, IncludeFile, retry

class AFlow(FlowSpec):
    settings = Config("settings", default="settings.json")
    included = IncludeFile("included", default="included.txt")

    {conda}
    @step
    def start(self):
        print("WAITING", flush=True)
        while not os.path.exists("go"):
            time.sleep(0.05)
        self.said = [helper.SAID]
        self.items = [1, 2]
        self.next(self.each, foreach="items")

    {conda}
    @step
    def each(self):
        import lazy
        self.said = self.said + [helper.SAID, lazy.SAID, self.settings.word, self.included]
        self.next(self.join)

    @retry(times=1)
    @step
    def join(self, inputs):
        if current.retry_count == 0:
            raise ValueError("once")  # as it was
        self.said = inputs[1].said
        self.next(self.end)

    @step
    def end(self):
        with open(os.path.join(os.path.dirname(__file__), "data.txt")) as file:
            print("SAID", self.said, file.read())
"""
FILES = {
    "helper.py": "SAID = 'stored'",
    "lazy.py": "SAID = 'stored'",
    "settings.json": '{"word": "stored"}',
    "included.txt": "stored",
    "data.txt": "old",
}
NEW = "raise SystemExit('the edited file ran')\n"


@pytest.fixture
def machine(tmp_path) -> Machine:
    """A machine with an empty home."""
    return Machine(tmp_path / "home")


def _flow(machine: Machine, conda: str = "") -> Path:
    flow = machine.flow(FLOW.format(conda=conda), folder=machine.home / "flows")
    for name, text in FILES.items():
        (flow.parent / name).write_text(text)
    return flow


@contextmanager
def _waiting(machine: Machine, *words: str):
    """A run whose first step has begun; yields the process, whose steps go on once there is a file ``go``."""
    with machine.started(*words) as process:
        while "WAITING" not in (line := process.stdout.readline()):
            assert line
        yield process


def _edit(flow: Path) -> None:
    for name in FILES:
        path = flow.with_name(name)
        path.write_text(
            NEW if name.endswith(".py") else '{"word": "new"}' if name.endswith(".json") else "new"
        )
    flow.write_text(flow.read_text()[:300] + "\n  def (")


def _rest(machine: Machine, process) -> str:
    (machine.home / "go").touch()
    output = process.stdout.read()
    assert process.wait(60) == 0, output
    return output


SAID = "SAID ['stored', 'stored', 'stored', 'stored', 'stored'] "


@pytest.mark.parametrize(
    "change", [_edit, lambda flow: shutil.rmtree(flow.parent)], ids=["edited", "deleted"]
)
def test_a_run_goes_on_with_what_it_began_with(machine, change):
    """Steps, retries, configs and included files; data that the steps open themselves are as they are now."""
    flow = _flow(machine)
    text = flow.read_text()
    with _waiting(machine, flow, "run") as process:
        change(flow)
        if not flow.parent.exists():
            flow.parent.mkdir()
            flow.with_name("data.txt").write_text("new")
        output = _rest(machine, process)
    assert SAID + "new" in output
    assert f'File "{flow}", line' in output
    assert 'raise ValueError("once")  # as it was' in output
    (run,) = (machine.datastore / "flows" / "AFlow").iterdir()
    reader = machine.flow(
        f"""
        from airflow_conda_flow import Run, namespace
        class AFlow(FlowSpec):
            @step
            def start(self):
                namespace(None)
                print("SAME", Run("AFlow/{run.name}").code.flowspec == {text!r})
                self.next(self.end)
            @step
            def end(self):
                pass
        """,
        name="reader.py",
    )
    assert "SAME True" in machine.run(reader, "run").stdout


def test_a_resumed_run_takes_the_flow_of_now(machine):
    """And goes on with that, whatever is edited then."""
    flow = _flow(machine)
    text = flow.read_text()
    flow.write_text(text.replace('"WAITING"', '"WAITING", 1 / 0'))
    failed = machine.run(flow, "run")
    assert failed.returncode == 1
    assert "ZeroDivisionError" in failed.stdout
    flow.write_text(text.replace("self.said = [helper.SAID]", "self.said = [helper.SAID + ' anew']"))
    with _waiting(machine, flow, "resume") as process:
        _edit(flow)
        output = _rest(machine, process)
    assert SAID.replace("'stored'", "'stored anew'", 1) in output


def test_a_conda_step_goes_on_too(tmp_path, channel):
    """In its own environment."""
    machine = Machine(tmp_path / "home", channel.url)
    flow = _flow(machine, '@conda(libraries={"six": "1.16.0"})')
    with _waiting(machine, flow, "--environment=conda", "run") as process:
        _edit(flow)
        output = _rest(machine, process)
    assert SAID + "new" in output


def test_a_spun_step_runs_the_flow_of_now(machine):
    """Under the paths of its file, and beside its data."""
    flow = _flow(machine)
    (machine.home / "go").touch()
    done = machine.run(flow, "run")
    assert SAID + "old" in done.stdout, done.stdout + done.stderr
    run_id = re.search(r"\(run-id (\d+)\)", done.stdout)[1]
    flow.write_text(flow.read_text().replace('print("SAID"', 'print("SPUN", __file__'))
    spun = machine.run(flow, "spin", f"{run_id}/end")
    assert f"SPUN {flow} ['stored'" in spun.stdout, spun.stdout + spun.stderr


def test_a_flow_that_is_a_module_of_a_package(machine):
    """``python -m`` in the folder of the package: absolute, relative and lazy imports, edited or not."""
    flow = machine.flow(
        """
        import os
        import time
        import beside
        from pkg import near
        from .. import above
        class AFlow(FlowSpec):
            @step
            def start(self):
                print("WAITING", flush=True)
                while not os.path.exists("go"):
                    time.sleep(0.05)
                self.thing = near.Thing()
                self.next(self.end)
            @step
            def end(self):
                from . import lazy
                import lazy as plain
                print("SAID", beside.SAID, above.SAID, lazy.SAID, plain.SAID, type(self.thing) is near.Thing)
                print("NAMED", __name__, __file__)
        """,
        folder=machine.home / "pkg" / "flows",
    )
    for name in ("beside.py", "pkg/above.py", "pkg/flows/lazy.py"):
        (machine.home / name).write_text("SAID = 'stored'")
    (machine.home / "pkg" / "near.py").write_text("class Thing:\n    pass\n")
    for name in ("pkg", "pkg/flows"):
        (machine.home / name / "__init__.py").touch()
    with _waiting(machine, "-m", "pkg.flows.a_flow", "run") as process:
        for path in [*machine.home.glob("*.py"), *(machine.home / "pkg").rglob("*.py")]:
            path.write_text(NEW)
        output = _rest(machine, process)
    assert "] SAID stored stored stored stored True\n" in output
    assert f"] NAMED pkg.flows.a_flow {flow}\n" in output
