"""Cards of one's own type, exit hooks and spin where steps have an old Python and the datastore is S3."""

from __future__ import annotations

from ...parts.flow_machine import Machine

FLOW = """
from airflow_conda_flow import card, exit_hook
from airflow_conda_flow.cards import Card
class Mine(Card):
    type = "mine"
    def render(self, task):
        import sys
        parents = [each.id for each in task.parent_tasks]
        return "%s %d %s %s" % (sys.version_info[:2], len(task.data.big), parents, task.environment.python)
@exit_hook(on_success=[lambda run: print("HOOK", run.data.big[:3])])
@conda_base(python="3.6.15")
class AFlow(FlowSpec):
    @step
    def start(self):
        self.next(self.middle)
    @card(type="mine")
    @step
    def middle(self):
        self.big = "x" * 3000000  # published beside the step, which goes on
        self.next(self.end)
    @step
    def end(self):
        import sys
        print("END", len(self.big), sys.version_info[:2])
"""


def test_python_3_6_and_s3(tmp_path, channel, moto_s3):
    """A card reads what its step has just made; hooks and spin read the run from S3."""
    machine = Machine(tmp_path / "home", channel.url, **moto_s3.environment)
    flow = machine.flow(FLOW)
    store = ("--environment=conda", "--datastore", "s3", "--datastore-root", moto_s3.make_root())
    done = machine.run(flow, *store, "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\nHOOK xxx\n" in done.stdout
    assert machine.run(flow, *store, "card", "get", "middle").stdout == "(3, 6) 3000000 ['start-0'] 3.6.15"
    spun = machine.run(flow, *store, "spin", "end", "--persist")
    assert "END 3000000 (3, 6)" in spun.stdout, spun.stderr
    again = ("--datastore-root", ".conda_flow_spin", "dump", f"{_run(machine)}/end")
    assert machine.run(flow, *again, "--max-value-size", "4000000").stdout.count("x") >= 3000000


def _run(machine) -> str:
    (run,) = (machine.home / ".conda_flow_spin/flows/AFlow").iterdir()
    return run.name
