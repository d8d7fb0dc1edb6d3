"""Older versions of Airflow: flows under ``airflow dags test`` leave the same artifacts as in local processes."""

from __future__ import annotations

import pytest

from airflow_conda_flow.datastore.local_storage import LocalStorage

from ....parts.airflow_machine import DAGS
from ....parts.flow_machine import Machine
from ....parts.graphs.shape_runs import Hashes, hashes_of_dag_run, hashes_of_run, run_dags
from ....parts.graphs.shapes import flow_name

EVERY = """
from airflow_conda_flow import FlowSpec, Parameter, card, catch, step

class Every(FlowSpec):
    word = Parameter("word", default="ab")
    @step
    def start(self):
        self.letters = list(self.word)
        self.next(self.outer, foreach="letters")
    @step
    def outer(self):
        self.numbers = [0, 1] if self.input == "a" else [1]
        self.next(self.inner, foreach="numbers")
    @card
    @step
    def inner(self):
        self.way = "odd" if self.input else "even"
        self.next({"odd": self.odd, "even": self.even}, condition="way")
    @catch(var="problem")
    @step
    def odd(self):
        raise ValueError("on purpose")
        self.next(self.meet)
    @step
    def even(self):
        self.problem = None
        self.next(self.meet)
    @step
    def meet(self):
        self.caught = self.problem is not None
        self.next(self.inner_join)
    @step
    def inner_join(self, inputs):
        self.all = [each.caught for each in inputs]
        self.next(self.join)
    @step
    def join(self, inputs):
        self.all = [each.all for each in inputs]
        self.next(self.end)
    @step
    def end(self):
        assert self.all == [[False, True], [True]], self.all

dag = Every.dag(schedule=None, environment="local")
if __name__ == "__main__":
    Every()
"""
EXAMPLES = ("linear_flow", "foreach_flow", "sklearn_flow")
FLOWS = {"every": EVERY, **{name: (DAGS / f"{name}.py").read_text() for name in EXAMPLES}}
RUNS = [(name, {}) for name in FLOWS]


@pytest.fixture(scope="module")
def local(tmp_path_factory, channel) -> dict[str, Hashes]:
    """Artifacts of the flows by name, from local processes."""
    machine = Machine(tmp_path_factory.mktemp("versions") / "home", channel.url)
    found = {}
    for name, text in FLOWS.items():
        path = machine.home / f"{name}.py"
        path.write_text(text)
        words = () if name == "every" else ("--environment=conda",)
        done = machine.run(path, *words, "run", "--run-id-file", str(machine.home / "id"))
        assert done.returncode == 0, done.stdout + done.stderr
        run_id = (machine.home / "id").read_text()
        found[name] = comparable(hashes_of_run(LocalStorage(machine.datastore), flow_name(name), run_id))
    return found


def comparable(hashes: Hashes) -> Hashes:
    """All but the caught exception, whose traceback has the path of the flow file."""
    return {
        task: {name: digest for name, digest in artifacts.items() if name != "problem"}
        for task, artifacts in hashes.items()
    }


@pytest.mark.timeout(900)
def test_the_same_artifacts_with_each_version(version, tmp_path, channel, local):
    """Examples, nested foreach, switch, a caught failure and a card; installing us has not moved Airflow."""
    machine = version.machine(tmp_path / "home", channel.url)
    assert machine.airflow("version").stdout.split()[-1] == version.airflow
    for name, text in FLOWS.items():
        (machine.dags / f"{name}.py").write_text(text)
    states = run_dags(machine, RUNS)["every"]["states"]
    assert [states[f"odd[{index}]"] for index in range(3)] == ["skipped", "success", "success"]
    assert [states[f"even[{index}]"] for index in range(3)] == ["success", "skipped", "skipped"]
    storage = LocalStorage(machine.datastore)
    assert {each[0]: comparable(hashes_of_dag_run(storage, each, RUNS)) for each in RUNS} == local
    assert len(list(machine.datastore.glob("flows/Every/*/inner/*/0.*.html"))) == 3
